//! What operators want to know as it happens: breaker changes, throttling, policy changes.
//!
//! Field for field the Avro record of `schemas/`; JSON has the same shape.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;

/// Topic support.ops.v1
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpsEvent {
    pub ops_event_id: String,
    pub at: Timestamp,
    #[serde(default)]
    pub kind: OpsKind,
    #[serde(default)]
    pub tenant_id: Option<String>,
    #[serde(default)]
    pub component: Option<String>,
    #[serde(default)]
    pub previous: Option<String>,
    #[serde(default)]
    pub current: Option<String>,
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    pub processor: String,
}

/// Closed set `OpsKind`; a symbol this build does not know reads as `UNKNOWN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OpsKind {
    BreakerStateChanged,
    TenantThrottled,
    TenantBudgetExhausted,
    PolicyLoaded,
    PolicyRejected,
    ReplayStarted,
    ReplayFinished,
    IncidentClusterOpened,
    IncidentClusterClosed,
    /// An operator moved a group's position.
    PositionSet,
    #[default]
    #[serde(other)]
    Unknown,
}
