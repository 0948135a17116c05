//! An operator moves a group's position on Kafka: the cluster itself refuses it while a processor runs.

use gatekeeper::operations::log_browser::BrowseError;
use gatekeeper::operations::positions::GroupPositions;
use gatekeeper::pipeline::log::PublishOutcome;
use gatekeeper::settings::kafka::GroupProtocol;

use super::kafka::KafkaUnderTest;
use super::road::{Road, burst};
use super::{LogUnderTest, append, events, numbered};

async fn nobody_moves_it_while_somebody_runs(log: &KafkaUnderTest) {
    let browser = log.open_browser().await;
    let group = log.group("group");
    append(&browser, numbered(events(0), 0..5)).await;
    let mut road = Road::assigned(log.open_processor("group").await).await;
    road.read(events(0), 5).await;
    assert_eq!(road.publish(burst(1, &road, &[(events(0), 4, "m1")])).await, PublishOutcome::Committed);
    let refused = browser.set(&group, &[(events(0), 1)]).await.expect_err("somebody runs");
    assert!(matches!(&refused, BrowseError::Unavailable(why) if why.contains("stop all of them first")), "{refused}");
    let refused = browser.check_idle(&group).await.expect_err("somebody runs");
    assert!(refused.to_string().contains("stop all of them first"), "{refused}");
    assert_eq!(road.publish(burst(2, &road, &[(events(0), 5, "m2")])).await, PublishOutcome::Committed);
    road.stop().await;
}

async fn looking_changes_nothing(log: &KafkaUnderTest) {
    let (browser, group) = (log.open_browser().await, log.group("group"));
    let idle = tokio::time::timeout(super::road::PATIENCE, async {
        // A session that was ended a moment ago may still be known.
        while browser.check_idle(&group).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    idle.await.expect("nobody runs");
    let unmoved = Road::of(log.open_processor("group").await).assignment_of(events(0)).await;
    assert_eq!((unmoved.committed, unmoved.metadata.as_str()), (Some(5), "m2"), "looking changes nothing");
}

async fn goes_on_from_there(log: KafkaUnderTest) {
    let browser = log.open_browser().await;
    append(&browser, numbered(events(0), 0..5)).await;
    browser.set(&log.group("group"), &[(events(0), 3)]).await.expect("nobody runs");
    let mut road = Road::of(log.open_processor("group").await);
    let assignment = road.assignment_of(events(0)).await;
    assert_eq!((assignment.committed, assignment.metadata.as_str()), (Some(3), ""));
    road.read(events(0), 2).await;
    assert_eq!(road.seen(events(0))[0].offset, 3);
}

async fn under_the_brokers_own_protocol() -> KafkaUnderTest {
    let mut log = KafkaUnderTest::start().await;
    log.settings.group_protocol = GroupProtocol::Consumer;
    log
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn a_position_is_moved_only_while_nobody_runs() {
    let log = KafkaUnderTest::start().await;
    nobody_moves_it_while_somebody_runs(&log).await;
    looking_changes_nothing(&log).await;
    // Under its own protocol the broker keeps a static member's place until its session ends.
    nobody_moves_it_while_somebody_runs(&under_the_brokers_own_protocol().await).await;
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn a_processor_goes_on_where_an_operator_said() {
    goes_on_from_there(KafkaUnderTest::start().await).await;
    goes_on_from_there(under_the_brokers_own_protocol().await).await;
}
