//! One instance's share of one tenant's limit: what it borrowed and has not used.
//!
//! ```text
//!            +--- every second while something waits, or was used: a trip ---+
//!            v                                                               |
//!   borrowed, used, settled  --- the database is away ---> alone: a trickle, our part of the limit as we last knew it
//!            ^                                               |
//!            +--- it answers: what was used alone is owed ---+
//! ```
//!
//! What calls use beyond what was borrowed (their estimate was too low, or there were several) is owed at the next trip. Of what is used alone
//! at most the last minute's is owed: what is older has been paid off by the time that passed.
//!
//! Pure. The invariant: without a trip that was answered, nothing goes but the trickle.

use std::time::Duration;

use tokio::time::Instant;

use super::{Amount, Ask, Reply};
use crate::domain::tenant::{LimitMode, Limits};
use crate::pipeline::quota::token_bucket::{LONGEST_WAIT, Verdict};
use crate::pipeline::quota::{Load, Quota};

/// After this long without a word, all that could come in has come in.
const A_MINUTE: Duration = Duration::from_secs(60);

/// One instance's share.
#[derive(Debug, Clone)]
pub struct Share {
    limits: Limits,
    /// Time between trips.
    every: Duration,
    held: Amount,
    heard: Option<(Instant, Reply)>,
    /// Not before.
    trip_at: Instant,
    is_under_way: bool,
    /// Since the last trip.
    was_used: bool,
    /// What is owed is for what went while the limits were only watched; how much of it the trip under way has told is known
    /// when that is over.
    is_forgiven: bool,
    /// While the database is away.
    alone: Option<Quota>,
}

/// What waits on this side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queue {
    /// How many.
    pub waiting: usize,
    /// What the first costs.
    pub first_tokens: u32,
    /// What all cost.
    pub tokens: u64,
}

impl Share {
    /// Nothing is borrowed yet. Trips are so far apart.
    #[must_use]
    pub fn new(now: Instant, limits: Limits, every: Duration) -> Self {
        Self {
            limits,
            every,
            held: Amount::default(),
            heard: None,
            trip_at: now,
            is_under_way: false,
            was_used: false,
            is_forgiven: false,
            alone: None,
        }
    }

    /// The limits it was made for.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Other limits from the next trip on. Nothing is owed for what went while they were only watched.
    pub fn set_limits(&mut self, now: Instant, limits: Limits) {
        self.is_forgiven |= self.limits.mode == LimitMode::Shadow && limits.mode != LimitMode::Shadow;
        self.limits = limits;
        self.held = self.limited(self.held);
        self.forgive(now);
    }

    fn forgive(&mut self, now: Instant) {
        if self.is_forgiven && !self.is_under_way {
            self.is_forgiven = false;
            self.held = self.held.max(Amount::default());
            if let Some(alone) = &mut self.alone {
                alone.forgive(now);
            }
        }
    }

    /// Whether one request of so many tokens may go. Without enough in hand that is not a matter of time, but of a trip.
    #[must_use]
    pub fn check(&self, now: Instant, tokens: u32) -> Verdict {
        if let Some(alone) = &self.alone {
            return alone.check(now, tokens);
        }
        let needed = self.needed(1, tokens);
        if self.held.requests >= needed.requests && self.held.tokens >= needed.tokens {
            Verdict::Granted
        } else {
            Verdict::Wait(LONGEST_WAIT)
        }
    }

    /// One request of so many tokens goes; whether it may was [checked](Self::check) before.
    pub fn charge(&mut self, now: Instant, tokens: u32) {
        self.was_used = true;
        let used = self.limited(Amount { requests: 1, tokens: i64::from(tokens) });
        self.held = self.held - used;
        if let Some(alone) = &mut self.alone {
            alone.charge(now, tokens);
            let part = |limit: Option<u32>| -i64::from(limit.unwrap_or_default());
            let limits = alone.limits();
            let floor = Amount { requests: part(limits.requests_per_minute), tokens: part(limits.tokens_per_minute) };
            self.held = self.held.max(floor);
        }
    }

    /// A request that was charged made so many further ones, and used other tokens than it reserved.
    pub fn settle(&mut self, now: Instant, further: u32, reserved: u32, used: u32) {
        let back = Amount { requests: -i64::from(further), tokens: i64::from(reserved) - i64::from(used) };
        self.held = self.limited(self.held + back);
        if let Some(alone) = &mut self.alone {
            alone.owe_requests(now, further);
            alone.settle(now, reserved, used);
        }
    }

    /// A request that was charged was never made: others may have it. What trickles while the database is away is not
    /// saved up.
    pub fn give_back(&mut self, tokens: u32) {
        self.held = self.limited(self.held + Amount { requests: 1, tokens: i64::from(tokens) });
    }

