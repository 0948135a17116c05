//! `schemas.*`: how records are framed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::secret::Secret;

/// Framing.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schemas {
    /// What outputs are written as.
    pub output: Encoding,
    /// Where ids come from instead of `ids`.
    pub registry: Registry,
    /// Schema ids by record name and version, `SupportEvent.v1 = 1`, in both directions; without a registry.
    pub ids: BTreeMap<String, u32>,
    /// A larger value is rejected as PAYLOAD_TOO_LARGE before it is decoded.
    pub max_payload_bytes: usize,
    /// A record whose key is not `tenant|ticket` is rejected as ENVELOPE_MISMATCH.
    pub reject_foreign_keys: bool,
}

/// A schema registry with Confluent's API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// `https://host:8081`, with the path of its API if it has one; absent: there is none.
    #[serde(default)]
    pub url: Option<String>,
    /// Basic authentication.
    #[serde(default)]
    pub username: Option<String>,
    /// Basic authentication.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Bearer authentication.
    #[serde(default)]
    pub token: Option<Secret>,
    /// Whether the processor registers what it writes, or only looks it up.
    pub auto_register: bool,
    /// TCP and TLS.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// One question with its answer.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// A longer answer is not read.
    pub max_body_bytes: usize,
    /// Ids that are remembered; the one that was needed longest ago is asked for again.
    pub max_schemas: usize,
    /// How long an id that the registry does not have counts as unknown before it is asked for again.
    #[serde(with = "humantime_serde")]
    pub absent_for: Duration,
    /// When a question that failed is asked again.
    pub retry: RegistryRetry,
}

/// Back-off: each wait is twice the one before.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryRetry {
    /// First wait.
    #[serde(with = "humantime_serde")]
    pub base: Duration,
    /// Longest wait.
    #[serde(with = "humantime_serde")]
    pub cap: Duration,
}

impl RegistryRetry {
    /// The wait after so many failures in a row.
    #[must_use]
    pub fn wait(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.base.saturating_mul(1 << doublings).min(self.cap)
    }
}

/// The form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Avro in Confluent framing.
    Avro,
    /// JSON of the same shape.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_twice_the_one_before_up_to_the_cap() {
        let retry = RegistryRetry { base: Duration::from_millis(500), cap: Duration::from_secs(10) };
        let waits: Vec<_> = [1, 2, 3, 5, 6, 1_000].map(|failures| retry.wait(failures).as_millis()).into();
        assert_eq!(waits, [500, 1_000, 2_000, 8_000, 10_000, 10_000]);
    }
}
