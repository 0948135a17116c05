//! What every audit trail and board of breakers promises: one suite, run over each database that a ledger may stand in.

use std::sync::Arc;

use gatekeeper::adapters::postgres::PostgresLedger;
use gatekeeper::adapters::sqlite::SqliteLedger;
use gatekeeper::domain::clock::{Clock, SystemClock, Timestamp};
use gatekeeper::operations::breakers::Said;
use gatekeeper::operations::flags::{Subject, edit};
use gatekeeper::operations::following::Changes;
use gatekeeper::operations::trail::{Act, Appended, By, Change, Kind, NewChange};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use super::ledger_contract::world::settings;
use super::postgres::TestDatabase;

enum World {
    Sqlite(tempfile::TempDir),
    Postgres(TestDatabase),
}

impl World {
    fn of_sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().expect("a temporary folder"))
    }

    async fn of_postgres() -> Self {
        Self::Postgres(TestDatabase::new().await)
    }

    /// As one of several processes sees it.
    async fn trail(&self) -> Arc<dyn Changes> {
        match self {
            Self::Sqlite(folder) => {
                let clock = Arc::new(SystemClock) as Arc<dyn Clock>;
                let settings = settings(folder.path());
                let ledger = SqliteLedger::open(&settings, "gk-1", 1, false, clock);
                Arc::new(ledger.await.expect("the file can be opened"))
            }
            Self::Postgres(database) => {
                let settings = database.settings();
                let ledger = PostgresLedger::open(&settings, "gk-1", 1, false);
                Arc::new(ledger.await.expect("the server is fit"))
            }
        }
    }

    /// By hand, from outside; what the database said if it refused.
    async fn by_hand(&self, sql: &'static str) -> Result<(), String> {
        match self {
            Self::Sqlite(folder) => {
                let path = folder.path().join("state/ledger.db");
                let mut file = SqliteConnectOptions::new().filename(path).connect().await.expect("the file is there");
                file.execute(sql).await.map(drop).map_err(|error| error.to_string())
            }
            Self::Postgres(database) => {
                let mut connection = database.connect().await;
                let done = connection.execute(sql).await.map(drop).map_err(|error| error.to_string());
                connection.close().await.expect("nothing is open");
                done
            }
        }
    }
}

fn change(kind: Kind, subject: &str, act: Act, before: Option<u64>) -> NewChange {
    let by = By { at: Timestamp(7), actor: "ada \"☂\"".to_owned(), note: Some("because".to_owned()) };
    let document = (act == Act::Set).then(|| format!("id = '{subject}'"));
    let until = (act == Act::Opened).then_some(Timestamp(99));
    NewChange { by, kind, subject: subject.to_owned(), act, before, document, until }
}

async fn append(trail: &Arc<dyn Changes>, change: NewChange) -> Appended {
    trail.append(change).await.expect("the database answers")
}

async fn set(trail: &Arc<dyn Changes>, tenant: &str, before: Option<u64>) -> Appended {
    append(trail, change(Kind::Tenant, tenant, Act::Set, before)).await
}

async fn revision(trail: &Arc<dyn Changes>) -> u64 {
    trail.revision().await.expect("the database answers")
}

async fn since(trail: &Arc<dyn Changes>, kind: Kind, revision: u64, of_each: u32) -> Vec<u64> {
    let changes = trail.since(kind, revision, of_each).await.expect("the database answers");
    changes.iter().map(|change| change.revision).collect()
}

async fn listed(trail: &Arc<dyn Changes>, kind: Option<Kind>, subject: Option<&str>, limit: u32) -> Vec<u64> {
    let changes = trail.list(kind, subject, limit).await.expect("the database answers");
    changes.iter().map(|change| change.revision).collect()
}

