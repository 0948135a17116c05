//! What a failed call means: for the event, for the breaker, for another attempt. One table, read across.

use std::time::Duration;

use super::breaker::Outcome;
use super::model::CallError;
use crate::domain::reason_code::ReasonCode;

/// What a failed call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meaning {
    /// Why the model did not answer.
    pub code: ReasonCode,
    /// What it says about the provider's health.
    pub health: Outcome,
    /// Whether the same question may be asked again, and how long the provider wants us to wait at least.
    pub again: Option<Option<Duration>>,
}

/// The table.
pub(super) fn meaning(error: &CallError) -> Meaning {
    use Outcome::{Failure, Neither, Refused};
    use ReasonCode as Code;
    let (code, health, again) = match error {
        CallError::Connection(_) | CallError::Garbled(_) => (Code::ProviderError, Failure, Some(None)),
        CallError::Timeout { .. } => (Code::ProviderTimeout, Failure, Some(None)),
        CallError::Server { retry_after, .. } => (Code::ProviderError, Failure, Some(*retry_after)),
        // It is alive and says so: slow down, do not trip.
        CallError::RateLimited { retry_after } => (Code::ProviderError, Neither, Some(*retry_after)),
        CallError::Quota => (Code::ProviderQuota, Refused(Code::ProviderQuota), None),
        CallError::Auth { .. } => (Code::ProviderAuth, Refused(Code::ProviderAuth), None),
        // Ours to fix; the same request fails again.
        CallError::Request { .. } => (Code::ProviderError, Neither, None),
        CallError::Filtered => (Code::ContentFiltered, Neither, None),
    };
    Meaning { code, health, again }
}
