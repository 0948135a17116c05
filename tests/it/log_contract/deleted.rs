//! Records that are deleted while somebody is about to read them: librdkafka gives the partition up.

use gatekeeper::domain::position::Partition;
use gatekeeper::pipeline::log::{Assignment, Errand, Happening, PublishOutcome};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::kafka::KafkaUnderTest;
use super::road::{Road, burst};
use super::{LogUnderTest, append, events, record};

impl KafkaUnderTest {
    async fn delete_below(&self, number: i32, offset: i64) {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.settings.bootstrap_servers)
            .create()
            .expect("an admin client");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topics.events, number, Offset::Offset(offset)).expect("a place");
        admin.delete_records(&list, &AdminOptions::new()).await.expect("deleted");
    }
}

/// Until it is told again.
async fn told_again(road: &mut Road, partition: Partition) -> Assignment {
    let mut is_lost = false;
    loop {
        match road.next().await {
            Happening::Lost { partitions } => is_lost |= partitions.contains(&partition),
            Happening::Assigned { partitions, .. } => {
                if let Some(at) = partitions.into_iter().find(|at| at.partition == partition) {
                    assert!(is_lost, "first it is lost");
                    return at;
                }
            }
            Happening::Failed { reason } => panic!("{reason}"),
            _ => {}
        }
    }
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn who_reads_what_is_deleted_is_told_where_the_log_begins_now_and_goes_on() {
    const WRITTEN: u64 = 3_000;
    const LEFT: u64 = WRITTEN - 50;
    let mut log = KafkaUnderTest::start().await;
    log.settings.read_ahead_records = 10;
    let browser = log.browser().await;
    let mut road = Road::assigned(log.open_processor("group").await).await;
    road.send(Errand::Pause(vec![events(0)]));
    // Answered: the pause was taken before it.
    assert_eq!(road.publish(burst(1, &road, &[(events(0), 0, "m1")])).await, PublishOutcome::Committed);
    for _ in 0..10 {
        append(&*browser, vec![record(events(0), &"x".repeat(1_000)); 300]).await;
    }
    log.delete_below(0, LEFT as i64).await;
    road.send(Errand::Resume(vec![events(0)]));

    let at = told_again(&mut road, events(0)).await;
    assert!(at.log_start >= LEFT && at.committed == Some(0) && !at.truncated, "{at:?}");
    let before = road.seen(events(0)).len();
    assert!(before < 2_000, "{before} were read before");
    road.read(events(0), before + 40).await;
    assert!(road.seen(events(0))[before].offset >= LEFT);
    assert_eq!(road.publish(burst(2, &road, &[(events(1), 0, "m2")])).await, PublishOutcome::Committed);
}
