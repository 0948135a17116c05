//! An instance that is asked to end gives its partitions to the others at once, although its membership is static.

use gatekeeper::pipeline::log::Happening;

use super::kafka::KafkaUnderTest;
use super::road::{PATIENCE, Road};
use super::{LogUnderTest, PARTITIONS, READS};

/// Until as many partitions as this are assigned at once.
async fn until_it_has(road: &mut Road, number: usize) {
    loop {
        if let Happening::Assigned { partitions, .. } = road.next().await
            && partitions.len() == number
        {
            return;
        }
    }
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn who_leaves_hands_over_long_before_its_session_would_end() {
    let mut log = KafkaUnderTest::start().await;
    log.settings.session_timeout = 4 * PATIENCE;
    // What stopping takes on a busy machine must not matter either.
    log.settings.client.insert("fetch.wait.max.ms".to_owned(), "500".to_owned());
    let everything = READS.len() * PARTITIONS as usize;
    let mut stays = Road::of(log.open_processor("group").await);
    until_it_has(&mut stays, everything).await;
    log.settings.transactional_id = Some(format!("{}-2", log.prefix));
    let mut leaves = Road::of(log.open_processor("group").await);
    tokio::join!(until_it_has(&mut stays, everything / 2), until_it_has(&mut leaves, everything / 2));
    leaves.stop().await;
    tokio::time::timeout(2 * PATIENCE, until_it_has(&mut stays, everything)).await.expect("it has them all");
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn a_second_process_under_the_same_name_takes_over_and_the_first_one_ends_and_says_so() {
    let log = KafkaUnderTest::start().await;
    let everything = READS.len() * PARTITIONS as usize;
    let mut first = Road::of(log.open_processor("group").await);
    until_it_has(&mut first, everything).await;
    let mut second = Road::of(log.open_processor("group").await);
    let reason = loop {
        match first.next().await {
            Happening::Failed { reason } => break reason,
            Happening::Lost { .. } => panic!("it means to join again, and so would the other one, for ever"),
            _ => {}
        }
    };
    assert!(reason.contains(&format!("log.kafka.transactional_id = {}-1: it has taken over", log.prefix)), "{reason}");
    until_it_has(&mut second, everything).await;
    second.stop().await;
}
