//! The input record: what happened to a ticket, with the state it left the ticket in.
//!
//! Field for field the Avro record of `schemas/`; JSON has the same shape.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::clock::Timestamp;

/// Input record. Topic support.events.v1, key = tenant_id|ticket_id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SupportEvent {
    /// CloudEvents id; unique within source
    pub event_id: String,
    /// CloudEvents source, URI-reference, e.g. /zendesk/acme
    pub source: String,
    #[serde(default)]
    pub event_type: EventType,
    pub tenant_id: String,
    /// CloudEvents subject
    pub ticket_id: String,
    /// CloudEvents time
    pub occurred_at: Timestamp,
    /// CloudEvents recordedtime
    #[serde(default)]
    pub recorded_at: Option<Timestamp>,
    /// CloudEvents expirytime
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// overrides source+event_id for deduplication
    #[serde(default)]
    pub idempotency_key: Option<String>,
    /// monotonic per ticket; used for stale/superseded
    #[serde(default)]
    pub ticket_version: Option<i64>,
    /// several events from one upstream update
    #[serde(default)]
    pub change_set: Option<ChangeSet>,
    #[serde(default)]
    pub correlation_id: Option<String>,
    /// decision_id or event id that caused this event; used to break loops
    #[serde(default)]
    pub causation_id: Option<String>,
    pub actor: Actor,
    /// state at this event (event-carried state)
    pub ticket: TicketSnapshot,
    /// TICKET_CREATED (first message), MESSAGE_ADDED, MESSAGE_REDACTED
    #[serde(default)]
    pub message: Option<Message>,
    /// optional earlier messages, newest last
    #[serde(default)]
    pub history: Vec<Message>,
    /// TICKET_UPDATED and others
    #[serde(default)]
    pub changes: Vec<FieldChange>,
    /// user_level, system, product, plan ...
    #[serde(default, deserialize_with = "each_key_once")]
    pub context: BTreeMap<String, String>,
    #[serde(default)]
    pub merged_into_ticket_id: Option<String>,
}

/// Closed set `EventType`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventType {
    TicketCreated,
    MessageAdded,
    TicketUpdated,
    TicketSolved,
    TicketReopened,
    TicketMerged,
    TicketMarkedSpam,
    TicketDeleted,
    MessageRedacted,
    #[default]
    #[serde(other)]
    Unknown,
}

/// Which of several events, when upstream split one update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangeSet {
    pub id: String,
    pub position: i32,
    pub total: i32,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Actor {
    #[serde(default, rename = "type")]
    pub kind: ActorType,
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub display_name: Option<String>,
    #[serde(default)]
    pub locale: Option<String>,
    /// customer tier / VIP flag used by priority floors
    #[serde(default)]
    pub tier: Option<String>,
}

/// Closed set `ActorType`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ActorType {
    EndUser,
    Agent,
    System,
    AiAgent,
    #[default]
    #[serde(other)]
    Unknown,
}

/// The ticket as it stood right after the event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TicketSnapshot {
    #[serde(default)]
    pub external_id: Option<String>,
    #[serde(default)]
    pub subject: Option<String>,
    #[serde(default)]
    pub status: TicketStatus,
    #[serde(default, rename = "type")]
    pub kind: Option<TicketType>,
    #[serde(default)]
    pub priority: Option<Priority>,
    #[serde(default)]
    pub impact: Option<Level>,
    #[serde(default)]
    pub urgency: Option<Level>,
    #[serde(default)]
    pub channel: Channel,
    #[serde(default)]
    pub group_id: Option<String>,
    #[serde(default)]
    pub assignee_id: Option<String>,
    #[serde(default)]
    pub requester: Option<Actor>,
    #[serde(default)]
    pub organization_id: Option<String>,
    #[serde(default)]
    pub brand_id: Option<String>,
    #[serde(default)]
    pub form_id: Option<String>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default, deserialize_with = "each_key_once")]
    pub custom_fields: BTreeMap<String, String>,
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
    #[serde(default)]
    pub sla: Option<SlaClock>,
    /// true once a person took over; AI must not send replies
    #[serde(default)]
    pub human_owned: bool,
}

/// Closed set `TicketStatus`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TicketStatus {
    New,
    Open,
    Pending,
    Hold,
    Solved,
    Closed,
    #[default]
    #[serde(other)]
    Unknown,
}

