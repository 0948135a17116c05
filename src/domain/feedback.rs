//! What became of one input record: exactly one terminal per record.
//!
//! Field for field the Avro record of `schemas/`; JSON has the same shape.

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::decision::Origin;

/// Output record. Topic support.feedback.v1, key = tenant_id|ticket_id (the record's original key when it could
/// not be read).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventFeedback {
    /// null when the record could not be read
    #[serde(default)]
    pub event_id: Option<String>,
    /// null when the record could not be read
    #[serde(default)]
    pub event_source: Option<String>,
    #[serde(default)]
    pub idempotency_key: Option<String>,
    #[serde(default)]
    pub tenant_id: Option<String>,
    #[serde(default)]
    pub ticket_id: Option<String>,
    #[serde(default)]
    pub status: FeedbackStatus,
    /// false only for DEFERRED
    pub terminal: bool,
    /// stable machine code, see table
    pub reason_code: String,
    #[serde(default)]
    pub reason: Option<String>,
    /// ACCEPTED, DEGRADED; for DUPLICATE the first event's decision
    #[serde(default)]
    pub decision_id: Option<String>,
    #[serde(default)]
    pub decision_version: Option<i32>,
    /// DUPLICATE
    #[serde(default)]
    pub first_seen_at: Option<Timestamp>,
    #[serde(default)]
    pub superseded_by_event_id: Option<String>,
    /// DEFERRED
    #[serde(default)]
    pub retry_at: Option<Timestamp>,
    #[serde(default = "one")]
    pub attempt: i32,
    #[serde(default)]
    pub limit: Option<LimitState>,
    #[serde(default)]
    pub violations: Vec<Violation>,
    #[serde(default)]
    pub dead_lettered: bool,
    pub origin: Origin,
    pub processed_at: Timestamp,
    pub latency_ms: i64,
    /// instance / version
    pub processor: String,
}

/// Closed set `FeedbackStatus`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FeedbackStatus {
    Accepted,
    Duplicate,
    Rejected,
    Deferred,
    Degraded,
    Ignored,
    Superseded,
    #[default]
    #[serde(other)]
    Unknown,
}

/// The limit that made an event wait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitState {
    /// tenant or provider
    pub scope: String,
    /// requests, tokens, or micros: millionths of the tenant's currency
    pub unit: String,
    pub capacity: i64,
    pub remaining: i64,
    pub refills_at: Timestamp,
}

/// One thing that is wrong with an event; `message` never quotes the ticket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    pub path: String,
    pub code: String,
    pub message: String,
}

fn one() -> i32 {
    1
}