    /// When the next trip is due; never, if there is nothing to say.
    #[must_use]
    pub fn trip_due(&self, waiting: usize) -> Option<Instant> {
        let has_a_word = waiting > 0 || self.was_used || self.held != Amount::default();
        (has_a_word && !self.is_under_way).then_some(self.trip_at)
    }

    /// Whether something is to be said, now or later, or being said.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_under_way || self.trip_due(0).is_some()
    }

    /// What the trip that begins now says. It must be [answered](Self::answered) or [fail](Self::failed).
    pub fn ask(&mut self, now: Instant, tenant: &std::sync::Arc<str>, queue: Queue) -> Ask {
        self.is_under_way = true;
        self.trip_at = now + self.every;
        let demand = Amount {
            requests: i64::try_from(queue.waiting).unwrap_or(i64::MAX),
            tokens: i64::try_from(queue.tokens).unwrap_or(i64::MAX),
        };
        let least = if queue.waiting > 0 { self.needed(1, queue.first_tokens) } else { Amount::default() };
        let renews = std::mem::take(&mut self.was_used);
        Ask { tenant: tenant.clone(), limits: self.limits, held: self.held, least, demand, renews }
    }

    /// The last word of an instance that ends: all goes back.
    pub fn farewell(&mut self, now: Instant, tenant: &std::sync::Arc<str>) -> Ask {
        self.was_used = false;
        self.ask(now, tenant, Queue::default())
    }

    /// The trip's answer.
    pub fn answered(&mut self, now: Instant, reply: Reply) {
        self.is_under_way = false;
        self.held = self.limited(self.held + reply.change);
        self.heard = Some((now, reply));
        self.alone = None;
        self.forgive(now);
    }

    /// The trip failed, or nobody knows: what was held may be somebody else's by now. From here on we go on alone, at
    /// our part of the limit, if we ever had one.
    pub fn failed(&mut self, now: Instant) {
        self.is_under_way = false;
        self.held = self.held.min(Amount::default());
        if self.alone.is_none()
            && let Some((_, reply)) = self.heard
        {
            self.alone = Some(Quota::trickle(now, self.part(reply.sharers)));
        }
        self.forgive(now);
    }

    /// The limits as far as they are ours: divided by as many as want some.
    #[must_use]
    pub fn pace(&self) -> Limits {
        self.part(self.heard.map_or(1, |(_, reply)| reply.sharers))
    }

    /// How long until one request of so many tokens may go behind what goes before it, as far as can be known here: the
    /// rest of a minute that is spent, then our part of the limit. Who is first gets what it needs undivided.
    #[must_use]
    pub fn served_in(&self, now: Instant, before: Load, tokens: u32) -> Duration {
        if let Some(alone) = &self.alone {
            return alone.served_in(now, before, tokens);
        }
        let wanted = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
        let before = self.limited(Amount { requests: wanted(before.requests), tokens: wanted(before.tokens) });
        let missing = (before + self.needed(1, tokens) - self.held).max(Amount::default());
        let (opens_in, there) = self.outlook(now, before == Amount::default());
        let late = (missing - there).max(Amount::default());
        if late == Amount::default() {
            return Duration::ZERO;
        }
        let pace = self.pace();
        let time = |late: i64, per_minute: Option<u32>| match per_minute {
            Some(per_minute) if late > 0 => {
                let nanos = u128::from(late.unsigned_abs()) * A_MINUTE.as_nanos() / u128::from(per_minute.max(1));
                u64::try_from(nanos).map_or(LONGEST_WAIT, Duration::from_nanos)
            }
            _ => Duration::ZERO,
        };
        let time = time(late.requests, pace.requests_per_minute).max(time(late.tokens, pace.tokens_per_minute));
        (opens_in + time).min(LONGEST_WAIT)
    }

    /// Requests and tokens in hand; `None`: unlimited.
    #[must_use]
    pub fn levels(&self) -> (Option<f64>, Option<f64>) {
        let level = |limit: Option<u32>, held: i64| limit.map(|_| held as f64);
        (
            level(self.limits.requests_per_minute, self.held.requests),
            level(self.limits.tokens_per_minute, self.held.tokens),
        )
    }

    /// How long the minute that is spent lasts, and what of the rest is for us, or for our first. Who has not heard for a
    /// minute, or ever, expects to find everything there.
    fn outlook(&self, now: Instant, is_first: bool) -> (Duration, Amount) {
        let all = |limit: Option<u32>| limit.map_or(0, i64::from);
        let full =
            Amount { requests: all(self.limits.requests_per_minute), tokens: all(self.limits.tokens_per_minute) };
        let Some((at, reply)) = self.heard else { return (Duration::ZERO, full) };
        let silent = now.saturating_duration_since(at);
        if silent >= A_MINUTE {
            return (Duration::ZERO, full);
        }
        let sharers = if is_first { 1 } else { i64::from(reply.sharers.max(1)) };
        let part = |left: i64| left / sharers;
        (
            reply.opens_in.saturating_sub(silent),
            Amount { requests: part(reply.left.requests), tokens: part(reply.left.tokens) },
        )
    }

    fn part(&self, sharers: u32) -> Limits {
        let part = |limit: Option<u32>| limit.map(|per_minute| (per_minute / sharers.max(1)).max(1));
        Limits {
            requests_per_minute: part(self.limits.requests_per_minute),
            tokens_per_minute: part(self.limits.tokens_per_minute),
            ..self.limits
        }
    }

    /// More than a minute brings is never in hand: such a call goes with a minute's worth, and leaves a debt.
    fn needed(&self, requests: i64, tokens: u32) -> Amount {
        let of_tokens = |limit: u32| i64::from(tokens.min(limit).max(1));
        Amount {
            requests: self.limits.requests_per_minute.map_or(0, |_| requests),
            tokens: self.limits.tokens_per_minute.map_or(0, of_tokens),
        }
    }

    /// With zero for what is not limited.
    fn limited(&self, amount: Amount) -> Amount {
        Amount {
            requests: self.limits.requests_per_minute.map_or(0, |_| amount.requests),
            tokens: self.limits.tokens_per_minute.map_or(0, |_| amount.tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { requests_per_minute: Some(60), ..Limits::NONE };
    const SECOND: Duration = Duration::from_secs(1);

    fn share(now: Instant) -> Share {
        Share::new(now, LIMITS, SECOND)
    }

    fn reply(requests: i64, sharers: u32) -> Reply {
        let change = Amount { requests, tokens: 0 };
        Reply { change, left: Amount::default(), sharers, opens_in: Duration::ZERO }
    }

    fn behind(requests: u64) -> Load {
        Load { requests, tokens: 0 }
    }

    fn waits(waiting: usize) -> Queue {
        Queue { waiting, first_tokens: 7, tokens: 7 * waiting as u64 }
    }

    #[test]
    fn nothing_goes_before_the_first_answer_and_then_what_was_borrowed() {
        let now = Instant::now();
        let mut share = share(now);
        assert_eq!(share.check(now, 7), Verdict::Wait(LONGEST_WAIT));
        assert_eq!(share.trip_due(0), None, "who wants nothing asks nothing");
        assert_eq!(share.trip_due(1), Some(now));
        let ask = share.ask(now, &"acme".into(), waits(9));
        assert_eq!((ask.least.requests, ask.demand.requests, ask.held), (1, 9, Amount::default()));
        assert_eq!(share.trip_due(9), None, "one at a time");
        share.answered(now, reply(2, 1));
        assert_eq!(share.trip_due(7), Some(now + SECOND));
        for _ in 0..2 {
            assert_eq!(share.check(now, 7), Verdict::Granted);
            share.charge(now, 7);
        }
        assert_eq!(share.check(now, 7), Verdict::Wait(LONGEST_WAIT));
    }

    #[test]
    fn what_is_used_while_a_trip_is_on_its_way_is_counted() {
        let now = Instant::now();
        let mut share = share(now);
        share.ask(now, &"acme".into(), waits(9));
        share.answered(now, reply(5, 1));
        let ask = share.ask(now, &"acme".into(), waits(9));
        share.charge(now, 7);
        share.answered(now, reply(3 - ask.held.requests, 1));
        assert_eq!(share.levels(), (Some(2.0), None), "granted three, one is used already");
        let ask = share.ask(now, &"acme".into(), waits(0));
        assert!(ask.renews && !ask.leaves(), "more is likely to come");
        share.answered(now, reply(0, 1));
        let ask = share.ask(now, &"acme".into(), waits(0));
        assert!(ask.leaves() && ask.held.requests == 2, "nothing was used since: all goes back");
    }

    #[test]
    fn after_a_failed_trip_nothing_that_was_held_goes_but_a_trickle_at_our_part() {
        let now = Instant::now();
        let mut share = share(now);
        share.ask(now, &"acme".into(), waits(9));
        share.failed(now);
        assert_eq!(share.check(now + 60 * SECOND, 7), Verdict::Wait(LONGEST_WAIT), "who never had a share has none");
        share.ask(now, &"acme".into(), waits(9));
        share.answered(now, reply(5, 4));
        share.ask(now, &"acme".into(), waits(9));
        share.failed(now);
        assert_eq!(share.check(now, 7), Verdict::Wait(4 * SECOND), "sixty a minute, for four");
        assert_eq!(share.check(now + 4 * SECOND, 7), Verdict::Granted);
        assert_eq!(share.served_in(now, behind(2), 0), 12 * SECOND);
        share.charge(now + 4 * SECOND, 7);
        let ask = share.ask(now + 4 * SECOND, &"acme".into(), waits(9));
        assert_eq!(ask.held.requests, -1, "it is owed");
        share.answered(now + 4 * SECOND, reply(1 + 6, 4));
        assert_eq!(share.levels(), (Some(6.0), None));
        assert_eq!(share.check(now + 4 * SECOND, 7), Verdict::Granted);
    }

    #[test]
    fn a_request_that_was_not_made_is_there_again_but_for_a_trickle() {
        let now = Instant::now();
        let mut share = share(now);
        share.ask(now, &"acme".into(), waits(9));
        share.answered(now, reply(1, 1));
        share.charge(now, 7);
        assert_eq!(share.check(now, 7), Verdict::Wait(LONGEST_WAIT));
        share.give_back(7);
        assert_eq!((share.check(now, 7), share.levels()), (Verdict::Granted, (Some(1.0), None)));
        share.charge(now, 7);
        share.ask(now, &"acme".into(), waits(9));
        share.failed(now);
        share.give_back(7);
        assert_eq!(share.check(now, 7), Verdict::Wait(SECOND), "sixty a minute");
        assert_eq!(share.ask(now, &"acme".into(), waits(9)).held.requests, 1, "and the others hear of it");
    }

    #[test]
    fn requests_that_nobody_asked_about_are_owed_also_while_the_database_is_away() {
        let now = Instant::now();
        let mut share = share(now);
        share.ask(now, &"acme".into(), waits(1));
        share.answered(now, reply(1, 1));
        share.charge(now, 7);
        share.settle(now, 2, 7, 7);
        assert_eq!(share.levels(), (Some(-2.0), None));
        assert_eq!(share.ask(now, &"acme".into(), waits(0)).held.requests, -2, "the others hear of it");
        share.failed(now);
        share.settle(now, 3, 7, 7);
        assert_eq!(share.check(now, 7), Verdict::Wait(4 * SECOND), "sixty a minute, and three are owed");
    }

    #[test]
    fn a_turn_is_foreseen_by_what_is_left_and_how_many_want_it() {
        let now = Instant::now();
        let mut share = share(now);
        assert_eq!(share.served_in(now, behind(59), 0), Duration::ZERO, "a minute's worth is expected to be there");
        share.ask(now, &"acme".into(), waits(9));
        let left = Amount { requests: 8, tokens: 0 };
        share.answered(now, Reply { left, opens_in: 30 * SECOND, ..reply(5, 2) });
        assert_eq!(share.served_in(now, behind(5 + 3), 0), Duration::ZERO, "in hand, and our part of what is left");
        assert_eq!(share.served_in(now, behind(5 + 3 + 10), 0), 50 * SECOND, "a spent minute ends first");
        assert_eq!(share.served_in(now + 10 * SECOND, behind(5 + 3 + 10), 0), 40 * SECOND);
        assert_eq!(share.served_in(now + 60 * SECOND, behind(5 + 59), 0), Duration::ZERO);
        assert_eq!(share.pace().requests_per_minute, Some(30));
    }

    #[test]
    fn one_that_needs_more_than_a_minute_brings_is_foreseen_to_go_with_all_that_is_left() {
        let now = Instant::now();
        let limits = Limits { tokens_per_minute: Some(600), ..Limits::NONE };
        let mut share = Share::new(now, limits, SECOND);
        assert_eq!(share.served_in(now, Load::default(), 5_000), Duration::ZERO);
        let queue = Queue { waiting: 1, first_tokens: 5_000, tokens: 5_000 };
        assert_eq!(share.ask(now, &"acme".into(), queue).least.tokens, 600, "that is what a trip asks for, too");
        let left = |tokens| Amount { requests: 0, tokens };
        share.answered(now, Reply { left: left(600), ..reply(0, 2) });
        assert_eq!(share.served_in(now, Load::default(), 5_000), Duration::ZERO, "however many want some");
        assert_eq!(share.served_in(now, Load { requests: 1, tokens: 300 }, 5_000), 120 * SECOND);
        share.answered(now, Reply { left: left(550), ..reply(0, 2) });
        assert_eq!(share.served_in(now, Load::default(), 5_000), 10 * SECOND);
    }
}