async fn what_was_added_is_told_as_it_was_given_to_every_process(world: World) {
    let trail = world.trail().await;
    assert_eq!(revision(&trail).await, 0);
    assert_eq!(set(&trail, "acme", None).await, Appended::As(1));
    assert_eq!(append(&trail, change(Kind::Breaker, "gpt", Act::Opened, None)).await, Appended::As(2));
    let elsewhere = world.trail().await;
    assert_eq!(revision(&elsewhere).await, 2);
    let expected = Change {
        revision: 1,
        at: Timestamp(7),
        actor: "ada \"☂\"".to_owned(),
        kind: Kind::Tenant,
        subject: "acme".to_owned(),
        act: Act::Set,
        before: None,
        note: Some("because".to_owned()),
        document: Some("id = 'acme'".to_owned()),
        until: None,
    };
    assert_eq!(elsewhere.since(Kind::Tenant, 0, 8).await.expect("the database answers"), [expected]);
    let opened = elsewhere.since(Kind::Breaker, 0, 8).await.expect("the database answers");
    assert_eq!((opened[0].act, opened[0].until, &opened[0].document), (Act::Opened, Some(Timestamp(99)), &None));
}

async fn who_did_not_see_the_newest_change_of_a_subject_changes_nothing(world: World) {
    let trail = world.trail().await;
    set(&trail, "acme", None).await;
    assert_eq!(set(&trail, "globex", None).await, Appended::As(2), "another subject");
    assert_eq!(append(&trail, change(Kind::Breaker, "acme", Act::Reset, None)).await, Appended::As(3), "another kind");
    assert_eq!(set(&trail, "acme", None).await, Appended::Overtaken(1));
    assert_eq!(set(&trail, "acme", Some(2)).await, Appended::Overtaken(1));
    assert_eq!(revision(&trail).await, 3);
    assert_eq!(set(&trail, "acme", Some(1)).await, Appended::As(4));
}

async fn two_who_change_the_same_at_once_do_not_both_succeed(world: World) {
    let (one, other) = (world.trail().await, world.trail().await);
    for before in [None, Some(1), Some(2)] {
        let (a, b) = tokio::join!(set(&one, "acme", before), set(&other, "acme", before));
        let added = |appended: &Appended| matches!(appended, Appended::As(_));
        assert_eq!([a, b].iter().filter(|appended| added(appended)).count(), 1, "{a:?} {b:?}");
    }
    assert_eq!(listed(&one, None, None, 10).await, [3, 2, 1]);
}

async fn of_each_subject_the_newest_are_told_oldest_first(world: World) {
    let trail = world.trail().await;
    let mut before = std::collections::HashMap::new();
    for tenant in ["acme", "globex", "acme", "acme", "globex"] {
        let Appended::As(revision) = set(&trail, tenant, before.get(tenant).copied()).await else {
            panic!("nobody else is here")
        };
        before.insert(tenant, revision);
    }
    append(&trail, change(Kind::Breaker, "gpt", Act::Reset, None)).await;
    assert_eq!(since(&trail, Kind::Tenant, 0, 2).await, [2, 3, 4, 5]);
    assert_eq!(since(&trail, Kind::Tenant, 0, 1).await, [4, 5]);
    assert_eq!(since(&trail, Kind::Tenant, 3, 8).await, [4, 5]);
    assert_eq!(since(&trail, Kind::Tenant, 6, 8).await, [0; 0]);
    assert_eq!(listed(&trail, None, None, 2).await, [6, 5]);
    assert_eq!(listed(&trail, Some(Kind::Tenant), Some("acme"), 10).await, [4, 3, 1]);
    assert_eq!(listed(&trail, None, Some("gpt"), 10).await, [6]);
}

async fn what_was_added_stays_as_it_is(world: World) {
    let trail = world.trail().await;
    set(&trail, "acme", None).await;
    for sql in ["UPDATE changes SET actor = 'nobody'", "DELETE FROM changes"] {
        let refused = world.by_hand(sql).await.expect_err("the trail is not edited");
        assert!(refused.contains("only ever added"), "{refused}");
    }
    assert_eq!(listed(&trail, None, Some("acme"), 10).await, [1]);
}

