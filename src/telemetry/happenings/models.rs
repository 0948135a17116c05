//! What models do, and their breakers.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tracing::{debug, error, info, warn};

use super::millis;
use crate::telemetry::{metric_names as names, tenant_labels};

/// How an attempt ended, as far as a metric tells it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// There was a reply.
    Answered,
    /// No connection, or it broke.
    Connection,
    /// Connect, first byte or total.
    Timeout,
    /// 429.
    RateLimited,
    /// Quota or money used up.
    Quota,
    /// 401, 403.
    Auth,
    /// Other 4xx.
    Request,
    /// 5xx.
    Server,
    /// Prompt or answer filtered.
    Filtered,
    /// Not a completion.
    Garbled,
    /// Ended by us, too early to say anything of the provider.
    Cancelled,
}

impl CallOutcome {
    /// As a label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limited",
            Self::Quota => "quota",
            Self::Auth => "auth",
            Self::Request => "request",
            Self::Server => "server",
            Self::Filtered => "filtered",
            Self::Garbled => "garbled",
            Self::Cancelled => "cancelled",
        }
    }
}

/// An attempt at a model ended.
#[derive(Debug, Clone, Copy)]
pub struct ModelCalled<'a> {
    /// Its name in the settings.
    pub model: &'a str,
    /// How.
    pub outcome: CallOutcome,
    /// How long it took.
    pub duration: Duration,
}

impl ModelCalled<'_> {
    /// Log and count it.
    pub fn record(&self) {
        let (model, outcome) = (self.model.to_owned(), self.outcome.label());
        counter!(names::MODEL_CALLS, "model" => model.clone(), "outcome" => outcome).increment(1);
        histogram!(names::MODEL_CALL_DURATION, "model" => model, "outcome" => outcome)
            .record(self.duration.as_secs_f64());
        debug!(model = self.model, outcome, duration_ms = millis(self.duration), "model called");
        // Both stay wrong until a person mends them, however often they are tried.
        if matches!(self.outcome, CallOutcome::Auth | CallOutcome::Quota) {
            warn!(model = self.model, outcome, "the provider refuses our account");
        }
    }
}

/// What an answer cost.
#[derive(Debug, Clone, Copy)]
pub struct ModelAnswered<'a> {
    /// Its name in the settings.
    pub model: &'a str,
    /// Who pays.
    pub tenant_id: &'a str,
    /// Prompt tokens billed.
    pub input_tokens: u64,
    /// Completion tokens billed.
    pub output_tokens: u64,
    /// Millionths of the currency.
    pub cost_micros: u64,
    /// ISO 4217.
    pub currency: &'a str,
}

impl ModelAnswered<'_> {
    /// Log and count it.
    pub fn record(&self) {
        let tenant = tenant_labels::label(self.tenant_id);
        let (model, currency) = (self.model.to_owned(), self.currency.to_owned());
        for (direction, tokens) in [("input", self.input_tokens), ("output", self.output_tokens)] {
            counter!(names::MODEL_TOKENS, "model" => model.clone(), "direction" => direction).increment(tokens);
            counter!(names::TENANT_TOKENS, "tenant" => tenant.clone(), "direction" => direction).increment(tokens);
        }
        counter!(names::MODEL_COST, "model" => model, "currency" => currency.clone()).increment(self.cost_micros);
        counter!(names::TENANT_COST, "tenant" => tenant, "currency" => currency).increment(self.cost_micros);
        debug!(
            model = self.model,
            tenant.id = self.tenant_id,
            input_tokens = self.input_tokens,
            output_tokens = self.output_tokens,
            cost_micros = self.cost_micros,
            "model answered"
        );
    }
}

/// Whether calls go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// All do.
    Closed,
    /// Probes do.
    HalfOpen,
    /// None do.
    Open,
    /// None do until a person has mended it.
    Stopped,
}

impl BreakerState {
    /// As a label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
            Self::Stopped => "stopped",
        }
    }

    const fn level(self) -> f64 {
        match self {
            Self::Closed => 0.0,
            Self::HalfOpen => 1.0,
            Self::Open => 2.0,
            Self::Stopped => 3.0,
        }
    }
}

/// A breaker as it is at the start.
#[derive(Debug, Clone, Copy)]
pub struct BreakerSeen<'a> {
    /// Of which model.
    pub model: &'a str,
    /// How it is.
    pub state: BreakerState,
}

impl BreakerSeen<'_> {
    /// Set the gauge: one that never changes is to be seen as well, and so is that it did not change yet.
    pub fn record(&self) {
        for to in [BreakerState::Closed, BreakerState::HalfOpen, BreakerState::Open, BreakerState::Stopped] {
            counter!(names::BREAKER_CHANGES, "model" => self.model.to_owned(), "to" => to.label()).increment(0);
        }
        gauge!(names::BREAKER_STATE, "model" => self.model.to_owned()).set(self.state.level());
    }
}

/// A breaker changed its state.
#[derive(Debug, Clone, Copy)]
pub struct BreakerChanged<'a> {
    /// Of which model.
    pub model: &'a str,
    /// Before.
    pub from: BreakerState,
    /// Now.
    pub to: BreakerState,
    /// What made it change, in words.
    pub reason: &'a str,
}

impl BreakerChanged<'_> {
    /// Log and count it.
    pub fn record(&self) {
        BreakerSeen { model: self.model, state: self.to }.record();
        counter!(names::BREAKER_CHANGES, "model" => self.model.to_owned(), "to" => self.to.label()).increment(1);
        let (from, to) = (self.from.label(), self.to.label());
        match self.to {
            BreakerState::Stopped => {
                error!(model = self.model, from, to, reason = self.reason, "model stopped: somebody has to mend it");
            }
            BreakerState::Open => warn!(model = self.model, from, to, reason = self.reason, "breaker changed"),
            BreakerState::Closed | BreakerState::HalfOpen => {
                info!(model = self.model, from, to, reason = self.reason, "breaker changed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::happenings::tests::recorded;

    #[test]
    fn calls_costs_and_breakers_are_counted_by_model() {
        let lines = recorded(|| {
            let duration = Duration::from_millis(90);
            ModelCalled { model: "openai", outcome: CallOutcome::Timeout, duration }.record();
            ModelAnswered {
                model: "openai",
                tenant_id: "paying-tenant",
                input_tokens: 300,
                output_tokens: 20,
                cost_micros: 57,
                currency: "EUR",
            }
            .record();
            let (from, to) = (BreakerState::Closed, BreakerState::Open);
            BreakerChanged { model: "openai", from, to, reason: "5 failures in a row" }.record();
            BreakerChanged { model: "other", from, to: BreakerState::Stopped, reason: "the key is wrong" }.record();
        });
        for line in [
            "gatekeeper_model_calls_total{model=\"openai\",outcome=\"timeout\"} 1",
            "gatekeeper_model_call_duration_seconds_bucket{model=\"openai\",outcome=\"timeout\",le=\"0.1\"} 1",
            "gatekeeper_model_tokens_total{model=\"openai\",direction=\"output\"} 20",
            "gatekeeper_tenant_cost_micros_total{tenant=\"paying-tenant\",currency=\"EUR\"} 57",
            "gatekeeper_breaker_state{model=\"openai\"} 2",
            "gatekeeper_breaker_changes_total{model=\"openai\",to=\"open\"} 1",
            "gatekeeper_breaker_state{model=\"other\"} 3",
            "gatekeeper_breaker_changes_total{model=\"other\",to=\"stopped\"} 1",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
        }
    }
}
