//! What people make of decisions, from their word to the review.

use std::os::unix::process::ExitStatusExt as _;

use gatekeeper::domain::decision::TriageDecision;
use gatekeeper::domain::position::TopicRole;
use gatekeeper::domain::reason_code::ReasonCode;
use gatekeeper::domain::record::{OutRecord, Payload};
use gatekeeper::domain::review::{DecisionReview, JoinStatus};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::gatekeeper::Gatekeeper;
use super::tickets::{event, raw, record};

/// Later than any decision of a test.
const LATER: i64 = 4_000_000_000_000;

/// An agent of acme sets the category of this ticket otherwise.
pub fn judgement(id: &str, ticket: &str, decision_id: Option<&str>) -> Value {
    json!({
        "feedback_id": id, "source": "/zendesk/acme", "tenant_id": "acme", "ticket_id": ticket, "decision_id": decision_id,
        "occurred_at": LATER, "actor": {"type": "AGENT", "id": "agent-1"}, "kind": "OVERRIDE",
        "overrides": [{"field": "category", "actual": "refund_cancel", "reason": "wants the money back"}],
        "comment": "close, but no",
    })
}

pub fn said(feedback: &Value) -> OutRecord {
    let text = |name: &str| feedback[name].as_str().unwrap_or_default();
    let key = format!("{}|{}", text("tenant_id"), text("ticket_id"));
    let envelope = [("ce_id", text("feedback_id")), ("ce_source", text("source"))];
    OutRecord { topic: TopicRole::HumanFeedback, ..raw(&key, Payload::from(feedback.to_string()), &envelope) }
}

async fn reviews(gatekeeper: &Gatekeeper) -> Vec<DecisionReview> {
    gatekeeper.decoded(TopicRole::DecisionReviews, "DecisionReview").await
}

fn of<'a>(reviews: &'a [DecisionReview], id: &str) -> &'a DecisionReview {
    let mut of_it = reviews.iter().filter(|review| review.feedback_id == id);
    let review = of_it.next().unwrap_or_else(|| panic!("{id} has no review among {reviews:#?}"));
    assert!(of_it.next().is_none(), "{id} has two reviews");
    review
}

#[tokio::test]
async fn an_override_becomes_one_review_of_what_was_predicted_against_what_is_true() {
    let gatekeeper = Gatekeeper::new().await;
    let places = gatekeeper.publish(vec![record(&event(1)), record(&event(2))]).await;
    gatekeeper.serve_until_idle().await;
    let decisions = gatekeeper.decisions().await;
    let (first, second) = (&decisions[&places[0]], &decisions[&places[1]]);

    let by_id = judgement("by-id", "T-1", Some(&first.decision_id));
    let by_ticket = judgement("by-ticket", "T-2", None);
    let unknown = judgement("unknown", "T-1", Some("ffffffff-0000-5000-8000-000000000000"));
    let no_decision = judgement("no-decision", "T-77", None);
    let told = [&by_id, &by_id, &by_ticket, &unknown, &no_decision].map(said);
    gatekeeper.publish(told.to_vec()).await;
    gatekeeper.serve_until_idle().await;
    // Once more, after a restart.
    gatekeeper.publish(vec![said(&by_ticket)]).await;
    gatekeeper.serve_until_idle().await;

    let reviews = reviews(&gatekeeper).await;
    assert_eq!(reviews.len(), 4, "one for each piece of feedback: {reviews:#?}");
    for (id, status, decision) in
        [("by-id", JoinStatus::JoinedById, first), ("by-ticket", JoinStatus::JoinedByTicket, second)]
    {
        let review = of(&reviews, id);
        assert_eq!((review.join_status, review.decision_id.as_ref()), (status, Some(&decision.decision_id)));
        is_held_against(review, decision);
    }
    let orphan = of(&reviews, "unknown");
    assert_eq!((orphan.join_status, orphan.fields[0].predicted.as_ref()), (JoinStatus::Orphan, None));
    assert!(orphan.decision_id.as_deref().is_some_and(|id| id.starts_with("ffffffff")), "what it named is kept");
    assert_eq!(of(&reviews, "no-decision").join_status, JoinStatus::Orphan);
    for (partition, review) in gatekeeper.records(TopicRole::DecisionReviews).await {
        let fellow = told.iter().find(|record| record.key == review.key).expect("under the ticket's key");
        assert_eq!(partition, fellow.partition, "beside its decision");
    }
    assert_eq!(gatekeeper.terminals().await.len(), 2, "no terminal about feedback");
    let report = gatekeeper.audit_finished().await;
    assert_eq!((&report["human_feedback"], &report["reviews"]), (&json!(6), &json!(4)));
}

