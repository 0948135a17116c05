//! Who may ask a model next.
//!
//! ```text
//!             offer                     place                     next
//!  a ticket  ------>  its tenant's  ------------>  fair queue   ------>  a call
//!                     own queue       may go       by turns                |
//!                        |                            ^                    | settle: refund or debt
//!                        |  over its limits           |                    v
//!                        +------------->  asleep  ----+             its tenant's buckets
//! ```
//!
//! Every tenant has a queue (first in, first out, bounded) and buckets of requests and tokens, or a share of buckets that
//! all instances have in common ([`shares`]: it sleeps until a trip brings some). Tenants that wait and may
//! go take turns, charged in tokens; tenants over their limits sleep until the moment they may. A tenant that has nothing
//! waiting, nothing running and full buckets is forgotten.
//!
//! Pure, and nothing is searched: each word costs the logarithm of the number of tenants. Not here: limits of the
//! provider ([`Admission::next`] asks for its room), money. What would have to wait for too long is told
//! by [`Admission::wait_of`], and is better not offered; [`bookings`] knows when its turn will come.
//!
//! The invariant: a tenant stands in exactly one of the fair queue (something waits and may go now), the sleepers
//! (something waits, over its limits), the idle ones (nothing waits or runs), or nowhere (something runs, nothing waits).

mod agenda;
mod allowance;
pub mod bookings;
mod crowd;
pub mod fair_queue;
pub mod pace;
pub mod shares;
mod trips;

#[cfg(test)]
mod fairness_tests;
#[cfg(test)]
mod shadow_tests;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::tenant::{LimitMode, Limits};
use crate::pipeline::quota::Load;
use crate::pipeline::quota::token_bucket::Verdict;
use agenda::Agenda;
use allowance::Allowance;
use fair_queue::FairQueue;
use pace::Pace;

/// An idle tenant is remembered at least this long, so that one that comes and goes is not built anew each time and
/// keeps its place in the turns.
const REMEMBERED: Duration = Duration::from_secs(10);

/// A tenant's pace, while something of it waits, is its part of the models over about so long.
const SERVED: Duration = Duration::from_secs(10);

/// Everything that waits for a model.
#[derive(Debug)]
pub struct Admission<T> {
    max_waiting_per_tenant: usize,
    /// By number; numbers are used again.
    tenants: Vec<Option<Box<Tenant<T>>>>,
    unused: Vec<usize>,
    /// Only looked up, never walked: its order is random.
    numbers: HashMap<Arc<str>, usize>,
    turns: FairQueue,
    /// Until when.
    asleep: Agenda<Instant>,
    /// When to forget.
    idle: Agenda<Instant>,
    /// How far apart trips for shared limits are; none: limits are this instance's own.
    share_every: Option<Duration>,
    /// When the next one of a tenant is due.
    trips: Agenda<Instant>,
    waiting: usize,
}

#[derive(Debug)]
struct Tenant<T> {
    id: Arc<str>,
    allowance: Allowance,
    queue: VecDeque<Waiting<T>>,
    /// Tokens of all in the queue.
    queued_tokens: u64,
    /// Calls that went and were not settled.
    running: u32,
    /// Those among them that went under the limits of now.
    charged: u32,
    served: Pace,
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    tokens: u32,
}

/// This tenant has as many waiting as it may have; here is the item back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the tenant has as many waiting as it may have")]
pub struct Full<T>(pub T);

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next<T> {
    /// This one may go. It must be settled, however it ends, or given back.
    Go {
        /// What was offered.
        item: T,
        /// Whose it is.
        tenant: Arc<str>,
        /// Taken from its tenant's bucket.
        reserved_tokens: u32,
    },
    /// All that wait are over their limits; the first of them may go then.
    WaitUntil(Instant),
    /// One could go, but its model has no room for it.
    NoRoom,
    /// Nothing waits.
    Empty,
}

/// A tenant's state, for gauges.
#[derive(Debug, Clone, PartialEq)]
pub struct Level<'a> {
    /// Which.
    pub tenant: &'a str,
    /// Items that wait.
    pub waiting: usize,
    /// Calls that are not settled.
    pub running: u32,
    /// Requests left; `None`: unlimited.
    pub requests: Option<f64>,
    /// Tokens left, negative in debt; `None`: unlimited.
    pub tokens: Option<f64>,
}

impl<T> Admission<T> {
    /// Nothing waits; of each tenant at most so much may, and at least one.
    #[must_use]
    pub fn new(max_waiting_per_tenant: usize) -> Self {
        Self {
            max_waiting_per_tenant: max_waiting_per_tenant.max(1),
            tenants: Vec::new(),
            unused: Vec::new(),
            numbers: HashMap::new(),
            turns: FairQueue::default(),
            asleep: Agenda::default(),
            idle: Agenda::default(),
            share_every: None,
            trips: Agenda::default(),
            waiting: 0,
        }
    }

