//! PORT and operation: operators see the breakers of every instance, and order them open or closed.
//!
//! An order is an entry of the trail, so it stands: an instance that starts later takes the newest order of each model
//! too, and so learns that the one before it is over. What a breaker does by itself is its own; an instance says how its breakers are
//! a few times a minute and whenever one changes, and whoever looks sees who was not heard of for long.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;

use super::trail::{Act, Appended, AuditTrail, By, Change, Kind, NewChange};
use crate::domain::clock::Timestamp;
use crate::pipeline::dedupe::ledger::LedgerError;

/// The port. Implemented beside [`AuditTrail`].
pub trait BreakerBoard: Send + Sync + 'static {
    /// This is how breakers are now, instead of what was said before. What nobody renewed since `forget_before` goes.
    fn say(&self, said: Vec<Said>, forget_before: Timestamp) -> BoxFuture<'_, Result<(), LedgerError>>;

    /// What every instance said last, by instance and model.
    fn said(&self) -> BoxFuture<'_, Result<Vec<Said>, LedgerError>>;
}

/// How a breaker is, as its instance says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Said {
    /// Whose.
    pub instance: String,
    /// Which.
    pub model: String,
    /// `closed`, `open`, `half_open`, `stopped (CODE)`, `forced open`.
    pub state: String,
    /// Since when.
    pub since: Timestamp,
    /// What made it so, in words; none: it was never otherwise.
    pub why: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// The newest change by an operator that the instance has taken.
    pub revision: u64,
    /// When it said so.
    pub said_at: Timestamp,
}

/// Rows of instances that are gone for good go after this.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// What an operator wants of a model's breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Nobody asks it.
    Open {
        /// Which.
        model: String,
        /// For how long; none: until it is reset. No time at all: an older order is over, and nothing is opened.
        lasts: Option<Duration>,
    },
    /// It is closed, whatever it was.
    Reset {
        /// Which.
        model: String,
    },
}

impl Order {
    /// What an entry means now. One whose time has passed is an order too: it took the place of the one before it, which an
    /// instance that was away meanwhile may still obey.
    #[must_use]
    pub fn of(change: Change, now: Timestamp) -> Option<Self> {
        let Change { subject: model, act, until, .. } = change;
        let left = until.map(|until| Duration::from_millis(until.millis_since(now).unsigned_abs()));
        match act {
            Act::Opened => Some(Self::Open { model, lasts: left }),
            Act::Reset => Some(Self::Reset { model }),
            Act::Set | Act::Removed | Act::Sent => None,
        }
    }
}

/// Why there is no order.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// Somebody was faster.
    #[error("the breaker of {model:?} was ordered otherwise by somebody else meanwhile (revision {revision})")]
    Overtaken {
        /// Which.
        model: String,
        /// Their order.
        revision: u64,
    },
    /// The database.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Order a model's breaker open, until then or until it is reset. Says the revision.
///
/// # Errors
/// When somebody was faster, or the database does not answer.
pub async fn open(trail: &dyn AuditTrail, model: &str, until: Option<Timestamp>, by: By) -> Result<u64, OrderError> {
    order(trail, model, Act::Opened, until, by).await
}

/// Order a model's breaker closed. Says the revision.
///
/// # Errors
/// When somebody was faster, or the database does not answer.
pub async fn reset(trail: &dyn AuditTrail, model: &str, by: By) -> Result<u64, OrderError> {
    order(trail, model, Act::Reset, None, by).await
}

async fn order(
    trail: &dyn AuditTrail,
    model: &str,
    act: Act,
    until: Option<Timestamp>,
    by: By,
) -> Result<u64, OrderError> {
    let before = trail.list(Some(Kind::Breaker), Some(model), 1).await?.first().map(|newest| newest.revision);
    let change = NewChange { by, kind: Kind::Breaker, subject: model.to_owned(), act, before, document: None, until };
    match trail.append(change).await? {
        Appended::As(revision) => Ok(revision),
        Appended::Overtaken(revision) => Err(OrderError::Overtaken { model: model.to_owned(), revision }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(act: Act, until: Option<i64>) -> Change {
        Change {
            revision: 1,
            at: Timestamp(0),
            actor: "ada".to_owned(),
            kind: Kind::Breaker,
            subject: "gpt".to_owned(),
            act,
            before: None,
            note: None,
            document: None,
            until: until.map(Timestamp),
        }
    }

    #[test]
    fn an_order_lasts_as_long_as_is_left_of_it_and_one_whose_time_has_passed_for_no_time() {
        let of = |act, until| Order::of(entry(act, until), Timestamp(1_000));
        let open =
            |lasts: Option<u64>| Order::Open { model: "gpt".to_owned(), lasts: lasts.map(Duration::from_millis) };
        assert_eq!(of(Act::Opened, None), Some(open(None)));
        assert_eq!(of(Act::Opened, Some(1_500)), Some(open(Some(500))));
        for passed in [1_000, 1] {
            assert_eq!(of(Act::Opened, Some(passed)), Some(open(Some(0))));
        }
        assert_eq!(of(Act::Reset, None), Some(Order::Reset { model: "gpt".to_owned() }));
    }
}
