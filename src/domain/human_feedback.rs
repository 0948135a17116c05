//! What an agent or a customer made of a decision.
//!
//! Field for field the Avro record of `schemas/`; JSON has the same shape.

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::event::{Actor, written_as_in_the_schema};

/// Input record. Topic support.human-feedback.v1, key = tenant_id|ticket_id (co-partitioned with decisions).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HumanFeedback {
    pub feedback_id: String,
    pub source: String,
    pub tenant_id: String,
    pub ticket_id: String,
    /// null: joined to the ticket's latest live decision
    #[serde(default)]
    pub decision_id: Option<String>,
    pub occurred_at: Timestamp,
    pub actor: Actor,
    #[serde(default)]
    pub kind: FeedbackKind,
    #[serde(default)]
    pub overrides: Vec<FieldOverride>,
    #[serde(default)]
    pub reply_outcome: Option<ReplyOutcome>,
    /// 0..1 share of the draft changed
    #[serde(default)]
    pub edit_ratio: Option<f64>,
    /// 1..5
    #[serde(default)]
    pub rating: Option<i32>,
    #[serde(default)]
    pub resolution: Option<Resolution>,
    #[serde(default)]
    pub resolution_evidence: Option<ResolutionEvidence>,
    #[serde(default)]
    pub reason_code: Option<String>,
    #[serde(default)]
    pub comment: Option<String>,
}

/// Closed set `FeedbackKind`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FeedbackKind {
    Accepted,
    Override,
    Rejected,
    ReplyOutcome,
    Rating,
    Resolution,
    Reopened,
    HandoffRequested,
    #[default]
    #[serde(other)]
    Unknown,
}

/// A field that a person set otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldOverride {
    pub field: String,
    #[serde(default)]
    pub predicted: Option<String>,
    pub actual: String,
    #[serde(default)]
    pub reason: Option<String>,
}

/// Closed set `ReplyOutcome`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReplyOutcome {
    SentAsIs,
    SentEdited,
    Discarded,
    #[default]
    #[serde(other)]
    Unknown,
}

/// Closed set `Resolution`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Resolution {
    Resolved,
    PartiallyResolved,
    NotResolved,
    #[default]
    #[serde(other)]
    Unknown,
}

/// Closed set `ResolutionEvidence`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ResolutionEvidence {
    CustomerConfirmed,
    AgentConfirmed,
    AssumedBySilence,
    #[default]
    #[serde(other)]
    Unknown,
}

written_as_in_the_schema!(FeedbackKind, ReplyOutcome, Resolution, ResolutionEvidence);
