//! What an agent set by hand in the ticketing system, held against what we had predicted: an override that nobody said.
//!
//! Pure. An update of a ticket judges the latest decision of the ticket at the time, and says only that a prediction was
//! wrong. A value that is the predicted one says nothing: who carries out our decisions often does so under an agent's
//! name, and would confirm us by obeying. Nor does what no person did, or what one of our decisions caused.
//!
//! What does not belong here: whether an event is our own echo (`lane`), and how it ends: that it is a review takes
//! nothing from its terminal.

use super::spelling;
use crate::domain::clock::Timestamp;
use crate::domain::decision::{Automation, Origin};
use crate::domain::event::{ActorType, EventType, FieldChange, SupportEvent};
use crate::domain::human_feedback::{FeedbackKind, FieldOverride, HumanFeedback};
use crate::domain::identity::{DedupeKey, review_id};
use crate::domain::past_decision::{DecisionQuestion, PastDecision};
use crate::domain::review::DecisionReview;

/// As of overrides that people give (`ingest`): a longer value is no label, and more of them are no decision's fields; a
/// review must stay small.
const MAX_VALUE_BYTES: usize = 256;
const MAX_OVERRIDES: usize = 100;

/// The kind of such a review.
pub const IMPLICIT_OVERRIDE: &str = "IMPLICIT_OVERRIDE";

/// Which decision the changes of this event may judge; none: they are not an agent's, or there are none.
#[must_use]
pub fn judged_by(event: &SupportEvent) -> Option<DecisionQuestion> {
    let is_an_agents = event.event_type == EventType::TicketUpdated && event.actor.kind == ActorType::Agent;
    (is_an_agents && event.changes.iter().any(|change| change.current.is_some())).then(|| DecisionQuestion {
        tenant_id: event.tenant_id.clone(),
        ticket_id: event.ticket_id.clone(),
        decision_id: None,
        until: event.occurred_at,
    })
}

/// The review, if a field that was offered was set to another value.
#[must_use]
pub fn review(
    event: &SupportEvent,
    key: DedupeKey,
    decision: &PastDecision,
    origin: Origin,
    joined_at: Timestamp,
) -> Option<DecisionReview> {
    let overrides = event.changes.iter().filter_map(|change| overridden(change, decision));
    let overrides: Vec<_> = overrides.take(MAX_OVERRIDES).collect();
    if overrides.is_empty() {
        return None;
    }
    let said = HumanFeedback {
        feedback_id: event.event_id.clone(),
        source: event.source.clone(),
        tenant_id: event.tenant_id.clone(),
        ticket_id: event.ticket_id.clone(),
        decision_id: None,
        occurred_at: event.occurred_at,
        actor: event.actor.clone(),
        kind: FeedbackKind::Override,
        overrides,
        reply_outcome: None,
        edit_ratio: None,
        rating: None,
        resolution: None,
        resolution_evidence: None,
        reason_code: None,
        comment: None,
    };
    let review = super::review(&said, Some(decision), origin, joined_at);
    // The event's own: somebody may have given the same id to a record of feedback.
    Some(DecisionReview { review_id: review_id(key), kind: IMPLICIT_OVERRIDE.to_owned(), ..review })
}

