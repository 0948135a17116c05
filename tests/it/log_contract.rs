//! What every log promises, written once: see the promises in `pipeline::log` and `operations::log_browser`.
//!
//! A log takes part by implementing [`LogUnderTest`] and naming itself in `log_contract!`. What only one kind of log can
//! do (a lock file, retention that knows groups) is tested beside its harness.

mod deleted;
mod embedded;
mod growth;
mod kafka;
mod leaving;
mod one_cluster;
mod one_file;
mod orphans;
mod positions;
mod road;
mod secured;
mod speed;

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use gatekeeper::domain::position::{Partition, TopicRole};
use gatekeeper::domain::record::{Header, OutRecord, Payload, Record};
use gatekeeper::operations::log_browser::{BrowseError, LogBrowser, ReadLimit};
use gatekeeper::pipeline::log::{Epoch, Errand, Happening, LogPort, PublishOutcome};

use road::{Road, burst};

/// Partitions of every topic of a log under test.
const PARTITIONS: u32 = 2;

/// What a processor of a log under test reads.
const READS: [TopicRole; 2] = [TopicRole::Events, TopicRole::Deferred(0)];

/// A log of its own, with all topics, for one test.
pub trait LogUnderTest: Sized {
    /// Empty.
    async fn start() -> Self;
    /// A processor of this group; waits until one that was dropped before has let go.
    async fn open_processor(&self, group: &str) -> LogPort;
    /// What a command would use, which may append.
    async fn browser(&self) -> Box<dyn LogBrowser>;
    /// The name under which the log knows the group of a test; another one where tests share a log.
    fn group(&self, name: &str) -> String {
        name.to_owned()
    }
}

