//! Human feedback, read like an event: size, decoding, envelope, validation, tenant.

use std::sync::Arc;

use super::envelope::Names;
use super::{Ingest, Ingested, Rejection, validate};
use crate::domain::human_feedback::HumanFeedback;
use crate::domain::identity::{BodyHash, DedupeKey};
use crate::domain::record::Record;

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
        let kind = ("HumanFeedback", "feedback");
        let (feedback, violations) = match self.opened::<HumanFeedback>(record, kind, validate::check_feedback) {
            Ok(opened) => opened,
            Err(not_opened) => return *not_opened,
        };
        let names = Names {
            tenant_id: &feedback.tenant_id,
            ticket_id: &feedback.ticket_id,
            source: &feedback.source,
            id: &feedback.feedback_id,
            id_field: "feedback_id",
        };
        let tenant = self.tenants.borrow().find(&feedback.tenant_id).cloned();
        let rejection = self.rejection(record, &names, ("feedback", violations), tenant.as_deref());
        Ingested::Feedback(FeedbackArrival {
            key: DedupeKey::of_feedback(&feedback),
            body: BodyHash::of_feedback(&feedback),
            feedback: Arc::new(feedback),
            rejection,
        })
    }
}
