//! What only a log that is one file can do, and do wrong.

use std::path::PathBuf;
use std::time::Duration;

use gatekeeper::adapters::embedded_log::{Access, Error};
use gatekeeper::domain::position::Partition;
use gatekeeper::operations::log_browser::{BrowseError, LogBrowser, Watermarks};
use gatekeeper::pipeline::log::{Errand, Happening, PublishOutcome};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::embedded::Embedded;
use super::road::{Road, burst};
use super::{LogUnderTest, PARTITIONS, READS, append, decisions, events, everything, numbered};

#[tokio::test]
async fn a_second_processor_is_told_which_lock_is_held_and_gets_it_after_the_first() {
    let log = Embedded::new();
    let road = Road::assigned(log.try_open("group", &READS).await.expect("opens")).await;
    let second = log.try_open("other", &READS).await.expect_err("one a time");
    let lock = log.folder.path().join("data/log.db.lock");
    assert!(matches!(&second, Error::SecondProcessor { lock: held } if *held == lock), "{second}");
    assert!(second.to_string().contains("log.db.lock"));
    road.stop().await;
    log.try_open("other", &READS).await.expect("the first has let go when its channel closes");
}

#[tokio::test]
async fn a_log_that_is_not_there_cannot_be_read_and_is_not_created() {
    let log = Embedded::new();
    let missing = log.open_browser(Access::ReadOnly).await.err().expect("nothing there");
    assert!(matches!(missing, Error::Missing { .. }) && missing.to_string().contains("log.db"));
    assert!(!log.settings.path.exists());
}

#[tokio::test]
async fn what_is_not_a_log_is_left_as_it_is() {
    let mut log = Embedded::new();
    let text = log.folder.path().join("notes.txt");
    std::fs::write(&text, "not a database at all, ".repeat(100)).expect("written");
    let foreign = log.folder.path().join("ledger.db");
    log.settings.path = foreign.clone();
    let mut other =
        SqliteConnectOptions::new().filename(&foreign).create_if_missing(true).connect().await.expect("new");
    sqlx::query("CREATE TABLE claims (key BLOB)").execute(&mut other).await.expect("a table");
    other.close().await.expect("closed");
    for path in [text, foreign] {
        let before = std::fs::read(&path).expect("it is there");
        log.settings.path = path.clone();
        for error in [
            log.try_open("group", &READS).await.expect_err("not a log"),
            log.open_browser(Access::Append).await.err().expect("not a log"),
            log.open_browser(Access::ReadOnly).await.err().expect("not a log"),
        ] {
            assert!(matches!(error, Error::NotALog { .. }), "{error}");
        }
        assert_eq!(std::fs::read(&path).expect("still there"), before);
    }
}

