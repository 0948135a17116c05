//! One limit of a tenant for several instances: each borrows from what they have in common, a second's worth at a time.
//!
//! ```text
//!  instance                                         database
//!  share.rs   "I hold 3, 40 wait"  --- trip --->    account.rs   what is there / what the others want
//!             "take 25 more"       <-------------   (one row a tenant, the database's clock)
//! ```
//!
//! A trip says everything: what is still held of the last one goes back, what was used beyond it is owed, and what is
//! wanted for the next second is borrowed. So nobody sits on what others could use, and an instance that has nothing to
//! do, or is gone, holds nothing that lasts. Between trips nothing is asked.
//!
//! This is the port; [`account`] and [`share`] are its two pure ends. Not here: who carries trips, and when they fail.

pub mod account;
pub mod share;

#[cfg(test)]
mod simulation;

use std::ops::{Add, Neg, Sub};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::domain::tenant::Limits;

/// What instances have in common.
pub trait LimitShares: Send + Sync {
    /// All in one transaction, on the database's clock; an answer each, in order. Whoever is not heard of for as long as
    /// `lease` is not counted any more. A trip that fails may have happened.
    fn trip(&self, asks: Vec<Ask>, lease: Duration) -> BoxFuture<'_, Result<Vec<Reply>, SharesError>>;
}

/// The database did not answer a trip; the next one may do better.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SharesError(pub String);

/// Requests and tokens. What is not limited stays zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Model requests.
    pub requests: i64,
    /// Model tokens.
    pub tokens: i64,
}

/// What one instance says of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Whose limits.
    pub tenant: Arc<str>,
    /// Which.
    pub limits: Limits,
    /// What it still holds; negative: what it used beyond that.
    pub held: Amount,
    /// Less than this is of no use to it: what the first in its queue costs.
    pub least: Amount,
    /// What all of its queue costs.
    pub demand: Amount,
    /// It wants some in reserve although nothing waits: more is likely to come.
    pub renews: bool,
}

impl Ask {
    /// Nothing is wanted: what it holds goes back, and it is not counted any more.
    #[must_use]
    pub fn leaves(&self) -> bool {
        !self.renews && self.demand == Amount::default()
    }
}

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// What it holds changes by this; the sum is what it was granted.
    pub change: Amount,
    /// What is left for everybody.
    pub left: Amount,
    /// How many instances want some, this one included if it does.
    pub sharers: u32,
    /// A minute's worth was spent at once: it is over in so long.
    pub opens_in: Duration,
}

impl Amount {
    /// The smaller of both, each.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self { requests: self.requests.min(other.requests), tokens: self.tokens.min(other.tokens) }
    }

    /// The larger of both, each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { requests: self.requests.max(other.requests), tokens: self.tokens.max(other.tokens) }
    }
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            tokens: self.tokens.saturating_add(other.tokens),
        }
    }
}

impl Neg for Amount {
    type Output = Self;

    fn neg(self) -> Self {
        Self { requests: self.requests.saturating_neg(), tokens: self.tokens.saturating_neg() }
    }
}

impl Sub for Amount {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}
