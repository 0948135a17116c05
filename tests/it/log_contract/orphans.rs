//! A writer that died inside its transaction, before its partition's first commit: nothing in the log names it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gatekeeper::adapters::kafka::Writers;
use gatekeeper::domain::position::TopicRole;
use gatekeeper::pipeline::log::Happening;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::kafka::KafkaUnderTest;
use super::road::Road;
use super::{LogUnderTest, PARTITIONS, READS, append, events, numbered};

/// Far beyond what fencing takes, and far below what the broker would wait.
const SOON: Duration = Duration::from_secs(12);

/// Remembers one writer, and who asked.
struct One {
    writer: String,
    asked: Mutex<Vec<(String, u32)>>,
}

impl Writers for One {
    fn last(&self, topic_id: &str, partition: u32, _: Duration) -> Option<String> {
        self.asked.lock().expect("nobody panics with it").push((topic_id.to_owned(), partition));
        Some(self.writer.clone())
    }
}

impl KafkaUnderTest {
    /// A transaction that moves a position of this group and is never ended; the broker waits a minute for it.
    fn leave_open(&self, group: &str, writer: &str) -> ThreadedProducer<DefaultProducerContext> {
        let client = || {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", &self.settings.bootstrap_servers);
            config
        };
        let producer: ThreadedProducer<DefaultProducerContext> = client()
            .set("transactional.id", writer)
            .set("transaction.timeout.ms", "60000")
            .create()
            .expect("a producer");
        producer.init_transactions(Duration::from_secs(30)).expect("initialised");
        producer.begin_transaction().expect("begun");
        let mut positions = TopicPartitionList::new();
        positions.add_partition_offset(&self.topics.events, 0, Offset::Offset(0)).expect("a position");
        let member: BaseConsumer = client().set("group.id", group).create().expect("a consumer");
        let membership = member.group_metadata().expect("of a client with a group");
        producer.send_offsets_to_transaction(&positions, &membership, Duration::from_secs(30)).expect("sent");
        producer
    }
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn a_dead_writer_that_no_commit_names_is_fenced_because_it_said_its_name_elsewhere() {
    let mut log = KafkaUnderTest::start().await;
    let writer = format!("{}-dead", log.prefix);
    let _left_open = log.leave_open(&log.group("group"), &writer);
    let remembered = Arc::new(One { writer, asked: Mutex::default() });
    log.writers.elsewhere = Some(remembered.clone());

    let begun = Instant::now();
    let mut road = Road::of(log.open_processor("group").await);
    assert_eq!(road.assignment_of(events(0)).await.committed, None);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let topics = log.browser().await.topics().await.expect("topics");
    let topic = topics.iter().find(|topic| topic.role == TopicRole::Events).expect("it exists");
    let asked = remembered.asked.lock().expect("nobody panics with it").clone();
    assert!(asked.contains(&(topic.topic_id.clone(), 0)), "{asked:?}");
    assert!(!asked.iter().any(|(_, partition)| *partition != 0), "only what cannot be read: {asked:?}");
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn a_transaction_that_nobody_can_end_keeps_its_own_partition_waiting_and_no_other() {
    let log = KafkaUnderTest::start().await;
    let left_open = log.leave_open(&log.group("group"), &format!("{}-nobody-knows", log.prefix));
    let begun = Instant::now();
    let mut road = Road::of(log.open_processor("group").await);
    let Happening::Assigned { partitions, .. } = road.news().await else { panic!("not assigned first") };
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(partitions.len(), READS.len() * PARTITIONS as usize - 1);
    assert!(partitions.iter().all(|at| at.partition != events(0)), "{partitions:#?}");
    let Happening::Unread { why: Some(why), .. } = road.news().await else { panic!("the road is not told") };
    assert!(why.contains(&events(0).to_string()) && !why.contains(&events(1).to_string()), "{why}");
    append(&*log.browser().await, [numbered(events(0), 0..2), numbered(events(1), 0..2)].concat()).await;
    road.read(events(1), 2).await;
    assert!(road.seen(events(0)).is_empty());

    left_open.abort_transaction(Duration::from_secs(30)).expect("it ends");
    let mut told = Vec::new();
    while road.seen(events(0)).len() < 2 || !told.contains(&None) {
        if let Happening::Unread { why, .. } = road.next().await {
            told.push(why);
        }
    }
    assert_eq!(told.last(), Some(&None), "nothing is unread any more");
}