async fn rules_for_flags_are_set_told_removed_and_versioned_apart_from_everything_else(world: World) {
    let (trail, elsewhere) = (world.trail().await, world.trail().await);
    let by = || By { at: Timestamp(7), actor: "ada".to_owned(), note: None };
    let subject = |text: &str| text.parse::<Subject>().expect("a flag");
    let share = |text: &str| text.parse().expect("a share");
    let set = async |about: &str, to: &str| edit::set(&*trail, &subject(about), share(to), by()).await.expect("set");
    assert_eq!(append(&trail, change(Kind::Tenant, "apply", Act::Set, None)).await, Appended::As(1));
    assert_eq!(set("apply", "off").await, Some(2));
    assert_eq!(set("apply/acme", "12.50%").await, Some(3));
    assert_eq!(set("apply", "off").await, None, "it is said already, and nothing is added");
    assert_eq!(set("apply", "on").await, Some(4));
    assert_eq!(edit::remove(&*elsewhere, &subject("apply"), by()).await.expect("removed"), 5);
    for gone in ["apply", "hold"] {
        let refused = edit::remove(&*trail, &subject(gone), by()).await.expect_err("there is none").to_string();
        assert!(refused.contains(gone), "{refused}");
    }
    assert_eq!(set("apply", "on").await, Some(6), "what was removed can be set again");
    let told = elsewhere.since(Kind::Flag, 0, 8).await.expect("the database answers");
    let told: Vec<_> =
        told.iter().map(|c| (c.revision, c.subject.as_str(), c.act, c.document.as_deref(), c.before)).collect();
    let expected = [
        (2, "apply", Act::Set, Some("off"), None),
        (3, "apply/acme", Act::Set, Some("12.50%"), None),
        (4, "apply", Act::Set, Some("on"), Some(2)),
        (5, "apply", Act::Removed, None, Some(4)),
        (6, "apply", Act::Set, Some("on"), Some(5)),
    ];
    assert_eq!(told, expected);
    assert_eq!(since(&trail, Kind::Flag, 0, 1).await, [3, 6]);
    assert_eq!(listed(&trail, Some(Kind::Flag), Some("apply"), 10).await, [6, 5, 4, 2]);
}

async fn what_an_instance_says_last_is_what_is_known_of_it_until_nobody_renews_it(world: World) {
    let said = |instance: &str, model: &str, state: &str, at: i64| Said {
        instance: instance.to_owned(),
        model: model.to_owned(),
        state: state.to_owned(),
        since: Timestamp(at - 1),
        why: (state != "closed").then(|| "failures".to_owned()),
        failures: 3,
        revision: 7,
        said_at: Timestamp(at),
    };
    let (one, other) = (world.trail().await, world.trail().await);
    let never = Timestamp(0);
    one.say(vec![said("gk-1", "gpt", "open", 10), said("gk-1", "other", "closed", 10)], never).await.expect("said");
    other.say(vec![said("gk-2", "gpt", "closed", 20)], never).await.expect("said");
    one.say(vec![said("gk-1", "gpt", "closed", 30)], never).await.expect("said");
    let expected =
        [said("gk-1", "gpt", "closed", 30), said("gk-1", "other", "closed", 10), said("gk-2", "gpt", "closed", 20)];
    assert_eq!(other.said().await.expect("the database answers"), expected);
    one.say(vec![], Timestamp(20)).await.expect("said");
    assert_eq!(other.said().await.expect("the database answers"), [expected[0].clone(), expected[2].clone()]);
}

macro_rules! promises {
    ($($promise:ident)*) => {
        mod sqlite {
            $(#[tokio::test] async fn $promise() { super::$promise(super::World::of_sqlite()).await; })*
        }
        mod postgres {
            $(
                #[tokio::test]
                #[ignore = "needs Postgres: tests/run starts it"]
                async fn $promise() { super::$promise(super::World::of_postgres().await).await; }
            )*
        }
    };
}

promises! {
    what_was_added_is_told_as_it_was_given_to_every_process
    who_did_not_see_the_newest_change_of_a_subject_changes_nothing
    two_who_change_the_same_at_once_do_not_both_succeed
    of_each_subject_the_newest_are_told_oldest_first
    what_was_added_stays_as_it_is
    rules_for_flags_are_set_told_removed_and_versioned_apart_from_everything_else
    what_an_instance_says_last_is_what_is_known_of_it_until_nobody_renews_it
}
