//! What only a server can do to a ledger: end a connection in the middle, be full, be slow, be read-only, be shared.

use std::sync::Arc;
use std::time::Duration;

use gatekeeper::adapters::postgres::{OpenError, PostgresLedger};
use gatekeeper::domain::budget::Day;
use gatekeeper::domain::clock::{Clock as _, SystemClock, Timestamp};
use gatekeeper::domain::money::Money;
use gatekeeper::pipeline::dedupe::ledger::purses::{Movement, Reservation};
use gatekeeper::pipeline::dedupe::ledger::{Ahead, Entry, Ledger, LedgerError, Outcome};
use gatekeeper::settings::ledger::Ledger as Settings;
use gatekeeper::telemetry::recorder;
use sqlx::{Connection as _, Executor as _};

use super::ledger_contract::world::{
    accepted, answered, claim, commit, find, lease, one, published, reached, row, vanished,
};
use super::postgres::{TestDatabase, Wire};

async fn open(settings: &Settings, instance: &str, incarnation: u64) -> Arc<dyn Ledger> {
    Arc::new(PostgresLedger::open(settings, instance, incarnation, false).await.expect("the server is fit"))
}

async fn refusal(settings: &Settings) -> OpenError {
    PostgresLedger::open(settings, "gk-1", 1, true).await.err().expect("it is refused")
}

/// A life of one event, from claim to published.
fn a_batch() -> Vec<Entry> {
    vec![
        Entry::Claim(claim(1, 10)),
        lease(1, 10, 60_000),
        answered(1, 10, "a"),
        reached(1, 10, accepted("v")),
        published(1, 10, 30),
        Entry::Claim(claim(2, 11)),
        vanished(11, 12),
    ]
}