#[tokio::test]
async fn paths_that_are_no_files_are_refused() {
    let mut log = Embedded::new();
    for path in [":memory:", "", "file:log.db?mode=memory"] {
        log.settings.path = PathBuf::from(path);
        let error = log.try_open("group", &READS).await.expect_err("not a file");
        assert!(matches!(error, Error::NotAFile { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_folder_in_the_files_place_is_an_error_and_not_a_panic() {
    let log = Embedded::new();
    std::fs::create_dir_all(&log.settings.path).expect("a folder");
    let error = log.try_open("group", &READS).await.expect_err("a folder");
    assert!(error.to_string().contains("cannot be opened"), "{error}");
}

#[tokio::test]
async fn a_file_of_another_layout_is_not_read() {
    let log = Embedded::start().await;
    log.run("UPDATE _sqlx_migrations SET version = 9000").await;
    let newer = log.open_browser(Access::ReadOnly).await.err().expect("a newer layout");
    assert!(matches!(newer, Error::Layout { found: 9000, .. }), "{newer}");
    let newer = log.try_open("group", &READS).await.expect_err("a newer layout");
    assert!(matches!(newer, Error::Migration(_)), "{newer}");
}

#[tokio::test]
async fn topics_of_unequal_width_are_refused() {
    let mut log = Embedded::start().await;
    log.run("DELETE FROM topics WHERE name = 'support.ops.v1'").await;
    log.settings.partitions = PARTITIONS + 1;
    let unequal = log.try_open("group", &READS).await.expect_err("unequal");
    assert!(matches!(&unequal, Error::UnequalPartitions { .. }), "{unequal}");
    log.settings.partitions = PARTITIONS;
    log.try_open("group", &READS).await.expect("the refused topic was not left behind");
}

#[tokio::test]
async fn two_roles_with_one_name_are_refused() {
    let mut log = Embedded::new();
    log.topics.ops = log.topics.events.clone();
    let shared = log.try_open("group", &READS).await.expect_err("shared");
    assert!(matches!(&shared, Error::SharedName { .. }), "{shared}");
}

#[tokio::test]
async fn a_read_only_browser_does_not_append() {
    let log = Embedded::start().await;
    let browser = log.open_browser(Access::ReadOnly).await.expect("it is there");
    let browser: &dyn LogBrowser = &browser;
    let refused = browser.append(numbered(events(0), 0..1)).await;
    assert!(matches!(refused, Err(BrowseError::ReadOnly)));
    assert!(matches!(browser.create_topics().await, Err(BrowseError::ReadOnly)));
    assert_eq!(everything(browser, events(0)).await, []);
}

#[tokio::test]
async fn a_topic_created_anew_under_a_processor_ends_it() {
    let log = Embedded::start().await;
    append(&*log.browser().await, numbered(events(0), 0..3)).await;
    let mut road = Road::assigned(log.open_processor("group").await).await;
    road.read(events(0), 3).await;
    log.run("DELETE FROM topics WHERE name = 'support.events.v1'").await;
    log.browser().await.create_topics().await.expect("created anew");
    assert!(road.failed().await.contains("events/0 is not in the log"));

    append(&*log.browser().await, numbered(events(0), 7..8)).await;
    let mut road = Road::of(log.open_processor("group").await);
    assert_eq!(road.assignment_of(events(0)).await.committed, None, "the new topic's offsets are others");
    road.read(events(0), 1).await;
    assert_eq!(super::texts(road.seen(events(0))), ["7"], "old records are not in the new topic");
}

#[tokio::test]
async fn a_position_outside_of_its_partition_is_never_jumped_over() {
    let log = Embedded::start().await;
    append(&*log.browser().await, numbered(events(0), 0..9)).await;
    let mut road = Road::assigned(log.open_processor("group").await).await;
    assert_eq!(road.publish(burst(1, &road, &[(events(0), 4, "m")])).await, PublishOutcome::Committed);
    road.stop().await;
    log.run("UPDATE partitions SET log_start = 5 WHERE next_offset = 9").await;
    let reason = Road::of(log.open_processor("group").await).failed().await;
    assert!(reason.contains("events/0: the position 4 lies outside 5 to 9"), "{reason}");
    log.run("UPDATE partitions SET log_start = 0, next_offset = 3 WHERE next_offset = 9").await;
    let reason = Road::of(log.open_processor("group").await).failed().await;
    assert!(reason.contains("events/0: the position 4 lies outside 0 to 3"), "{reason}");
}

#[tokio::test]
async fn a_missing_record_is_never_jumped_over() {
    let log = Embedded::start().await;
    append(&*log.browser().await, numbered(events(0), 0..9)).await;
    log.run("DELETE FROM records WHERE value = CAST('4' AS BLOB)").await;
    let mut road = Road::assigned(log.open_processor("group").await).await;
    let reason = road.failed().await;
    assert!(reason.contains("events/0 is damaged at offset 4"), "{reason}");
}

#[tokio::test]
async fn a_burst_that_would_move_a_position_backwards_or_too_far_ends_the_processor() {
    for (base, name) in [(1, "backwards"), (4, "beyond the end"), (u64::MAX, "beyond everything")] {
        let log = Embedded::start().await;
        append(&*log.browser().await, numbered(events(0), 0..3)).await;
        let mut road = Road::assigned(log.open_processor("group").await).await;
        assert_eq!(road.publish(burst(1, &road, &[(events(0), 2, "m")])).await, PublishOutcome::Committed);
        let mut wrong = burst(2, &road, &[(events(0), base, "m2")]);
        wrong.records = numbered(decisions(0), 0..1);
        road.send(Errand::Publish(wrong));
        assert!(road.failed().await.contains("burst 2 moves a position"), "{name}");
        assert_eq!(everything(&*log.browser().await, decisions(0)).await, [], "{name}");
    }
}

#[tokio::test]
async fn a_write_lock_held_by_somebody_else_is_not_committed_and_later_it_is() {
    let mut log = Embedded::start().await;
    log.settings.busy_timeout = Duration::from_millis(20);
    // Retention would meet the lock too, and say so in the log; it is not what is tested here.
    log.settings.retention_interval = Duration::from_secs(3_600);
    let mut road = Road::assigned(log.open_processor("group").await).await;
    let mut holder = log.tamper().await;
    let lock = holder.begin_with("BEGIN IMMEDIATE").await.expect("the lock");
    let outcome = road.publish(burst(1, &road, &[(events(0), 0, "m")])).await;
    assert!(
        matches!(&outcome, PublishOutcome::NotCommitted { reason } if reason.contains("write lock")),
        "{outcome:?}"
    );
    lock.rollback().await.expect("released");
    assert_eq!(road.publish(burst(2, &road, &[(events(0), 0, "m")])).await, PublishOutcome::Committed);
}

#[tokio::test]
async fn an_error_of_commit_itself_is_resolved_before_it_is_answered() {
    let log = Embedded::start().await;
    // A constraint that is checked at COMMIT: everything before it succeeds.
    log.run("CREATE TABLE broken (at INTEGER REFERENCES topics (number) DEFERRABLE INITIALLY DEFERRED)").await;
    log.run("CREATE TRIGGER breaks AFTER INSERT ON positions BEGIN INSERT INTO broken VALUES (-1); END").await;
    let mut road = Road::assigned(log.open_processor("group").await).await;
    let mut results = burst(1, &road, &[(events(0), 0, "m")]);
    results.records = numbered(decisions(0), 0..3);
    let outcome = road.publish(results.clone()).await;
    assert!(
        matches!(&outcome, PublishOutcome::NotCommitted { reason } if reason.contains("FOREIGN KEY")),
        "{outcome:?}"
    );
    let browser = log.browser().await;
    assert_eq!(everything(&*browser, decisions(0)).await, []);
    log.run("DROP TRIGGER breaks").await;
    results.number = 2;
    assert_eq!(road.publish(results).await, PublishOutcome::Committed);
    assert_eq!(everything(&*browser, decisions(0)).await.len(), 3);
}

#[tokio::test]
async fn retention_takes_old_records_but_never_what_a_group_has_not_passed() {
    let log = Embedded::start().await;
    let browser = log.browser().await;
    append(&*browser, numbered(events(0), 0..2_000)).await;
    append(&*browser, numbered(decisions(0), 0..2_000)).await;
    log.clock.to(Duration::from_secs(3_601));
    append(&*browser, numbered(decisions(0), 0..1)).await;

    let mut road = Road::assigned(log.open_processor("group").await).await;
    log.starts_at(decisions(0), 2_000).await;
    assert_eq!(log.marks(events(0)).await.log_start, 0, "read by a group that has committed nothing");
    road.read(events(0), 2_000).await;
    assert_eq!(road.publish(burst(1, &road, &[(events(0), 700, "m")])).await, PublishOutcome::Committed);
    log.starts_at(events(0), 700).await;
    road.stop().await;

    // Another group, further on: the slower one is waited for.
    let mut road = Road::assigned(log.open_processor("other").await).await;
    road.read(events(0), 1_300).await;
    assert_eq!(road.publish(burst(1, &road, &[(events(0), 2_000, "m")])).await, PublishOutcome::Committed);
    append(&*browser, numbered(decisions(1), 0..600)).await;
    log.clock.to(Duration::from_secs(7_300));
    log.starts_at(decisions(1), 600).await;
    assert_eq!(log.marks(events(0)).await, Watermarks { log_start: 700, end: 2_000 });
    road.stop().await;

    let mut road = Road::of(log.open_processor("group").await);
    let assignment = road.assignment_of(events(0)).await;
    assert_eq!((assignment.committed, assignment.log_start), (Some(700), 700));
    road.read(events(0), 1_300).await;
}

#[tokio::test]
async fn a_clock_that_is_set_forward_takes_nothing_away() {
    let log = Embedded::start().await;
    let browser = log.browser().await;
    append(&*browser, numbered(decisions(0), 0..10)).await;
    let road = Road::assigned(log.open_processor("group").await).await;
    log.clock.set(Duration::from_secs(100 * 86_400));
    append(&*browser, numbered(decisions(1), 0..10)).await;
    // Many times longer than from one sweep to the next.
    for _ in 0..100 {
        assert_eq!(log.marks(decisions(0)).await.log_start, 0);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Time passes as well, and this time records are old.
    log.clock.to(Duration::from_secs(3_601));
    log.starts_at(decisions(0), 10).await;
    assert_eq!(log.marks(decisions(1)).await.log_start, 0, "written on the day that was set");
    road.stop().await;
}

#[tokio::test]
async fn retention_by_size_keeps_the_newest() {
    let mut log = Embedded::start().await;
    log.settings.retention_bytes = 500;
    let browser = log.browser().await;
    let ten_bytes = super::record(decisions(0), "0123456789");
    append(&*browser, vec![ten_bytes; 1_300]).await;
    let road = Road::assigned(log.open_processor("group").await).await;
    log.starts_at(decisions(0), 1_250).await;
    assert_eq!(everything(&*browser, decisions(0)).await.len(), 50);
    road.stop().await;
    let mut connection = log.tamper().await;
    let bytes: i64 =
        sqlx::query_scalar("SELECT sum(bytes) FROM partitions").fetch_one(&mut connection).await.expect("sum");
    assert_eq!(bytes, 500, "what is counted is what is there");
}

/// The test's only thread, as after SIGSTOP.
#[expect(clippy::disallowed_methods, reason = "to block the runtime is the point")]
fn stand_still() {
    std::thread::sleep(Duration::from_millis(1_200));
}

/// The same, while somebody else appends.
fn stand_still_while_one_is_appended(log: &Embedded, partition: Partition) {
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let elsewhere = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            elsewhere.block_on(async { append(&*log.browser().await, numbered(partition, 0..1)).await });
        });
        stand_still();
    });
}

#[tokio::test]
async fn a_runtime_that_was_held_up_says_so_before_anything_else() {
    let log = Embedded::start().await;
    let mut road = Road::assigned(log.open_processor("group").await).await;
    road.caught_up(events(0), 0).await;
    stand_still_while_one_is_appended(&log, events(1));
    loop {
        match road.next().await {
            Happening::Away { silent } => break assert!(silent > Duration::from_secs(1)),
            Happening::Records { .. } if road.seen(events(1)).len() == 1 => panic!("records before the news"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_runtime_that_was_held_up_says_so_though_nothing_new_was_written() {
    let log = Embedded::start().await;
    let mut road = Road::assigned(log.open_processor("group").await).await;
    for topic in READS {
        for number in 0..PARTITIONS {
            road.caught_up(Partition { topic, number }, 0).await;
        }
    }
    stand_still();
    assert!(matches!(road.next().await, Happening::Away { .. }));
}