fn overridden(change: &FieldChange, decision: &PastDecision) -> Option<FieldOverride> {
    let predicted = decision.field(spelling::field(&change.field))?;
    let was_offered = !matches!(predicted.automation, Automation::None | Automation::Unknown);
    let actual = spelling::value(&predicted.field, change.current.as_deref()?);
    let is_other = !actual.is_empty() && !spelling::is_same(&predicted.field, &actual, &predicted.value);
    let is_label = actual.len() <= MAX_VALUE_BYTES && !actual.chars().any(char::is_control);
    (was_offered && is_label && is_other).then(|| FieldOverride {
        field: predicted.field.clone(),
        predicted: None,
        actual,
        reason: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples;

    fn past() -> PastDecision {
        let mut past = PastDecision::of(&samples::decision(), DedupeKey([7; 32]));
        for (field, value) in [("category", "billing_payment"), ("priority", "NORMAL")] {
            let predicted = past.fields.iter_mut().find(|predicted| predicted.field == field).expect("predicted");
            (predicted.value, predicted.automation) = (value.to_owned(), Automation::Select);
        }
        past
    }

    fn update(changes: &[(&str, Option<&str>)]) -> SupportEvent {
        let mut event = samples::sparse_event();
        event.event_type = EventType::TicketUpdated;
        event.actor.kind = ActorType::Agent;
        let change = |(field, current): &(&str, Option<&str>)| FieldChange {
            field: (*field).to_owned(),
            previous: None,
            current: current.map(str::to_owned),
        };
        event.changes = changes.iter().map(change).collect();
        event
    }

    /// Fields and what they were set to, of the review.
    fn said(changes: &[(&str, Option<&str>)], past: &PastDecision) -> Vec<(String, String)> {
        let origin = Origin { topic: "events".to_owned(), partition: 0, offset: 1, timestamp: Timestamp(2) };
        let review = review(&update(changes), DedupeKey([9; 32]), past, origin, Timestamp(3));
        let fields = review.map(|review| review.fields).unwrap_or_default();
        assert!(fields.iter().all(|field| !field.agreed));
        fields.into_iter().map(|field| (field.field, field.actual)).collect()
    }

    fn pair(field: &str, actual: &str) -> (String, String) {
        (field.to_owned(), actual.to_owned())
    }

    #[test]
    fn another_value_of_a_predicted_field_is_an_override_however_it_is_spelt() {
        let said = |changes| said(changes, &past());
        assert_eq!(said(&[("category", Some("refund_cancel"))]), [pair("category", "refund_cancel")]);
        assert_eq!(said(&[("custom_fields.category", Some("refund_cancel"))]), [pair("category", "refund_cancel")]);
        assert_eq!(said(&[("priority", Some("critical"))]), [pair("priority", "URGENT")]);
        assert_eq!(said(&[("priority", Some("high")), ("category", Some("x"))]).len(), 2);
    }

    #[test]
    fn what_was_predicted_or_was_not_or_is_not_said_is_no_override() {
        let said_of = |change| said(&[change], &past());
        for nothing in [
            ("category", Some("billing_payment")),
            ("category", Some("Billing_Payment ")),
            ("category", None),
            ("category", Some("")),
            ("priority", Some("normal")),
            ("priority", Some("medium")),
            ("status", Some("open")),
        ] {
            assert_eq!(said_of(nothing), [], "{nothing:?}");
        }
        let mut hidden = past();
        hidden.fields.iter_mut().for_each(|field| field.automation = Automation::None);
        assert_eq!(said(&[("category", Some("refund_cancel"))], &hidden), []);
    }

    #[test]
    fn what_is_no_label_is_no_override_and_a_review_stays_small() {
        assert_eq!(said(&[("category", Some(&"x".repeat(256)))], &past()).len(), 1);
        assert_eq!(said(&[("category", Some(&"x".repeat(257)))], &past()), []);
        assert_eq!(said(&[("category", Some("a\nb"))], &past()), []);
        assert_eq!(said(&vec![("category", Some("x")); 1_000], &past()).len(), 100);
    }

    #[test]
    fn only_an_agents_update_judges_and_what_was_decided_until_then() {
        let changes = [("category", Some("x"))];
        let event = update(&changes);
        let question = judged_by(&event).expect("an agent changed a field");
        assert_eq!((question.decision_id, question.until), (None, event.occurred_at));
        for kind in [ActorType::System, ActorType::AiAgent, ActorType::EndUser, ActorType::Unknown] {
            let mut other = update(&changes);
            other.actor.kind = kind;
            assert_eq!(judged_by(&other), None, "{kind:?}");
        }
        assert_eq!(judged_by(&SupportEvent { event_type: EventType::MessageAdded, ..update(&changes) }), None);
        assert_eq!(judged_by(&update(&[("category", None)])), None);
    }

    #[test]
    fn its_review_has_an_id_and_a_kind_of_its_own() {
        let origin = Origin { topic: "events".to_owned(), partition: 0, offset: 1, timestamp: Timestamp(2) };
        let event = update(&[("category", Some("refund_cancel"))]);
        let made = review(&event, DedupeKey([9; 32]), &past(), origin.clone(), Timestamp(3)).expect("an override");
        assert_eq!((made.review_id, made.kind.as_str()), (review_id(DedupeKey([9; 32])), IMPLICIT_OVERRIDE));
        assert_eq!((made.feedback_id, made.origin), (event.event_id, origin));
    }
}
