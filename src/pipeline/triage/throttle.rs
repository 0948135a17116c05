//! How fast one remote model is asked: so many calls at once, so many requests and tokens a minute, and not at all
//! while its provider wants to be left alone.
//!
//! ```text
//!   a new event      --+                                         +--> answered: refund or debt, the limit may grow
//!   (waits in           \   paused?   bucket?   a place free?    |
//!    admission)          +------------------------------------> slot --> 429: the whole model pauses, fewer at once
//!   a further attempt   /                                        |
//!   (waits in line)  --+                                         +--> dropped unsent: as if it had never been
//! ```
//!
//! Who has begun goes first: new events get a slot only while nobody stands in line, so a retry never starves behind
//! fresh work. New events do not queue here at all. They wait where tenants take turns, and hold nothing of their
//! tenant's while they do.
//!
//! Not here: whether the provider is well (the breaker), whether a call is made again (retry).
//!
//! Invariant: `running` is the number of slots that exist, and every slot that goes wakes whoever could take its place.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::concurrency::{Concurrency, Cut, Ended};
use super::model::{CallLimits, RateHints};
use crate::domain::tenant::Limits;
use crate::pipeline::quota::Quota;
use crate::pipeline::quota::token_bucket::Verdict;
use crate::telemetry::happenings::{ModelPace, ModelPaused, ModelSlowed, Slowed};

/// Why there is no slot now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotYet {
    /// Not before then: paused, or a bucket is empty.
    Until(Instant),
    /// Not before a call ends.
    Busy,
}

/// What became of a call, as far as its model's pace is concerned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Paced {
    /// There was a reply.
    Answered {
        /// After this long.
        latency: Duration,
        /// Tokens billed.
        tokens: u32,
        /// What it said about limits.
        hints: RateHints,
    },
    /// 429.
    RateLimited {
        /// Leave it alone for this long.
        retry_after: Option<Duration>,
    },
    /// Not within its limit of time.
    TimedOut,
    /// It failed in another way.
    Otherwise {
        /// Leave it alone for this long.
        retry_after: Option<Duration>,
    },
}

/// One model's throttle. Cheap to clone; clones are the same throttle.
#[derive(Clone)]
pub struct Throttle(Arc<Shared>);

struct Shared {
    model: String,
    /// Longer than this nothing is waited for.
    longest_pause: Duration,
    state: Mutex<State>,
    /// Those who stand in line.
    line: Notify,
    /// Whoever has new events.
    road: Arc<Notify>,
}

struct State {
    concurrency: Concurrency,
    running: u32,
    /// How often somebody had to wait for a call to end.
    held_back: u64,
    quota: Quota,
    paused_until: Option<Instant>,
    /// Since when there were 429s and no reply.
    limited_since: Option<Instant>,
    /// The provider wants to be left alone for longer than anybody waits.
    left_alone: bool,
    in_line: u32,
    road_waits: bool,
}

impl Throttle {
    /// Nothing runs, all buckets are full. `road` is told when a new event that found no slot may ask again.
    #[must_use]
    pub fn new(model: &str, limits: &CallLimits, longest_pause: Duration, road: Arc<Notify>) -> Self {
        let per_minute = Limits {
            requests_per_minute: limits.requests_per_minute,
            tokens_per_minute: limits.tokens_per_minute,
            ..Limits::NONE
        };
        Self(Arc::new(Shared {
            model: model.to_owned(),
            longest_pause,
            state: Mutex::new(State {
                concurrency: Concurrency::new(limits.at_once),
                running: 0,
                held_back: 0,
                quota: Quota::full(Instant::now(), per_minute),
                paused_until: None,
                limited_since: None,
                left_alone: false,
                in_line: 0,
                road_waits: false,
            }),
            line: Notify::new(),
            road,
        }))
    }

    /// A slot for a new event. One that finds none is worth asking again when `road` is told, or at the time that is
    /// named.
    pub fn take_for_new(&self, now: Instant, tokens: u32) -> Result<Slot, NotYet> {
        let mut state = self.0.lock();
        let taken = state.take_after_the_line(now, tokens);
        state.road_waits = taken.is_err();
        taken.map(|begun| self.slot(begun, tokens))
    }

    /// A slot for whoever comes by, if nobody stands in line for it.
    pub fn take(&self, now: Instant, tokens: u32) -> Result<Slot, NotYet> {
        let taken = self.0.lock().take_after_the_line(now, tokens);
        taken.map(|begun| self.slot(begun, tokens))
    }

    /// Stand in line: first come, first served.
    #[must_use]
    pub fn line_up(&self) -> InLine {
        self.0.lock().in_line += 1;
        InLine(self.clone())
    }

    /// Whether events had better look for another model: there were 429s only for as long as anybody waits, or the
    /// provider wants to be left alone for longer than that.
    #[must_use]
    pub fn is_silent(&self, now: Instant) -> bool {
        let state = self.0.lock();
        let limited_for = state.limited_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        state.left_alone || limited_for > self.0.longest_pause
    }

    /// Its figures at this moment.
    #[must_use]
    pub fn pace(&self, now: Instant) -> ModelPace<'_> {
        let state = self.0.lock();
        let (requests, tokens) = state.quota.levels(now);
        ModelPace {
            model: &self.0.model,
            running: state.running,
            limit: state.concurrency.limit(),
            limit_max: state.concurrency.max(),
            paused_for: state.paused_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now)),
            requests_left: requests,
            tokens_left: tokens,
        }
    }

    fn slot(&self, begun: Begun, tokens: u32) -> Slot {
        Slot { throttle: Arc::clone(&self.0), begun, reserved_tokens: tokens, sent: false }
    }
}