    /// Let it wait behind its tenant's others, under these limits from now on.
    pub fn offer(
        &mut self,
        now: Instant,
        tenant: &Arc<str>,
        limits: Limits,
        item: T,
        estimated_tokens: u32,
    ) -> Result<(), Full<T>> {
        self.forget_idle(now);
        let max_waiting = self.max_waiting_per_tenant;
        let number = self.number_of(now, tenant, limits);
        let state = self.tenant_mut(number);
        if state.queue.len() >= max_waiting {
            return Err(Full(item));
        }
        state.queue.push_back(Waiting { item, tokens: estimated_tokens });
        state.queued_tokens += u64::from(estimated_tokens);
        let is_head = state.queue.len() == 1;
        if is_head {
            state.served = Pace::begin(now, SERVED);
        }
        self.waiting += 1;
        if is_head {
            self.place(now, number);
        }
        Ok(())
    }

    /// Whose call goes now, if the model has room for it: `has_room` is asked once, with the tokens of the one whose turn
    /// it is. Without room nothing is charged, and the turn is kept.
    pub fn next(&mut self, now: Instant, has_room: impl FnOnce(u32) -> bool) -> Next<T> {
        self.forget_idle(now);
        while let Some((_, number)) = self.asleep.first().filter(|(until, _)| *until <= now) {
            self.place(now, number);
        }
        let Some(number) = self.turns.first() else {
            return self.asleep.first().map_or(Next::Empty, |(until, _)| Next::WaitUntil(until));
        };
        let state = self.tenant_mut(number);
        let head = state.queue.front().expect("who has a turn has something waiting");
        if !has_room(head.tokens) {
            return Next::NoRoom;
        }
        let Waiting { item, tokens } = state.queue.pop_front().expect("seen just now");
        state.queued_tokens -= u64::from(tokens);
        // It may: that was checked when it joined, and since then its levels have only risen.
        state.allowance.charge(now, tokens);
        (state.running, state.charged) = (state.running + 1, state.charged + 1);
        let (tenant, weight) = (Arc::clone(&state.id), state.allowance.limits().weight);
        self.waiting -= 1;
        self.turns.go(number, tokens, weight);
        self.place(now, number);
        Next::Go { item, tenant, reserved_tokens: tokens }
    }

    /// How long its tenant's limits would make one more of so many tokens wait, behind what waits already. Not: how long
    /// the model and the other tenants would.
    #[must_use]
    pub fn wait_of(&self, now: Instant, tenant: &str, limits: Limits, tokens: u32) -> Duration {
        match self.state_of(tenant) {
            Some(state) => {
                let before = Load { requests: state.queue.len() as u64, tokens: state.queued_tokens };
                state.allowance.served_in(now, before, tokens)
            }
            None => Allowance::new(now, limits, self.share_every).served_in(now, Load::default(), tokens),
        }
    }

    /// The tenant's limits as far as they are this instance's: the pace at which what waits here goes.
    #[must_use]
    pub fn pace_of(&self, tenant: &str, limits: Limits) -> Limits {
        self.state_of(tenant).map_or(limits, |state| state.allowance.pace())
    }

    /// What went has ended: it made so many calls, where one was foreseen, and used so many tokens.
    pub fn settle(&mut self, now: Instant, tenant: &str, calls: u32, reserved_tokens: u32, used_tokens: u32) {
        self.ended(now, tenant, |state, _| {
            state.served.ended(now);
            state.allowance.settle(now, calls.saturating_sub(1), reserved_tokens, used_tokens);
        });
    }

    /// What went came to no call: its request and its tokens are there again. Never more than was taken: not of limits that
    /// have changed since.
    pub fn give_back(&mut self, now: Instant, tenant: &str, reserved_tokens: u32) {
        self.ended(now, tenant, |state, was_charged| {
            if was_charged {
                state.allowance.give_back(now, reserved_tokens);
            }
        });
    }

    fn ended(&mut self, now: Instant, tenant: &str, act: impl FnOnce(&mut Tenant<T>, bool)) {
        let Some(&number) = self.numbers.get(tenant) else { return };
        let state = self.tenant_mut(number);
        let was_charged = state.charged > 0;
        (state.running, state.charged) = (state.running.saturating_sub(1), state.charged.saturating_sub(1));
        act(state, was_charged);
        self.place(now, number);
    }

    /// The tenant's limits have changed; also said with every offer. A tenant that is not known has nothing to change.
    pub fn set_limits(&mut self, now: Instant, tenant: &str, limits: Limits) {
        let Some(&number) = self.numbers.get(tenant) else { return };
        let every = self.share_every;
        let state = self.tenant_mut(number);
        if *state.allowance.limits() != limits {
            state.allowance.set_limits(now, limits, every);
            state.charged = 0;
            self.place(now, number);
        }
    }

