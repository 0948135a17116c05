//! What the instances have of one tenant's limit in common: the database keeps it, this computes it.
//!
//! Requests and tokens have a pool each. It fills at the pace of the limit, and holds a minute's worth, so that who was
//! quiet may spend its minute at once; but in no minute more is handed out than the limit. So after such a burst there is
//! nothing until its minute is over, and from then on a steady stream: what came in meanwhile could not have been spent
//! and is not saved up.
//!
//! What is there is divided among those who want some, none getting less than it wants because another wants more.
//! Somebody who was refused, because the first of its queue costs more than there was, comes before whoever asks later:
//! what it waits for is kept for it.
//!
//! Where nobody was heard of for a while, because the database was away, those who wanted some have gone on alone; what
//! they used is kept until they have told.
//!
//! Pure; `now` is the database's clock. The invariant: handed out and not given back within any minute is at most the
//! limit and a fiftieth of it, the width of the cells in which minutes are counted.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Amount, Ask, Reply};
use crate::domain::clock::Timestamp;
use crate::domain::tenant::LimitMode;

/// Milliseconds of a minute. Levels are counted in tokens divided by it: a millisecond brings the limit's number of them.
const MINUTE: i64 = 60_000;

/// Seconds that are remembered.
const CELLS: i64 = 60;

/// Nothing fills for longer at once: keeps the arithmetic in its range.
const LONGEST: i64 = 24 * 3_600_000;

/// Held beyond what waits, by all instances together: the part of a minute's worth that may go in a burst across the
/// moment of a trip. A second and a half.
const RESERVE: i64 = 40;

/// One tenant's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    requests: Option<Pool>,
    tokens: Option<Pool>,
    sharers: Vec<Sharer>,
    /// Of the last trip.
    at: i64,
}

/// An instance that wants some.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sharer {
    instance: String,
    until: i64,
    wants: Amount,
    least: Amount,
    /// Since when it gets nothing, because there is less than its least.
    refused_at: Option<i64>,
    /// What it may have used alone, and will tell of.
    untold: Amount,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pool {
    limit: i64,
    /// In tokens / [`MINUTE`]; negative: in debt.
    level: i64,
    at: i64,
    /// What was handed out in each second, less what was given back in it.
    handed: VecDeque<(i64, i64)>,
}

impl Account {
    /// One trip of one instance.
    pub fn trip(&mut self, now: Timestamp, instance: &str, ask: &Ask, lease: Duration) -> Reply {
        let now = now.0;
        Pool::follow(&mut self.requests, ask.limits.requests_per_minute, now);
        Pool::follow(&mut self.tokens, ask.limits.tokens_per_minute, now);
        let lease = i64::try_from(lease.as_millis()).unwrap_or(LONGEST);
        self.expect_news(now, lease);
        self.sharers.retain(|sharer| sharer.until > now);
        self.at = self.at.max(now);
        let before = self.sharers.iter().position(|sharer| sharer.instance == instance);
        let refused_at = before.and_then(|index| self.sharers.swap_remove(index).refused_at);
        self.each(|pool, of| pool.give_back(now, of(ask.held)));
        if ask.limits.mode == LimitMode::Shadow {
            // Whoever only watches a limit uses more: nobody is to wait for that on the day it bites.
            self.each(|pool, _| pool.level = pool.level.max(0));
        }

        let there = self.there();
        let mut granted = Amount::default();
        if !ask.leaves() {
            let kept = self.kept_for_others(now, refused_at);
            let mine = there - kept;
            let sharers = i64::try_from(self.sharers.len() + 1).unwrap_or(i64::MAX);
            let wants = ask.demand + self.reserve(sharers);
            let part = self.part(mine, wants).max(ask.least).min(wants.max(ask.least));
            let is_enough = self.is_in(mine, ask.least);
            granted = if is_enough { self.limited(part.min(mine).max(Amount::default())) } else { granted };
            self.sharers.push(Sharer {
                instance: instance.to_owned(),
                until: now.saturating_add(lease),
                wants,
                least: ask.least,
                refused_at: if is_enough { None } else { refused_at.or(Some(now)) },
                untold: Amount::default(),
            });
            self.each(|pool, of| pool.hand_out(now, of(granted)));
        }
        let opens_in = [&self.requests, &self.tokens].into_iter().flatten().map(|pool| pool.opens_in(now)).max();
        Reply {
            change: self.limited(granted - ask.held),
            left: self.there().max(Amount::default()),
            sharers: u32::try_from(self.sharers.len()).unwrap_or(u32::MAX),
            opens_in: opens_in.unwrap_or_default(),
        }
    }

    fn each(&mut self, act: impl Fn(&mut Pool, fn(Amount) -> i64)) {
        if let Some(pool) = &mut self.requests {
            act(pool, |amount| amount.requests);
        }
        if let Some(pool) = &mut self.tokens {
            act(pool, |amount| amount.tokens);
        }
    }

