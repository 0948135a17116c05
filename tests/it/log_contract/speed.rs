//! How fast the embedded log is here; run by hand: `cargo test --test it -- --ignored --nocapture speed`.

use std::time::Instant;

use gatekeeper::domain::position::TopicRole;
use gatekeeper::domain::record::{Header, OutRecord, Payload};
use gatekeeper::pipeline::log::PublishOutcome;

use super::embedded::Embedded;
use super::road::{Road, burst};
use super::{LogUnderTest, PARTITIONS, events};

fn event(number: u32) -> OutRecord {
    OutRecord {
        topic: if number.is_multiple_of(2) { TopicRole::Decisions } else { TopicRole::Feedback },
        partition: number / 2 % PARTITIONS,
        key: Some(Payload::from_static(b"tenant-17|ticket-123456")),
        value: Some(Payload::from(vec![number as u8; 560])),
        headers: vec![Header::text("ce_id", "0190f5c1-7777-7000-8000-000000000000"), Header::text("ce_source", "crm")],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn speed() {
    let mut log = Embedded::start().await;
    log.use_production_batches();
    let mut road = Road::assigned(log.open_processor("group").await).await;
    let records: Vec<OutRecord> = (0..2_000).map(event).collect();
    let mut took = Vec::new();
    for number in 1..=50 {
        let mut results = burst(number, &road, &[(events(0), 0, &format!("m{number}"))]);
        results.records = records.clone();
        let begun = Instant::now();
        assert_eq!(road.publish(results).await, PublishOutcome::Committed);
        took.push(begun.elapsed());
    }
    took.sort();
    println!("burst of 2,000 records: median {:?}, fastest {:?}, slowest {:?}", took[25], took[0], took[49]);
    took.clear();
    for number in 51..=150 {
        let mut results = burst(number, &road, &[(events(0), 0, &format!("m{number}"))]);
        results.records = records[..20].to_vec();
        let begun = Instant::now();
        assert_eq!(road.publish(results).await, PublishOutcome::Committed);
        took.push(begun.elapsed());
    }
    took.sort();
    println!("burst of 20 records: median {:?}, slowest {:?}", took[50], took[99]);
    road.stop().await;

    let browser = log.browser().await;
    let begun = Instant::now();
    for _ in 0..50 {
        let events = records.iter().cloned().map(|record| OutRecord { topic: TopicRole::Events, ..record });
        browser.append(events.collect()).await.expect("appended");
    }
    println!("100,000 records appended by a browser, 2,000 at once: {:?}", begun.elapsed());
    let mut road = Road::assigned(log.open_processor("group").await).await;
    let begun = Instant::now();
    for number in 0..PARTITIONS {
        road.caught_up(events(number), u64::from(100_000 / PARTITIONS)).await;
    }
    println!("100,000 records read by a processor: {:?}", begun.elapsed());
}
