//! What comes of feedback and the decision it judges, kind by kind.

use super::*;
use crate::domain::samples;

fn past() -> PastDecision {
    PastDecision::of(&samples::decision(), DedupeKey([7; 32]))
}

fn origin() -> Origin {
    Origin { topic: "feedback".to_owned(), partition: 1, offset: 2, timestamp: Timestamp(3) }
}

fn joined(feedback: &HumanFeedback, decision: Option<&PastDecision>) -> DecisionReview {
    review(feedback, decision, origin(), Timestamp(9))
}

fn feedback(kind: FeedbackKind) -> HumanFeedback {
    HumanFeedback { kind, decision_id: None, overrides: Vec::new(), ..samples::human_feedback() }
}

fn says(field: &str, actual: &str) -> FieldOverride {
    let predicted = Some("what they saw".to_owned());
    FieldOverride { field: field.to_owned(), predicted, actual: actual.to_owned(), reason: None }
}

#[test]
fn an_override_is_held_against_our_own_prediction() {
    let past = past();
    let ours = past.field("category").expect("it was predicted").clone();
    let overrides = vec![says("category", "another"), says("category", &ours.value), says("unheard_of", "x")];
    let review = joined(&HumanFeedback { overrides, ..feedback(FeedbackKind::Override) }, Some(&past));
    let said: Vec<_> = review.fields.iter().map(|field| (field.predicted.as_deref(), field.agreed)).collect();
    let ours_said = Some(ours.value.as_str());
    assert_eq!(said, [(ours_said, false), (ours_said, true), (Some("what they saw"), false)]);
    let sure = (review.fields[0].confidence, review.fields[0].raw_confidence);
    assert_eq!(sure, (Some(ours.confidence), ours.raw_confidence), "a calibration is made of the model's own word");
    assert_eq!((review.fields[2].confidence, &review.fields[2].automation), (None, &None));
}

#[test]
fn an_override_with_our_own_value_agrees_however_it_is_spelt() {
    let mut past = past();
    for (field, value) in [("category", "billing_payment"), ("priority", "NORMAL")] {
        past.fields.iter_mut().find(|predicted| predicted.field == field).expect("predicted").value = value.to_owned();
    }
    let said = |field, actual| {
        let overrides = vec![says(field, actual)];
        let review = joined(&HumanFeedback { overrides, ..feedback(FeedbackKind::Override) }, Some(&past));
        let field = review.fields.into_iter().next().expect("one was overridden");
        (field.field, field.actual, field.agreed)
    };
    let judged = |field: &str, actual: &str, agreed| (field.to_owned(), actual.to_owned(), agreed);
    assert_eq!(said("priority", "normal"), judged("priority", "NORMAL", true));
    assert_eq!(said("priority", "medium"), judged("priority", "NORMAL", true));
    assert_eq!(said("custom_fields.category", "Billing_Payment "), judged("category", "Billing_Payment", true));
    assert_eq!(said("priority", "critical"), judged("priority", "URGENT", false));
    assert_eq!(said("category", "another"), judged("category", "another", false));
    let accepted = HumanFeedback {
        overrides: vec![says("custom_fields.category", "another")],
        ..feedback(FeedbackKind::Accepted)
    };
    let of_category = |review: &DecisionReview| review.fields.iter().filter(|it| it.field == "category").count();
    assert_eq!(of_category(&joined(&accepted, Some(&past))), 1, "what was overridden was not accepted as well");
}

#[test]
fn who_accepts_accepts_what_was_offered_and_nothing_else() {
    let mut past = past();
    past.fields[0].automation = Automation::None;
    let hidden = past.fields[0].field.clone();
    let review = joined(&feedback(FeedbackKind::Accepted), Some(&past));
    let offered = past.fields.iter().filter(|field| field.automation != Automation::None).count();
    assert!(offered > 0);
    assert_eq!(review.fields.len(), offered);
    assert!(review.fields.iter().all(|field| field.agreed && field.field != hidden));
    for kind in [FeedbackKind::Rejected, FeedbackKind::Rating, FeedbackKind::Reopened, FeedbackKind::Override] {
        assert_eq!(joined(&feedback(kind), Some(&past)).fields, [], "{kind} says nothing of single fields");
    }
}

#[test]
fn what_is_joined_says_how_and_what_is_not_is_kept_and_marked() {
    let past = past();
    let by_ticket = joined(&feedback(FeedbackKind::Rating), Some(&past));
    assert_eq!(by_ticket.join_status, JoinStatus::JoinedByTicket);
    assert_eq!(by_ticket.decision_id.as_ref(), Some(&past.decision_id));
    let naming = HumanFeedback { decision_id: Some("unknown".to_owned()), ..feedback(FeedbackKind::Rating) };
    assert_eq!(joined(&naming, Some(&past)).join_status, JoinStatus::JoinedById);
    let orphan = joined(&naming, None);
    assert_eq!((orphan.join_status, orphan.decision_id.as_deref()), (JoinStatus::Orphan, Some("unknown")));
    assert_eq!((orphan.rating, &orphan.mode, orphan.decision_to_feedback_ms), (naming.rating, &None, None));
}

#[test]
fn the_question_names_the_decision_or_else_the_ticket_and_the_time() {
    let feedback = samples::human_feedback();
    let asked = question(&feedback);
    assert_eq!((asked.decision_id, asked.until), (feedback.decision_id, feedback.occurred_at));
}

#[test]
fn the_same_feedback_has_the_same_review_id_for_ever() {
    let one = samples::human_feedback();
    let id = |feedback: &HumanFeedback| joined(feedback, None).review_id;
    assert_eq!(id(&one), review(&one, Some(&past()), origin(), Timestamp(77)).review_id);
    assert_ne!(id(&one), id(&HumanFeedback { tenant_id: "umbrella".to_owned(), ..one.clone() }));
}
