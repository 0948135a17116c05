//! How the simulated provider behaves, switchable while it runs.

use std::time::Duration;

use rand::Rng;
use rand_distr::{Distribution as _, LogNormal};
use serde::{Deserialize, Serialize};

/// The body of `POST /control`: replaces the behaviour as a whole, absent keys mean their defaults.
///
/// `{"mode": "rate_limit", "retry_after": "30", "calls": 10}`, `{"mode": "outage_500", "share": 0.2}`,
/// `{"latency": {"lognormal": {"p50_ms": 800, "p99_ms": 4000}}}`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Control {
    /// What goes wrong.
    pub mode: Mode,
    /// `Retry-After` of refusals, word for word.
    pub retry_after: Option<String>,
    /// With so many calls, then all is well again; absent: with all.
    pub calls: Option<u64>,
    /// With this share of calls, 0 to 1; absent: with all.
    pub share: Option<f64>,
    /// Before the first byte.
    pub latency: Latency,
}

impl Control {
    /// What goes wrong with the call that just came in.
    pub(super) fn next_mode(&mut self, chance: &mut impl Rng) -> Mode {
        let hit = self.share.is_none_or(|share| chance.random_bool(share.clamp(0.0, 1.0)));
        match (&mut self.calls, hit) {
            (_, false) | (Some(0), true) => Mode::Ok,
            (Some(left), true) => {
                *left -= 1;
                self.mode
            }
            (None, true) => self.mode,
        }
    }
}

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing.
    #[default]
    Ok,
    /// 500 with a JSON error.
    #[serde(rename = "outage_500")]
    Outage500,
    /// 503 with an HTML page.
    #[serde(rename = "outage_503")]
    Outage503,
    /// Accepts and never answers.
    Hang,
    /// 429.
    RateLimit,
    /// 429, `insufficient_quota`.
    Quota,
    /// 401.
    Auth,
    /// 403.
    Forbidden,
    /// 403, moderation flagged the prompt.
    Flagged,
    /// 403 with an HTML page: a firewall before the provider.
    Firewall,
    /// 402.
    PaymentRequired,
    /// 404.
    NotFound,
    /// 400.
    BadRequest,
    /// 413.
    TooLarge,
    /// 302 to another address.
    Redirect,
    /// 200 with an HTML page.
    Garbage,
    /// 200 without a body.
    Empty,
    /// 200, JSON that ends too early.
    Truncated,
    /// 200, a completion that is not UTF-8.
    BadUtf8,
    /// 200, 100 MB.
    Oversize,
    /// 200, gzip nobody asked for.
    Bomb,
    /// 200, one byte a second.
    SlowBody,
    /// 200, half a body, then nothing.
    StallBody,
    /// 200, half a body, then the connection breaks.
    ResetBody,
    /// An answer of another shape.
    WrongShape,
    /// An answer with a field too many.
    ExtraField,
    /// A field twice.
    DuplicateKey,
    /// A category nobody has.
    UnknownLabel,
    /// NaN for a confidence.
    NotANumber,
    /// 1e999 for a confidence.
    HugeNumber,
    /// 100 for a confidence.
    Overconfident,
    /// A refusal.
    Refuse,
    /// Cut off by the token limit.
    Length,
    /// Stopped by the content filter.
    ContentFilter,
    /// 400, the prompt was filtered.
    PromptFilter,
    /// 200, and an error where the answer should be.
    FailedMidway,
    /// A tool call in place of an answer.
    ToolCall,
    /// No token counts.
    NoUsage,
    /// Negative token counts.
    NegativeUsage,
    /// Token counts of zero.
    ZeroUsage,
}

/// How long until the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Latency {
    /// Always the same.
    Fixed {
        /// Milliseconds.
        ms: u64,
    },
    /// As real providers have it: a long tail.
    Lognormal {
        /// Median, milliseconds.
        p50_ms: f64,
        /// 99th percentile, milliseconds.
        p99_ms: f64,
    },
    /// Mostly fast, sometimes slow.
    TwoPoint {
        /// Milliseconds.
        fast_ms: u64,
        /// Milliseconds.
        slow_ms: u64,
        /// Share of slow calls, 0 to 1.
        slow_share: f64,
    },
}

impl Default for Latency {
    fn default() -> Self {
        Self::Fixed { ms: 0 }
    }
}

/// The 99th percentile of the standard normal distribution.
const Z99: f64 = 2.326_347_874;

impl Latency {
    pub(super) fn draw(&self, chance: &mut impl Rng) -> Duration {
        match *self {
            Self::Fixed { ms } => Duration::from_millis(ms),
            Self::TwoPoint { fast_ms, slow_ms, slow_share } => {
                let slow = chance.random_bool(slow_share.clamp(0.0, 1.0));
                Duration::from_millis(if slow { slow_ms } else { fast_ms })
            }
            Self::Lognormal { p50_ms, p99_ms } => {
                let p50 = p50_ms.max(0.001);
                let sigma = (p99_ms.max(p50) / p50).ln() / Z99;
                // What is no number at all is as slow as can be.
                let millis = LogNormal::new(p50.ln(), sigma).map_or(f64::INFINITY, |millis| millis.sample(chance));
                Duration::try_from_secs_f64(millis / 1_000.0).unwrap_or(Duration::MAX)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn latencies_have_the_percentiles_they_say() {
        let mut chance = ChaCha8Rng::seed_from_u64(7);
        let latency = Latency::Lognormal { p50_ms: 800.0, p99_ms: 4_000.0 };
        let mut drawn: Vec<_> = (0..20_000).map(|_| latency.draw(&mut chance).as_millis()).collect();
        drawn.sort_unstable();
        assert!((760..840).contains(&drawn[10_000]), "{}", drawn[10_000]);
        assert!((3_600..4_400).contains(&drawn[19_800]), "{}", drawn[19_800]);
    }

    #[test]
    fn misbehaviour_ends_after_its_calls_and_unknown_keys_are_refused() {
        let mut chance = ChaCha8Rng::seed_from_u64(7);
        let mut control: Control = serde_json::from_str(r#"{"mode": "outage_500", "calls": 2}"#).expect("valid");
        let modes: Vec<_> = (0..3).map(|_| control.next_mode(&mut chance)).collect();
        assert_eq!(modes, [Mode::Outage500, Mode::Outage500, Mode::Ok]);
        assert!(serde_json::from_str::<Control>(r#"{"mode": "nonsense"}"#).is_err());
        assert!(serde_json::from_str::<Control>(r#"{"mod": "ok"}"#).is_err());
    }
}
