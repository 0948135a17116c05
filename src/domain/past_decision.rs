//! What is kept of a published decision so that feedback can be joined with it, long after the event is forgotten.
//!
//! Only what a review says about the decision it judges; never anything that a customer wrote.

use serde::{Deserialize, Serialize};

use super::better::Dropped;
use super::clock::Timestamp;
use super::decision::{Automation, DecidedBy, Disposition, Prediction, TriageDecision};
use super::identity::DedupeKey;

/// A decision as feedback may judge it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastDecision {
    /// Its id.
    pub decision_id: String,
    /// Its version.
    pub version: i32,
    /// The event it was made for: hexadecimal dedupe key.
    pub key: String,
    /// Whose.
    pub tenant_id: String,
    /// About which ticket.
    pub ticket_id: String,
    /// Partition and offset of that event; a build that did not keep it left none.
    #[serde(default)]
    pub place: Option<(i32, i64)>,
    /// When it was made.
    pub decided_at: Timestamp,
    /// What should have happened to the ticket.
    pub disposition: Disposition,
    /// By whom.
    pub decided_by: DecidedBy,
    /// What was predicted.
    pub fields: Vec<PredictedField>,
    /// The language that was recognised.
    pub language: Option<String>,
    /// The model that was asked.
    pub request_model: Option<String>,
    /// Under which policy.
    pub policy_version: String,
    /// With which prompt.
    pub prompt_version: String,
}

/// One field, as it was predicted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PredictedField {
    /// As people name it in feedback: `category`, `queue`, the name of a custom field.
    pub field: String,
    /// The label.
    pub value: String,
    /// After calibration.
    pub confidence: f64,
    /// As the model reported it.
    pub raw_confidence: Option<f64>,
    /// What a consumer might do with it.
    pub automation: Automation,
}

/// Which decision a piece of feedback judges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionQuestion {
    /// Whose.
    pub tenant_id: String,
    /// About which ticket; a decision about another one is not the one that is meant, whatever its id.
    pub ticket_id: String,
    /// This one. None: the latest of the ticket up to `until`.
    pub decision_id: Option<String>,
    /// When it was judged.
    pub until: Timestamp,
}

/// Whether a better decision about this event would come too late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OvertakenQuestion {
    /// Whose.
    pub tenant_id: String,
    /// About which ticket.
    pub ticket_id: String,
    /// Which event: hexadecimal dedupe key.
    pub key: String,
    /// Partition and offset of the event: those after it in its partition are newer.
    pub place: (i32, i64),
}

impl OvertakenQuestion {
    /// What speaks against it, off the ticket's decisions, each with whether a person has acted on it.
    pub fn answer<'a>(&self, decisions: impl Iterator<Item = (&'a PastDecision, bool)>) -> Option<Dropped> {
        let against = |(decision, acted_on): (&PastDecision, bool)| {
            let newer = decision.place.is_some_and(|(number, offset)| number == self.place.0 && offset > self.place.1);
            if decision.key == self.key {
                acted_on.then_some(Dropped::PersonActed)
            } else {
                newer.then_some(Dropped::NewerEvent)
            }
        };
        decisions.filter_map(against).min()
    }
}

impl PastDecision {
    /// What is kept of this decision about the event of that key.
    #[must_use]
    pub fn of(decision: &TriageDecision, key: DedupeKey) -> Self {
        let own = [
            ("intent", &decision.intent),
            ("category", &decision.category),
            ("sentiment", &decision.sentiment),
            ("language", &decision.language),
            ("priority", &decision.priority),
            ("impact", &decision.impact),
            ("urgency", &decision.urgency),
            ("ticket_type", &decision.ticket_type),
        ];
        let own = own.into_iter().filter_map(|(field, predicted)| Some((field, predicted.as_ref()?)));
        let queue = decision.routing.iter().map(|routing| ("queue", &routing.queue));
        let custom = decision.custom_fields.iter().map(|(field, predicted)| (field.as_str(), predicted));
        Self {
            decision_id: decision.decision_id.clone(),
            version: decision.decision_version,
            key: key.to_hex(),
            tenant_id: decision.tenant_id.clone(),
            ticket_id: decision.ticket_id.clone(),
            place: Some((decision.origin.partition, decision.origin.offset)),
            decided_at: decision.decided_at,
            disposition: decision.disposition,
            decided_by: decision.decided_by,
            fields: own
                .chain(queue)
                .chain(custom)
                .map(|(field, predicted)| predicted_field(field, predicted))
                .collect(),
            language: decision.language.as_ref().map(|language| language.value.clone()),
            request_model: decision.model.as_ref().map(|model| model.request_model.clone()),
            policy_version: decision.policy.policy_version.clone(),
            prompt_version: decision.policy.prompt_version.clone(),
        }
    }

    /// The prediction of this field, if there was one.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&PredictedField> {
        self.fields.iter().find(|field| field.field == name)
    }
}

impl DecisionQuestion {
    /// Whether that decision could be the one; of several the latest is.
    #[must_use]
    pub fn is_about(&self, decision: &PastDecision) -> bool {
        (&self.tenant_id, &self.ticket_id) == (&decision.tenant_id, &decision.ticket_id)
            && match &self.decision_id {
                Some(id) => *id == decision.decision_id,
                None => decision.decided_at <= self.until,
            }
    }
}

fn predicted_field(field: &str, predicted: &Prediction) -> PredictedField {
    PredictedField {
        field: field.to_owned(),
        value: predicted.value.clone(),
        confidence: predicted.confidence,
        raw_confidence: predicted.raw_confidence,
        automation: predicted.automation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples;

    #[test]
    fn every_prediction_of_a_decision_is_kept_and_nothing_that_a_customer_wrote() {
        let decision = samples::decision();
        let past = PastDecision::of(&decision, DedupeKey([7; 32]));
        for (field, predicted) in [("category", &decision.category), ("priority", &decision.priority)] {
            let kept = past.field(field).expect("it was predicted");
            assert_eq!(Some(&kept.value), predicted.as_ref().map(|predicted| &predicted.value));
        }
        assert_eq!(
            past.field("queue").map(|queue| &queue.value),
            decision.routing.as_ref().map(|routing| &routing.queue.value)
        );
        assert!(decision.custom_fields.keys().all(|field| past.field(field).is_some()));
        let kept = serde_json::to_string(&past).expect("it can be written");
        assert!(!kept.contains(&decision.rationale), "{kept}");
        assert_eq!(serde_json::from_str::<PastDecision>(&kept).expect("it can be read"), past);
    }

    #[test]
    fn a_decision_of_another_ticket_or_tenant_is_never_meant_whatever_its_id() {
        let past = PastDecision::of(&samples::decision(), DedupeKey([7; 32]));
        let question = DecisionQuestion {
            tenant_id: past.tenant_id.clone(),
            ticket_id: past.ticket_id.clone(),
            decision_id: Some(past.decision_id.clone()),
            until: past.decided_at,
        };
        assert!(question.is_about(&past));
        assert!(!DecisionQuestion { tenant_id: "umbrella".into(), ..question.clone() }.is_about(&past));
        assert!(!DecisionQuestion { ticket_id: "1".into(), ..question.clone() }.is_about(&past));
        let by_ticket = DecisionQuestion { decision_id: None, ..question };
        assert!(by_ticket.is_about(&past));
        let earlier = DecisionQuestion { until: Timestamp(past.decided_at.0 - 1), ..by_ticket };
        assert!(!earlier.is_about(&past), "nobody judges what is not decided yet");
    }
}
