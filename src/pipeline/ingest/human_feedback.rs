//! Human feedback, read like an event: size, decoding, envelope, validation, tenant.

use std::sync::Arc;

use super::envelope::{self, Names};
use super::validate::{self, Findings};
use super::{Ingest, Ingested, Rejection, closed_door, counted};
use crate::domain::human_feedback::HumanFeedback;
use crate::domain::identity::{BodyHash, DedupeKey};
use crate::domain::reason_code::ReasonCode;
use crate::domain::record::Record;
use crate::pipeline::schema_set::{ReadError, schema_id};

/// Human feedback as it entered the road.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedbackArrival {
    /// What somebody made of a decision.
    pub feedback: Arc<HumanFeedback>,
    /// Which piece of feedback it is.
    pub key: DedupeKey,
    /// What it says.
    pub body: BodyHash,
    /// Why it goes no further, if so.
    pub rejection: Option<Rejection>,
}

impl Ingest {
    /// Reads one record of the topic of human feedback.
    #[must_use]
    pub fn read_feedback(&self, record: &Record) -> Ingested {
        let value = record.value.as_deref().unwrap_or_default();
        let schema_id = schema_id(value);
        let reject = |code, reason: String, violations| Rejection { code, reason, violations, schema_id };

        if let Err((code, reason)) = self.check_size(record) {
            return Ingested::Unreadable(reject(code, reason, Vec::new()));
        }
        let feedback = match self.schemas.read::<HumanFeedback>("HumanFeedback", value) {
            Ok(feedback) => feedback,
            Err(ReadError::NotYetKnown(schema_id)) => return Ingested::NotYetKnown { schema_id },
            Err(error) => return Ingested::Unreadable(reject(error.code(), error.to_string(), Vec::new())),
        };
        let Findings { violations, has_identity } = validate::check_feedback(&feedback);
        if !has_identity {
            let reason = counted("the feedback cannot be told apart from others", &violations);
            return Ingested::Unreadable(reject(ReasonCode::ValidationFailed, reason, violations));
        }

        let names = Names {
            tenant_id: &feedback.tenant_id,
            ticket_id: &feedback.ticket_id,
            source: &feedback.source,
            id: &feedback.feedback_id,
            id_field: "feedback_id",
        };
        let mismatches = envelope::mismatches(record, &names, self.reject_foreign_keys);
        let tenant = self.tenants.borrow().find(&feedback.tenant_id).cloned();
        let rejection = if !mismatches.is_empty() {
            let reason = counted("envelope and body disagree", &mismatches);
            Some(reject(ReasonCode::EnvelopeMismatch, reason, mismatches))
        } else if !violations.is_empty() {
            let reason = counted("the feedback breaks the contract", &violations);
            Some(reject(ReasonCode::ValidationFailed, reason, violations))
        } else {
            closed_door(tenant.as_deref(), &feedback.tenant_id).map(|(code, reason)| reject(code, reason, Vec::new()))
        };
        Ingested::Feedback(FeedbackArrival {
            key: DedupeKey::of_feedback(&feedback),
            body: BodyHash::of_feedback(&feedback),
            feedback: Arc::new(feedback),
            rejection,
        })
    }
}
