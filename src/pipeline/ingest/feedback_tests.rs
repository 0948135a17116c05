//! What people made of decisions, as publishers send it, well and badly made.

use super::tests::{ingest_with, record};
use super::*;
use crate::domain::human_feedback::{FeedbackKind, HumanFeedback};
use crate::domain::record::Header;
use crate::domain::samples;

/// Feedback is long before it is too large.
fn roomy() -> Ingest {
    Ingest { max_payload_bytes: 1 << 20, ..ingest_with(false) }
}

/// What is wrong with feedback after `change`, as `path CODE`; empty if nothing is.
fn feedback_findings(change: impl FnOnce(&mut HumanFeedback)) -> Vec<String> {
    let mut feedback = samples::human_feedback();
    change(&mut feedback);
    let value = serde_json::to_vec(&feedback).expect("feedback can be written");
    let rejection = match roomy().read_feedback(&record(Some(value))) {
        Ingested::Feedback(arrival) => arrival.rejection,
        Ingested::Unreadable(rejection) => Some(rejection),
        other => panic!("{other:?}"),
    };
    let violations = rejection.into_iter().flat_map(|rejection| rejection.violations);
    violations.map(|violation| format!("{} {}", violation.path, violation.code)).collect()
}

#[test]
fn feedback_must_say_something_that_makes_sense() {
    assert_eq!(feedback_findings(|_| ()), [""; 0]);
    assert_eq!(feedback_findings(|feedback| feedback.overrides.clear()), ["overrides REQUIRED"]);
    assert_eq!(feedback_findings(|feedback| feedback.rating = Some(6)), ["rating OUT_OF_RANGE"]);
    assert_eq!(feedback_findings(|feedback| feedback.edit_ratio = Some(1.1)), ["edit_ratio OUT_OF_RANGE"]);
    assert_eq!(feedback_findings(|feedback| feedback.occurred_at.0 = 5), ["occurred_at OUT_OF_RANGE"]);
    assert_eq!(feedback_findings(|feedback| feedback.comment = Some("x".repeat(16_385))), ["comment TOO_LONG"]);
    assert_eq!(feedback_findings(|feedback| feedback.overrides[0].field.clear()), ["overrides[0].field EMPTY"]);
    let many = |feedback: &mut HumanFeedback| feedback.overrides = vec![feedback.overrides[0].clone(); 101];
    assert_eq!(feedback_findings(many), ["overrides TOO_MANY"]);
    let needs = [
        (FeedbackKind::Rating, "rating REQUIRED"),
        (FeedbackKind::Resolution, "resolution REQUIRED"),
        (FeedbackKind::ReplyOutcome, "reply_outcome REQUIRED"),
    ];
    for (kind, missing) in needs {
        let bare = |feedback: &mut HumanFeedback| {
            (feedback.kind, feedback.rating, feedback.resolution, feedback.reply_outcome) = (kind, None, None, None);
        };
        assert_eq!(feedback_findings(bare), [missing]);
    }
    assert_eq!(feedback_findings(|feedback| feedback.feedback_id.clear()), ["feedback_id EMPTY"]);
}

#[test]
fn feedback_that_cannot_be_told_apart_is_unreadable_and_other_rejected_feedback_has_its_identity() {
    let read = |change: fn(&mut HumanFeedback)| {
        let mut feedback = samples::human_feedback();
        change(&mut feedback);
        let value = serde_json::to_vec(&feedback).expect("feedback can be written");
        roomy().read_feedback(&record(Some(value)))
    };
    assert!(matches!(read(|feedback| feedback.ticket_id.clear()), Ingested::Unreadable(_)));
    let code = |ingested| match ingested {
        Ingested::Feedback(FeedbackArrival { rejection: Some(rejection), .. }) => rejection.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(read(|feedback| feedback.rating = Some(0))), ReasonCode::ValidationFailed);
    assert_eq!(code(read(|feedback| feedback.tenant_id = "nobody".to_owned())), ReasonCode::TenantUnknown);
    let mut headed = record(Some(serde_json::to_vec(&samples::human_feedback()).expect("it can be written")));
    headed.headers = vec![Header::text("ce_id", "another")];
    assert_eq!(code(roomy().read_feedback(&headed)), ReasonCode::EnvelopeMismatch);
}