fn is_held_against(review: &DecisionReview, decision: &TriageDecision) {
    let [field] = &review.fields[..] else { panic!("one field was judged: {review:#?}") };
    let category = decision.category.as_ref().expect("it was predicted");
    assert_eq!((field.predicted.as_ref(), field.confidence), (Some(&category.value), Some(category.confidence)));
    assert_eq!((field.field.as_str(), field.actual.as_str(), field.agreed), ("category", "refund_cancel", false));
    assert_eq!(review.comment.as_deref(), Some("close, but no"));
    assert_eq!(review.policy_version.as_ref(), Some(&decision.policy.policy_version));
    assert_eq!(review.prompt_version.as_ref(), Some(&decision.policy.prompt_version));
    assert_eq!(review.decision_to_feedback_ms, Some(LATER - decision.decided_at.0));
}

#[tokio::test]
async fn feedback_that_cannot_be_used_is_one_dead_letter_and_holds_nobody_up() {
    let gatekeeper = Gatekeeper::new().await;
    let with = |id: &str, change: fn(&mut Value)| {
        let mut feedback = judgement(id, "T-1", None);
        change(&mut feedback);
        said(&feedback)
    };
    let broken =
        OutRecord { value: Some(Payload::from_static(b"\xffnot feedback")), ..said(&judgement("x", "T-1", None)) };
    let poison = [
        (broken, ReasonCode::DecodeFailed),
        (with("tombstone", |_| ()), ReasonCode::DecodeFailed),
        (with("empty", |feedback| feedback["overrides"] = json!([])), ReasonCode::ValidationFailed),
        (with("rated", |feedback| feedback["rating"] = json!(6)), ReasonCode::ValidationFailed),
        (with("stranger", |feedback| feedback["tenant_id"] = json!("stranger")), ReasonCode::TenantUnknown),
        (with("closed", |feedback| feedback["tenant_id"] = json!("closed")), ReasonCode::TenantDisabled),
        (with("good", |feedback| feedback["comment"] = json!("something else")), ReasonCode::IdempotencyConflict),
    ];
    let mut records = vec![said(&judgement("good", "T-1", None))];
    records.extend(poison.iter().map(|(record, _)| record.clone()));
    records[2].value = None;
    records.push(said(&judgement("behind", "T-1", None)));
    let places = gatekeeper.publish(records.clone()).await;
    gatekeeper.serve_until_idle().await;

    let reviews = reviews(&gatekeeper).await;
    assert_eq!(reviews.len(), 2);
    of(&reviews, "good");
    of(&reviews, "behind");
    let letters = gatekeeper.dead_letters().await;
    assert_eq!(letters.len(), poison.len());
    for (((partition, offset), record), (_, code)) in places[1..].iter().zip(&records[1..]).zip(&poison) {
        let at = (i32::try_from(*partition).expect("small"), i64::try_from(*offset).expect("small"));
        let here = |letter: &&_| letter_is_at(letter, at);
        let letter = letters.iter().find(here).unwrap_or_else(|| panic!("{code} has its dead letter: {letters:#?}"));
        assert_eq!(letter.reason_code, code.as_str());
        assert_eq!(letter.origin_topic, gatekeeper.settings.topics.human_feedback);
        assert_eq!(letter.value.as_ref().map(|value| value.0.as_slice()), record.value.as_deref(), "untouched");
    }
    assert_eq!(gatekeeper.terminals().await.len(), 0);
    gatekeeper.audit_finished().await;
}

fn letter_is_at(letter: &gatekeeper::domain::dead_letter::DeadLetter, at: (i32, i64)) -> bool {
    (letter.origin_partition, letter.origin_offset) == at
}

/// A mended record under the same id takes the place of one that was rejected.
#[tokio::test]
async fn feedback_that_was_rejected_can_be_mended_under_its_id() {
    let gatekeeper = Gatekeeper::new().await;
    let mut wrong = judgement("mended", "T-1", None);
    wrong["rating"] = json!(6);
    gatekeeper.publish(vec![said(&wrong), said(&judgement("mended", "T-1", None))]).await;
    gatekeeper.serve_until_idle().await;
    assert_eq!(gatekeeper.dead_letters().await.len(), 1);
    of(&reviews(&gatekeeper).await, "mended");
    gatekeeper.audit_finished().await;
}

/// Killed after the claim, after the review was saved, in front of the burst and right behind it.
#[tokio::test]
async fn feedback_is_reviewed_once_wherever_the_processor_is_killed() {
    for label in ["claim_committed", "verdict_saved", "burst_begun", "committed_frontier_not_moved"] {
        let gatekeeper = Gatekeeper::new().await;
        gatekeeper.publish((0..20).map(|number| said(&judgement(&format!("f-{number}"), "T-1", None))).collect()).await;
        let mut worker = gatekeeper.serve_with(&["--until-idle"], Some(&format!("{label}:1:kill")));
        let status = worker.ended().await;
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "{label}: {}", gatekeeper.what_the_worker_said());
        gatekeeper.serve_until_idle().await;
        let reviews = reviews(&gatekeeper).await;
        assert_eq!(reviews.len(), 20, "{label}");
        for number in 0..20 {
            of(&reviews, &format!("f-{number}"));
        }
        gatekeeper.audit_finished().await;
    }
}
