//! Human feedback joined with the decision it judges: what was predicted against what people made of it.
//!
//! Pure. Which decision is meant is asked of the ledger ([`question`]); what comes of the two is [`review`]. The same
//! feedback and the same decision give the same review, but for the moment at which they were joined.
//!
//! A field is judged only where the feedback says something about it: an override names its field, and who accepts a
//! decision accepts what it offered. Of the other fields of an overridden decision nobody knows whether they were looked
//! at, so a review says nothing of them, and no rate or calibration rests on silence.
//!
//! What does not belong here: whether a record of feedback is valid (ingest), or the first of its kind (dedupe).

pub mod implicit;
mod spelling;

use crate::domain::clock::Timestamp;
use crate::domain::decision::{Automation, Mode, Origin};
use crate::domain::human_feedback::{FeedbackKind, FieldOverride, HumanFeedback};
use crate::domain::identity::{DedupeKey, review_id};
use crate::domain::past_decision::{DecisionQuestion, PastDecision, PredictedField};
use crate::domain::review::{DecisionReview, FieldReview, JoinStatus};

/// Which decision this feedback judges: the one it names, else the latest of its ticket when it was given.
///
/// Who names a decision that is not known means no other: it stays an orphan.
#[must_use]
pub fn question(feedback: &HumanFeedback) -> DecisionQuestion {
    DecisionQuestion {
        tenant_id: feedback.tenant_id.clone(),
        ticket_id: feedback.ticket_id.clone(),
        decision_id: feedback.decision_id.clone(),
        until: feedback.occurred_at,
    }
}

/// What comes of the feedback and its decision, if there is one.
#[must_use]
pub fn review(
    feedback: &HumanFeedback,
    decision: Option<&PastDecision>,
    origin: Origin,
    joined_at: Timestamp,
) -> DecisionReview {
    DecisionReview {
        review_id: review_id(DedupeKey::of_feedback(feedback)),
        feedback_id: feedback.feedback_id.clone(),
        // An orphan keeps the id that it named.
        decision_id: decision.map(|decision| decision.decision_id.clone()).or_else(|| feedback.decision_id.clone()),
        decision_version: decision.map(|decision| decision.version),
        tenant_id: feedback.tenant_id.clone(),
        ticket_id: feedback.ticket_id.clone(),
        join_status: match (decision, &feedback.decision_id) {
            (None, _) => JoinStatus::Orphan,
            (Some(_), Some(_)) => JoinStatus::JoinedById,
            (Some(_), None) => JoinStatus::JoinedByTicket,
        },
        kind: feedback.kind.to_string(),
        fields: fields(feedback, decision),
        rating: feedback.rating,
        resolution: feedback.resolution.map(|resolution| resolution.to_string()),
        resolution_evidence: feedback.resolution_evidence.map(|evidence| evidence.to_string()),
        reply_outcome: feedback.reply_outcome.map(|outcome| outcome.to_string()),
        edit_ratio: feedback.edit_ratio,
        comment: feedback.comment.clone(),
        disposition: decision.map(|decision| decision.disposition.to_string()),
        mode: decision.map(|_| Mode::Live.to_string()),
        policy_version: decision.map(|decision| decision.policy_version.clone()),
        prompt_version: decision.map(|decision| decision.prompt_version.clone()),
        request_model: decision.and_then(|decision| decision.request_model.clone()),
        decided_by: decision.map(|decision| decision.decided_by.to_string()),
        language: decision.and_then(|decision| decision.language.clone()),
        decision_to_feedback_ms: decision.map(|decision| feedback.occurred_at.millis_since(decision.decided_at)),
        joined_at,
        origin,
    }
}

fn fields(feedback: &HumanFeedback, decision: Option<&PastDecision>) -> Vec<FieldReview> {
    let predicted = |one: &FieldOverride| decision.and_then(|decision| decision.field(spelling::field(&one.field)));
    let overridden = |one: &FieldOverride| overridden(one, predicted(one));
    let mut fields: Vec<FieldReview> = feedback.overrides.iter().map(overridden).collect();
    if let (FeedbackKind::Accepted, Some(decision)) = (feedback.kind, decision) {
        let is_named =
            |field: &PredictedField| feedback.overrides.iter().any(|one| spelling::field(&one.field) == field.field);
        let offered = |field: &PredictedField| !matches!(field.automation, Automation::None | Automation::Unknown);
        fields.extend(decision.fields.iter().filter(|field| offered(field) && !is_named(field)).map(accepted));
    }
    fields
}

/// What we know of our own prediction goes before what the feedback says of it. Who spells our value otherwise agrees.
fn overridden(one: &FieldOverride, predicted: Option<&PredictedField>) -> FieldReview {
    let value = predicted.map(|predicted| predicted.value.clone()).or_else(|| one.predicted.clone());
    let field = spelling::field(&one.field);
    FieldReview {
        field: predicted.map_or(&one.field, |predicted| &predicted.field).clone(),
        agreed: value.as_ref().is_some_and(|value| spelling::is_same(field, value, &one.actual)),
        predicted: value,
        confidence: predicted.map(|predicted| predicted.confidence),
        raw_confidence: predicted.and_then(|predicted| predicted.raw_confidence),
        automation: predicted.map(|predicted| predicted.automation.to_string()),
        actual: spelling::value(field, &one.actual),
    }
}

fn accepted(predicted: &PredictedField) -> FieldReview {
    FieldReview {
        field: predicted.field.clone(),
        predicted: Some(predicted.value.clone()),
        confidence: Some(predicted.confidence),
        raw_confidence: predicted.raw_confidence,
        automation: Some(predicted.automation.to_string()),
        actual: predicted.value.clone(),
        agreed: true,
    }
}

#[cfg(test)]
mod tests;
