//! What the outputs of an item stem from, and word of them for people.

use std::time::Duration;

use super::item::{Content, Item};
use crate::domain::feedback::FeedbackStatus;
use crate::domain::reason_code::ReasonCode;
use crate::pipeline::publish::{Identity, Source, Subject};
use crate::telemetry::happenings::EventSettled;

/// An event has its end, or is put off, so long after its record was written.
pub(super) fn settled(item: &Item, status: FeedbackStatus, code: ReasonCode, latency_ms: i64) {
    let event = item.event().map(|event| &*event.event);
    let is_timed = item.record.timestamp.is_known();
    EventSettled {
        status,
        code,
        tenant_id: event.map(|event| event.tenant_id.as_str()),
        tenant_is_known: item.event().is_some_and(|event| event.tenant.is_some()),
        ticket_id: event.map(|event| event.ticket_id.as_str()),
        event_id: event.map(|event| event.event_id.as_str()),
        correlation_id: event.and_then(|event| event.correlation_id.as_deref()),
        position: &item.position,
        latency: is_timed.then(|| Duration::from_millis(latency_ms.unsigned_abs())),
    }
    .record();
}

/// The record that outputs stem from; `topic` is the name of its origin's.
pub(super) fn source<'a>(item: &'a Item, topic: &'a str) -> Source<'a> {
    Source {
        topic,
        partition: item.position.partition,
        record: &item.record,
        subject: match &item.content {
            Content::Event(event) => {
                // An improve record claims a key of its own.
                let key = event.improves.as_ref().map_or(event.claim.key, |improves| improves.event);
                Some(Subject::Event(&event.event, Identity { key, body: event.claim.body }))
            }
            Content::Feedback(feedback) => {
                let identity = Identity { key: feedback.claim.key, body: feedback.claim.body };
                Some(Subject::Feedback(&feedback.feedback, identity))
            }
            Content::Unreadable(_) => None,
        },
        schema_id: match &item.content {
            Content::Unreadable(rejection) => rejection.schema_id,
            Content::Event(event) => event.schema_id,
            Content::Feedback(feedback) => feedback.rejection.as_ref().and_then(|rejection| rejection.schema_id),
        },
    }
}
