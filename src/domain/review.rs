//! Human feedback joined with the decision it judges.
//!
//! Field for field the Avro record of `schemas/`; JSON has the same shape.

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::decision::Origin;

/// Output record. Topic support.decision-reviews.v1, key = tenant_id|ticket_id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionReview {
    pub review_id: String,
    pub feedback_id: String,
    #[serde(default)]
    pub decision_id: Option<String>,
    #[serde(default)]
    pub decision_version: Option<i32>,
    pub tenant_id: String,
    pub ticket_id: String,
    #[serde(default)]
    pub join_status: JoinStatus,
    pub kind: String,
    #[serde(default)]
    pub fields: Vec<FieldReview>,
    #[serde(default)]
    pub rating: Option<i32>,
    #[serde(default)]
    pub resolution: Option<String>,
    #[serde(default)]
    pub resolution_evidence: Option<String>,
    #[serde(default)]
    pub reply_outcome: Option<String>,
    #[serde(default)]
    pub edit_ratio: Option<f64>,
    #[serde(default)]
    pub comment: Option<String>,
    #[serde(default)]
    pub disposition: Option<String>,
    #[serde(default)]
    pub mode: Option<String>,
    #[serde(default)]
    pub policy_version: Option<String>,
    #[serde(default)]
    pub prompt_version: Option<String>,
    #[serde(default)]
    pub request_model: Option<String>,
    #[serde(default)]
    pub decided_by: Option<String>,
    #[serde(default)]
    pub language: Option<String>,
    #[serde(default)]
    pub decision_to_feedback_ms: Option<i64>,
    pub joined_at: Timestamp,
    /// position of the feedback record
    pub origin: Origin,
}

/// Closed set `JoinStatus`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JoinStatus {
    JoinedById,
    JoinedByTicket,
    Orphan,
    #[default]
    #[serde(other)]
    Unknown,
}

/// A predicted field against what people made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldReview {
    pub field: String,
    #[serde(default)]
    pub predicted: Option<String>,
    #[serde(default)]
    pub confidence: Option<f64>,
    /// as the model reported it; null in older records, where both are the same
    #[serde(default)]
    pub raw_confidence: Option<f64>,
    #[serde(default)]
    pub automation: Option<String>,
    pub actual: String,
    pub agreed: bool,
}
