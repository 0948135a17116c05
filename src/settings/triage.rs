//! `triage.*`: in which order models are asked, and how calls are guarded.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// The guard.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Triage {
    /// Names of models in order of preference; people come after the last.
    pub chain: Vec<String>,
    /// A folder with `system.txt` and `ticket.txt`; absent: the ones that ship with the product.
    #[serde(default)]
    pub prompts: Option<PathBuf>,
    /// Longer ticket text is cut in the prompt.
    pub max_prompt_chars: usize,
    /// The retry loop.
    pub retry: Retry,
    /// The breaker of each remote model.
    pub breaker: Breaker,
    /// When the local model answers before any remote one is asked.
    pub local_first: LocalFirst,
}

/// When the local model answers before any remote one is asked: for tenants whose `calibrated_fields` have the category.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalFirst {
    /// Whether it does at all; the flag `local_first` says for which tickets.
    pub enabled: bool,
    /// From this confidence in its category on its answer stands; below it a remote model is asked.
    pub threshold: f64,
}

/// The retry loop: ours is the only one.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Attempts per model and event, the first included.
    pub max_attempts: u32,
    /// First step of the full-jitter back-off.
    #[serde(with = "humantime_serde")]
    pub base: Duration,
    /// Longest step.
    #[serde(with = "humantime_serde")]
    pub cap: Duration,
    /// A longer Retry-After ends the attempts at this model.
    #[serde(with = "humantime_serde")]
    pub max_retry_after: Duration,
    /// Retries may be this share of first attempts, in percent.
    pub budget_percent: u32,
}

/// The breaker of each remote model.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breaker {
    /// This many failures in a row open it.
    pub consecutive_failures: u32,
    /// So does this share of failures, in percent,
    pub failure_percent: u32,
    /// of at least this many calls
    pub min_calls: u32,
    /// within this window.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
    /// How long it stays open.
    #[serde(with = "humantime_serde")]
    pub open_for: Duration,
    /// Calls let through when it is half open.
    pub probes: u32,
}
