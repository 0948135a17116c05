//! Why a model did not answer; what is said of it where no provider says anything.

use super::prompt::NoPrompt;
use crate::domain::answer::Tried;
use crate::domain::reason_code::ReasonCode;

/// Why a model did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub code: ReasonCode,
    pub detail: String,
}

pub(super) fn breaker_open() -> Failure {
    Failure { code: ReasonCode::BreakerOpen, detail: "the breaker is open".to_owned() }
}

pub(super) fn stopped(code: ReasonCode) -> Failure {
    let detail = match code {
        ReasonCode::BreakerOpen => "an operator wants the model not to be asked",
        _ => "the model is stopped until it is reset",
    };
    Failure { code, detail: detail.to_owned() }
}

/// Whoever wants it so wants it now.
pub(super) fn switched_off() -> Failure {
    Failure { code: ReasonCode::SwitchedOff, detail: "the flag remote_models is off".to_owned() }
}

pub(super) fn left_alone() -> Failure {
    let detail = "the provider grants no call before the decision is due".to_owned();
    Failure { code: ReasonCode::ProviderError, detail }
}

pub(super) fn silent() -> Failure {
    Failure { code: ReasonCode::ProviderError, detail: "the provider wants to be left alone".to_owned() }
}

pub(super) fn no_money() -> Failure {
    let detail = "the tenant's money for the day is spent".to_owned();
    Failure { code: ReasonCode::BudgetExhausted, detail }
}

pub(super) fn deadline_passed() -> Failure {
    Failure { code: ReasonCode::DeadlineExceeded, detail: "no reply in its part of the decide-by time".to_owned() }
}

/// A remote model that was not asked, because there is no money for it.
pub(super) fn unpaid(model: &str) -> Tried {
    let Failure { code, detail } = no_money();
    Tried { model: model.to_owned(), code, attempts: 0, detail }
}

/// A remote model that was not asked, because the text must not leave this process, or not in a prompt of these templates.
pub(super) fn kept_back(model: &str, why: NoPrompt) -> Tried {
    Tried { model: model.to_owned(), code: ReasonCode::ContentFiltered, attempts: 0, detail: why.to_string() }
}
