//! The breaker of one remote model.
//!
//! ```text
//!              too many failures                  open_for has passed
//!   closed ------------------------> open ------------------------------> half open: N probes, nobody else
//!     ^                               ^                                       |            |
//!     |                               +---------- a probe failed or vanished -+            |
//!     +------------------------------------------ N probes succeeded ----------------------+
//!   any of them -- credentials refused, quota used up --> stopped, until somebody resets it
//!   any of them -- an operator's order --> forced, until its time has passed (then half open) or somebody resets it
//! ```
//!
//! When it trips is failsafe's and `trip.rs`'s. Failsafe's state machine is not used, because half open it lets everybody
//! through, it takes the late success of a call begun before the trip for a recovery, and it moves on a clock of its own.
//!
//! Invariants: a permit is settled exactly once (a dropped one counts as a failure, so that a cancelled probe cannot
//! wedge the breaker, unless the whole process ends), and a result counts only in the generation its permit was given in.

mod permit;
mod trip;

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use failsafe::FailurePolicy as _;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

pub use self::permit::Permit;
use self::trip::{Trip, policy};
use crate::domain::reason_code::ReasonCode;
use crate::settings::triage::Breaker as Settings;

/// Told of every change, outside the breaker's lock.
pub type Listener = Arc<dyn Fn(BreakerChange) + Send + Sync>;

/// A change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerChange {
    /// Whose breaker.
    pub model: String,
    /// Before.
    pub from: BreakerState,
    /// After.
    pub to: BreakerState,
    /// What made it change.
    pub why: Why,
}

/// What an operator sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// No calls until its time has passed.
    Open,
    /// Probes only.
    HalfOpen,
    /// No calls until somebody resets it.
    Stopped(ReasonCode),
    /// No calls because an operator wants it so.
    Forced,
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed"),
            Self::Open => f.write_str("open"),
            Self::HalfOpen => f.write_str("half_open"),
            Self::Stopped(code) => write!(f, "stopped ({code})"),
            Self::Forced => f.write_str("forced open"),
        }
    }
}

/// What made it change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A streak or a share of failures.
    Failures,
    /// A probe failed, timed out or was dropped.
    ProbeFailed,
    /// The open time has passed.
    TimePassed,
    /// Every probe succeeded.
    ProbesSucceeded,
    /// Credentials or quota: waiting does not help.
    Refused,
    /// An operator's word.
    Reset,
    /// An operator's word, too.
    Ordered,
}

/// How a breaker is, for operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// As of now.
    pub state: BreakerState,
    /// For how long.
    pub lasts: Duration,
    /// What made it so; none: it was never otherwise.
    pub why: Option<Why>,
    /// Failures in a row, up to now.
    pub failures: u32,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failures => "failures",
            Self::ProbeFailed => "a probe failed",
            Self::TimePassed => "the open time has passed",
            Self::ProbesSucceeded => "the probes succeeded",
            Self::Refused => "credentials or quota refused",
            Self::Reset => "reset by an operator",
            Self::Ordered => "ordered by an operator",
        })
    }
}

/// May a call begin?
#[derive(Debug)]
pub enum Admit {
    /// Yes; the permit wants to be settled.
    Go(Permit),
    /// Not before this moment.
    OpenUntil(Instant),
    /// The probes are on their way: what becomes of them is told by [`Breaker::changed`].
    Probing,
    /// Not until a reset.
    Stopped(ReasonCode),
}

/// What became of a permitted call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The provider works.
    Success,
    /// The provider does not.
    Failure,
    /// Says nothing about the provider's health: 429, our own mistake, no call was made, or its event's time was over too
    /// early to say anything. A probe's place is free again.
    Neither,
    /// Credentials or quota: no further call makes sense.
    Refused(ReasonCode),
}

/// One model's breaker. Cheap to clone; clones are the same breaker.
#[derive(Clone)]
pub struct Breaker(Arc<Shared>);

impl Breaker {
    /// Closed.
    #[must_use]
    pub fn new(model: &str, settings: Settings, listener: Listener) -> Self {
        Self(Arc::new(Shared {
            model: model.to_owned(),
            settings,
            listener,
            inner: Mutex::new(Inner {
                state: State::Closed,
                generation: 0,
                policy: policy(&settings),
                since: Instant::now(),
                why: None,
                failures: 0,
            }),
            changed: Notify::new(),
            ended: AtomicBool::new(false),
        }))
    }

    /// May a call begin now? One that would have to end before it could prove anything is no probe: it waits for
    /// another's.
    pub fn admit(&self, now: Instant, may_probe: bool) -> Admit {
        let mut inner = self.0.lock();
        let passed = self.0.let_time_pass(&mut inner, now);
        let answer = match &mut inner.state {
            State::Closed => Ok(false),
            State::HalfOpen { out, succeeded } if may_probe && *out + *succeeded < self.0.settings.probes.max(1) => {
                *out += 1;
                Ok(true)
            }
            State::HalfOpen { .. } => Err(Admit::Probing),
            State::Open { until } => Err(Admit::OpenUntil(*until)),
            State::Stopped(code) => Err(Admit::Stopped(*code)),
            // Nobody holds: whoever orders this wants the chain to go on.
            State::Forced { .. } => Err(Admit::Stopped(ReasonCode::BreakerOpen)),
        };
        let generation = inner.generation;
        drop(inner);
        self.0.tell(passed);
        match answer {
            Ok(probe) => Admit::Go(Permit { breaker: Arc::clone(&self.0), generation, probe, settled: false }),
            Err(refusal) => refusal,
        }
    }

