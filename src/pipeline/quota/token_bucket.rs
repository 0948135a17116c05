//! A token bucket: so many tokens a minute, and at most a bucket full saved up.
//!
//! What a call will cost is reserved before it and settled after it, so the level can fall below zero; then everybody
//! waits until the debt is paid. Exact: the level is kept in the amount that one token a minute brings in a nanosecond,
//! so refilling is a product of whole numbers and nothing is ever rounded, however often it is asked.

use std::time::Duration;

use tokio::time::Instant;

/// One token in units of the level: the nanoseconds of a minute.
const TOKEN: i128 = 60_000_000_000;

/// Nobody is told to wait for longer: ask again then (the rate may be zero).
pub const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);

/// Whether tokens may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Now.
    Granted,
    /// Not before this much time has passed; exact, if nobody else takes or settles meanwhile.
    Wait(Duration),
}

/// The bucket. Time that stands still or goes back brings nothing and takes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBucket {
    capacity: u32,
    per_minute: u32,
    /// In units of 1/[`TOKEN`], as it was at `at`; negative: in debt.
    level: i128,
    at: Instant,
}

impl TokenBucket {
    /// A full one.
    #[must_use]
    pub fn full(now: Instant, capacity: u32, per_minute: u32) -> Self {
        Self { capacity, per_minute, level: i128::from(capacity) * TOKEN, at: now }
    }

    /// Whether `cost` may be taken now. More than the bucket holds may be taken when it is full, and leaves a debt.
    #[must_use]
    pub fn check(&self, now: Instant, cost: u32) -> Verdict {
        match self.time_until(now, self.needed(cost)) {
            Duration::ZERO => Verdict::Granted,
            wait => Verdict::Wait(wait),
        }
    }

    /// Take `cost` if it may be taken.
    pub fn take(&mut self, now: Instant, cost: u32) -> Verdict {
        let verdict = self.check(now, cost);
        if verdict == Verdict::Granted {
            self.charge(now, cost);
        }
        verdict
    }

    /// Take `cost` in any case.
    pub fn charge(&mut self, now: Instant, cost: u32) {
        self.change(now, -i128::from(cost));
    }

    /// A call for which `reserved` was taken used `used`: the difference is given back, or becomes debt.
    pub fn settle(&mut self, now: Instant, reserved: u32, used: u32) {
        self.change(now, i128::from(reserved) - i128::from(used));
    }

    /// Somebody who counts the same tokens says that no more than these are left.
    pub fn at_most(&mut self, now: Instant, tokens: u32) {
        self.level = self.units_at(now).min(i128::from(tokens) * TOKEN);
        self.at = self.at.max(now);
    }

    /// Whatever is owed need not be paid: in debt it is empty from now on.
    pub fn forgive(&mut self, now: Instant) {
        self.level = self.units_at(now).max(0);
        self.at = self.at.max(now);
    }

    /// Another size and rate from now on. A half full bucket stays half full; one that had no size becomes full.
    pub fn set_rate(&mut self, now: Instant, capacity: u32, per_minute: u32) {
        let level = self.units_at(now);
        self.level = match i128::from(self.capacity) {
            0 => i128::from(capacity) * TOKEN,
            before => level * i128::from(capacity) / before,
        };
        (self.capacity, self.per_minute, self.at) = (capacity, per_minute, self.at.max(now));
    }

    /// Tokens in it; negative: in debt.
    #[must_use]
    pub fn level(&self, now: Instant) -> f64 {
        self.units_at(now) as f64 / TOKEN as f64
    }

    /// How long until `cost` may be taken, if so much is taken before it, whatever the size of each.
    #[must_use]
    pub fn served_in(&self, now: Instant, before: u64, cost: u32) -> Duration {
        self.time_until(now, i128::from(before) * TOKEN + self.needed(cost))
    }

    /// How long it is until it is full, if nothing is taken.
    #[must_use]
    pub fn full_in(&self, now: Instant) -> Duration {
        self.time_until(now, i128::from(self.capacity) * TOKEN)
    }

    /// Never nothing: a call that costs nothing waits out a debt too, and an empty bucket of no size grants nothing.
    fn needed(&self, cost: u32) -> i128 {
        i128::from(cost.min(self.capacity).max(1)) * TOKEN
    }

    fn units_at(&self, now: Instant) -> i128 {
        // At most 2^64 seconds in nanoseconds, times 2^32: below 2^127.
        let elapsed = now.saturating_duration_since(self.at).as_nanos() as i128;
        (self.level + elapsed * i128::from(self.per_minute)).min(i128::from(self.capacity) * TOKEN)
    }

