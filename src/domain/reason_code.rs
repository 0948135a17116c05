//! Why a record ended as it did: the closed set of DESIGN's contract, one page each in `reason_codes.md`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::feedback::FeedbackStatus;

macro_rules! reason_codes {
    ($($variant:ident => $code:literal,)*) => {
        /// A stable machine code; names never change meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        pub enum ReasonCode {
            $(#[doc = concat!("`", $code, "`")] $variant,)*
        }

        impl ReasonCode {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As it stands in records, logs and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
        }
    };
}

reason_codes! {
    Decided => "DECIDED",
    BreakerOpen => "BREAKER_OPEN",
    ProviderError => "PROVIDER_ERROR",
    ProviderTimeout => "PROVIDER_TIMEOUT",
    ProviderAuth => "PROVIDER_AUTH",
    ProviderQuota => "PROVIDER_QUOTA",
    ContentFiltered => "CONTENT_FILTERED",
    OutputInvalid => "OUTPUT_INVALID",
    BudgetExhausted => "BUDGET_EXHAUSTED",
    DeadlineExceeded => "DEADLINE_EXCEEDED",
    SwitchedOff => "SWITCHED_OFF",
    SameEvent => "SAME_EVENT",
    TypeNotSubscribed => "TYPE_NOT_SUBSCRIBED",
    SelfCaused => "SELF_CAUSED",
    MachineGenerated => "MACHINE_GENERATED",
    InternalNote => "INTERNAL_NOTE",
    HumanOwned => "HUMAN_OWNED",
    TicketClosed => "TICKET_CLOSED",
    Expired => "EXPIRED",
    NoRelevantChange => "NO_RELEVANT_CHANGE",
    NewerEvent => "NEWER_EVENT",
    DecodeFailed => "DECODE_FAILED",
    UnknownSchema => "UNKNOWN_SCHEMA",
    ValidationFailed => "VALIDATION_FAILED",
    EnvelopeMismatch => "ENVELOPE_MISMATCH",
    TenantUnknown => "TENANT_UNKNOWN",
    TenantDisabled => "TENANT_DISABLED",
    IdempotencyConflict => "IDEMPOTENCY_CONFLICT",
    PayloadTooLarge => "PAYLOAD_TOO_LARGE",
    TenantRateLimited => "TENANT_RATE_LIMITED",
    ProviderRateLimited => "PROVIDER_RATE_LIMITED",
    WaitingForEarlierEvent => "WAITING_FOR_EARLIER_EVENT",
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The pairs that may stand in an `EventFeedback`, in the order of the contract.
pub const STATUS_AND_CODES: &[(FeedbackStatus, &[ReasonCode])] = {
    use FeedbackStatus as S;
    use ReasonCode as C;
    &[
        (S::Accepted, &[C::Decided]),
        (
            S::Degraded,
            &[
                C::BreakerOpen,
                C::ProviderError,
                C::ProviderTimeout,
                C::ProviderAuth,
                C::ProviderQuota,
                C::ContentFiltered,
                C::OutputInvalid,
                C::BudgetExhausted,
                C::DeadlineExceeded,
                C::SwitchedOff,
            ],
        ),
        (S::Duplicate, &[C::SameEvent]),
        (
            S::Ignored,
            &[
                C::TypeNotSubscribed,
                C::SelfCaused,
                C::MachineGenerated,
                C::InternalNote,
                C::HumanOwned,
                C::TicketClosed,
                C::Expired,
                C::NoRelevantChange,
            ],
        ),
        (S::Superseded, &[C::NewerEvent]),
        (
            S::Rejected,
            &[
                C::DecodeFailed,
                C::UnknownSchema,
                C::ValidationFailed,
                C::EnvelopeMismatch,
                C::TenantUnknown,
                C::TenantDisabled,
                C::IdempotencyConflict,
                C::PayloadTooLarge,
            ],
        ),
        (
            S::Deferred,
            &[
                C::TenantRateLimited,
                C::ProviderRateLimited,
                C::BreakerOpen,
                C::BudgetExhausted,
                C::WaitingForEarlierEvent,
            ],
        ),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_belongs_to_a_status_and_its_serde_name_is_its_name() {
        for code in ReasonCode::ALL {
            assert!(STATUS_AND_CODES.iter().any(|(_, codes)| codes.contains(code)), "{code} has no status");
            assert_eq!(serde_json::to_string(code).expect("a unit variant"), format!("\"{code}\""));
        }
    }

    /// The pages by heading.
    fn pages() -> Vec<(&'static str, &'static str)> {
        let chapters = include_str!("reason_codes.md").split("\n## ").skip(1);
        chapters.map(|chapter| chapter.split_once('\n').expect("a heading and a text")).collect()
    }

    #[test]
    fn every_code_has_its_page_and_every_page_its_code() {
        let headings: Vec<_> = pages().into_iter().map(|(heading, _)| heading).collect();
        let codes: Vec<_> = ReasonCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(headings, codes, "in the same order, none twice");
    }

    #[test]
    fn a_page_names_its_statuses_and_answers_the_four_questions() {
        for (heading, text) in pages() {
            for part in [
                "**Status**: ",
                "**What happened**: ",
                "**The publisher sees**: ",
                "**What to do**: ",
                "**Where to look**: ",
            ] {
                let answer = text.split_once(part).map(|(_, rest)| rest.split("- **").next().unwrap_or(rest).trim());
                assert!(answer.is_some_and(|answer| answer.len() >= 7), "{heading} does not say {part}");
            }
            let statuses = text.lines().find(|line| line.contains("**Status**")).expect("checked above");
            for (status, codes) in STATUS_AND_CODES {
                let name = serde_json::to_string(status).expect("a unit variant");
                let belongs = codes.iter().any(|code| code.as_str() == heading);
                assert_eq!(statuses.contains(name.trim_matches('"')), belongs, "{heading}: {name}");
            }
        }
    }
}