/// What the batch comes to when it is committed for the second time.
async fn repeated() -> Vec<Outcome> {
    let database = TestDatabase::new().await;
    let ledger = open(&database.settings(), "gk-1", 1).await;
    commit(&ledger, a_batch()).await;
    commit(&ledger, a_batch()).await
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn a_commit_whose_answer_is_lost_has_happened_and_the_same_batch_again_is_told_so() {
    let database = TestDatabase::new().await;
    let wire = Wire::to(&database).await;
    let ledger = open(&database.settings_through(&wire), "gk-1", 1).await;
    wire.cut_after_next_commit();
    let lost = ledger.commit(a_batch()).await.expect_err("the connection was cut");
    assert!(matches!(lost, LedgerError::Unavailable(_)), "{lost}");
    let elsewhere = open(&database.settings(), "gk-2", 1).await;
    let before = row(&elsewhere, 1).await;
    assert_eq!(before.published_at, Some(Timestamp(30)), "it happened");
    assert_eq!(commit(&ledger, a_batch()).await, repeated().await);
    assert_eq!(row(&elsewhere, 1).await, before);
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn a_connection_that_ends_inside_commit_leaves_nothing_and_the_same_batch_again_does_it_all() {
    let database = TestDatabase::new().await;
    let ledger = open(&database.settings(), "gk-1", 1).await;
    let mine_while_committing = "
        CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER dies AFTER INSERT ON ledger DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION die()";
    database.run(mine_while_committing).await;
    let lost = ledger.commit(a_batch()).await.expect_err("the server ended the connection");
    assert!(matches!(lost, LedgerError::Unavailable(_)), "{lost}");
    database.run("DROP TRIGGER dies ON ledger").await;
    assert_eq!(find(&ledger, 1).await, None, "nothing happened");
    let outcomes = commit(&ledger, a_batch()).await;
    assert_eq!(
        outcomes[1..5],
        [
            Outcome::LeaseGranted,
            Outcome::Saved(super::ledger_contract::world::answer("a")),
            Outcome::Reached(accepted("v")),
            Outcome::Done
        ]
    );
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn after_the_server_ended_every_connection_a_batch_fails_at_most_once_for_each() {
    let database = TestDatabase::new().await;
    let mut settings = database.settings();
    settings.postgres.max_connections = 2;
    let ledger = open(&settings, "gk-1", 1).await;
    for number in 0..3 {
        let (one, other) = (find(&ledger, number), find(&ledger, number));
        tokio::join!(one, other);
        let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        database.run(all).await;
        let mut attempts = 0;
        while ledger.commit(vec![Entry::Claim(claim(number, 10))]).await.is_err() {
            attempts += 1;
            assert!(attempts <= 2, "a broken connection must not be used again");
        }
        assert!(find(&ledger, number).await.is_some());
    }
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn a_server_that_falls_silent_is_given_up() {
    let database = TestDatabase::new().await;
    let wire = Wire::to(&database).await;
    let mut settings = database.settings_through(&wire);
    settings.postgres.statement_timeout = Duration::from_millis(100);
    settings.postgres.acquire_timeout = Duration::from_millis(300);
    let ledger = open(&settings, "gk-1", 1).await;
    wire.fall_silent_at_next_commit();
    let lost = ledger.commit(vec![Entry::Claim(claim(1, 10))]).await.expect_err("nobody answers");
    assert!(matches!(&lost, LedgerError::Unavailable(why) if why.contains("said nothing")), "{lost}");
    let lost = ledger.commit(vec![Entry::Claim(claim(1, 10))]).await.expect_err("nobody answers");
    assert!(matches!(&lost, LedgerError::Unavailable(why) if why.contains("no connection")), "{lost}");
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn a_full_pool_answers_so_after_its_deadline_and_its_use_is_seen() {
    let (recorder, metrics) = recorder::local();
    let _here = metrics::set_default_local_recorder(&recorder);
    let database = TestDatabase::new().await;
    let mut settings = database.settings();
    settings.postgres.max_connections = 2;
    settings.postgres.acquire_timeout = Duration::from_millis(200);
    settings.postgres.leak_after = Duration::from_millis(100);
    let ledger = open(&settings, "gk-1", 1).await;
    one(&ledger, Entry::Claim(claim(1, 10))).await;

    let mut holder = database.connect().await;
    let mut transaction = holder.begin().await.expect("nothing is open");
    transaction.execute("SELECT FROM ledger FOR UPDATE").await.expect("the row is there");
    let waiting = [0, 1].map(|_| {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move { ledger.commit(vec![lease(1, 10, 10)]).await })
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let full = ledger.commit(vec![Entry::Claim(claim(2, 11))]).await.expect_err("both connections wait for a lock");
    assert!(matches!(full, LedgerError::PoolExhausted { waited } if waited == settings.postgres.acquire_timeout));
    transaction.rollback().await.expect("it is open");
    for waiting in waiting {
        waiting.await.expect("no panic").expect("the lock is free");
    }
    let text = metrics.render();
    for line in [
        "gatekeeper_ledger_pool_exhausted_total 1",
        "gatekeeper_ledger_pool_used 0",
        "gatekeeper_ledger_pool_max 2",
        "gatekeeper_ledger_pool_marks_total{mark=\"90\"} 1",
        "gatekeeper_ledger_leaks_suspected_total 2",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn a_batch_that_waits_too_long_for_a_lock_leaves_nothing_and_may_come_again() {
    let database = TestDatabase::new().await;
    let mut settings = database.settings();
    settings.postgres.lock_timeout = Duration::from_millis(50);
    let ledger = open(&settings, "gk-1", 1).await;
    one(&ledger, Entry::Claim(claim(1, 10))).await;
    let mut holder = database.connect().await;
    let mut transaction = holder.begin().await.expect("nothing is open");
    transaction.execute("SELECT FROM ledger FOR UPDATE").await.expect("the row is there");
    let batch = vec![Entry::Claim(claim(2, 11)), answered(1, 10, "a")];
    let error = ledger.commit(batch.clone()).await.expect_err("the row is locked");
    assert!(matches!(&error, LedgerError::Unavailable(why) if why.contains("lock timeout")), "{error}");
    assert_eq!(find(&ledger, 2).await, None);
    assert_eq!(ledger.forget(Timestamp(9_000), Timestamp(9_000), 10).await.expect("it passes locked rows by"), 0);
    transaction.rollback().await.expect("it is open");
    assert_eq!(commit(&ledger, batch).await.len(), 2);
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn an_instance_whose_clock_is_ahead_forgets_nothing_that_is_young_by_the_servers() {
    let database = TestDatabase::new().await;
    let settings = database.settings();
    let ledger = open(&settings, "gk-1", 1).await;
    let age = i64::try_from(settings.window.as_millis()).expect("days");
    let now = SystemClock.now().0;
    let (young, old) = (now - age + 60_000, now - age - 60_000);
    commit(&ledger, vec![Entry::Claim(claim(1, 10)), Entry::Claim(claim(2, 11))]).await;
    commit(&ledger, vec![reached(1, 10, accepted("v")), reached(2, 11, accepted("v"))]).await;
    commit(&ledger, vec![published(1, 10, young), published(2, 11, old)]).await;
    let ahead = Timestamp(now + 30 * 24 * 3_600_000);
    assert_eq!(ledger.forget(ahead, ahead, 10).await.expect("it forgets"), 1);
    assert!(find(&ledger, 1).await.is_some() && find(&ledger, 2).await.is_none());
}

/// A mail loop during an outage: each new event of its ticket asks what stands ahead of it.
#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn a_ticket_of_which_very_much_is_put_off_keeps_no_batch_waiting() {
    const PUT_OFF: u64 = 30_000;
    let database = TestDatabase::new().await;
    let mut settings = database.settings();
    settings.postgres.statement_timeout = Duration::from_secs(3);
    let ledger = open(&settings, "gk-1", 1).await;
    database
        .run(&format!(
            "INSERT INTO ledger (key, owner_topic, owner_partition, owner_offset, hop, body_form, body_hash, tenant_id,
                                 event_id, first_seen_at, deferred_ticket, deferred_to, is_put_off)
             SELECT sha256(n::text::bytea), 'events', 0, n, 0, 1, sha256('b'), 'acme', n::text, 0, 'acme|7', n % 3, true
             FROM generate_series(1, {PUT_OFF}) AS n"
        ))
        .await;
    let claims = (0..250).map(|number| Entry::Claim(claim(number, PUT_OFF + 1 + u64::from(number))));
    for outcome in commit(&ledger, claims.collect()).await {
        let Outcome::Row(row) = outcome else { panic!("{outcome:?}") };
        assert_eq!(row.ahead, Some(Ahead { count: PUT_OFF, tier: (PUT_OFF % 3) as u8 }));
    }
    let among = commit(&ledger, vec![Entry::Claim(claim(251, 20_000))]).await;
    let [Outcome::Row(row)] = &among[..] else { panic!("{among:?}") };
    assert_eq!(row.ahead, Some(Ahead { count: 19_999, tier: (19_999 % 3) as u8 }), "its own place is not ahead of it");
}

/// Whoever created the tables need not be who works with them.
#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn who_may_create_nothing_works_with_tables_that_are_there() {
    let database = TestDatabase::new().await;
    drop(open(&database.settings(), "gk-1", 1).await);
    database.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC, pg_database_owner").await;
    one(&open(&database.settings(), "gk-1", 2).await, Entry::Claim(claim(1, 10))).await;
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn a_database_that_cannot_hold_every_character_is_refused() {
    let error = refusal(&TestDatabase::encoded_in("LATIN1").await.settings()).await;
    assert!(matches!(&error, OpenError::Encoding { encoding } if encoding == "LATIN1"), "{error}");
    assert!(!error.is_retryable());
    drop(open(&TestDatabase::encoded_in("SQL_ASCII").await.settings(), "gk-1", 1).await);
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn an_instance_whose_clock_is_ahead_forgets_nobodys_budget() {
    let database = TestDatabase::new().await;
    let ledger = open(&database.settings(), "gk-1", 1).await;
    let today = Day::of(SystemClock.now());
    let reserve = |number, day| {
        let call = Reservation { number, tenant: "acme".into(), day, expected: Money(5) };
        Entry::Money(Movement::Reserve { call, budget: None })
    };
    one(&ledger, reserve(1, today)).await;
    one(&ledger, reserve(2, Day(today.0 + 1_000))).await;
    assert_eq!(ledger.spent("acme", today).await.expect("readable").open, Money(5));
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn what_an_operator_asks_may_take_longer_than_a_batch() {
    let database = TestDatabase::new().await;
    let mut settings = database.settings();
    settings.postgres.statement_timeout = Duration::from_millis(100);
    let ledger = open(&settings, "gk-1", 1).await;
    one(&ledger, Entry::Claim(claim(1, 10))).await;
    let mut holder = database.connect().await;
    let mut transaction = holder.begin().await.expect("nothing is open");
    transaction.execute("LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE").await.expect("nobody reads it");
    let asking = {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move { ledger.first_open("events", 0).await })
    };
    tokio::time::sleep(5 * settings.postgres.statement_timeout).await;
    transaction.rollback().await.expect("it is open");
    assert_eq!(asking.await.expect("no panic").expect("it was waited for"), Some(10));
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn instances_that_write_the_same_rows_in_opposite_order_never_wait_for_each_other() {
    let database = TestDatabase::new().await;
    let (one_process, other) =
        (open(&database.settings(), "gk-1", 1).await, open(&database.settings(), "gk-2", 1).await);
    commit(&one_process, (0..=255).map(|number| Entry::Claim(claim(number, 10))).collect()).await;
    let mixed = |number: u8| {
        [published(number, 10, 5), Entry::Claim(claim(number, 20)), lease(number, 10, 50), answered(number, 10, "a")]
    };
    let of_one_kind = |number: u8| [published(number, 10, 5)];
    for _ in 0..40 {
        // The server would end one of two that wait for each other: an error here.
        let upwards: Vec<Entry> = (0..40).flat_map(mixed).collect();
        let downwards: Vec<Entry> = (0..40).rev().flat_map(mixed).collect();
        tokio::join!(commit(&one_process, upwards), commit(&other, downwards));
        let upwards: Vec<Entry> = (0..40).flat_map(mixed).collect();
        let downwards: Vec<Entry> = (0..=255).rev().flat_map(of_one_kind).collect();
        tokio::join!(commit(&one_process, upwards), commit(&other, downwards));
        let upwards: Vec<Entry> = (0..=255).flat_map(of_one_kind).collect();
        let downwards: Vec<Entry> = (0..=255).rev().flat_map(of_one_kind).collect();
        tokio::join!(commit(&one_process, upwards), commit(&other, downwards));
    }
}

/// The lease of another instance keeps an answer away, and ends before the row is read back: nothing is wrong with the ledger.
#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn an_answer_that_a_lease_kept_away_for_the_last_moment_of_it_may_come_again() {
    let database = TestDatabase::new().await;
    let (mine, theirs) = (open(&database.settings(), "gk-1", 1).await, open(&database.settings(), "gk-2", 1).await);
    commit(&theirs, vec![Entry::Claim(claim(1, 10)), lease(1, 10, 60_000)]).await;
    // After each statement of ours, whether or not it changed a row.
    let slowly = "
        CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF current_setting('application_name') = 'gatekeeper gk-1' THEN PERFORM pg_sleep(1); END IF;
                RETURN NULL;
            END $$;
        CREATE TRIGGER dawdles AFTER UPDATE ON ledger FOR EACH STATEMENT EXECUTE FUNCTION dawdle()";
    database.run(slowly).await;
    let answering = {
        let mine = Arc::clone(&mine);
        tokio::spawn(async move { mine.commit(vec![answered(1, 10, "a")]).await })
    };
    tokio::time::sleep(Duration::from_millis(400)).await;
    one(&theirs, super::ledger_contract::world::release(1, 10)).await;
    let error = answering.await.expect("no panic").expect_err("nobody can say what became of it");
    assert!(error.is_retryable(), "{error}");
    let saved = Outcome::Saved(super::ledger_contract::world::answer("a"));
    assert_eq!(one(&mine, answered(1, 10, "a")).await, saved);
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn who_migrates_while_somebody_reads_for_long_keeps_no_instance_waiting() {
    let database = TestDatabase::new().await;
    let old = open(&database.settings(), "gk-1", 1).await;
    database.run("DELETE FROM _sqlx_migrations WHERE version = 17; DROP INDEX ledger_ordinary, ledger_rejected").await;
    database.run("CREATE INDEX ledger_published ON ledger (published_at, rejected_at)").await;
    let mut reader = database.connect().await;
    let mut reading = reader.begin().await.expect("nothing is open");
    reading.execute("SELECT count(*) FROM ledger").await.expect("it is readable");
    let settings = database.settings();
    let working = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        commit(&old, a_batch()).await
    };
    let (newer, _) = tokio::join!(PostgresLedger::open(&settings, "gk-2", 1, false), working);
    let error = newer.err().expect("the table is read");
    assert!(error.is_retryable() && error.to_string().contains("lock timeout"), "{error}");
    reading.rollback().await.expect("it is open");
    open(&settings, "gk-2", 1).await;
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn who_only_looks_writes_nothing_and_needs_no_more_than_a_standby() {
    let database = TestDatabase::new().await;
    let settings = database.settings();
    let behind = PostgresLedger::open_existing(&settings, "gk-1").await.err().expect("there is nothing");
    assert!(matches!(behind, OpenError::Behind { applied: 0, .. }), "{behind}");
    let ledger = open(&settings, "gk-1", 1).await;
    one(&ledger, Entry::Claim(claim(1, 10))).await;
    database.alter("default_transaction_read_only = on").await;
    let looking = PostgresLedger::open_existing(&settings, "gk-2").await.expect("it need not be written to");
    let looking: Arc<dyn Ledger> = Arc::new(looking);
    assert!(find(&looking, 1).await.is_some());
    let lives = sqlx::query_scalar("SELECT array_agg(instance) FROM instances");
    let lives: Vec<String> = lives.fetch_one(&mut database.connect().await).await.expect("somebody lives");
    assert_eq!(lives, ["gk-1"], "who looks is no life of an instance");
    database.run("BEGIN READ WRITE; DELETE FROM _sqlx_migrations WHERE version = 17; COMMIT").await;
    let behind = PostgresLedger::open_existing(&settings, "gk-1").await.err().expect("it is refused");
    assert!(matches!(behind, OpenError::Behind { applied, known } if applied + 1 == known), "{behind}");
    let future = "
        BEGIN READ WRITE;
        INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (999, 'from the future', true, '', 0); COMMIT";
    database.run(future).await;
    let newer = PostgresLedger::open_existing(&settings, "gk-1").await.err().expect("it is refused");
    assert!(matches!(newer, OpenError::Newer { version: 999 }), "{newer}");
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn many_rejected_rows_that_stay_are_not_read_to_find_the_few_that_go() {
    const KEPT: i64 = 30_000;
    let database = TestDatabase::new().await;
    let mut settings = database.settings();
    settings.postgres.max_connections = 1;
    let ledger = open(&settings, "gk-1", 1).await;
    let now = SystemClock.now().0;
    let millis = |age: Duration| i64::try_from(age.as_millis()).expect("days");
    let (published_before, rejected_after) = (now - millis(settings.window), now - millis(settings.rejected_window));
    // Ten that may go, of either kind, are younger by what counts for the others than all that stay.
    let full = format!(
        "INSERT INTO ledger (key, owner_topic, owner_partition, owner_offset, hop, body_form, body_hash, tenant_id, event_id,
                             first_seen_at, published_at, is_rejected, rejected_at)
         SELECT sha256(n::text::bytea), 't', 0, n, 0, 1, sha256('b'), 'acme', 'e-' || n, 1,
                CASE WHEN n <= {KEPT} THEN {published_before} - 100000 + n ELSE {published_before} - 60000 END,
                n <= {KEPT} + 5,
                CASE WHEN n <= {KEPT} THEN {rejected_after} + 60000 + n
                     WHEN n <= {KEPT} + 5 THEN {rejected_after} - 60000 END
         FROM generate_series(1, {KEPT} + 10) AS n"
    );
    database.run(&full).await;
    let mut outside = database.connect().await;
    let read = async |outside: &mut sqlx::PgConnection| -> i64 {
        // Counters arrive a second late at most.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let counter = "SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'ledger')::bigint
                              + (SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'ledger')";
        sqlx::query_scalar(counter).fetch_one(outside).await.expect("the server counts")
    };
    let before = read(&mut outside).await;
    let gone = ledger.forget(Timestamp(published_before), Timestamp(rejected_after), 1_000).await;
    assert_eq!(gone.expect("it forgets"), 10);
    let entries = read(&mut outside).await - before;
    assert!(entries < 500, "{entries} entries were read for 10");
    assert_eq!(ledger.forget(Timestamp(published_before), Timestamp(rejected_after), 1_000).await.expect("it may"), 0);
}

/// Whole tables that were read, entries of indexes that were read, and rows that were written, as the server counts them.
async fn counters(connection: &mut sqlx::PgConnection) -> (i64, i64, i64) {
    let counters = "SELECT sum(seq_scan)::bigint, (SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes
                                                   WHERE relname IN ('ledger', 'decisions')),
                           sum(n_tup_ins)::bigint
                    FROM pg_stat_user_tables WHERE relname IN ('ledger', 'decisions')";
    sqlx::query_as(counters).fetch_one(connection).await.expect("the server counts")
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn statements_that_were_planned_over_an_empty_ledger_read_a_full_one_by_its_indexes() {
    const ROWS: i64 = 30_000;
    let database = TestDatabase::new().await;
    let mut settings = database.settings();
    settings.postgres.max_connections = 2;
    let ledger = open(&settings, "gk-1", 1).await;
    for _ in 0..10 {
        commit(&ledger, a_batch()).await;
        ledger.forget(Timestamp(0), Timestamp(0), 10).await.expect("there is nothing to forget");
    }
    let full = format!(
        "INSERT INTO ledger (key, owner_topic, owner_partition, owner_offset, hop, body_form, body_hash, tenant_id, event_id,
                             first_seen_at, published_at)
         SELECT sha256(n::text::bytea), 't', 0, 1000 + n, 0, 1, sha256('b'), 'acme', 'e-' || n, 1,
                CASE WHEN n % 10 > 0 THEN 1000000 + n END
         FROM generate_series(1, {ROWS}) AS n;
         INSERT INTO decisions (decision_id, tenant_id, ticket_id, decided_at, decision)
         SELECT 'd-' || n, 'acme', 'ticket-' || n, n, '{{}}' FROM generate_series(1, {ROWS}) AS n"
    );
    database.run(&full).await;
    let mut outside = database.connect().await;
    // Counters arrive a second late at most; the batches before did their part, too.
    let settled = async |outside: &mut sqlx::PgConnection, inserted: i64| {
        let patience = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let (whole, entries, now_inserted) = counters(outside).await;
            if now_inserted >= inserted {
                return (whole, entries, now_inserted);
            }
            assert!(tokio::time::Instant::now() < patience, "{now_inserted} of {inserted} rows");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (whole, entries, inserted) = settled(&mut outside, 2 * ROWS + 2).await;
    for number in 100..120_u8 {
        let offset = u64::from(number) + 1_000_000;
        let life = vec![
            Entry::Claim(claim(number, offset)),
            lease(number, offset, 60_000),
            answered(number, offset, "a"),
            reached(number, offset, accepted("v")),
            published(number, offset, 30),
            Entry::Mark { writer: "gk-1".to_owned() },
        ];
        commit(&ledger, life).await;
        ledger.forget(Timestamp(0), Timestamp(0), 10).await.expect("there is nothing to forget");
    }
    let (whole_after, entries_after, _) = settled(&mut outside, inserted + 20).await;
    assert_eq!(whole_after, whole, "a whole table was read");
    assert!(entries_after - entries < 2_000, "{} entries of indexes for 20 events", entries_after - entries);
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn leases_of_an_earlier_life_are_free_once_it_is_silent_and_not_before() {
    let database = TestDatabase::with_hand_clock().await;
    let mut settings = database.settings();
    settings.postgres.heartbeat_stale = Duration::from_secs(10);
    settings.postgres.heartbeat_interval = Duration::from_millis(20);
    let old = open(&settings, "gk-1", 1).await;
    commit(&old, vec![Entry::Claim(claim(1, 10)), lease(1, 10, 60_000)]).await;
    let (new, neighbour) = (open(&settings, "gk-1", 2).await, open(&settings, "gk-2", 2).await);

    database.set_clock(20_000).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(matches!(one(&new, lease(1, 10, 10)).await, Outcome::LeaseHeld { .. }), "it beats, so it lives");
    drop(old);
    tokio::time::sleep(Duration::from_millis(200)).await;
    database.set_clock(29_999).await;
    assert!(matches!(one(&new, lease(1, 10, 10)).await, Outcome::LeaseHeld { .. }), "it may only be late");
    database.set_clock(30_000).await;
    let held = Outcome::LeaseHeld { remaining: Duration::from_secs(30) };
    assert_eq!(one(&neighbour, lease(1, 10, 10)).await, held, "another instance waits for the lease to run out");
    assert_eq!(one(&new, lease(1, 10, 10)).await, Outcome::LeaseGranted);
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn a_server_that_would_lose_answers_with_the_power_is_refused() {
    let database = TestDatabase::new().await;
    database.alter("synchronous_commit = off").await;
    let error = refusal(&database.settings()).await;
    assert!(matches!(error, OpenError::NotDurable { setting: "synchronous_commit" }), "{error}");
    database.alter("synchronous_commit = local").await;
    open(&database.settings(), "gk-1", 1).await;
}

#[cfg(feature = "sabotage")]
#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn the_sabotage_of_durability_is_caught_at_start() {
    use gatekeeper::sabotage::{Sabotage, choose};
    let database = TestDatabase::new().await;
    choose(Some(Sabotage::LedgerNotDurable));
    let error = refusal(&database.settings()).await;
    choose(None);
    assert!(matches!(error, OpenError::NotDurable { setting: "synchronous_commit" }), "{error}");
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn a_read_only_server_is_refused_at_start_and_waited_for_later() {
    let database = TestDatabase::new().await;
    let mut settings = database.settings();
    settings.postgres.acquire_timeout = Duration::from_millis(300);
    let ledger = open(&settings, "gk-1", 1).await;
    database.alter("default_transaction_read_only = on").await;
    let error = refusal(&settings).await;
    assert!(matches!(error, OpenError::ReadOnly), "{error}");
    database
        .run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        .await;
    let mut errors = Vec::new();
    for _ in 0..3 {
        errors.push(ledger.commit(vec![Entry::Claim(claim(1, 10))]).await.expect_err("it is read-only"));
    }
    assert!(errors.iter().all(LedgerError::is_retryable));
    assert!(errors[2].to_string().contains("standby"), "{errors:?}");
    database.run("BEGIN READ WRITE; DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$; COMMIT").await;
    one(&ledger, Entry::Claim(claim(1, 10))).await;
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn instances_that_start_together_migrate_once() {
    let database = TestDatabase::new().await;
    let settings = database.settings();
    let (one_process, other) = tokio::join!(open(&settings, "gk-1", 1), open(&settings, "gk-2", 1));
    one(&one_process, Entry::Claim(claim(1, 10))).await;
    assert!(find(&other, 1).await.is_some());
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn an_edited_migration_and_a_newer_build_are_refused() {
    let database = TestDatabase::new().await;
    open(&database.settings(), "gk-1", 1).await;
    database
        .run(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (999, 'from the future', true, '', 0)",
        )
        .await;
    assert!(matches!(refusal(&database.settings()).await, OpenError::Newer { version: 999 }));
    database.run("DELETE FROM _sqlx_migrations WHERE version = 999; UPDATE _sqlx_migrations SET checksum = ''").await;
    assert!(matches!(refusal(&database.settings()).await, OpenError::MigrationEdited { version: 1 }));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_the_password() {
    let mut settings = gatekeeper::settings::load(&gatekeeper::settings::LoadOptions::default())
        .expect("the defaults are right")
        .settings
        .ledger;
    // Nobody listens on the discard port.
    settings.url = "postgres://me@127.0.0.1:9/gk".to_owned();
    settings.postgres.password = Some(gatekeeper::settings::secret::Secret::new("not-to-be-shown"));
    let error = refusal(&settings).await;
    assert!(matches!(error, OpenError::Server(_)), "{error}");
    assert!(!format!("{error} {error:?} {settings:?}").contains("not-to-be-shown"));
}