/// Closed set `TicketType`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TicketType {
    Question,
    Incident,
    Problem,
    Task,
    ServiceRequest,
    #[default]
    #[serde(other)]
    Unknown,
}

/// Closed set `Priority`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Priority {
    #[serde(alias = "low")]
    Low,
    #[serde(alias = "medium", alias = "MEDIUM", alias = "normal")]
    Normal,
    #[serde(alias = "high")]
    High,
    #[serde(alias = "critical", alias = "CRITICAL", alias = "urgent")]
    Urgent,
    #[default]
    #[serde(other)]
    Unknown,
}

/// Closed set `Level`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Level {
    Low,
    Medium,
    High,
    #[default]
    #[serde(other)]
    Unknown,
}

/// Closed set `Channel`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Channel {
    Email,
    Web,
    Chat,
    Messaging,
    Social,
    Voice,
    Api,
    #[default]
    #[serde(other)]
    Unknown,
}

/// What was promised to the customer, and by when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlaClock {
    #[serde(default)]
    pub policy: Option<String>,
    #[serde(default)]
    pub first_reply_due_at: Option<Timestamp>,
    #[serde(default)]
    pub resolution_due_at: Option<Timestamp>,
    #[serde(default)]
    pub paused: bool,
}

/// One message of the conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub message_id: String,
    pub author: Actor,
    /// plain text; HTML stripped by the publisher
    pub body: String,
    #[serde(default = "yes")]
    pub is_public: bool,
    pub created_at: Timestamp,
    /// BCP 47, if upstream already knows
    #[serde(default)]
    pub language: Option<String>,
    /// RFC 3834 class
    #[serde(default)]
    pub auto_submitted: AutoSubmitted,
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    /// CloudEvents claim check for bodies over the limit
    #[serde(default)]
    pub dataref: Option<String>,
}

/// Closed set `AutoSubmitted`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AutoSubmitted {
    No,
    AutoGenerated,
    AutoReplied,
    Bounce,
    List,
    #[default]
    #[serde(other)]
    Unknown,
}

/// A file beside a message; its bytes stay where they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    pub filename: String,
    pub content_type: String,
    pub size_bytes: i64,
    /// claim check URI
    #[serde(default)]
    pub dataref: Option<String>,
}

/// One field before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    pub field: String,
    #[serde(default)]
    pub previous: Option<String>,
    #[serde(default)]
    pub current: Option<String>,
}

macro_rules! written_as_in_the_schema {
    ($($set:ty),*) => {
        $(impl std::fmt::Display for $set {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                serde::Serialize::serialize(self, f)
            }
        })*
    };
}

pub(super) use written_as_in_the_schema;

written_as_in_the_schema!(EventType, ActorType, TicketStatus, TicketType, Priority, Level, Channel, AutoSubmitted);

/// A map that names a key twice means two things, and two readers would pick differently: it is refused.
fn each_key_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    struct EachKeyOnce;
    impl<'de> Visitor<'de> for EachKeyOnce {
        type Value = BTreeMap<String, String>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of text to text")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((key, value)) = access.next_entry()? {
                if map.insert(key, value).is_some() {
                    return Err(de::Error::custom("a key stands twice in a map"));
                }
            }
            Ok(map)
        }
    }
    deserializer.deserialize_map(EachKeyOnce)
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_demo_ticket_is_an_event() {
        let lines = include_str!("../../demo/tickets.jsonl").lines();
        let expected = include_str!("../../demo/expected.csv").lines().skip(1);
        let mut count = 0;
        for (number, (line, expected)) in (1..).zip(lines.zip(expected)) {
            let event: SupportEvent =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("line {number}: {error}"));
            assert!(expected.starts_with(&format!("{number},{},", event.event_id)), "line {number}: {expected}");
            count = number;
        }
        assert_eq!(count, include_str!("../../demo/tickets.jsonl").lines().count(), "every line has its expectation");
        assert!(count >= 300);
    }

    #[test]
    fn symbols_of_the_future_read_as_unknown_and_old_priority_names_as_ours() {
        let event = |name: &str| serde_json::from_str::<EventType>(name).expect("never fails");
        assert_eq!(event("\"TICKET_SNOOZED\""), EventType::Unknown);
        let priority = |name: &str| serde_json::from_str::<Priority>(name).expect("never fails");
        assert_eq!(priority("\"critical\""), Priority::Urgent);
        assert_eq!(priority("\"medium\""), Priority::Normal);
        assert_eq!(priority("\"p1\""), Priority::Unknown);
    }
}
