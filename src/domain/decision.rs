//! The main output: what should happen to the ticket, who said so, and how sure they were.
//!
//! Field for field the Avro record of `schemas/`; JSON has the same shape.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::event::{Level, written_as_in_the_schema};

/// Output record. Topic support.decisions.v1, key = tenant_id|ticket_id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriageDecision {
    /// UUIDv5(dedupe key, policy fingerprint, decision_version)
    pub decision_id: String,
    /// 1; more only for a better decision after a fallback or a live replay, always with supersedes_decision_id
    #[serde(default = "one")]
    pub decision_version: i32,
    pub event_id: String,
    pub event_source: String,
    #[serde(default)]
    pub idempotency_key: Option<String>,
    pub tenant_id: String,
    pub ticket_id: String,
    #[serde(default)]
    pub message_id: Option<String>,
    /// version the decision is based on; apply with compare-and-set
    #[serde(default)]
    pub ticket_version: Option<i64>,
    pub decided_at: Timestamp,
    #[serde(default)]
    pub mode: Mode,
    #[serde(default)]
    pub disposition: Disposition,
    #[serde(default)]
    pub decided_by: DecidedBy,
    /// set when decided_by = FALLBACK
    #[serde(default)]
    pub degraded_reason: Option<String>,
    #[serde(default)]
    pub intent: Option<Prediction>,
    #[serde(default)]
    pub category: Option<Prediction>,
    #[serde(default)]
    pub sentiment: Option<Prediction>,
    #[serde(default)]
    pub language: Option<Prediction>,
    #[serde(default)]
    pub priority: Option<Prediction>,
    #[serde(default)]
    pub impact: Option<Prediction>,
    #[serde(default)]
    pub urgency: Option<Prediction>,
    #[serde(default)]
    pub ticket_type: Option<Prediction>,
    #[serde(default)]
    pub custom_fields: BTreeMap<String, Prediction>,
    #[serde(default)]
    pub routing: Option<Routing>,
    #[serde(default)]
    pub entities: Vec<Entity>,
    pub risk: Risk,
    pub safety: Safety,
    #[serde(default)]
    pub reply: Option<SuggestedReply>,
    #[serde(default)]
    pub handoff: Option<Handoff>,
    #[serde(default)]
    pub sla: Option<SlaRisk>,
    #[serde(default)]
    pub related: Option<Related>,
    pub rationale: String,
    pub policy: PolicyRef,
    #[serde(default)]
    pub model: Option<ModelUsage>,
    #[serde(default)]
    pub supersedes_decision_id: Option<String>,
    #[serde(default)]
    pub correlation_id: Option<String>,
    /// first position of the event in the log
    pub origin: Origin,
}

/// Closed set `Mode`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mode {
    Live,
    Shadow,
    Replay,
    #[default]
    #[serde(other)]
    Unknown,
}

/// Closed set `Disposition`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Disposition {
    AutoResolve,
    SuggestReply,
    Route,
    Handoff,
    RequestInfo,
    MarkSpam,
    NoAction,
    #[default]
    #[serde(other)]
    Unknown,
}

/// Closed set `DecidedBy`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DecidedBy {
    Model,
    Rule,
    Fallback,
    Cache,
    #[default]
    #[serde(other)]
    Unknown,
}

/// One predicted field: the value, how sure, and what a consumer may do with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    pub value: String,
    /// 0..1 after calibration
    pub confidence: f64,
    /// as reported by the model
    #[serde(default)]
    pub raw_confidence: Option<f64>,
    #[serde(default)]
    pub confidence_level: Level,
    /// the cut-off that was applied
    #[serde(default)]
    pub threshold: Option<f64>,
    /// what the consumer may do with it
    #[serde(default)]
    pub automation: Automation,
    /// next best values
    #[serde(default)]
    pub alternatives: Vec<Alternative>,
    #[serde(default)]
    pub previous_value: Option<String>,
    #[serde(default)]
    pub rationale: Option<String>,
}

/// Closed set `Automation`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Automation {
    None,
    Recommend,
    Select,
    Apply,
    #[default]
    #[serde(other)]
    Unknown,
}

/// A value that came close.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    pub value: String,
    pub confidence: f64,
}

