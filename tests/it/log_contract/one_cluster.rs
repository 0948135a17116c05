//! What only Kafka has: marks and aborted records between ours, open transactions, and topics that others configured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gatekeeper::domain::position::{Partition, TopicRole};
use gatekeeper::domain::record::OutRecord;
use gatekeeper::operations::log_browser::{BrowseError, LogBrowser, ReadLimit, TopicInfo};
use gatekeeper::operations::publish;
use gatekeeper::operations::watch::{Filter, From, Watch};
use gatekeeper::pipeline::publish::Publisher;
use gatekeeper::pipeline::schema_set::SchemaSet;
use gatekeeper::settings::kafka::GroupProtocol;
use gatekeeper::settings::schemas::Encoding;
use gatekeeper::settings::{LoadOptions, load};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

use super::kafka::KafkaUnderTest;
use super::{ALL, LogUnderTest, append, decisions, end, events, everything, numbered, record, strings, texts};

/// A record that no compression makes smaller.
fn noise(partition: Partition, bytes: usize) -> OutRecord {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let value: Vec<u8> = std::iter::repeat_with(next).take(bytes).collect();
    OutRecord { value: Some(value.into()), ..record(partition, "") }
}

/// More than a busy broker takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The ledger's window, by default.
const WINDOW: Duration = Duration::from_secs(72 * 3_600);