    /// With zero for what is not limited.
    fn limited(&self, amount: Amount) -> Amount {
        Amount {
            requests: self.requests.as_ref().map_or(0, |_| amount.requests),
            tokens: self.tokens.as_ref().map_or(0, |_| amount.tokens),
        }
    }

    fn there(&self) -> Amount {
        let there = |pool: &Option<Pool>| pool.as_ref().map_or(0, |pool| pool.there());
        Amount { requests: there(&self.requests), tokens: there(&self.tokens) }
    }

    fn is_in(&self, there: Amount, least: Amount) -> bool {
        (self.requests.is_none() || there.requests >= least.requests)
            && (self.tokens.is_none() || there.tokens >= least.tokens)
    }

    fn reserve(&self, sharers: i64) -> Amount {
        let reserve = |pool: &Option<Pool>| pool.as_ref().map_or(0, |pool| pool.limit / RESERVE / sharers);
        Amount { requests: reserve(&self.requests), tokens: reserve(&self.tokens) }
    }

    /// Where nobody was heard of for so long, who wanted some then has gone on alone, and what it used is not known yet: at
    /// most its part of a minute. It has as long as a lease to tell.
    fn expect_news(&mut self, now: i64, lease: i64) {
        if now.saturating_sub(self.at) <= lease {
            return;
        }
        let sharers = i64::try_from(self.sharers.len().max(1)).unwrap_or(i64::MAX);
        let part = |pool: &Option<Pool>| pool.as_ref().map_or(0, |pool| pool.limit / sharers);
        let untold = Amount { requests: part(&self.requests), tokens: part(&self.tokens) };
        for sharer in &mut self.sharers {
            (sharer.until, sharer.untold) = (now.saturating_add(lease), untold);
        }
    }

    /// For those who were refused before us, and who have yet to tell what they used.
    fn kept_for_others(&self, now: i64, refused_at: Option<i64>) -> Amount {
        let since = refused_at.unwrap_or(now);
        let first = self.sharers.iter().filter(|other| other.refused_at.is_some_and(|at| at < since));
        let first = first.map(|other| other.least);
        first.chain(self.sharers.iter().map(|other| other.untold)).fold(Amount::default(), |kept, least| kept + least)
    }

    /// Divided among all who want some: nobody gets less than another who wants more.
    fn part(&self, there: Amount, wants: Amount) -> Amount {
        let others = |of: fn(Amount) -> i64| self.sharers.iter().map(move |other| of(other.wants));
        Amount {
            requests: part(there.requests, wants.requests, others(|amount| amount.requests)),
            tokens: part(there.tokens, wants.tokens, others(|amount| amount.tokens)),
        }
    }
}

fn part(there: i64, mine: i64, others: impl Iterator<Item = i64>) -> i64 {
    let mut wants: Vec<i64> = others.collect();
    wants.sort_unstable();
    let (mut left, mut sharers) = (there, wants.len() as i64 + 1);
    for other in wants.into_iter().take_while(|other| *other < mine) {
        if other > left / sharers {
            break;
        }
        left -= other;
        sharers -= 1;
    }
    mine.min(left / sharers)
}

impl Pool {
    /// As the limit wants it, and as far as it has filled by now.
    fn follow(pool: &mut Option<Self>, limit: Option<u32>, now: i64) {
        let Some(limit) = limit.map(i64::from) else {
            *pool = None;
            return;
        };
        let pool = pool.get_or_insert_with(|| Self { limit, level: limit * MINUTE, at: now, handed: VecDeque::new() });
        pool.limit = limit;
        // A clock that goes back brings nothing and takes nothing.
        let elapsed = (now - pool.at).clamp(0, LONGEST);
        pool.level = (pool.level + elapsed * limit).min(limit * MINUTE);
        pool.at = pool.at.max(now);
        while pool.handed.front().is_some_and(|(second, _)| *second < now / 1_000 - CELLS) {
            pool.handed.pop_front();
        }
        pool.cap();
    }

    /// What the minute has no room for is not saved up.
    fn cap(&mut self) {
        self.level = self.level.min(self.room() * MINUTE);
    }

    fn there(&self) -> i64 {
        self.level.div_euclid(MINUTE).min(self.room())
    }

    /// What may still be handed out in this minute.
    fn room(&self) -> i64 {
        let handed: i64 = self.handed.iter().map(|(_, amount)| amount).sum();
        (self.limit + self.limit / 50 - handed).max(0)
    }

    fn hand_out(&mut self, now: i64, amount: i64) {
        self.level -= amount * MINUTE;
        self.note(now, amount);
    }

    /// What is owed (`held` is negative) was never handed out in this second: it is paid off at the pace of the limit.
    fn give_back(&mut self, now: i64, held: i64) {
        let held = held.clamp(-self.limit.saturating_mul(CELLS), self.limit);
        self.level = (self.level + held * MINUTE).min(self.limit * MINUTE);
        self.note(now, -held.max(0));
        self.cap();
    }

