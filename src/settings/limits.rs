//! `limits.*`: how instances share what a tenant may ask.

use std::time::Duration;

use serde::Deserialize;

/// Shared limits.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Whether all instances of a ledger together keep a tenant's limits. false: each for itself.
    pub shared: bool,
    /// How far apart an instance's questions for one tenant are.
    #[serde(with = "humantime_serde")]
    pub trip_interval: Duration,
    /// How long an instance counts as one that wants some, after its last question.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// How long an answer is waited for.
    #[serde(with = "humantime_serde")]
    pub patience: Duration,
}
