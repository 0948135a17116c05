//! How much a tenant may ask: out of buckets of its own, or out of a share of what all instances have in common.

use std::time::Duration;

use tokio::time::Instant;

use super::shares::share::Share;
use crate::domain::tenant::Limits;
use crate::pipeline::quota::token_bucket::Verdict;
use crate::pipeline::quota::{Load, Quota};

/// A spent minute is over after this, and everything a share has heard is.
const A_MINUTE: Duration = Duration::from_secs(60);

/// One tenant's.
#[derive(Debug, Clone)]
pub(super) enum Allowance {
    Own(Quota),
    Shared(Share),
}

impl Allowance {
    /// `every`: how far apart trips are, if limits are shared. No limit needs no share.
    pub fn new(now: Instant, limits: Limits, every: Option<Duration>) -> Self {
        let is_limited = limits.requests_per_minute.is_some() || limits.tokens_per_minute.is_some();
        match every.filter(|_| is_limited) {
            Some(every) => Self::Shared(Share::new(now, limits, every)),
            None => Self::Own(Quota::full(now, limits)),
        }
    }

    pub fn limits(&self) -> &Limits {
        match self {
            Self::Own(quota) => quota.limits(),
            Self::Shared(share) => share.limits(),
        }
    }

    /// Other limits from now on.
    pub fn set_limits(&mut self, now: Instant, limits: Limits, every: Option<Duration>) {
        match (self, Self::new(now, limits, every)) {
            (Self::Own(quota), Self::Own(_)) => quota.set_limits(now, limits),
            (Self::Shared(share), Self::Shared(_)) => share.set_limits(now, limits),
            (this, other) => *this = other,
        }
    }

    pub fn check(&self, now: Instant, tokens: u32) -> Verdict {
        match self {
            Self::Own(quota) => quota.check(now, tokens),
            Self::Shared(share) => share.check(now, tokens),
        }
    }

    pub fn charge(&mut self, now: Instant, tokens: u32) {
        match self {
            Self::Own(quota) => quota.charge(now, tokens),
            Self::Shared(share) => share.charge(now, tokens),
        }
    }

    /// What was charged for one request made so many further ones, and used other tokens than it reserved.
    pub fn settle(&mut self, now: Instant, further: u32, reserved: u32, used: u32) {
        match self {
            Self::Own(quota) => {
                quota.owe_requests(now, further);
                quota.settle(now, reserved, used);
            }
            Self::Shared(share) => share.settle(now, further, reserved, used),
        }
    }

    /// What was charged for a request that was never made.
    pub fn give_back(&mut self, now: Instant, tokens: u32) {
        match self {
            Self::Own(quota) => quota.give_back(now, tokens),
            Self::Shared(share) => share.give_back(tokens),
        }
    }

    /// How long until nothing that is known of it matters any more; never, while something is to be said.
    pub fn forgotten_in(&self, now: Instant) -> Option<Duration> {
        match self {
            Self::Own(quota) => Some(quota.full_in(now)),
            Self::Shared(share) => (!share.is_open()).then_some(A_MINUTE),
        }
    }

    pub fn served_in(&self, now: Instant, before: Load, tokens: u32) -> Duration {
        match self {
            Self::Own(quota) => quota.served_in(now, before, tokens),
            Self::Shared(share) => share.served_in(now, before, tokens),
        }
    }

    pub fn levels(&self, now: Instant) -> (Option<f64>, Option<f64>) {
        match self {
            Self::Own(quota) => quota.levels(now),
            Self::Shared(share) => share.levels(),
        }
    }

    /// The limits as far as they are this instance's.
    pub fn pace(&self) -> Limits {
        match self {
            Self::Own(quota) => *quota.limits(),
            Self::Shared(share) => share.pace(),
        }
    }

    pub fn share(&mut self) -> Option<&mut Share> {
        match self {
            Self::Own(_) => None,
            Self::Shared(share) => Some(share),
        }
    }

    pub fn trip_due(&self, waiting: usize) -> Option<Instant> {
        match self {
            Self::Own(_) => None,
            Self::Shared(share) => share.trip_due(waiting),
        }
    }
}
