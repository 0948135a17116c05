//! What a failed call means: for the event, for the breaker, for another attempt. One table, read across.

use std::time::Duration;

use super::breaker::Outcome;
use super::model::CallError;
use crate::domain::reason_code::ReasonCode;
use crate::telemetry::happenings::CallOutcome;

/// What a failed call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meaning {
    /// Why the model did not answer.
    pub code: ReasonCode,
    /// What it says about the provider's health.
    pub health: Outcome,
    /// Whether the same question may be asked again, and how long the provider wants us to wait at least.
    pub again: Option<Option<Duration>>,
    /// As metrics name it.
    pub label: CallOutcome,
}

/// The table.
pub(super) fn meaning(error: &CallError) -> Meaning {
    use CallOutcome as Label;
    use Outcome::{Failure, Neither, Refused};
    use ReasonCode as Code;
    let (code, health, again, label) = match error {
        CallError::Connection(_) => (Code::ProviderError, Failure, Some(None), Label::Connection),
        CallError::Garbled(_) => (Code::ProviderError, Failure, Some(None), Label::Garbled),
        CallError::Timeout { .. } => (Code::ProviderTimeout, Failure, Some(None), Label::Timeout),
        CallError::Server { retry_after, .. } => (Code::ProviderError, Failure, Some(*retry_after), Label::Server),
        // It is alive and says so: slow down, do not trip.
        CallError::RateLimited { retry_after } => {
            (Code::ProviderError, Neither, Some(*retry_after), Label::RateLimited)
        }
        CallError::Quota => (Code::ProviderQuota, Refused(Code::ProviderQuota), None, Label::Quota),
        CallError::Auth { .. } => (Code::ProviderAuth, Refused(Code::ProviderAuth), None, Label::Auth),
        // Ours to fix; the same request fails again.
        CallError::Request { .. } => (Code::ProviderError, Neither, None, Label::Request),
        CallError::Filtered => (Code::ContentFiltered, Neither, None, Label::Filtered),
    };
    Meaning { code, health, again, label }
}
