//! The provider fails and comes back.

use std::time::{Duration, Instant};

use gatekeeper::domain::decision::{Automation, DecidedBy};
use gatekeeper::domain::feedback::FeedbackStatus;
use nix::sys::signal::Signal;
use serde_json::json;

use super::gatekeeper::{Gatekeeper, IN_FLIGHT, PATIENCE};
use super::tickets::{event_of, record, records};

#[tokio::test]
async fn an_outage_opens_the_breaker_degrades_what_cannot_wait_and_ends_when_the_provider_is_back() {
    let gatekeeper = Gatekeeper::new().await;
    gatekeeper.control(json!({"mode": "outage_500"})).await;
    let hurried =
        |numbers: std::ops::Range<usize>| numbers.map(|number| record(&event_of("hurried", number))).collect();
    let places = gatekeeper.publish(hurried(0..20)).await;
    let _worker = gatekeeper.serve();
    for end in gatekeeper.ends_of(&places).await {
        assert_eq!(end.status, FeedbackStatus::Degraded, "{end:?}");
    }
    let decisions = gatekeeper.decisions().await;
    for decision in places.iter().map(|place| &decisions[place]) {
        assert_eq!(decision.decided_by, DecidedBy::Fallback);
        assert!(decision.degraded_reason.is_some());
        assert!(decision.category.as_ref().is_none_or(|category| category.automation < Automation::Select));
    }

    gatekeeper.control(json!({})).await;
    let deadline = Instant::now() + PATIENCE;
    for number in 20.. {
        let places = gatekeeper.publish(hurried(number..number + 1)).await;
        if gatekeeper.ends_of(&places).await[0].status == FeedbackStatus::Accepted {
            break;
        }
        assert!(Instant::now() < deadline, "the breaker does not close");
    }
    let mut changes: Vec<String> = Vec::new();
    while changes.last().is_none_or(|state| state != "closed") {
        let mut ops = gatekeeper.ops().await;
        ops.sort_by_key(|event| event.at);
        changes = ops.into_iter().filter_map(|event| event.current).collect();
        assert!(Instant::now() < deadline, "{changes:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(changes[0], "open");
    gatekeeper.audit_finished().await;
}

#[tokio::test]
async fn calls_that_ran_out_of_time_while_the_process_was_frozen_do_not_open_the_breaker() {
    let total = Duration::from_secs(3);
    let timeouts = ["connect", "first_byte", "total"].map(|name| format!("models.openai.timeouts.{name}=3s"));
    let [connect, first_byte, all] = &timeouts;
    let gatekeeper = Gatekeeper::with(&[connect, first_byte, all, "triage.breaker.open_for=60s"]).await;
    gatekeeper.control(json!({"mode": "hang"})).await;
    let places = gatekeeper.publish(records(0..IN_FLIGHT)).await;
    let worker = gatekeeper.serve();
    gatekeeper.calls_are_under_way(IN_FLIGHT).await;
    worker.signal(Signal::SIGSTOP);
    gatekeeper.control(json!({})).await;
    // Every call's time passes while nobody is here.
    tokio::time::sleep(total + Duration::from_secs(1)).await;
    worker.signal(Signal::SIGCONT);
    for end in gatekeeper.ends_of(&places).await {
        assert_eq!(end.status, FeedbackStatus::Accepted, "{end:?}\n{}", gatekeeper.what_the_worker_said());
    }
    assert!(gatekeeper.ops().await.is_empty(), "the breaker did not move");
    gatekeeper.audit_finished().await;
}
