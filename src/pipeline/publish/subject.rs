//! What an input says, as its outputs name it: the same questions to events and to human feedback.

use crate::domain::event::SupportEvent;
use crate::domain::human_feedback::HumanFeedback;
use crate::domain::identity::{BodyHash, DedupeKey};
use crate::domain::record::Payload;

/// A readable input.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A support event.
    Event(&'a SupportEvent, Identity),
    /// What a person made of a decision.
    Feedback(&'a HumanFeedback, Identity),
}

/// Which input it is and what it says, as ingest found: a hash of all of it is not made twice.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Its own, also where the output is about a better decision.
    pub key: DedupeKey,
    /// What it says.
    pub body: BodyHash,
}

impl<'a> Subject<'a> {
    pub(super) fn event(self) -> Option<&'a SupportEvent> {
        match self {
            Self::Event(event, _) => Some(event),
            Self::Feedback(..) => None,
        }
    }

    pub(super) fn id(self) -> &'a str {
        match self {
            Self::Event(event, _) => &event.event_id,
            Self::Feedback(feedback, _) => &feedback.feedback_id,
        }
    }

    pub(super) fn source(self) -> &'a str {
        match self {
            Self::Event(event, _) => &event.source,
            Self::Feedback(feedback, _) => &feedback.source,
        }
    }

    pub(super) fn tenant_id(self) -> &'a str {
        match self {
            Self::Event(event, _) => &event.tenant_id,
            Self::Feedback(feedback, _) => &feedback.tenant_id,
        }
    }

    pub(super) fn ticket_id(self) -> &'a str {
        match self {
            Self::Event(event, _) => &event.ticket_id,
            Self::Feedback(feedback, _) => &feedback.ticket_id,
        }
    }

    /// A chain of causes that nobody named yet is named after its first event.
    pub(super) fn correlation_id(self) -> &'a str {
        self.event().and_then(|event| event.correlation_id.as_deref()).unwrap_or(self.id())
    }

    pub(super) fn identity(self) -> Identity {
        match self {
            Self::Event(_, identity) | Self::Feedback(_, identity) => identity,
        }
    }

    /// `tenant|ticket`.
    pub(super) fn key(self) -> Payload {
        ticket_key(self.tenant_id(), self.ticket_id())
    }
}

/// `tenant|ticket`.
pub(super) fn ticket_key(tenant_id: &str, ticket_id: &str) -> Payload {
    format!("{tenant_id}|{ticket_id}").into()
}