/// One test a promise, each with these attributes.
macro_rules! log_contract {
    ($(#[$attribute:meta])* $log:ty) => {
        $crate::log_contract::log_contract! { @ [$(#[$attribute])*] $log:
            everything_read_is_assigned_first
            records_come_in_order_and_once
            a_read_to_the_end_is_told_and_told_again_after_new_records
            keys_values_and_headers_come_back_untouched
            positions_and_metadata_come_back_after_a_restart
            a_group_does_not_see_the_positions_of_another
            a_burst_is_in_the_log_before_its_answer
            a_burst_of_another_epoch_is_refused_and_leaves_nothing
            a_burst_without_positions_is_refused_and_leaves_nothing
            a_burst_for_a_partition_that_is_not_ours_is_refused_and_leaves_nothing
            a_processor_dropped_in_a_burst_leaves_all_of_it_or_nothing
            a_paused_partition_stays_silent_until_it_is_resumed
            pausing_twice_and_resuming_what_is_not_paused_is_harmless
            own_outputs_into_what_is_read_are_read
            appends_beside_a_processor_are_seen_and_keep_their_order
            a_full_road_is_waited_for
            stop_ends_the_happenings
            browsing_outside_of_a_partition_is_an_error
            browsing_stops_at_its_limits
            topics_exist_once
        }
    };
    (@ $attributes:tt $log:ty: $($promise:ident)*) => {
        $($crate::log_contract::log_contract! { # $attributes $log: $promise })*
    };
    (# [$(#[$attribute:meta])*] $log:ty: $promise:ident) => {
        $(#[$attribute])*
        #[tokio::test]
        async fn $promise() {
            $crate::log_contract::$promise(<$log as $crate::log_contract::LogUnderTest>::start().await).await;
        }
    };
}
use log_contract;

fn events(number: u32) -> Partition {
    Partition { topic: TopicRole::Events, number }
}

fn decisions(number: u32) -> Partition {
    Partition { topic: TopicRole::Decisions, number }
}

fn record(partition: Partition, value: &str) -> OutRecord {
    let value = Some(Payload::copy_from_slice(value.as_bytes()));
    OutRecord { topic: partition.topic, partition: partition.number, key: None, value, headers: Vec::new() }
}

fn numbered(partition: Partition, range: Range<u32>) -> Vec<OutRecord> {
    range.map(|number| record(partition, &number.to_string())).collect()
}

fn texts(records: &[Record]) -> Vec<String> {
    let text = |record: &Record| String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
    records.iter().map(text).collect()
}

fn strings(range: Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

const ALL: ReadLimit = ReadLimit { max_records: usize::MAX, max_bytes: usize::MAX };

async fn everything(browser: &dyn LogBrowser, partition: Partition) -> Vec<Record> {
    let marks = browser.watermarks(partition).await.expect("the partition exists");
    browser.read(partition, marks.log_start, ALL).await.expect("it can be read")
}

/// Appended; their offsets.
async fn append(browser: &dyn LogBrowser, records: Vec<OutRecord>) -> Vec<u64> {
    let positions = browser.append(records).await.expect("there is room");
    positions.iter().map(|position| position.offset).collect()
}

/// The next offset there will be. Logs may put marks of their own between records.
async fn end(browser: &dyn LogBrowser, partition: Partition) -> u64 {
    browser.watermarks(partition).await.expect("the partition exists").end
}

async fn everything_read_is_assigned_first(log: impl LogUnderTest) {
    let mut road = Road::of(log.open_processor("group").await);
    let Happening::Assigned { epoch, partitions } = road.news().await else { panic!("not assigned first") };
    assert!(epoch > Epoch(0));
    let assigned: BTreeSet<_> = partitions.iter().map(|assignment| assignment.partition).collect();
    let wanted = READS.iter().flat_map(|&topic| (0..PARTITIONS).map(move |number| Partition { topic, number }));
    assert_eq!(assigned, wanted.collect());
    let topics = log.browser().await.topics().await.expect("topics");
    for assignment in partitions {
        let topic = topics.iter().find(|topic| topic.role == assignment.partition.topic).expect("it exists");
        assert_eq!(assignment.topic_id, topic.topic_id);
        assert_eq!((assignment.committed, assignment.metadata.as_str(), assignment.log_start), (None, "", 0));
    }
}

async fn records_come_in_order_and_once(log: impl LogUnderTest) {
    let browser = log.browser().await;
    let mut appended = append(&*browser, numbered(events(0), 0..300)).await;
    append(&*browser, numbered(events(1), 0..40)).await;
    let mut road = Road::assigned(log.open_processor("group").await).await;
    road.read(events(0), 300).await;
    road.read(events(1), 40).await;
    appended.extend(append(&*browser, numbered(events(0), 300..310)).await);
    road.read(events(0), 310).await;
    assert_eq!(texts(road.seen(events(0))), strings(0..310));
    assert_eq!(texts(road.seen(events(1))), strings(0..40));
    let offsets: Vec<u64> = road.seen(events(0)).iter().map(|record| record.offset).collect();
    assert_eq!(offsets, appended);
}

async fn a_read_to_the_end_is_told_and_told_again_after_new_records(log: impl LogUnderTest) {
    let browser = log.browser().await;
    let mut road = Road::assigned(log.open_processor("group").await).await;
    road.caught_up(events(0), 0).await;
    append(&*browser, numbered(events(0), 0..3)).await;
    road.caught_up(events(0), end(&*browser, events(0)).await).await;
    assert_eq!(road.seen(events(0)).len(), 3, "told only after everything before it");
    append(&*browser, numbered(events(0), 3..4)).await;
    road.caught_up(events(0), end(&*browser, events(0)).await).await;
    assert_eq!(road.seen(events(0)).len(), 4, "told only after everything before it");
}

async fn keys_values_and_headers_come_back_untouched(log: impl LogUnderTest) {
    let bytes = |bytes: &[u8]| Some(Payload::copy_from_slice(bytes));
    let header = |name: &'static str, value| Header { name: name.into(), value };
    let large: Vec<u8> = (0..1_000_000u32).map(|at| (at * 7 % 251) as u8).collect();
    let odd = vec![
        header("twice", bytes(b"1")),
        header("twice", bytes(b"2")),
        header("null", None),
        header("empty", bytes(b"")),
        header("", bytes(b"no name")),
        header("n\u{e4}me", bytes(&[0, 255, 10, 13])),
    ];
    let shapes = [
        (None, None, vec![]),
        (bytes(b""), bytes(b""), vec![]),
        (bytes(b"key"), None, odd.clone()),
        (None, bytes(&[0, 159, 146, 150, 0]), odd),
        (bytes(&[255; 3]), bytes(&large), vec![]),
        (bytes(b""), None, vec![header("last", None)]),
    ];
    let sent: Vec<OutRecord> = shapes
        .into_iter()
        .map(|(key, value, headers)| OutRecord { topic: TopicRole::Events, partition: 1, key, value, headers })
        .collect();
    let browser = log.browser().await;
    append(&*browser, sent.clone()).await;
    // A record on its own has nothing around it that its parts could be cut from.
    for record in &sent {
        append(&*browser, vec![record.clone()]).await;
    }
    let mut road = Road::assigned(log.open_processor("group").await).await;
    road.read(events(1), 12).await;
    for (read, sent) in road.seen(events(1)).iter().zip(sent.iter().chain(&sent)) {
        assert_eq!((&read.key, &read.value, &read.headers), (&sent.key, &sent.value, &sent.headers));
    }
    assert_eq!(everything(&*browser, events(1)).await, road.seen(events(1)), "a browser reads the same");
}

async fn positions_and_metadata_come_back_after_a_restart(log: impl LogUnderTest) {
    let browser = log.browser().await;
    append(&*browser, numbered(events(0), 0..5)).await;
    let mut road = Road::assigned(log.open_processor("group").await).await;
    road.read(events(0), 5).await;
    let metadata = "gk1~!\"'\\{}".repeat(400);
    let committed = road.publish(burst(1, &road, &[(events(0), 2, &metadata)])).await;
    assert_eq!(committed, PublishOutcome::Committed);
    road.stop().await;

    let mut road = Road::of(log.open_processor("group").await);
    let assignment = road.assignment_of(events(0)).await;
    assert_eq!((assignment.committed, assignment.metadata), (Some(2), metadata.clone()));
    road.read(events(0), 3).await;
    assert_eq!(texts(road.seen(events(0))), strings(2..5), "reading goes on at the committed offset");
    let positions = browser.positions(&log.group("group")).await.expect("positions");
    let positions: Vec<_> = positions.iter().map(|at| (at.partition, at.offset, at.metadata.as_str())).collect();
    assert_eq!(positions, [(events(0), 2, metadata.as_str())]);
}

async fn a_group_does_not_see_the_positions_of_another(log: impl LogUnderTest) {
    append(&*log.browser().await, numbered(events(0), 0..2)).await;
    let mut road = Road::assigned(log.open_processor("one").await).await;
    road.read(events(0), 2).await;
    assert_eq!(road.publish(burst(1, &road, &[(events(0), 2, "m")])).await, PublishOutcome::Committed);
    road.stop().await;
    let mut road = Road::of(log.open_processor("other").await);
    assert_eq!(road.assignment_of(events(0)).await.committed, None);
    road.read(events(0), 2).await;
}

async fn a_burst_is_in_the_log_before_its_answer(log: impl LogUnderTest) {
    let browser = log.browser().await;
    let mut road = Road::assigned(log.open_processor("group").await).await;
    append(&*browser, numbered(events(0), 0..1)).await;
    road.read(events(0), 1).await;
    let mut results = burst(1, &road, &[(events(0), 1, "m"), (events(1), 0, "m")]);
    results.records = numbered(decisions(0), 0..3);
    results.records.extend(numbered(decisions(1), 0..2));
    assert_eq!(road.publish(results).await, PublishOutcome::Committed);
    assert_eq!(texts(&everything(&*browser, decisions(0)).await), strings(0..3));
    assert_eq!(texts(&everything(&*browser, decisions(1)).await), strings(0..2));
    assert_eq!(browser.positions(&log.group("group")).await.expect("positions")[0].offset, 1);
}

async fn leaves_nothing(log: &impl LogUnderTest, browser: &dyn LogBrowser) {
    assert_eq!(everything(browser, decisions(0)).await, []);
    assert_eq!(browser.positions(&log.group("group")).await.expect("positions"), []);
}

async fn a_burst_of_another_epoch_is_refused_and_leaves_nothing(log: impl LogUnderTest) {
    let browser = log.browser().await;
    let mut road = Road::assigned(log.open_processor("group").await).await;
    for epoch in [Epoch(0), Epoch(road.epoch.0 + 1)] {
        let mut stale = burst(1, &road, &[(events(0), 0, "m")]);
        stale.epoch = epoch;
        stale.records = numbered(decisions(0), 0..1);
        assert_eq!(road.publish(stale).await, PublishOutcome::Refused);
    }
    leaves_nothing(&log, &*browser).await;
}

async fn a_burst_without_positions_is_refused_and_leaves_nothing(log: impl LogUnderTest) {
    let browser = log.browser().await;
    let mut road = Road::assigned(log.open_processor("group").await).await;
    let mut homeless = burst(1, &road, &[]);
    homeless.records = numbered(decisions(0), 0..1);
    assert_eq!(road.publish(homeless).await, PublishOutcome::Refused);
    leaves_nothing(&log, &*browser).await;
}

async fn a_burst_for_a_partition_that_is_not_ours_is_refused_and_leaves_nothing(log: impl LogUnderTest) {
    let browser = log.browser().await;
    let mut road = Road::assigned(log.open_processor("group").await).await;
    for foreign in [decisions(0), events(PARTITIONS)] {
        let mut foreign = burst(1, &road, &[(events(0), 0, "m"), (foreign, 0, "m")]);
        foreign.records = numbered(decisions(0), 0..1);
        assert_eq!(road.publish(foreign).await, PublishOutcome::Refused);
    }
    leaves_nothing(&log, &*browser).await;
}

async fn a_processor_dropped_in_a_burst_leaves_all_of_it_or_nothing(log: impl LogUnderTest) {
    let browser = log.browser().await;
    append(&*browser, numbered(events(0), 0..20)).await;
    for number in 1..=10 {
        let road = Road::assigned(log.open_processor("group").await).await;
        let before = everything(&*browser, decisions(0)).await.len() as u64;
        let mut results = burst(number, &road, &[(events(0), before / 100 + 1, "m")]);
        results.records = numbered(decisions(0), 0..100);
        road.send(Errand::Publish(results));
        // Some rounds are dropped before the log has taken the burst, some while it commits.
        for _ in 0..number {
            tokio::task::yield_now().await;
        }
        drop(road);

        let mut road = Road::of(log.open_processor("group").await);
        let committed = road.assignment_of(events(0)).await.committed.unwrap_or(0);
        let written = everything(&*browser, decisions(0)).await.len() as u64;
        assert_eq!(written, committed * 100, "records and position are one");
        road.stop().await;
    }
}

async fn a_paused_partition_stays_silent_until_it_is_resumed(log: impl LogUnderTest) {
    let browser = log.browser().await;
    let mut road = Road::assigned(log.open_processor("group").await).await;
    for number in 0..PARTITIONS {
        road.caught_up(events(number), 0).await;
    }
    road.send(Errand::Pause(vec![events(0)]));
    // An answered burst: the pause was taken before it.
    assert_eq!(road.publish(burst(1, &road, &[(events(1), 0, "m")])).await, PublishOutcome::Committed);
    append(&*browser, numbered(events(0), 0..5)).await;
    // Whoever has read both of these has had a turn for the other partition in between.
    for number in 0..2 {
        append(&*browser, numbered(events(1), number..number + 1)).await;
        road.caught_up(events(1), end(&*browser, events(1)).await).await;
    }
    assert_eq!(road.seen(events(0)), []);
    road.send(Errand::Resume(vec![events(0)]));
    road.read(events(0), 5).await;
    assert_eq!(texts(road.seen(events(0))), strings(0..5));
}

async fn pausing_twice_and_resuming_what_is_not_paused_is_harmless(log: impl LogUnderTest) {
    let browser = log.browser().await;
    let mut road = Road::assigned(log.open_processor("group").await).await;
    road.send(Errand::Resume(vec![events(0), decisions(0), events(99)]));
    road.send(Errand::Pause(vec![events(0)]));
    road.send(Errand::Pause(vec![events(0), events(99)]));
    road.send(Errand::LetGo(vec![events(99)]));
    road.send(Errand::Resume(vec![events(0)]));
    append(&*browser, numbered(events(0), 0..2)).await;
    road.read(events(0), 2).await;
}

async fn own_outputs_into_what_is_read_are_read(log: impl LogUnderTest) {
    let deferred = Partition { topic: TopicRole::Deferred(0), number: 1 };
    let mut road = Road::assigned(log.open_processor("group").await).await;
    let mut results = burst(1, &road, &[(events(1), 0, "m")]);
    results.records = numbered(deferred, 0..3);
    assert_eq!(road.publish(results).await, PublishOutcome::Committed);
    road.read(deferred, 3).await;
    assert_eq!(texts(road.seen(deferred)), strings(0..3));
}

async fn appends_beside_a_processor_are_seen_and_keep_their_order(log: impl LogUnderTest) {
    let (one, other) = (log.browser().await, log.browser().await);
    let mut road = Road::assigned(log.open_processor("group").await).await;
    let appends = async {
        for round in 0..10 {
            let (a, b) = tokio::join!(
                one.append(numbered(events(0), round * 10..round * 10 + 10)),
                other.append(numbered(events(0), round * 10..round * 10 + 10)),
            );
            let (a, b) = (a.expect("appended"), b.expect("appended"));
            for positions in [&a, &b] {
                assert!(positions.windows(2).all(|pair| pair[0].offset < pair[1].offset), "one append keeps its order");
            }
        }
    };
    let ((), ()) = tokio::join!(appends, road.read(events(0), 200));
    let mut seen: Vec<u32> = texts(road.seen(events(0))).iter().map(|text| text.parse().expect("a number")).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..100).flat_map(|number| [number, number]).collect::<Vec<u32>>());
}

async fn a_full_road_is_waited_for(log: impl LogUnderTest) {
    let browser = log.browser().await;
    for number in 0..60 {
        append(&*browser, numbered(events(0), number * 50..number * 50 + 50)).await;
    }
    let mut road = Road::assigned(log.open_processor("group").await).await;
    // The road does not listen, and still gets its burst committed.
    road.send(Errand::Publish(burst(1, &road, &[(events(1), 0, "m")])));
    let committed = async {
        while browser.positions(&log.group("group")).await.expect("positions").is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(road::PATIENCE, committed).await.expect("committed though nobody listens");
    road.read(events(0), 3_000).await;
    assert_eq!(texts(road.seen(events(0))), strings(0..3_000));
}

async fn stop_ends_the_happenings(log: impl LogUnderTest) {
    append(&*log.browser().await, numbered(events(0), 0..3_000)).await;
    let road = Road::assigned(log.open_processor("group").await).await;
    road.send(Errand::Publish(burst(1, &road, &[(events(0), 1, "m")])));
    let answers = road.stop().await;
    assert_eq!(answers, [PublishOutcome::Committed], "a burst before the stop gets its answer");
    let mut road = Road::of(log.open_processor("group").await);
    assert_eq!(road.assignment_of(events(0)).await.committed, Some(1));
}

async fn browsing_outside_of_a_partition_is_an_error(log: impl LogUnderTest) {
    let browser = log.browser().await;
    append(&*browser, numbered(events(0), 0..3)).await;
    let end = end(&*browser, events(0)).await;
    assert_eq!(browser.read(events(0), end, ALL).await.expect("the end can be asked for"), []);
    let beyond = browser.read(events(0), end + 1, ALL).await;
    assert!(matches!(beyond, Err(BrowseError::OutOfRange { watermarks, .. }) if watermarks.end == end));
    let nowhere = events(PARTITIONS);
    for error in [
        browser.watermarks(nowhere).await.expect_err("no such partition"),
        browser.read(nowhere, 0, ALL).await.expect_err("no such partition"),
        browser.append(vec![record(events(0), "x"), record(nowhere, "x")]).await.expect_err("no such partition"),
    ] {
        assert!(matches!(error, BrowseError::NoSuchPartition { partition } if partition == nowhere), "{error}");
    }
    assert_eq!(everything(&*browser, events(0)).await.len(), 3, "nothing of that append is in the log");
}

async fn browsing_stops_at_its_limits(log: impl LogUnderTest) {
    let browser = log.browser().await;
    append(&*browser, (0..10).map(|_| record(events(0), "0123456789")).collect()).await;
    let read = async |max_records, max_bytes| {
        let limit = ReadLimit { max_records, max_bytes };
        browser.read(events(0), 2, limit).await.expect("it can be read").len()
    };
    assert_eq!(read(3, usize::MAX).await, 3);
    assert_eq!(read(usize::MAX, 45).await, 4);
    assert_eq!(read(usize::MAX, 1).await, 1, "the first comes whatever its size");
    assert_eq!(read(0, 0).await, 1);
}

async fn topics_exist_once(log: impl LogUnderTest) {
    let browser = log.browser().await;
    let before = browser.topics().await.expect("topics");
    assert!(before.iter().all(|topic| topic.partitions == PARTITIONS));
    assert_eq!(browser.create_topics().await.expect("nothing to do"), []);
    assert_eq!(browser.topics().await.expect("topics"), before);
    let ids: BTreeSet<_> = before.iter().map(|topic| &topic.topic_id).collect();
    assert_eq!(ids.len(), before.len());
}
