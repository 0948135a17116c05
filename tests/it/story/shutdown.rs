//! Being asked to end.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use super::gatekeeper::{Gatekeeper, IN_FLIGHT, until};
use super::tickets::records;
use super::waiting::{free_port, health, ready};

#[tokio::test]
async fn asked_to_end_it_answers_what_is_under_way_and_leaves_the_rest_for_the_next() {
    let gatekeeper = Gatekeeper::new().await;
    gatekeeper.control(json!({"latency": {"fixed": {"ms": 600}}})).await;
    let places = gatekeeper.publish(records(0..40)).await;
    let mut worker = gatekeeper.serve();
    gatekeeper.calls_are_under_way(IN_FLIGHT).await;
    worker.signal(Signal::SIGTERM);
    assert!(worker.ended().await.success(), "{}", gatekeeper.what_the_worker_said());

    let report = gatekeeper.audit().await;
    assert_eq!(report["calls_lost"], 0, "what was under way was answered and saved");
    assert_eq!(report["terminals"].as_u64(), report["calls"].as_u64(), "and published");
    assert_eq!(report["open"], 40 - report["terminals"].as_u64().expect("a number"));

    gatekeeper.control(json!({})).await;
    gatekeeper.serve_until_idle().await;
    gatekeeper.ends_of(&places).await;
    let report = gatekeeper.audit_finished().await;
    assert_eq!(report["calls"], 40, "every event was paid for once");
}

#[tokio::test]
async fn from_the_first_word_on_it_is_not_ready_however_long_its_calls_take() {
    let (http, port) = (free_port(), "http.enabled=true");
    let gatekeeper = Gatekeeper::with(&[port, &format!("http.bind=127.0.0.1:{http}")]).await;
    gatekeeper.control(json!({"mode": "hang"})).await;
    gatekeeper.publish(records(0..1)).await;
    let mut worker = gatekeeper.serve();
    gatekeeper.calls_are_under_way(1).await;
    assert_eq!(ready(http).await, 200);
    worker.signal(Signal::SIGTERM);
    health(http, "it is ending", |report| report["status"] == "ending").await;
    assert_eq!(ready(http).await, 503);
    worker.signal(Signal::SIGTERM);
    worker.ended().await;
}

#[tokio::test]
async fn one_that_was_to_work_until_idle_and_was_not_let_does_not_end_well_and_says_what_it_left() {
    let gatekeeper = Gatekeeper::new().await;
    gatekeeper.control(json!({"mode": "hang"})).await;
    gatekeeper.publish(records(0..5)).await;
    let mut worker = gatekeeper.serve_with(&["--until-idle"], None);
    gatekeeper.calls_are_under_way(5).await;
    worker.signal(Signal::SIGTERM);
    until("it has heard", || gatekeeper.what_the_worker_said().contains("asked to stop").then_some(())).await;
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.ended().await.code(), Some(1));
    assert!(gatekeeper.what_the_worker_said().contains("\"left_on_road\":5"), "{}", gatekeeper.what_the_worker_said());
    gatekeeper.control(json!({})).await;
    gatekeeper.serve_until_idle().await;
    gatekeeper.audit_finished().await;
}

#[tokio::test]
async fn asked_a_second_time_it_ends_at_once_and_nothing_is_lost() {
    let gatekeeper = Gatekeeper::new().await;
    gatekeeper.control(json!({"mode": "hang"})).await;
    let places = gatekeeper.publish(records(0..5)).await;
    let mut worker = gatekeeper.serve();
    gatekeeper.calls_are_under_way(5).await;
    worker.signal(Signal::SIGTERM);
    until("it has heard", || gatekeeper.what_the_worker_said().contains("asked to stop").then_some(())).await;
    let asked = Instant::now();
    worker.signal(Signal::SIGTERM);
    worker.ended().await;
    assert!(asked.elapsed() < Duration::from_secs(5), "it took {:?}", asked.elapsed());

    gatekeeper.control(json!({})).await;
    gatekeeper.serve_until_idle().await;
    gatekeeper.ends_of(&places).await;
    let report = gatekeeper.audit_finished().await;
    assert_eq!((&report["calls_cut_off"], &report["calls_lost"]), (&json!(5), &json!(0)), "{report:#}");
}
