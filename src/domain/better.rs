//! A better decision after a fallback: what is known of it, and when there is to be one.
//!
//! Where the first model of the chain was away and something else decided, the decision is marked DEGRADED and never acts.
//! A tenant may want the first model's own decision later (`improve_fallbacks`): an *improve* record, a copy of the event,
//! goes to the shortest delay tier, and on to the next longer one each time that the model is still away when it is due.
//!
//! Not here: how it is asked for and checked (`pipeline/road/improving.rs`), and what it says (policy, as always).

use serde::{Deserialize, Serialize};

use super::deferral::TIER_DELAYS;
use super::reason_code::ReasonCode;

/// The version of a better decision. There is one at most: it is the first model's, and nobody is better placed.
pub const BETTER_VERSION: i32 = 2;

/// How often the model is tried: once a tier, so for seventy-one minutes.
pub const TRIES: usize = TIER_DELAYS.len();

/// What a row of the ledger knows of a better decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// The event's row: the burst with this fallback carries an improve record.
    Wanted,
    /// The improve record's row: it is in this verdict.
    Given,
    /// The improve record's row: there is none.
    Dropped(Dropped),
}

/// Why there is no better decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dropped {
    /// A newer event of the ticket was decided, or is about to be.
    NewerEvent,
    /// Somebody gave feedback on the fallback, or an event says that a person owns the ticket, or that it is closed.
    PersonActed,
    /// The model was away at every try.
    ModelAway,
    /// The model has nothing usable to say about this one, and will have nothing the next time.
    NoAnswer,
    /// The event's own time has passed.
    Expired,
    /// The tenant is gone or disabled, or does not want any now.
    NotWanted,
}

impl Dropped {
    /// As it stands in metrics, and in words for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NewerEvent => "newer_event",
            Self::PersonActed => "person_acted",
            Self::ModelAway => "model_away",
            Self::NoAnswer => "no_answer",
            Self::Expired => "expired",
            Self::NotWanted => "not_wanted",
        }
    }
}

/// Whether the cause of a fallback passes, so that the same question may be answered later. Not what lies in the event or
/// its text (a filter, an unusable answer), nor in a budget that is used up.
#[must_use]
pub const fn passes(code: ReasonCode) -> bool {
    matches!(
        code,
        ReasonCode::BreakerOpen
            | ReasonCode::ProviderError
            | ReasonCode::ProviderTimeout
            | ReasonCode::ProviderAuth
            | ReasonCode::ProviderQuota
            | ReasonCode::DeadlineExceeded
    )
}
