//! `ledger.*`: what remembers events, answers and verdicts.

use std::time::Duration;

use serde::Deserialize;

/// The ledger.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Without it there is no dedupe and no saved answer: a crash pays again and a resend is decided again.
    pub enabled: bool,
    /// `sqlite:PATH`.
    pub url: String,
    /// How long a dedupe key is remembered after its verdict was published.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
    /// How long a rejected event's row lives: as long as the dead letters.
    #[serde(with = "humantime_serde")]
    pub rejected_window: Duration,
    /// How often old rows are dropped.
    #[serde(with = "humantime_serde")]
    pub retention_interval: Duration,
    /// Rows dropped at once.
    pub retention_batch: u32,
    /// Entries written in one transaction.
    pub batch_max_entries: usize,
    /// A statement slower than this is a warning.
    #[serde(with = "humantime_serde")]
    pub slow_warn: Duration,
    /// A statement slower than this is an error.
    #[serde(with = "humantime_serde")]
    pub slow_error: Duration,
    /// How long to wait for another process's write lock.
    #[serde(with = "humantime_serde")]
    pub busy_timeout: Duration,
}
