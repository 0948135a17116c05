//! What an input says, as its outputs name it: the same questions to events and to human feedback.

use crate::domain::event::SupportEvent;
use crate::domain::human_feedback::HumanFeedback;
use crate::domain::identity::{BodyHash, DedupeKey};
use crate::domain::record::Payload;

/// A readable input.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A support event.
    Event(&'a SupportEvent),
    /// What a person made of a decision.
    Feedback(&'a HumanFeedback),
}

impl<'a> Subject<'a> {
    pub(super) fn event(self) -> Option<&'a SupportEvent> {
        match self {
            Self::Event(event) => Some(event),
            Self::Feedback(_) => None,
        }
    }

    pub(super) fn id(self) -> &'a str {
        match self {
            Self::Event(event) => &event.event_id,
            Self::Feedback(feedback) => &feedback.feedback_id,
        }
    }

    pub(super) fn source(self) -> &'a str {
        match self {
            Self::Event(event) => &event.source,
            Self::Feedback(feedback) => &feedback.source,
        }
    }

    pub(super) fn tenant_id(self) -> &'a str {
        match self {
            Self::Event(event) => &event.tenant_id,
            Self::Feedback(feedback) => &feedback.tenant_id,
        }
    }

    pub(super) fn ticket_id(self) -> &'a str {
        match self {
            Self::Event(event) => &event.ticket_id,
            Self::Feedback(feedback) => &feedback.ticket_id,
        }
    }

    /// A chain of causes that nobody named yet is named after its first event.
    pub(super) fn correlation_id(self) -> &'a str {
        self.event().and_then(|event| event.correlation_id.as_deref()).unwrap_or(self.id())
    }

    pub(super) fn dedupe_key(self) -> DedupeKey {
        match self {
            Self::Event(event) => DedupeKey::of_event(event),
            Self::Feedback(feedback) => DedupeKey::of_feedback(feedback),
        }
    }

    pub(super) fn body_hash(self) -> BodyHash {
        match self {
            Self::Event(event) => BodyHash::of_event(event),
            Self::Feedback(feedback) => BodyHash::of_feedback(feedback),
        }
    }

    /// `tenant|ticket`.
    pub(super) fn key(self) -> Payload {
        format!("{}|{}", self.tenant_id(), self.ticket_id()).into()
    }
}
