//! What a failed call means: for the event, for the breaker, for another attempt, for the model's pace. One table, read
//! across.

use std::time::Duration;

use super::breaker::Outcome;
use super::model::CallError;
use super::throttle::Paced;
use crate::domain::reason_code::ReasonCode;
use crate::telemetry::happenings::CallOutcome;

/// What a failed call means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Meaning {
    /// Why the model did not answer.
    pub code: ReasonCode,
    /// What it says about the provider's health.
    pub health: Outcome,
    /// Whether the same question may be asked again, and how long the provider wants us to wait at least.
    pub again: Option<Option<Duration>>,
    /// As metrics name it.
    pub label: CallOutcome,
    /// How fast the model may be asked from now on.
    pub pace: Paced,
}

/// The table.
pub(super) fn meaning(error: &CallError) -> Meaning {
    use CallOutcome as Label;
    use Outcome::{Failure, Neither, Refused};
    use ReasonCode as Code;
    let otherwise = Paced::Otherwise { retry_after: None };
    let (code, health, again, label, pace) = match error {
        CallError::Connection(_) => (Code::ProviderError, Failure, Some(None), Label::Connection, otherwise),
        CallError::Garbled(_) => (Code::ProviderError, Failure, Some(None), Label::Garbled, otherwise),
        CallError::Timeout { .. } => (Code::ProviderTimeout, Failure, Some(None), Label::Timeout, Paced::TimedOut),
        CallError::Server { retry_after, .. } => {
            let pace = Paced::Otherwise { retry_after: *retry_after };
            (Code::ProviderError, Failure, Some(*retry_after), Label::Server, pace)
        }
        // It is alive and says so: slow down, do not trip.
        CallError::RateLimited { retry_after } => {
            let pace = Paced::RateLimited { retry_after: *retry_after };
            (Code::ProviderError, Neither, Some(*retry_after), Label::RateLimited, pace)
        }
        CallError::Quota => (Code::ProviderQuota, Refused(Code::ProviderQuota), None, Label::Quota, otherwise),
        CallError::Auth { .. } => (Code::ProviderAuth, Refused(Code::ProviderAuth), None, Label::Auth, otherwise),
        // Ours to fix; the same request fails again.
        CallError::Request { .. } => (Code::ProviderError, Neither, None, Label::Request, otherwise),
        CallError::Filtered => (Code::ContentFiltered, Neither, None, Label::Filtered, otherwise),
    };
    Meaning { code, health, again, label, pace }
}
