//! A record that could not be decided: untouched bytes, reason and origin.
//!
//! Field for field the Avro record of `schemas/`; JSON has the same shape.

use serde::{Deserialize, Serialize};

use super::bytes::Bytes;
use super::clock::Timestamp;

/// Topic support.dead-letters.v1, key = original key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// topic-partition-offset of the first failure; stable across replays
    pub dead_letter_id: String,
    pub origin_topic: String,
    pub origin_partition: i32,
    pub origin_offset: i64,
    pub origin_timestamp: Timestamp,
    #[serde(default)]
    pub key: Option<Bytes>,
    /// original bytes, untouched
    #[serde(default)]
    pub value: Option<Bytes>,
    #[serde(default)]
    pub headers: Vec<DeadLetterHeader>,
    #[serde(default)]
    pub schema_id: Option<i32>,
    #[serde(default)]
    pub event_id: Option<String>,
    #[serde(default)]
    pub event_source: Option<String>,
    #[serde(default)]
    pub tenant_id: Option<String>,
    #[serde(default)]
    pub ticket_id: Option<String>,
    #[serde(default)]
    pub stage: Stage,
    pub reason_code: String,
    pub reason: String,
    #[serde(default)]
    pub detail: Option<String>,
    pub attempts: i32,
    pub first_failed_at: Timestamp,
    pub last_failed_at: Timestamp,
    pub replayable: bool,
    #[serde(default)]
    pub replay_count: i32,
    pub consumer_group: String,
    pub processor: String,
    /// set when the value itself was too large to carry
    #[serde(default)]
    pub value_sha256: Option<String>,
}

/// A header of the original record; `Header` in the schema.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Header")]
pub struct DeadLetterHeader {
    pub name: String,
    #[serde(default)]
    pub value: Option<Bytes>,
}

/// Closed set `Stage`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Stage {
    Ingest,
    Dedupe,
    Lane,
    Admit,
    Triage,
    Decide,
    Publish,
    #[default]
    #[serde(other)]
    Unknown,
}
