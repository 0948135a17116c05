//! How fast remote models are asked, and why not faster.

use std::time::Duration;

use metrics::{counter, gauge};
use tracing::{info, warn};

use super::millis;
use crate::telemetry::metric_names as names;

/// Why fewer calls run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slowed {
    /// The provider said 429.
    RateLimited,
    /// Calls did not end in time.
    TimedOut,
    /// Calls took much longer than they used to.
    Slower,
}

impl Slowed {
    /// As a label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::TimedOut => "timeouts",
            Self::Slower => "latency",
        }
    }
}

/// Fewer calls of a model run at once from now on. That more do again is no happening: it goes one by one.
#[derive(Debug, Clone, Copy)]
pub struct ModelSlowed<'a> {
    /// Its name in the settings.
    pub model: &'a str,
    /// The limit before.
    pub from: u32,
    /// The limit now.
    pub to: u32,
    /// What made it fall.
    pub why: Slowed,
}

impl ModelSlowed<'_> {
    /// Log and count it.
    pub fn record(&self) {
        let why = self.why.label();
        counter!(names::MODEL_SLOWED, "model" => self.model.to_owned(), "why" => why).increment(1);
        info!(model = self.model, from = self.from, to = self.to, why, "model slowed down");
    }
}

/// A provider wants to be left alone for a while.
#[derive(Debug, Clone, Copy)]
pub struct ModelPaused<'a> {
    /// The model's name in the settings.
    pub model: &'a str,
    /// For how long nothing is asked.
    pub lasts: Duration,
    /// For how long the provider wanted it.
    pub asked: Duration,
}

impl ModelPaused<'_> {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::MODEL_PAUSES, "model" => self.model.to_owned()).increment(1);
        let (lasts_ms, asked_ms) = (millis(self.lasts), millis(self.asked));
        if self.asked > self.lasts {
            warn!(model = self.model, lasts_ms, asked_ms, "model paused; its provider wants longer than we wait");
        } else {
            info!(model = self.model, lasts_ms, asked_ms, "model paused");
        }
    }
}

/// The pace of one model at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelPace<'a> {
    /// Its name in the settings.
    pub model: &'a str,
    /// Calls that run.
    pub running: u32,
    /// Calls that may.
    pub limit: u32,
    /// Calls that ever may.
    pub limit_max: u32,
    /// For how much longer nothing is asked.
    pub paused_for: Duration,
    /// Requests left of the minute; `None`: unlimited.
    pub requests_left: Option<f64>,
    /// Tokens left of the minute, negative in debt; `None`: unlimited.
    pub tokens_left: Option<f64>,
}

impl ModelPace<'_> {
    /// Set the gauges; too frequent to log.
    pub fn record(&self) {
        let set = |name, value: f64| gauge!(name, "model" => self.model.to_owned()).set(value);
        set(names::MODEL_RUNNING, self.running.into());
        set(names::MODEL_CONCURRENCY, self.limit.into());
        set(names::MODEL_CONCURRENCY_MAX, self.limit_max.into());
        set(names::MODEL_PAUSED, self.paused_for.as_secs_f64());
        for (name, left) in
            [(names::MODEL_REQUESTS_LEFT, self.requests_left), (names::MODEL_TOKENS_LEFT, self.tokens_left)]
        {
            if let Some(left) = left {
                set(name, left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::happenings::tests::recorded;

    #[test]
    fn paces_are_shown_by_model_and_what_slows_one_is_counted() {
        let lines = recorded(|| {
            ModelSlowed { model: "openai", from: 100, to: 80, why: Slowed::RateLimited }.record();
            let lasts = Duration::from_secs(60);
            ModelPaused { model: "openai", lasts, asked: Duration::from_secs(86_400) }.record();
            ModelPace {
                model: "openai",
                running: 7,
                limit: 80,
                limit_max: 1_000,
                paused_for: lasts,
                requests_left: Some(12.5),
                tokens_left: None,
            }
            .record();
        });
        for line in [
            "gatekeeper_model_slowed_total{model=\"openai\",why=\"rate_limited\"} 1",
            "gatekeeper_model_pauses_total{model=\"openai\"} 1",
            "gatekeeper_model_running{model=\"openai\"} 7",
            "gatekeeper_model_concurrency{model=\"openai\"} 80",
            "gatekeeper_model_concurrency_max{model=\"openai\"} 1000",
            "gatekeeper_model_paused_seconds{model=\"openai\"} 60",
            "gatekeeper_model_requests_left{model=\"openai\"} 12.5",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
        }
        assert!(!lines.iter().any(|line| line.starts_with("gatekeeper_model_tokens_left{")), "{lines:#?}");
    }
}