    fn time_until(&self, now: Instant, wanted: i128) -> Duration {
        let missing = wanted - self.units_at(now);
        if missing <= 0 {
            return Duration::ZERO;
        }
        if self.per_minute == 0 {
            return LONGEST_WAIT;
        }
        let nanos = missing.unsigned_abs().div_ceil(u128::from(self.per_minute));
        u64::try_from(nanos).map_or(LONGEST_WAIT, Duration::from_nanos).min(LONGEST_WAIT)
    }

    fn change(&mut self, now: Instant, tokens: i128) {
        self.level = (self.units_at(now) + tokens * TOKEN).min(i128::from(self.capacity) * TOKEN);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn an_empty_bucket_says_exactly_when_to_come_back() {
        let start = Instant::now();
        let mut bucket = TokenBucket::full(start, 60, 60);
        assert_eq!(bucket.take(start, 60), Verdict::Granted);
        assert_eq!(bucket.take(start, 7), Verdict::Wait(seconds(7)));
        let almost = start + seconds(7) - Duration::from_nanos(1);
        assert_eq!(bucket.take(almost, 7), Verdict::Wait(Duration::from_nanos(1)));
        assert_eq!(bucket.take(start + seconds(7), 7), Verdict::Granted);
        assert_eq!(bucket.level(start + seconds(1_000)), 60.0, "it holds no more than it holds");
    }

    #[test]
    fn more_than_the_bucket_holds_is_granted_when_it_is_full_and_leaves_a_debt() {
        let start = Instant::now();
        let mut bucket = TokenBucket::full(start, 100, 60);
        assert_eq!(bucket.take(start, 1), Verdict::Granted);
        assert_eq!(bucket.take(start, 500), Verdict::Wait(seconds(1)));
        assert_eq!(bucket.take(start + seconds(1), 500), Verdict::Granted);
        assert_eq!(bucket.level(start + seconds(1)), -400.0);
        assert_eq!(bucket.take(start + seconds(1), 1), Verdict::Wait(seconds(401)));
        assert_eq!(bucket.take(start + seconds(1), 0), Verdict::Wait(seconds(401)), "nothing also waits out a debt");
    }

    #[test]
    fn a_wait_is_foreseen_as_it_will_be_also_for_more_than_the_bucket_holds() {
        let start = Instant::now();
        let mut bucket = TokenBucket::full(start, 100, 60);
        assert_eq!(bucket.served_in(start, 0, 500), Duration::ZERO);
        assert_eq!(bucket.served_in(start, 500, 500), seconds(500), "those before it leave their debt");
        for cost in [40, 500, 1, 0, 250] {
            let wait = bucket.served_in(start, 0, cost);
            let grants = |at| bucket.check(at, cost) == Verdict::Granted;
            assert!(grants(start + wait) && (wait.is_zero() || !grants(start + wait - Duration::from_nanos(1))));
            bucket.charge(start, cost);
        }
    }

    #[test]
    fn what_was_not_used_comes_back_and_what_was_used_too_much_is_owed() {
        let start = Instant::now();
        let mut bucket = TokenBucket::full(start, 1_000, 60);
        assert_eq!(bucket.take(start, 800), Verdict::Granted);
        bucket.settle(start, 800, 300);
        assert_eq!(bucket.level(start), 700.0);
        bucket.settle(start, 100, 1_000);
        assert_eq!(bucket.level(start), -200.0);
        bucket.settle(start, 5_000, 0);
        assert_eq!(bucket.level(start), 1_000.0, "never more than it holds");
    }

    #[test]
    fn what_another_counts_lowers_the_level_and_never_raises_it() {
        let start = Instant::now();
        let mut bucket = TokenBucket::full(start, 100, 60);
        bucket.at_most(start, 40);
        bucket.at_most(start, 90);
        assert_eq!(bucket.level(start), 40.0);
        assert_eq!(bucket.level(start + seconds(10)), 50.0, "it fills from there");
        bucket.settle(start + seconds(10), 0, 150);
        bucket.at_most(start + seconds(10), 0);
        assert_eq!(bucket.level(start + seconds(10)), -100.0, "a debt stays");
    }

    #[test]
    fn a_rate_of_zero_grants_what_is_there_and_then_nothing() {
        let start = Instant::now();
        let mut bucket = TokenBucket::full(start, 1, 0);
        assert_eq!(bucket.take(start, 1), Verdict::Granted);
        assert_eq!(bucket.take(start + seconds(1 << 40), 1), Verdict::Wait(LONGEST_WAIT));
        let mut shut = TokenBucket::full(start, 0, 0);
        assert_eq!(shut.take(start, 1), Verdict::Wait(LONGEST_WAIT));
        shut.set_rate(start, 10, 10);
        assert_eq!(shut.take(start, 10), Verdict::Granted);
    }

    #[test]
    fn a_changed_rate_keeps_the_share_of_the_level() {
        let start = Instant::now();
        let mut bucket = TokenBucket::full(start, 100, 60);
        assert_eq!(bucket.take(start, 75), Verdict::Granted);
        bucket.set_rate(start, 1_000, 600);
        assert_eq!(bucket.level(start), 250.0);
        assert_eq!(bucket.take(start, 350), Verdict::Wait(seconds(10)));
        bucket.settle(start, 0, 500);
        bucket.set_rate(start, 100, 60);
        assert_eq!(bucket.level(start), -25.0, "a debt shrinks in the same measure");
    }

    #[test]
    fn asking_a_million_times_neither_gains_nor_loses_a_token() {
        let start = Instant::now();
        let mut bucket = TokenBucket::full(start, 1, 7);
        let mut granted = 0;
        let step = Duration::from_nanos(8_571_429);
        for n in 0..1_000_000 {
            granted += u32::from(bucket.take(start + step * n, 1) == Verdict::Granted);
        }
        // 999,999 steps of 8,571,429 ns are 142 minutes and 51.4 s: the one it began with and 999.99 at 7 a minute.
        assert_eq!(granted, 1_000);
        assert!((bucket.level(start + step * 999_999)).abs() < 1.0);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let start = Instant::now();
        let mut bucket = TokenBucket::full(start, u32::MAX, u32::MAX);
        for _ in 0..1_000 {
            bucket.settle(start, 0, u32::MAX);
        }
        bucket.set_rate(start, 1, u32::MAX);
        bucket.set_rate(start, u32::MAX, 1);
        assert_eq!(bucket.take(start, u32::MAX), Verdict::Wait(LONGEST_WAIT));
        assert_eq!(bucket.full_in(start), LONGEST_WAIT);
        let in_a_century = start + seconds(100 * 365 * 24 * 3_600);
        assert!(bucket.level(in_a_century) < 0.0);
    }

    #[test]
    fn time_that_goes_back_changes_nothing() {
        let start = Instant::now() + seconds(100);
        let mut bucket = TokenBucket::full(start, 10, 60);
        assert_eq!(bucket.take(start, 10), Verdict::Granted);
        for earlier in 0..100 {
            assert_eq!(bucket.take(start - seconds(earlier), 1), Verdict::Wait(seconds(1)));
        }
        bucket.settle(start - seconds(50), 0, 0);
        assert_eq!(bucket.level(start), 0.0);
        assert_eq!(bucket.level(start + seconds(1)), 1.0);
    }

    proptest! {
        #[test]
        fn no_window_grants_more_than_the_bucket_and_the_rate(
            (capacity, per_minute) in (1u32..500, 1u32..5_000),
            asks in proptest::collection::vec((0u64..3_000_000_000, 1u32..100, any::<bool>()), 1..150),
        ) {
            let start = Instant::now();
            let mut bucket = TokenBucket::full(start, capacity, per_minute);
            let mut now = start;
            let mut grants: Vec<(Duration, u32)> = Vec::new();
            for (pause, cost, patient) in asks {
                now += Duration::from_nanos(pause);
                let cost = cost.min(capacity);
                let mut verdict = bucket.take(now, cost);
                if let Verdict::Wait(wait) = verdict {
                    prop_assert_ne!(bucket.check(now + wait - Duration::from_nanos(1), cost), Verdict::Granted);
                    if patient {
                        now += wait;
                        verdict = bucket.take(now, cost);
                        prop_assert_eq!(verdict, Verdict::Granted);
                    }
                }
                if verdict == Verdict::Granted {
                    grants.push((now - start, cost));
                }
            }
            for first in 0..grants.len() {
                let mut granted = 0u128;
                for (at, cost) in &grants[first..] {
                    granted += u128::from(*cost);
                    let window = (*at - grants[first].0).as_nanos();
                    prop_assert!(
                        granted * TOKEN as u128 <= u128::from(capacity) * TOKEN as u128 + u128::from(per_minute) * window
                    );
                }
            }
        }
    }
}
