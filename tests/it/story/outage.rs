//! The provider fails and comes back.

use std::time::{Duration, Instant};

use gatekeeper::domain::decision::{Automation, DecidedBy};
use gatekeeper::domain::feedback::FeedbackStatus;
use serde_json::json;

use super::gatekeeper::{Gatekeeper, PATIENCE};
use super::tickets::{event_of, record};

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