/// Where the ticket should go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Routing {
    pub queue: Prediction,
    #[serde(default)]
    pub skills: Vec<String>,
    #[serde(default)]
    pub group_id: Option<String>,
    #[serde(default)]
    pub assignee_id: Option<String>,
}

/// Something named in the text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    pub name: String,
    pub value: String,
    #[serde(default)]
    pub start: Option<i32>,
    #[serde(default)]
    pub end: Option<i32>,
    pub confidence: f64,
    #[serde(default)]
    pub source: EntitySource,
}

/// Closed set `EntitySource`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EntitySource {
    Regex,
    List,
    Model,
    #[default]
    #[serde(other)]
    Unknown,
}

/// How much could go wrong if the decision acted by itself; 0..1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Risk {
    pub score: f64,
    #[serde(default)]
    pub factors: Vec<String>,
}

/// What was found in the text, and what it kept the decision from doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Safety {
    #[serde(default)]
    pub spam_score: Option<f64>,
    #[serde(default)]
    pub abuse_score: Option<f64>,
    #[serde(default)]
    pub abuse_labels: Vec<String>,
    #[serde(default)]
    pub pii_types: Vec<String>,
    #[serde(default)]
    pub redactions: i32,
    #[serde(default)]
    pub prompt_injection_suspected: bool,
    #[serde(default)]
    pub machine_generated: bool,
    #[serde(default)]
    pub blocked_by: Vec<String>,
}

/// A draft for a person to send, or to throw away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuggestedReply {
    pub body: String,
    pub language: String,
    #[serde(default)]
    pub citations: Vec<Citation>,
    #[serde(default)]
    pub groundedness: Option<f64>,
    /// the original's step list, if a tenant wants it
    #[serde(default)]
    pub steps_json: Option<String>,
}

/// What a draft rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Citation {
    pub source_id: String,
    pub title: String,
    #[serde(default)]
    pub url: Option<String>,
    #[serde(default)]
    pub score: Option<f64>,
    #[serde(default)]
    pub excerpt: Option<String>,
}

/// Everything a person needs to take over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Handoff {
    #[serde(default)]
    pub escalation_type: EscalationType,
    pub reason_code: String,
    pub reason: String,
    pub summary: String,
    #[serde(default)]
    pub suggested_actions: Vec<String>,
    #[serde(default)]
    pub attempted: Vec<String>,
    #[serde(default)]
    pub target_response_at: Option<Timestamp>,
}

/// Closed set `EscalationType`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EscalationType {
    Technical,
    Billing,
    Security,
    CustomerService,
    Specialist,
    Legal,
    #[default]
    #[serde(other)]
    Unknown,
}

/// How close a promise is to being broken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlaRisk {
    #[serde(default)]
    pub due_at: Option<Timestamp>,
    pub breach_risk: f64,
    pub clock: String,
}

/// Tickets that speak of the same thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Related {
    #[serde(default)]
    pub duplicate_of_ticket_id: Option<String>,
    #[serde(default)]
    pub cluster_id: Option<String>,
    #[serde(default)]
    pub cluster_size: i32,
    #[serde(default)]
    pub similar_ticket_ids: Vec<String>,
}

/// Under which rules the decision was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyRef {
    pub policy_id: String,
    pub policy_version: String,
    pub taxonomy_version: String,
    pub prompt_version: String,
    #[serde(default)]
    pub experiment: Option<String>,
    #[serde(default)]
    pub variant: Option<String>,
}

/// What the model was asked and what it cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelUsage {
    /// gen_ai.provider.name
    pub provider: String,
    pub request_model: String,
    #[serde(default)]
    pub response_model: Option<String>,
    #[serde(default)]
    pub response_id: Option<String>,
    pub input_tokens: i64,
    pub output_tokens: i64,
    /// millionths of the tenant currency
    pub cost_micros: i64,
    pub latency_ms: i64,
    pub attempts: i32,
    #[serde(default)]
    pub finish_reason: Option<String>,
}

/// A position in the log as other people's tools name it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub timestamp: Timestamp,
}

fn one() -> i32 {
    1
}

written_as_in_the_schema!(Mode, Disposition, DecidedBy, Automation);
