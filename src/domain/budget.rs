//! A tenant's money for one day: what of it is spent, and what is spoken for.
//!
//! A day is one of UTC, by the clock of whoever is about to make a call. Every day has a purse of its own, so a clock that
//! goes back finds the purse of the day it goes back to as it was left.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::money::Money;

const DAY_MS: i64 = 24 * 3_600_000;

/// A day of UTC, counted from the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(pub i64);

impl Day {
    /// The day of this moment.
    #[must_use]
    pub fn of(now: Timestamp) -> Self {
        Self(now.0.div_euclid(DAY_MS))
    }

    /// Its first moment.
    #[must_use]
    pub fn begins(self) -> Timestamp {
        Timestamp(self.0.saturating_mul(DAY_MS))
    }

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// How long until the next one begins.
    #[must_use]
    pub fn ends_in(self, now: Timestamp) -> Duration {
        Duration::from_millis(self.next().begins().millis_since(now).unsigned_abs())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of the moment at which it begins, the date.
        let begins = self.begins().to_string();
        f.write_str(begins.split('T').next().unwrap_or(&begins))
    }
}

/// What one tenant's day has cost so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Purse {
    /// Billed; of calls that a crash cut off, what they were expected to cost.
    pub settled: Money,
    /// What the calls that run now are expected to cost.
    pub open: Money,
}

impl Purse {
    /// Both: what the day will have cost, if every call costs what was expected.
    #[must_use]
    pub fn spent(self) -> Money {
        Money(self.settled.0.saturating_add(self.open.0))
    }

    /// What of a budget is left.
    #[must_use]
    pub fn left_of(self, budget: Money) -> Money {
        Money(budget.0.saturating_sub(self.spent().0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight_of_utc() {
        let last = Timestamp::from_rfc3339("2026-03-01T23:59:59.999Z").expect("a time");
        let first = Timestamp::from_rfc3339("2026-03-02T00:00:00Z").expect("a time");
        assert_eq!(Day::of(last).next(), Day::of(first));
        assert_eq!((Day::of(last).ends_in(last), Day::of(first).begins()), (Duration::from_millis(1), first));
        assert_eq!(Day::of(first).to_string(), "2026-03-02");
        assert_eq!(Day::of(Timestamp(-1)).next(), Day::of(Timestamp(0)), "also before the epoch");
    }
}
