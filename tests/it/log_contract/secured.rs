//! The log's promises through each door of a broker that demands to know who comes: the same clients, another way in.

use std::process::Command;

use gatekeeper::domain::position::TopicRole;
use gatekeeper::pipeline::log::Happening;
use gatekeeper::settings::secret::Secret;

use super::LogUnderTest as _;
use super::kafka::KafkaUnderTest;
use super::road::Road;
use crate::secured_kafka::broker::{Broker, DOORS, Door};

async fn behind(door: Door) -> KafkaUnderTest {
    KafkaUnderTest::with(&Broker::running().sets(door)).created().await
}

async fn reading_writing_and_coming_back(door: Door) {
    super::records_come_in_order_and_once(behind(door).await).await;
    super::a_burst_is_in_the_log_before_its_answer(behind(door).await).await;
    super::positions_and_metadata_come_back_after_a_restart(behind(door).await).await;
    super::appends_beside_a_processor_are_seen_and_keep_their_order(behind(door).await).await;
    super::stop_ends_the_happenings(behind(door).await).await;
    let found = behind(door).await.browser().await.topics().await.expect("an answer");
    assert!(found.len() > 8, "{found:?}");
}

#[tokio::test]
#[ignore = "needs a secured Kafka: tests/run starts it"]
async fn bursts_and_positions_hold_with_a_password() {
    reading_writing_and_coming_back(Door::Scram).await;
}

#[tokio::test]
#[ignore = "needs a secured Kafka: tests/run starts it"]
async fn bursts_and_positions_hold_with_a_token() {
    reading_writing_and_coming_back(Door::OAuth).await;
}

#[tokio::test]
#[ignore = "needs a secured Kafka: tests/run starts it"]
async fn bursts_and_positions_hold_with_a_client_certificate() {
    reading_writing_and_coming_back(Door::Mutual).await;
}

#[tokio::test]
#[ignore = "needs a secured Kafka: tests/run starts it"]
async fn what_a_topic_takes_is_known_behind_every_door() {
    for door in DOORS {
        let mut log = behind(door).await;
        // Created for the largest record that the settings allow, which is twice what brokers take by default.
        log.outputs = vec![TopicRole::DeadLetters];
        let port = log.open_processor("group").await;
        assert_eq!(port.max_record_bytes, log.settings.max_message_bytes, "{door:?}");
    }
}

/// Whatever is named so, for a user who may do nothing by himself.
fn grant(broker: &Broker, what: &str, prefix: &str) {
    let tool = Command::new("java")
        .args(["-XX:TieredStopAtLevel=1", "-cp", &format!("{}/*", broker.text("tools"))])
        .args(["org.apache.kafka.tools.AclCommand", "--bootstrap-server", broker.text("plaintext"), "--add"])
        .args(["--allow-principal", "User:limited-instance", "--resource-pattern-type", "prefixed"])
        .args(["--operation", "All", what, prefix])
        .output();
    let tool = tool.expect("it runs");
    assert!(tool.status.success(), "{}", String::from_utf8_lossy(&tool.stderr));
}

async fn unread(road: &mut Road) -> Option<String> {
    loop {
        match road.next().await {
            Happening::Unread { why, .. } => return why,
            Happening::Failed { reason } => panic!("{reason}"),
            _ => {}
        }
    }
}

#[tokio::test]
#[ignore = "needs a secured Kafka: tests/run starts it"]
async fn a_group_that_does_not_let_us_in_is_complained_of_until_it_does() {
    let broker = Broker::running();
    let mut log = KafkaUnderTest::with(&broker.sets(Door::Scram)).created().await;
    grant(&broker, "--topic", &log.prefix);
    grant(&broker, "--transactional-id", &log.prefix);
    let security = &mut log.settings.security;
    security.username = Some("limited-instance".to_owned());
    security.password = Some(Secret::new(broker.password("limited-instance")));
    let mut road = Road::of(log.open_processor("group").await);
    let why = unread(&mut road).await.expect("it may not read in the group");
    assert!(why.contains("the group does not let this instance in") && why.contains("topics --acls"), "{why}");

    grant(&broker, "--group", &log.prefix);
    assert_eq!(unread(&mut road).await, None, "it is let in by itself");
    road.caught_up(super::events(0), 0).await;
}