/// How things stood when a call got its slot.
#[derive(Debug, Clone, Copy)]
struct Begun {
    epoch: u64,
    held_back: u64,
}

impl State {
    fn take_after_the_line(&mut self, now: Instant, tokens: u32) -> Result<Begun, NotYet> {
        if self.in_line > 0 {
            self.held_back += 1;
            return Err(NotYet::Busy);
        }
        self.take(now, tokens)
    }

    fn take(&mut self, now: Instant, tokens: u32) -> Result<Begun, NotYet> {
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return Err(NotYet::Until(until));
        }
        if self.running >= self.concurrency.limit() {
            self.held_back += 1;
            return Err(NotYet::Busy);
        }
        if let Verdict::Wait(wait) = self.quota.check(now, tokens) {
            return Err(NotYet::Until(now + wait));
        }
        self.quota.charge(now, tokens);
        self.running += 1;
        Ok(Begun { epoch: self.concurrency.epoch(), held_back: self.held_back })
    }
}

/// The right to run one call.
pub struct Slot {
    throttle: Arc<Shared>,
    begun: Begun,
    reserved_tokens: u32,
    sent: bool,
}

impl Slot {
    /// From here on the provider counts it.
    pub fn send(&mut self) {
        self.sent = true;
    }

    /// Say what became of the call.
    pub fn end(self, now: Instant, paced: Paced) {
        self.throttle.ended(now, self.begun, self.reserved_tokens, paced);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.throttle.lock();
        state.running -= 1;
        if !self.sent {
            state.quota.give_back(Instant::now(), self.reserved_tokens);
        }
        self.throttle.wake_next(&mut state);
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slot({}, {} tokens, sent: {})", self.throttle.model, self.reserved_tokens, self.sent)
    }
}

/// A place in the line.
pub struct InLine(Throttle);

impl InLine {
    /// A slot, if there is one.
    pub fn take(&self, now: Instant, tokens: u32) -> Result<Slot, NotYet> {
        let taken = self.0.0.lock().take(now, tokens);
        taken.map(|begun| self.0.slot(begun, tokens))
    }

    /// Until it is worth to ask again. `refused` is what was said the last time.
    pub async fn turn(&self, refused: NotYet, until: Instant) {
        let wake = match refused {
            NotYet::Until(at) => at.min(until),
            NotYet::Busy => until,
        };
        tokio::select! {
            biased;
            () = self.0.0.line.notified() => {}
            () = sleep_until(wake) => {}
        }
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        let shared = &self.0.0;
        let mut state = shared.lock();
        state.in_line -= 1;
        // Whoever leaves may have been woken for a slot that it did not take, and there may be another free.
        shared.wake_next(&mut state);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock panics half way through a change, so a poisoned state is a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, now: Instant, begun: Begun, reserved_tokens: u32, paced: Paced) {
        let mut state = self.lock();
        let held_back = state.in_line > 0 || state.held_back > begun.held_back;
        let before = state.concurrency.limit();
        let mut pause = None;
        let how = match paced {
            Paced::Answered { latency, tokens, hints } => {
                (state.limited_since, state.left_alone) = (None, false);
                state.quota.settle(now, reserved_tokens, tokens);
                state.quota.at_most(now, hints.remaining_requests, hints.remaining_tokens);
                pause = hints.exhausted_for(reserved_tokens.into());
                Some(Ended::Answered(latency))
            }
            Paced::RateLimited { retry_after } => {
                state.quota.settle(now, reserved_tokens, 0);
                state.limited_since.get_or_insert(now);
                pause = retry_after;
                Some(Ended::RateLimited)
            }
            Paced::TimedOut => Some(Ended::TimedOut),
            Paced::Otherwise { retry_after } => {
                state.quota.settle(now, reserved_tokens, 0);
                pause = retry_after;
                None
            }
        };
        let mut cut = how.and_then(|how| state.concurrency.ended(now, begun.epoch, how, held_back));
        let too_long = matches!(paced, Paced::RateLimited { retry_after: Some(after) } if after > self.longest_pause);
        if too_long && !state.left_alone {
            state.left_alone = true;
            state.concurrency.collapse(now);
            cut = (state.concurrency.limit() < before).then_some(Cut::RateLimited);
        }
        let paused = pause.and_then(|pause| {
            let lasts = pause.min(self.longest_pause);
            let until = (now + lasts).max(state.paused_until.unwrap_or(now));
            let is_new = state.paused_until.is_none_or(|before| before <= now) && until > now;
            state.paused_until = Some(until);
            is_new.then_some(lasts)
        });
        let after = state.concurrency.limit();
        drop(state);
        if let Some(cut) = cut {
            ModelSlowed { model: &self.model, from: before, to: after, why: why(cut) }.record();
        }
        if let Some(lasts) = paused {
            ModelPaused { model: &self.model, lasts, asked: pause.unwrap_or(lasts) }.record();
        }
    }

    /// Somebody may take what is free: those in line first. Nobody is woken for nothing, who would lose its place in line.
    fn wake_next(&self, state: &mut State) {
        if state.running >= state.concurrency.limit() {
            return;
        }
        if state.in_line > 0 {
            self.line.notify_one();
        } else if std::mem::take(&mut state.road_waits) {
            self.road.notify_one();
        }
    }
}

fn why(cut: Cut) -> Slowed {
    match cut {
        Cut::RateLimited => Slowed::RateLimited,
        Cut::TimedOut => Slowed::TimedOut,
        Cut::Slower => Slowed::Slower,
    }
}

#[cfg(test)]
mod tests;
