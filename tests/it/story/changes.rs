//! What an agent sets by hand, from the ticketing system's update to the review.

use std::os::unix::process::ExitStatusExt as _;

use gatekeeper::domain::feedback::FeedbackStatus;
use gatekeeper::domain::position::TopicRole;
use gatekeeper::domain::review::{DecisionReview, JoinStatus};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::gatekeeper::Gatekeeper;
use super::tickets::{event, record};

/// Later than any decision of a test.
const LATER: i64 = 4_000_000_000_000;

/// Ticket 1 was updated: this field has this value now.
fn update(id: &str, actor: &str, field: &str, value: &str) -> Value {
    let mut event = event(1);
    event["event_id"] = json!(id);
    event["event_type"] = json!("TICKET_UPDATED");
    event["occurred_at"] = json!(LATER);
    event["actor"] = json!({"type": actor, "id": "a-1"});
    event["message"] = Value::Null;
    event["changes"] = json!([{"field": field, "previous": null, "current": value}]);
    event
}

async fn reviews(gatekeeper: &Gatekeeper) -> Vec<DecisionReview> {
    gatekeeper.decoded(TopicRole::DecisionReviews, "DecisionReview").await
}

#[tokio::test]
async fn a_field_that_an_agent_sets_otherwise_is_one_review_and_the_event_ends_as_before() {
    let gatekeeper = Gatekeeper::new().await;
    let first = gatekeeper.publish(vec![record(&event(1))]).await;
    gatekeeper.serve_until_idle().await;
    let decision = &gatekeeper.decisions().await[&first[0]];
    let (category, priority) = (decision.category.as_ref(), decision.priority.as_ref());
    assert_eq!(category.map(|category| category.value.as_str()), Some("billing_payment"));
    assert!(priority.is_none_or(|priority| priority.value != "URGENT"));

    let mut echo = update("echo", "AGENT", "category", "refund_cancel");
    echo["causation_id"] = json!(decision.decision_id);
    let mut unrelated = update("unrelated", "AGENT", "status", "OPEN");
    unrelated["ticket_id"] = json!("T-1");
    let by_hand = update("by-hand", "AGENT", "category", "refund_cancel");
    let updates = [
        by_hand.clone(),
        by_hand,
        update("the-same", "AGENT", "category", "billing_payment"),
        update("a-trigger", "SYSTEM", "category", "refund_cancel"),
        update("a-machine", "AI_AGENT", "category", "refund_cancel"),
        echo,
        unrelated,
    ];
    let places = gatekeeper.publish(updates.iter().map(record).collect()).await;
    gatekeeper.serve_until_idle().await;

    let ends = gatekeeper.ends_of(&places).await;
    let codes: Vec<_> = ends.iter().map(|end| (end.status, end.reason_code.as_str())).collect();
    assert_eq!(codes[0], (FeedbackStatus::Ignored, "TYPE_NOT_SUBSCRIBED"));
    assert_eq!(codes[1], (FeedbackStatus::Duplicate, "SAME_EVENT"));
    assert!(codes[2..].iter().all(|code| *code == codes[0]), "{codes:?}");
    let reviews = reviews(&gatekeeper).await;
    let [review] = &reviews[..] else { panic!("one was set otherwise by a person: {reviews:#?}") };
    assert_eq!((review.kind.as_str(), review.feedback_id.as_str()), ("IMPLICIT_OVERRIDE", "by-hand"));
    assert_eq!(review.join_status, JoinStatus::JoinedByTicket);
    assert_eq!(review.decision_id.as_ref(), Some(&decision.decision_id));
    assert_eq!((review.fields[0].actual.as_str(), review.fields[0].agreed), ("refund_cancel", false));
    assert_eq!(review.fields[0].raw_confidence, category.and_then(|category| category.raw_confidence));
    let report = gatekeeper.audit_finished().await;
    assert_eq!((&report["reviews"], &report["changes_reviewed"]), (&json!(0), &json!(1)));
}

/// Nobody judges what was not decided yet.
#[tokio::test]
async fn a_change_from_before_the_decision_judges_nothing() {
    let gatekeeper = Gatekeeper::new().await;
    let mut early = update("early", "AGENT", "category", "refund_cancel");
    early["occurred_at"] = event(1)["occurred_at"].clone();
    gatekeeper.publish(vec![record(&event(1)), record(&early)]).await;
    gatekeeper.serve_until_idle().await;
    assert_eq!(reviews(&gatekeeper).await, []);
    gatekeeper.audit_finished().await;
}

/// Behind its ticket's decision in one and the same batch, and killed wherever it hurts.
#[tokio::test]
async fn a_change_is_reviewed_once_wherever_the_processor_is_killed() {
    for label in ["claim_committed", "verdict_saved", "burst_begun", "committed_frontier_not_moved"] {
        let gatekeeper = Gatekeeper::new().await;
        let by_hand = update("by-hand", "AGENT", "category", "refund_cancel");
        gatekeeper.publish(vec![record(&event(1)), record(&by_hand)]).await;
        let mut worker = gatekeeper.serve_with(&["--until-idle"], Some(&format!("{label}:1:kill")));
        let status = worker.ended().await;
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "{label}: {}", gatekeeper.what_the_worker_said());
        gatekeeper.serve_until_idle().await;
        let reviews = reviews(&gatekeeper).await;
        assert_eq!(reviews.len(), 1, "{label}: {reviews:#?}");
        gatekeeper.audit_finished().await;
    }
}
