//! Records for tests: every field filled, only what is required, and any at all.

mod any_event;
mod outputs;

use std::collections::BTreeMap;

use super::clock::Timestamp;
use super::event::{
    Actor, ActorType, Attachment, AutoSubmitted, ChangeSet, Channel, EventType, FieldChange, Level, Message, Priority,
    SlaClock, SupportEvent, TicketSnapshot, TicketStatus, TicketType,
};

pub(crate) use self::any_event::any_event;
pub(crate) use self::outputs::{dead_letter, decision, feedback, human_feedback, ops_event, review};

pub(crate) const NOON: Timestamp = Timestamp(1_774_958_400_000);

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn pairs(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn actor(kind: ActorType, id: &str) -> Actor {
    Actor { kind, id: some(id), display_name: some("Zoë"), locale: some("de-AT"), tier: some("gold") }
}

fn message(id: &str, body: &str) -> Message {
    Message {
        message_id: id.to_owned(),
        author: actor(ActorType::EndUser, "u-1"),
        body: body.to_owned(),
        is_public: true,
        created_at: NOON,
        language: some("de"),
        auto_submitted: AutoSubmitted::No,
        attachments: vec![Attachment {
            filename: "screen.png".to_owned(),
            content_type: "image/png".to_owned(),
            size_bytes: 48_213,
            dataref: some("s3://bucket/screen.png"),
        }],
        dataref: some("s3://bucket/body"),
    }
}

/// Every field filled.
pub(crate) fn full_event() -> SupportEvent {
    SupportEvent {
        event_id: "evt-1".to_owned(),
        source: "/zendesk/acme".to_owned(),
        event_type: EventType::MessageAdded,
        tenant_id: "acme".to_owned(),
        ticket_id: "4711".to_owned(),
        occurred_at: NOON,
        recorded_at: Some(Timestamp(NOON.0 + 5)),
        expires_at: Some(Timestamp(NOON.0 + 3_600_000)),
        idempotency_key: some("update-77"),
        ticket_version: Some(7),
        change_set: Some(ChangeSet { id: "cs-1".to_owned(), position: 1, total: 2 }),
        correlation_id: some("corr-1"),
        causation_id: some("cause-1"),
        actor: actor(ActorType::EndUser, "u-1"),
        ticket: TicketSnapshot {
            external_id: some("A-1"),
            subject: some("Charged twice"),
            status: TicketStatus::Open,
            kind: Some(TicketType::Incident),
            priority: Some(Priority::High),
            impact: Some(Level::Medium),
            urgency: Some(Level::High),
            channel: Channel::Email,
            group_id: some("g-1"),
            assignee_id: some("a-1"),
            requester: Some(actor(ActorType::EndUser, "u-1")),
            organization_id: some("o-1"),
            brand_id: some("b-1"),
            form_id: some("f-1"),
            tags: vec!["billing".to_owned(), "vip".to_owned()],
            custom_fields: pairs(&[("plan", "pro"), ("region", "eu")]),
            created_at: Some(NOON),
            updated_at: Some(NOON),
            sla: Some(SlaClock {
                policy: some("standard"),
                first_reply_due_at: Some(NOON),
                resolution_due_at: Some(NOON),
                paused: true,
            }),
            human_owned: true,
        },
        message: Some(message("m-2", "I was charged twice for order 1001.\nPlease refund one of them.")),
        history: vec![message("m-1", "Hello")],
        changes: vec![FieldChange { field: "priority".to_owned(), previous: some("NORMAL"), current: some("HIGH") }],
        context: pairs(&[("product", "shop"), ("user_level", "beginner")]),
        merged_into_ticket_id: some("4000"),
    }
}

/// Only what is required, as JSON.
pub(crate) const SPARSE_EVENT: &str = r#"{
    "event_id": "evt-1", "source": "/zendesk/acme", "tenant_id": "acme", "ticket_id": "4711",
    "occurred_at": 1774958400000, "actor": {}, "ticket": {}
}"#;

/// Only what is required.
pub(crate) fn sparse_event() -> SupportEvent {
    serde_json::from_str(SPARSE_EVENT).expect("the required fields are there")
}