    /// Ends when there may be another answer from [`Breaker::admit`], for everybody who waits, in the order in which they
    /// began to. Take it first, then ask.
    pub fn changed(&self) -> Notified<'_> {
        self.0.changed.notified()
    }

    /// The state as of now.
    #[must_use]
    pub fn state(&self, now: Instant) -> BreakerState {
        match &self.0.lock().state {
            State::Open { until } | State::Forced { until: Some(until) } if *until <= now => BreakerState::HalfOpen,
            state => state.seen(),
        }
    }

    /// How it is as of now.
    #[must_use]
    pub fn report(&self, now: Instant) -> Report {
        let state = self.state(now);
        let inner = self.0.lock();
        Report { state, lasts: now.saturating_duration_since(inner.since), why: inner.why, failures: inner.failures }
    }

    /// What is due by time alone happens, and is told, also while nobody asks for a call.
    pub fn let_time_pass(&self, now: Instant) {
        let passed = self.0.let_time_pass(&mut self.0.lock(), now);
        self.0.tell(passed);
    }

    /// Let nobody through until this moment, or until it is reset. A moment that has passed only ends an order before it.
    pub fn force_open(&self, until: Option<Instant>) {
        let now = Instant::now();
        let mut inner = self.0.lock();
        let is_over = until.is_some_and(|until| until <= now) && !matches!(inner.state, State::Forced { .. });
        let forced = (!is_over).then(|| self.0.shift(&mut inner, State::Forced { until }, Why::Ordered)).flatten();
        let passed = self.0.let_time_pass(&mut inner, now);
        drop(inner);
        self.0.tell(forced);
        self.0.tell(passed);
    }

    /// Close it, whatever it was.
    pub fn reset(&self) {
        let change = {
            let mut inner = self.0.lock();
            inner.policy.revived();
            inner.failures = 0;
            self.0.shift(&mut inner, State::Closed, Why::Reset)
        };
        self.0.tell(change);
    }
}

struct Shared {
    model: String,
    settings: Settings,
    listener: Listener,
    inner: Mutex<Inner>,
    changed: Notify,
    /// Calls are dropped because the process ends (`permit.rs`).
    ended: AtomicBool,
}

struct Inner {
    state: State,
    /// Counts changes of state: a permit of an earlier generation has nothing to say any more.
    generation: u64,
    policy: Trip,
    /// Of the state, as it is seen.
    since: Instant,
    why: Option<Why>,
    /// In a row.
    failures: u32,
}

enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { out: u32, succeeded: u32 },
    Stopped(ReasonCode),
    Forced { until: Option<Instant> },
}

impl State {
    fn seen(&self) -> BreakerState {
        match self {
            Self::Closed => BreakerState::Closed,
            Self::Open { .. } => BreakerState::Open,
            Self::HalfOpen { .. } => BreakerState::HalfOpen,
            Self::Stopped(code) => BreakerState::Stopped(*code),
            Self::Forced { .. } => BreakerState::Forced,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing under this lock panics half way through a change, so a poisoned state is a whole one.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, generation: u64, probe: bool, outcome: Outcome, now: Instant) {
        let mut inner = self.lock();
        if inner.generation != generation {
            return;
        }
        match outcome {
            Outcome::Success => inner.failures = 0,
            Outcome::Failure | Outcome::Refused(_) => inner.failures = inner.failures.saturating_add(1),
            Outcome::Neither => {}
        }
        let open = State::Open { until: now + self.settings.open_for };
        let change = match (outcome, &mut inner.state) {
            (Outcome::Refused(code), _) => self.shift(&mut inner, State::Stopped(code), Why::Refused),
            (Outcome::Success, State::HalfOpen { out, succeeded }) => {
                *out = out.saturating_sub(1);
                *succeeded += 1;
                if *succeeded >= self.settings.probes {
                    inner.policy.revived();
                    self.shift(&mut inner, State::Closed, Why::ProbesSucceeded)
                } else {
                    None
                }
            }
            (Outcome::Failure, State::HalfOpen { .. }) => self.shift(&mut inner, open, Why::ProbeFailed),
            (Outcome::Neither, State::HalfOpen { out, .. }) => {
                *out = out.saturating_sub(1);
                None
            }
            (Outcome::Success, State::Closed) => {
                inner.policy.record_success();
                None
            }
            (Outcome::Failure, State::Closed) => match inner.policy.mark_dead_on_failure() {
                Some(_) => self.shift(&mut inner, open, Why::Failures),
                None => None,
            },
            // Permits are given closed or half open, and a change of state is a change of generation.
            (Outcome::Neither, State::Closed) | (_, State::Open { .. } | State::Stopped(_) | State::Forced { .. }) => {
                None
            }
        };
        drop(inner);
        self.tell(change);
        if probe {
            self.changed.notify_waiters();
        }
    }

    fn let_time_pass(&self, inner: &mut Inner, now: Instant) -> Option<BreakerChange> {
        match inner.state {
            State::Open { until } | State::Forced { until: Some(until) } if until <= now => {
                self.shift(inner, State::HalfOpen { out: 0, succeeded: 0 }, Why::TimePassed)
            }
            _ => None,
        }
    }

    fn shift(&self, inner: &mut Inner, to: State, why: Why) -> Option<BreakerChange> {
        let (from, seen) = (inner.state.seen(), to.seen());
        inner.state = to;
        inner.generation += 1;
        (from != seen).then(|| {
            (inner.since, inner.why) = (Instant::now(), Some(why));
            BreakerChange { model: self.model.clone(), from, to: seen, why }
        })
    }

    fn tell(&self, change: Option<BreakerChange>) {
        if let Some(change) = change {
            (self.listener)(change);
            self.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
