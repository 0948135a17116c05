//! An input topic that gets more partitions while there is a backlog: keys move, and order per ticket must not break.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gatekeeper::adapters::kafka::{Counted, Counts};
use gatekeeper::domain::position::TopicRole;
use gatekeeper::pipeline::log::{Errand, Happening, PublishOutcome};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;

use super::kafka::KafkaUnderTest;
use super::road::{PATIENCE, Road, burst};
use super::{LogUnderTest, PARTITIONS, READS, append, end, events, numbered};

/// A memory that outlives processors.
#[derive(Default)]
struct Remembers(Mutex<HashMap<String, Counted>>);

impl Counts for Remembers {
    fn counted(&self, topic_id: &str, _: Duration) -> Result<Option<Counted>, String> {
        Ok(self.0.lock().expect("nobody panics with it").get(topic_id).cloned())
    }

    fn count(&self, topic_id: &str, from: Option<&Counted>, to: &Counted, _: Duration) -> Result<Counted, String> {
        let mut counts = self.0.lock().expect("nobody panics with it");
        if counts.get(topic_id) == from {
            counts.insert(topic_id.to_owned(), to.clone());
        }
        Ok(counts[topic_id].clone())
    }
}

impl KafkaUnderTest {
    async fn grow(&self, roles: &[TopicRole], partitions: usize) {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.settings.bootstrap_servers)
            .create()
            .expect("an admin client");
        for role in roles {
            let name = self.topics.name(*role);
            let grown = admin.create_partitions([&NewPartitions::new(&name, partitions)], &AdminOptions::new()).await;
            let grown = grown.expect("an answer");
            assert!(grown.iter().all(Result::is_ok), "{grown:?}");
        }
        // The controller has answered; a broker may hear of it later.
        let browser = self.browser().await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let topics = browser.topics().await.expect("an answer");
            let mut grown = topics.iter().filter(|topic| roles.contains(&topic.role));
            if grown.all(|topic| topic.partitions as usize >= partitions) {
                return;
            }
            assert!(Instant::now() < deadline, "{topics:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Which partitions the road is told to own, until it has heard of this one.
async fn until_assigned(road: &mut Road, number: u32) {
    loop {
        if let Happening::Assigned { partitions, .. } = road.next().await
            && partitions.iter().any(|at| at.partition == events(number))
        {
            return;
        }
    }
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn added_partitions_are_not_read_before_the_old_ones_have_passed_the_ends_they_had() {
    let mut log = KafkaUnderTest::start().await;
    log.counts = Some(Arc::new(Remembers::default()));
    let browser = log.browser().await;
    append(&*browser, numbered(events(0), 0..5)).await;
    let mut road = Road::assigned(log.open_processor("group").await).await;
    road.read(events(0), 5).await;
    assert_eq!(road.publish(burst(1, &road, &[(events(0), 2, "m1")])).await, PublishOutcome::Committed);
    road.stop().await;

    // Grown while nobody ran.
    let (added, known_end) = (PARTITIONS, end(&*browser, events(0)).await);
    log.grow(&READS, 3).await;
    let browser = log.browser().await;
    append(&*browser, numbered(events(added), 0..4)).await;
    let mut road = Road::assigned(log.open_processor("group").await).await;
    road.read(events(0), 3).await;
    // Later records of an old partition are not waited for.
    append(&*browser, numbered(events(0), 5..7)).await;
    road.read(events(0), 5).await;
    let burst_at = |road: &Road, number, base| burst(number, road, &[(events(0), base, &format!("m{number}"))]);
    assert_eq!(road.publish(burst_at(&road, 1, 4)).await, PublishOutcome::Committed);
    // More than one look.
    tokio::time::timeout(Duration::from_secs(4), until_assigned(&mut road, added)).await.expect_err("4 is still open");
    assert!(road.seen(events(added)).is_empty());

    // The last record before the end that was known; behind it stands only the cluster's own mark.
    assert_eq!(road.publish(burst_at(&road, 2, 5)).await, PublishOutcome::Committed);
    assert!(known_end > 5, "a transaction's mark stands behind the records: {known_end}");
    until_assigned(&mut road, added).await;
    road.read(events(added), 4).await;
    assert_eq!(road.publish(burst(3, &road, &[(events(added), 4, "m3")])).await, PublishOutcome::Committed);
    road.stop().await;

    // Once settled they are partitions like any other.
    let mut road = Road::of(log.open_processor("group").await);
    assert_eq!(road.assignment_of(events(added)).await.committed, Some(4));
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn a_topic_that_grows_under_a_running_processor_is_waited_for_in_the_same_way() {
    let mut log = KafkaUnderTest::start().await;
    log.counts = Some(Arc::new(Remembers::default()));
    // By default it is noticed within five minutes.
    log.settings.client.insert("topic.metadata.refresh.interval.ms".to_owned(), "500".to_owned());
    let mut road = Road::assigned(log.open_processor("group").await).await;
    // A backlog that nobody has read when the rebalance comes.
    road.send(Errand::Pause(vec![events(0)]));
    assert_eq!(road.publish(burst(1, &road, &[(events(1), 0, "m1")])).await, PublishOutcome::Committed);
    append(&*log.browser().await, numbered(events(0), 0..2)).await;
    log.grow(&READS, 3).await;
    let added = PARTITIONS;
    append(&*log.browser().await, numbered(events(added), 0..2)).await;
    let waited = tokio::time::timeout(Duration::from_secs(6), until_assigned(&mut road, added)).await;
    waited.expect_err("the old partition's records are not committed");
    assert!(road.seen(events(added)).is_empty());
    road.read(events(0), 2).await;
    let done = burst(2, &road, &[(events(0), 2, "m2")]);
    assert_eq!(road.publish(done).await, PublishOutcome::Committed);
    until_assigned(&mut road, added).await;
    road.read(events(added), 2).await;
}