impl KafkaUnderTest {
    /// Somebody else's producer, in a transaction that it has written this many records in.
    fn in_a_transaction(&self, topic: &str, records: u32) -> ThreadedProducer<DefaultProducerContext> {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.settings.bootstrap_servers)
            .set("transactional.id", format!("{}-somebody", self.prefix))
            .create()
            .expect("a producer");
        producer.init_transactions(Duration::from_secs(30)).expect("initialised");
        producer.begin_transaction().expect("begun");
        for _ in 0..records {
            let record: BaseRecord<'_, str, str> = BaseRecord::to(topic).partition(0).payload("theirs");
            producer.send(record).map_err(|(error, _)| error).expect("taken");
        }
        producer.flush(Duration::from_secs(30)).expect("written");
        producer
    }

    async fn create(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.settings.bootstrap_servers)
            .create()
            .expect("an admin client");
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let topic = config.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let created = admin.create_topics([&topic], &AdminOptions::new()).await.expect("an answer");
        assert!(created.iter().all(Result::is_ok), "{created:?}");
        // The controller has said yes; the broker that is asked next hears of it a little later.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = admin.inner().fetch_metadata(Some(name), PATIENCE).expect("metadata");
            let partitions = told.topics().first().map_or(&[][..], |topic| topic.partitions());
            if !partitions.is_empty() && partitions.iter().all(|one| one.leader() >= 0) {
                return;
            }
            assert!(Instant::now() < deadline, "{name} is not there");
        }
    }

    /// Delete it and create it again, until a browser that knew nothing before sees the new one. Its id.
    async fn create_anew(&self, role: TopicRole, partitions: i32) -> String {
        let id =
            |topics: Vec<TopicInfo>| topics.into_iter().find(|topic| topic.role == role).map(|topic| topic.topic_id);
        let name = &self.topics.decisions;
        let fresh = self.open_browser().await;
        let old = id(fresh.topics().await.expect("topics"));
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.settings.bootstrap_servers)
            .create()
            .expect("an admin client");
        let deleted = admin.delete_topics(&[name], &AdminOptions::new()).await.expect("an answer");
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
        let deadline = Instant::now() + PATIENCE;
        while id(fresh.topics().await.expect("topics")).is_some() {
            assert!(Instant::now() < deadline, "{name} is not gone");
        }
        self.create(name, partitions, &[]).await;
        loop {
            match id(fresh.topics().await.expect("topics")) {
                Some(new) if Some(&new) != old.as_ref() => return new,
                _ => assert!(Instant::now() < deadline, "{name} is not there"),
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn an_end_of_aborted_records_and_marks_is_read_to_without_waiting_for_more() {
    let log = KafkaUnderTest::start().await;
    let browser = log.browser().await;
    append(&*browser, numbered(events(0), 0..2)).await;
    log.in_a_transaction(&log.topics.events, 50).abort_transaction(Duration::from_secs(30)).expect("aborted");
    let marks = browser.watermarks(events(0)).await.expect("marks");
    assert!(marks.end > 52, "{marks:?} counts what was aborted");
    assert_eq!(texts(&everything(&*browser, events(0)).await), strings(0..2));
    // Nothing but aborted records and marks.
    assert_eq!(browser.read(events(0), 2, ALL).await.expect("it can be read"), []);
    append(&*browser, numbered(events(0), 2..3)).await;
    assert_eq!(texts(&browser.read(events(0), 2, ALL).await.expect("it can be read")), strings(2..3));
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn an_open_transaction_hides_what_comes_after_it_and_holds_nobody_up_for_long() {
    let log = KafkaUnderTest::start().await;
    let browser = log.browser().await;
    append(&*browser, numbered(events(0), 0..2)).await;
    let before = end(&*browser, events(0)).await;
    let open = log.in_a_transaction(&log.topics.events, 1);
    let begun = Instant::now();
    append(&*browser, numbered(events(0), 2..3)).await;
    assert_eq!(end(&*browser, events(0)).await, before, "the end is that of what is stable");
    assert_eq!(texts(&everything(&*browser, events(0)).await), strings(0..2));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    open.abort_transaction(Duration::from_secs(30)).expect("aborted");
    assert_eq!(texts(&everything(&*browser, events(0)).await), strings(0..3));
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn a_watch_reaches_its_end_where_nothing_but_marks_is_left() {
    let log = KafkaUnderTest::start().await;
    log.in_a_transaction(&log.topics.feedback, 3).abort_transaction(Duration::from_secs(30)).expect("aborted");
    let defaults = load(&LoadOptions::default()).expect("the defaults hold").settings;
    let schemas = SchemaSet::new(&defaults.schemas).expect("the released schemas");
    let browser = log.open_browser().await;
    let mut watch = Watch::start(&browser, &schemas, Filter::default(), From::Beginning).await.expect("it begins");
    assert!(!watch.reached_its_end());
    assert_eq!(watch.poll().await.expect("it can be read"), []);
    assert!(watch.reached_its_end());
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn an_append_with_a_record_that_is_too_large_leaves_nothing_and_the_next_one_goes_well() {
    let log = KafkaUnderTest::start().await;
    let browser = log.browser().await;
    let mut records = numbered(decisions(0), 0..20);
    records.push(record(decisions(0), &"x".repeat(3 << 20)));
    let refused = browser.append(records).await.expect_err("too large");
    assert!(matches!(&refused, BrowseError::TooLarge(why) if why.contains("log.kafka.max_message_bytes")), "{refused}");
    // The topic of what comes in takes less than we may send.
    let refused = browser.append(vec![noise(events(0), 2_000_000)]).await.expect_err("too large");
    assert!(matches!(&refused, BrowseError::TooLarge(_)), "{refused}");
    append(&*browser, numbered(decisions(0), 0..3)).await;
    assert_eq!(texts(&everything(&*browser, decisions(0)).await), strings(0..3));
    assert_eq!(everything(&*browser, events(0)).await, []);
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn a_row_that_is_larger_than_the_log_takes_costs_itself_only_and_is_named() {
    let log = KafkaUnderTest::start().await;
    let browser = log.browser().await;
    let file = tempfile::Builder::new().suffix(".jsonl").tempfile().expect("a file");
    let row = |number, bytes| {
        let mut event = crate::story::tickets::event(number);
        event["message"]["body"] = "x".repeat(bytes).into();
        event.to_string()
    };
    std::fs::write(file.path(), [row(1, 10), row(2, 3 << 20), row(3, 10)].join("\n")).expect("written");
    let options = publish::Options { file: file.path().into(), format: None, tenant: None, source: None, maps: vec![] };
    let rows = publish::open(&options).expect("it can be read");
    let defaults = load(&LoadOptions::default()).expect("the defaults hold").settings;
    let schemas = Arc::new(SchemaSet::new(&defaults.schemas).expect("the released schemas"));
    let name = || "a".to_owned();
    let publisher = Publisher::new(schemas, Encoding::Json, name(), name(), name());
    let mut bad = Vec::new();
    let mut tell = |report: publish::Report<'_>| {
        if let publish::Report::Bad(row) = report {
            bad.push((row.line, row.why.clone()));
        }
    };
    let summary = publish::append(rows, &*browser, &publisher, publish::Pace::default(), &mut tell).await;
    let summary = summary.expect("the others are in the log");
    assert_eq!((summary.published, summary.skipped), (2, 1));
    assert!(matches!(&bad[..], [(2, why)] if why.contains("log.kafka.max_message_bytes")), "{bad:?}");
    let written = everything(&*browser, events(0)).await.len() + everything(&*browser, events(1)).await.len();
    assert_eq!(written, 2);
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn what_is_appended_to_a_topic_that_was_created_anew_names_the_new_one() {
    let log = KafkaUnderTest::start().await;
    let browser = log.browser().await;
    let before = browser.append(numbered(decisions(0), 0..3)).await.expect("appended");
    let new = log.create_anew(TopicRole::Decisions, 1).await;
    let deadline = Instant::now() + PATIENCE;
    let after = loop {
        match browser.append(numbered(decisions(0), 3..4)).await {
            Ok(positions) => break positions,
            // A broker that has not heard of it yet.
            Err(BrowseError::Unavailable(why)) => assert!(Instant::now() < deadline, "{why}"),
            Err(error) => panic!("{error}"),
        }
    };
    assert_ne!(before[0].topic_id, new);
    assert_eq!((after[0].topic_id.as_str(), after[0].offset), (new.as_str(), 0));
    // It has fewer partitions than the one that is remembered.
    let gone = browser.watermarks(decisions(1)).await.expect_err("there is no such partition");
    assert!(matches!(gone, BrowseError::NoSuchPartition { .. }), "{gone}");
}

/// A commit is answered before its marks stand in the partitions.
#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn what_is_appended_can_be_read_by_anybody_when_the_append_comes_back() {
    let log = KafkaUnderTest::start().await;
    let browser = log.browser().await;
    let somebody: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &log.settings.bootstrap_servers)
        .set("isolation.level", "read_committed")
        .create()
        .expect("a consumer");
    // Connected, and the partition's leader known.
    append(&*browser, numbered(events(0), 0..1)).await;
    let end = || somebody.fetch_watermarks(&log.topics.events, 0, PATIENCE).expect("an answer").1;
    end();
    for number in 1..50 {
        let appended = browser.append(numbered(events(0), number..number + 1)).await.expect("appended");
        let readable = end();
        assert!(
            readable > i64::try_from(appended[0].offset).expect("an offset"),
            "{appended:?}, readable to {readable}"
        );
    }
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn pages_of_two_partitions_in_turn_miss_nothing() {
    let log = KafkaUnderTest::start().await;
    let browser = log.browser().await;
    for round in 0..10 {
        append(&*browser, numbered(events(0), round * 30..round * 30 + 30)).await;
        append(&*browser, numbered(events(1), round * 30..round * 30 + 30)).await;
    }
    let limit = ReadLimit { max_records: 7, max_bytes: usize::MAX };
    let mut seen = [Vec::new(), Vec::new()];
    let mut next = [0, 0];
    loop {
        for number in [0, 1] {
            let page = browser.read(events(number as u32), next[number], limit).await.expect("it can be read");
            if let Some(last) = page.last() {
                next[number] = last.offset + 1;
            }
            seen[number].extend(texts(&page));
        }
        if seen.iter().all(|seen| seen.len() >= 300) {
            break;
        }
    }
    assert_eq!(seen, [strings(0..300), strings(0..300)]);
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn what_we_create_passes_the_check_and_what_others_created_is_named_with_a_cure() {
    let good = KafkaUnderTest::start().await;
    assert_eq!(good.open_browser().await.flaws(WINDOW).await.expect("an answer"), []);

    let bad = KafkaUnderTest::new();
    let compacted = [("cleanup.policy", "compact"), ("max.message.bytes", "1000")];
    bad.create(&bad.topics.feedback, 2, &compacted).await;
    bad.create(&bad.topics.events, 1, &[("retention.ms", "1000"), ("unclean.leader.election.enable", "true")]).await;
    let browser = bad.open_browser().await;
    let browser: &dyn LogBrowser = &browser;
    let refused = browser.create_topics().await.expect_err("unequal topics");
    assert!(matches!(&refused, BrowseError::Unusable(why) if why.contains("partitions")), "{refused}");
    let flaws = bad.open_browser().await.flaws(WINDOW).await.expect("an answer");
    let whats: Vec<&str> = flaws.iter().map(|flaw| flaw.what.as_str()).collect();
    for words in [
        "there is no topic",
        "has 1 partitions",
        "is compacted",
        "unclean",
        "ledger.window",
        "batches of 1000",
        "would go out without its value",
    ] {
        assert!(whats.iter().any(|what| what.contains(words)), "{words} is not in {whats:#?}");
    }
    assert_eq!(flaws.len(), 7, "{whats:#?}");
}

/// KIP-848: the broker assigns, a little at a time.
async fn under_the_brokers_own_protocol() -> KafkaUnderTest {
    let mut log = KafkaUnderTest::start().await;
    log.settings.group_protocol = GroupProtocol::Consumer;
    log
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn bursts_and_positions_hold_under_the_brokers_own_group_protocol() {
    super::a_burst_is_in_the_log_before_its_answer(under_the_brokers_own_protocol().await).await;
    super::positions_and_metadata_come_back_after_a_restart(under_the_brokers_own_protocol().await).await;
    super::stop_ends_the_happenings(under_the_brokers_own_protocol().await).await;
}