    /// Take out everything that waits and answers the description, in order within each tenant.
    pub fn remove_if(&mut self, now: Instant, mut unwanted: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut removed = Vec::new();
        for number in 0..self.tenants.len() {
            let Some(state) = &mut self.tenants[number] else { continue };
            let before = removed.len();
            for _ in 0..state.queue.len() {
                match state.queue.pop_front() {
                    Some(waiting) if unwanted(&waiting.item) => {
                        state.queued_tokens -= u64::from(waiting.tokens);
                        removed.push(waiting.item);
                    }
                    kept => state.queue.extend(kept),
                }
            }
            if removed.len() > before {
                self.place(now, number);
            }
        }
        self.waiting -= removed.len();
        removed
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// How much waits in the fullest queue of a tenant.
    #[must_use]
    pub fn fullest(&self) -> usize {
        self.tenants.iter().flatten().map(|state| state.queue.len()).max().unwrap_or_default()
    }

    /// How many of this tenant wait.
    #[must_use]
    pub fn waiting_of(&self, tenant: &str) -> usize {
        self.state_of(tenant).map_or(0, |state| state.queue.len())
    }

    /// Requests and tokens that this tenant has left; `None`: unlimited.
    #[must_use]
    pub fn levels_of(&self, now: Instant, tenant: &str, limits: Limits) -> (Option<f64>, Option<f64>) {
        let fresh = || Allowance::new(now, limits, self.share_every).levels(now);
        self.state_of(tenant).map_or_else(fresh, |state| state.allowance.levels(now))
    }

    /// How many tenants are remembered.
    #[must_use]
    pub fn tenants(&self) -> usize {
        self.numbers.len()
    }

    /// Every tenant that is remembered.
    pub fn levels(&self, now: Instant) -> impl Iterator<Item = Level<'_>> {
        self.tenants.iter().flatten().map(move |state| {
            let (requests, tokens) = state.allowance.levels(now);
            Level { tenant: &state.id, waiting: state.queue.len(), running: state.running, requests, tokens }
        })
    }

    /// Put a tenant where it belongs, after anything about it has changed.
    fn place(&mut self, now: Instant, number: usize) {
        let state = self.tenants[number].as_ref().expect("a number in use");
        let (mut in_turn, mut asleep_until, mut forget_at) = (false, None, None);
        match state.queue.front() {
            Some(head) => match state.allowance.check(now, head.tokens) {
                Verdict::Granted => in_turn = true,
                Verdict::Wait(_) if state.allowance.limits().mode == LimitMode::Shadow => in_turn = true,
                Verdict::Wait(wait) => asleep_until = Some(now + wait),
            },
            None if state.running == 0 => {
                forget_at = state.allowance.forgotten_in(now).map(|rest| now + rest.max(REMEMBERED));
            }
            None => {}
        }
        let trip_at = state.allowance.trip_due(state.queue.len());
        if in_turn {
            self.turns.join(number)
        } else {
            self.turns.leave(number)
        }
        self.asleep.put(number, asleep_until);
        self.idle.put(number, forget_at);
        self.trips.put(number, trip_at);
    }

    fn number_of(&mut self, now: Instant, tenant: &Arc<str>, limits: Limits) -> usize {
        if let Some(&number) = self.numbers.get(tenant) {
            self.set_limits(now, tenant, limits);
            return number;
        }
        let number = self.unused.pop().unwrap_or_else(|| {
            self.tenants.push(None);
            self.tenants.len() - 1
        });
        let allowance = Allowance::new(now, limits, self.share_every);
        self.tenants[number] = Some(Box::new(Tenant {
            id: Arc::clone(tenant),
            allowance,
            queue: VecDeque::new(),
            queued_tokens: 0,
            running: 0,
            charged: 0,
            served: Pace::begin(now, SERVED),
        }));
        self.numbers.insert(Arc::clone(tenant), number);
        number
    }

    fn state_of(&self, tenant: &str) -> Option<&Tenant<T>> {
        self.numbers.get(tenant).and_then(|number| self.tenants[*number].as_deref())
    }

    fn tenant_mut(&mut self, number: usize) -> &mut Tenant<T> {
        self.tenants[number].as_mut().expect("a number in use")
    }

    fn forget_idle(&mut self, now: Instant) {
        while let Some((_, number)) = self.idle.first().filter(|(at, _)| *at <= now) {
            self.idle.remove(number);
            self.turns.forget(number);
            let state = self.tenants[number].take().expect("an idle tenant is in use");
            self.numbers.remove(&state.id);
            self.unused.push(number);
        }
    }
}
