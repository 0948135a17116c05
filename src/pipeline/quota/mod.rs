//! How much may be asked a minute: a bucket of requests and a bucket of tokens, both or one or none.
//!
//! Two stages count so: admission for each tenant, triage for each remote model. A bucket holds one minute's worth: who
//! was quiet may spend its minute at once. Not here: who waits, and for how long.

pub mod token_bucket;

use std::time::Duration;

use tokio::time::Instant;

use self::token_bucket::{TokenBucket, Verdict};
use crate::domain::tenant::{LimitMode, Limits};

/// So many requests, of so many tokens altogether.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// How many.
    pub requests: u64,
    /// Of all of them.
    pub tokens: u64,
}

/// The buckets of one tenant or model, as its limits want them.
#[derive(Debug, Clone)]
pub struct Quota {
    limits: Limits,
    requests: Option<TokenBucket>,
    tokens: Option<TokenBucket>,
}

impl Quota {
    /// Full buckets.
    #[must_use]
    pub fn full(now: Instant, limits: Limits) -> Self {
        let full = |limit: Option<u32>| limit.map(|per_minute| TokenBucket::full(now, per_minute, per_minute));
        Self { limits, requests: full(limits.requests_per_minute), tokens: full(limits.tokens_per_minute) }
    }

    /// Buckets that begin empty and hold three seconds' worth: a steady stream, and nothing to save up.
    #[must_use]
    pub fn trickle(now: Instant, limits: Limits) -> Self {
        let trickle = |limit: Option<u32>| {
            limit.map(|per_minute| {
                let capacity = (per_minute / 20).max(1);
                let mut bucket = TokenBucket::full(now, capacity, per_minute);
                bucket.charge(now, capacity);
                bucket
            })
        };
        Self { limits, requests: trickle(limits.requests_per_minute), tokens: trickle(limits.tokens_per_minute) }
    }

    /// The limits it was made for.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Other limits from now on; what is saved up and what is owed stay in proportion. Nothing is owed for what went while
    /// they were only watched.
    pub fn set_limits(&mut self, now: Instant, limits: Limits) {
        if self.limits.mode == LimitMode::Shadow && limits.mode != LimitMode::Shadow {
            self.forgive(now);
        }
        let change = |bucket: &mut Option<TokenBucket>, limit: Option<u32>| match (bucket.as_mut(), limit) {
            (Some(bucket), Some(per_minute)) => bucket.set_rate(now, per_minute, per_minute),
            (_, limit) => *bucket = limit.map(|per_minute| TokenBucket::full(now, per_minute, per_minute)),
        };
        change(&mut self.requests, limits.requests_per_minute);
        change(&mut self.tokens, limits.tokens_per_minute);
        self.limits = limits;
    }

    /// Whatever is owed need not be paid.
    pub fn forgive(&mut self, now: Instant) {
        self.requests.iter_mut().chain(&mut self.tokens).for_each(|bucket| bucket.forgive(now));
    }

    /// Whether one request of so many tokens may go.
    #[must_use]
    pub fn check(&self, now: Instant, tokens: u32) -> Verdict {
        let wait = |bucket: &Option<TokenBucket>, cost| match bucket.as_ref().map(|bucket| bucket.check(now, cost)) {
            None | Some(Verdict::Granted) => Duration::ZERO,
            Some(Verdict::Wait(wait)) => wait,
        };
        match wait(&self.requests, 1).max(wait(&self.tokens, tokens)) {
            Duration::ZERO => Verdict::Granted,
            wait => Verdict::Wait(wait),
        }
    }

    /// One request of so many tokens goes; whether it may was [checked](Self::check) before.
    pub fn charge(&mut self, now: Instant, tokens: u32) {
        for (bucket, cost) in [(&mut self.requests, 1), (&mut self.tokens, tokens)] {
            if let Some(bucket) = bucket {
                bucket.charge(now, cost);
            }
        }
    }

    /// A request used other than it reserved.
    pub fn settle(&mut self, now: Instant, reserved: u32, used: u32) {
        if let Some(tokens) = &mut self.tokens {
            tokens.settle(now, reserved, used);
        }
    }

    /// So many requests went that nobody had asked about.
    pub fn owe_requests(&mut self, now: Instant, further: u32) {
        if let Some(requests) = &mut self.requests {
            requests.charge(now, further);
        }
    }

    /// A request that was charged was never made.
    pub fn give_back(&mut self, now: Instant, tokens: u32) {
        for (bucket, cost) in [(&mut self.requests, 1), (&mut self.tokens, tokens)] {
            if let Some(bucket) = bucket {
                bucket.settle(now, cost, 0);
            }
        }
    }

    /// Whoever grants the requests says that no more than these are left; `None`: nothing is said.
    pub fn at_most(&mut self, now: Instant, requests: Option<u64>, tokens: Option<u64>) {
        for (bucket, left) in [(&mut self.requests, requests), (&mut self.tokens, tokens)] {
            if let (Some(bucket), Some(left)) = (bucket, left) {
                bucket.at_most(now, u32::try_from(left).unwrap_or(u32::MAX));
            }
        }
    }