    fn note(&mut self, now: i64, amount: i64) {
        let second = now / 1_000;
        match self.handed.back_mut() {
            _ if amount == 0 => {}
            Some((last, handed)) if *last >= second => *handed += amount,
            _ => self.handed.push_back((second, amount)),
        }
    }

    /// How long until there is room for a second's worth.
    fn opens_in(&self, now: i64) -> Duration {
        let mut room = self.room();
        let wanted = (self.limit / 60).max(1);
        let opens = self.handed.iter().take_while(|(_, handed)| {
            let is_missing = room < wanted;
            room += handed;
            is_missing
        });
        let opens = opens.last().map_or(now, |(second, _)| (second + CELLS + 1) * 1_000);
        Duration::from_millis((opens - now).max(0).unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tenant::Limits;

    const LEASE: Duration = Duration::from_secs(5);

    fn ask(requests: Option<u32>, held: i64, least: i64, demand: i64) -> Ask {
        let limits = Limits { requests_per_minute: requests, ..Limits::default() };
        let amount = |requests| Amount { requests, tokens: 0 };
        let (held, least, demand) = (amount(held), amount(least), amount(demand));
        Ask { tenant: "acme".into(), limits, held, least, demand, renews: false }
    }

    fn granted(account: &mut Account, second: i64, instance: &str, ask: &Ask) -> i64 {
        ask.held.requests + account.trip(Timestamp(second * 1_000), instance, ask, LEASE).change.requests
    }

    #[test]
    fn who_is_not_heard_of_for_a_lease_is_not_counted_and_nothing_is_kept_for_it() {
        let mut account = Account::default();
        assert_eq!(granted(&mut account, 0, "a", &ask(Some(60), 0, 1, 60)), 60, "who is alone gets all");
        assert_eq!(granted(&mut account, 0, "b", &ask(Some(60), 0, 1, 9)), 0, "refused, and comes first from now on");
        assert_eq!(granted(&mut account, 4, "a", &ask(Some(60), 60, 1, 9)), 9, "its own 60 are there again");
        assert_eq!(account.trip(Timestamp(4_000), "a", &ask(Some(60), 9, 1, 9), LEASE).sharers, 2);
        // `b` was last heard of at 0.
        let reply = account.trip(Timestamp(5_000), "a", &ask(Some(60), 9, 1, 60), LEASE);
        assert_eq!((reply.sharers, reply.change.requests), (1, 51));
    }

    #[test]
    fn who_leaves_gives_back_what_it_holds_and_is_not_counted() {
        let mut account = Account::default();
        assert_eq!(granted(&mut account, 0, "a", &ask(Some(60), 0, 1, 60)), 60);
        let farewell = ask(Some(60), 45, 0, 0);
        assert!(farewell.leaves());
        let reply = account.trip(Timestamp(100), "a", &farewell, LEASE);
        assert_eq!((reply.change.requests, reply.left.requests, reply.sharers), (-45, 45, 0));
    }

    #[test]
    fn nobody_gets_less_than_it_wants_because_another_wants_more() {
        for (there, mine, others, part_of_mine) in [
            (100, 1_000, vec![1_000, 1_000, 1_000], 25),
            (100, 1_000, vec![1, 1, 1], 97),
            (100, 1_000, vec![40, 1], 59),
            (100, 30, vec![1_000, 1_000], 30),
            (100, 40, vec![1_000, 1_000], 33),
            (100, 1_000, vec![], 100),
        ] {
            assert_eq!(part(there, mine, others.iter().copied()), part_of_mine, "{there} for {mine} beside {others:?}");
        }
    }

    #[test]
    fn a_limit_that_comes_changes_and_goes_counts_from_the_next_trip_on() {
        let mut account = Account::default();
        assert_eq!(granted(&mut account, 0, "a", &ask(None, 0, 0, 9)), 0, "what is not limited is not counted");
        assert_eq!(granted(&mut account, 1, "a", &ask(Some(60), 0, 1, 1_000)), 60);
        assert_eq!(granted(&mut account, 2, "a", &ask(Some(600), 0, 1, 1_000)), 10);
        assert_eq!(granted(&mut account, 3, "a", &ask(Some(1), 0, 1, 1_000)), 0);
        assert_eq!(account.trip(Timestamp(4_000), "a", &ask(None, 0, 0, 9), LEASE).left, Amount::default());
    }

    #[test]
    fn a_clock_that_is_set_back_brings_nothing_and_breaks_nothing() {
        let mut account = Account::default();
        assert_eq!(granted(&mut account, 1_000, "a", &ask(Some(60), 0, 1, 60)), 60);
        for second in [900, 1_000, 0, -5] {
            assert_eq!(granted(&mut account, second, "a", &ask(Some(60), 0, 1, 60)), 0, "at {second}");
        }
        assert_eq!(granted(&mut account, 1_061, "a", &ask(Some(60), 0, 1, 60)), 60);
    }
}