    /// How long until nothing of its past is left in it.
    #[must_use]
    pub fn full_in(&self, now: Instant) -> Duration {
        self.requests.iter().chain(&self.tokens).map(|bucket| bucket.full_in(now)).max().unwrap_or_default()
    }

    /// How long until one request of so many tokens may go, behind what goes before it.
    #[must_use]
    pub fn served_in(&self, now: Instant, before: Load, tokens: u32) -> Duration {
        let wait = |bucket: &Option<TokenBucket>, before, cost| {
            bucket.as_ref().map(|bucket| bucket.served_in(now, before, cost))
        };
        wait(&self.requests, before.requests, 1).max(wait(&self.tokens, before.tokens, tokens)).unwrap_or_default()
    }

    /// Requests and tokens that are left; `None`: unlimited.
    #[must_use]
    pub fn levels(&self, now: Instant) -> (Option<f64>, Option<f64>) {
        let level = |bucket: &Option<TokenBucket>| bucket.as_ref().map(|bucket| bucket.level(now));
        (level(&self.requests), level(&self.tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(requests: Option<u32>, tokens: Option<u32>) -> Limits {
        Limits { requests_per_minute: requests, tokens_per_minute: tokens, ..Limits::NONE }
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn take(quota: &mut Quota, now: Instant, tokens: u32) -> Verdict {
        let verdict = quota.check(now, tokens);
        if verdict == Verdict::Granted {
            quota.charge(now, tokens);
        }
        verdict
    }

    #[test]
    fn a_request_goes_only_if_both_buckets_grant_it() {
        let now = Instant::now();
        let mut quota = Quota::full(now, limits(Some(60), Some(60)));
        assert_eq!(take(&mut quota, now, 60), Verdict::Granted);
        assert_eq!(take(&mut quota, now, 10), Verdict::Wait(seconds(10)));
        assert_eq!(quota.levels(now), (Some(59.0), Some(0.0)));
    }

    #[test]
    fn what_was_not_asked_comes_back_and_the_granters_count_is_followed() {
        let now = Instant::now();
        let mut quota = Quota::full(now, limits(Some(60), Some(600)));
        assert_eq!(take(&mut quota, now, 100), Verdict::Granted);
        quota.give_back(now, 100);
        assert_eq!(quota.levels(now), (Some(60.0), Some(600.0)));
        quota.at_most(now, None, Some(7));
        assert_eq!(quota.levels(now), (Some(60.0), Some(7.0)));
        quota.at_most(now, Some(0), Some(u64::MAX));
        assert_eq!(quota.levels(now), (Some(0.0), Some(7.0)));
        assert_eq!(take(&mut quota, now, 1), Verdict::Wait(seconds(1)));
    }

    #[test]
    fn the_longer_wait_counts() {
        let now = Instant::now();
        let mut quota = Quota::full(now, limits(Some(1), Some(60)));
        assert_eq!(take(&mut quota, now, 60), Verdict::Granted);
        assert_eq!(take(&mut quota, now, 30), Verdict::Wait(seconds(60)));
        quota.settle(now, 0, 60);
        assert_eq!(take(&mut quota, now, 30), Verdict::Wait(seconds(90)));
        assert_eq!(quota.full_in(now), seconds(120));
    }

    #[test]
    fn what_waits_is_served_when_the_slower_bucket_has_brought_it_all() {
        let now = Instant::now();
        let mut quota = Quota::full(now, limits(Some(60), Some(600)));
        let behind = |requests, tokens| Load { requests, tokens };
        assert_eq!(quota.served_in(now, behind(59, 500), 100), Duration::ZERO, "a minute's worth is saved up");
        assert_eq!(quota.served_in(now, behind(74, 500), 100), seconds(15));
        assert_eq!(quota.served_in(now, behind(59, 5_900), 100), seconds(540), "more than the bucket ever holds");
        assert_eq!(quota.served_in(now, behind(0, 0), 6_000), Duration::ZERO, "one goes when it is full");
        quota.charge(now, 1_200);
        assert_eq!(quota.served_in(now, behind(0, 0), 100), seconds(70), "a debt is paid first");
        let unlimited = Quota::full(now, limits(None, None));
        assert_eq!(unlimited.served_in(now, behind(u64::MAX, u64::MAX), u32::MAX), Duration::ZERO);
    }

    #[test]
    fn limits_come_and_go_while_it_runs() {
        let now = Instant::now();
        let mut quota = Quota::full(now, limits(None, None));
        assert_eq!(take(&mut quota, now, u32::MAX), Verdict::Granted);
        assert_eq!(quota.levels(now), (None, None));
        quota.set_limits(now, limits(Some(2), None));
        assert_eq!((take(&mut quota, now, 9), take(&mut quota, now, 9)), (Verdict::Granted, Verdict::Granted));
        assert_eq!(take(&mut quota, now, 9), Verdict::Wait(seconds(30)));
        quota.set_limits(now, limits(Some(60), None));
        assert_eq!(take(&mut quota, now, 9), Verdict::Wait(seconds(1)), "an empty bucket stays empty");
        quota.set_limits(now, limits(None, None));
        assert_eq!(take(&mut quota, now, 9), Verdict::Granted);
    }
}
