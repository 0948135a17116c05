//! The breaker of one remote model.
//!
//! ```text
//!              too many failures                  open_for has passed
//!   closed ------------------------> open ------------------------------> half open: N probes, nobody else
//!     ^                               ^                                       |            |
//!     |                               +---------- a probe failed or vanished -+            |
//!     +------------------------------------------ N probes succeeded ----------------------+
//!   any of them -- credentials refused, quota used up --> stopped, until somebody resets it
//! ```
//!
//! The streak and the combination of policies are failsafe's; its state machine is not used, because half open it lets
//! everybody through, it takes the late success of a call begun before the trip for a recovery, and it moves on a clock
//! of its own. Its success rate is a moving average that is silent for the first window, so the share is counted here.
//!
//! Invariants: a permit is settled exactly once (a dropped one counts as a failure, so that a cancelled probe cannot
//! wedge the breaker), and a result counts only in the generation its permit was given in.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use failsafe::FailurePolicy;
use failsafe::backoff::{Constant, constant};
use failsafe::failure_policy::{ConsecutiveFailures, OrElse, consecutive_failures};
use tokio::sync::watch;
use tokio::time::Instant;

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
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed"),
            Self::Open => f.write_str("open"),
            Self::HalfOpen => f.write_str("half_open"),
            Self::Stopped(code) => write!(f, "stopped ({code})"),
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
    /// The probes are on their way: what becomes of them is told by [`Breaker::watch`].
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
    /// Says nothing about the provider's health: 429, our own mistake, or no call was made.
    Neither,
    /// We stopped waiting before the call's own limit: held against a probe, which has to prove something, only.
    CutShort,
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
            inner: Mutex::new(Inner { state: State::Closed, generation: 0, policy: policy(&settings) }),
            changed: watch::Sender::new(()),
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
        };
        let generation = inner.generation;
        drop(inner);
        self.0.tell(passed);
        match answer {
            Ok(probe) => Admit::Go(Permit { breaker: Arc::clone(&self.0), generation, probe, settled: false }),
            Err(refusal) => refusal,
        }
    }

    /// Wakes whoever waits for another answer from [`Breaker::admit`]. Subscribe first, then ask.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// The state as of now.
    #[must_use]
    pub fn state(&self, now: Instant) -> BreakerState {
        match &self.0.lock().state {
            State::Open { until } if *until <= now => BreakerState::HalfOpen,
            state => state.seen(),
        }
    }

    /// Close it, whatever it was.
    pub fn reset(&self) {
        let change = {
            let mut inner = self.0.lock();
            inner.policy.revived();
            self.0.shift(&mut inner, State::Closed, Why::Reset)
        };
        self.0.tell(change);
    }
}

/// The right to make one call.
pub struct Permit {
    breaker: Arc<Shared>,
    generation: u64,
    probe: bool,
    settled: bool,
}

impl Permit {
    /// Say what became of the call.
    pub fn settle(mut self, outcome: Outcome) {
        self.settled = true;
        self.breaker.settle(self.generation, self.probe, outcome, Instant::now());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.settled {
            self.breaker.settle(self.generation, self.probe, Outcome::Failure, Instant::now());
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permit({}, generation {}, probe: {})", self.breaker.model, self.generation, self.probe)
    }
}

struct Shared {
    model: String,
    settings: Settings,
    listener: Listener,
    inner: Mutex<Inner>,
    changed: watch::Sender<()>,
}

struct Inner {
    state: State,
    /// Counts changes of state: a permit of an earlier generation has nothing to say any more.
    generation: u64,
    policy: OrElse<ConsecutiveFailures<Constant>, FailureShare>,
}

enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { out: u32, succeeded: u32 },
    Stopped(ReasonCode),
}

impl State {
    fn seen(&self) -> BreakerState {
        match self {
            Self::Closed => BreakerState::Closed,
            Self::Open { .. } => BreakerState::Open,
            Self::HalfOpen { .. } => BreakerState::HalfOpen,
            Self::Stopped(code) => BreakerState::Stopped(*code),
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
            (Outcome::Failure | Outcome::CutShort, State::HalfOpen { .. }) => {
                self.shift(&mut inner, open, Why::ProbeFailed)
            }
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
            (Outcome::Neither | Outcome::CutShort, State::Closed) | (_, State::Open { .. } | State::Stopped(_)) => None,
        };
        drop(inner);
        self.tell(change);
        if probe {
            self.changed.send_replace(());
        }
    }

    fn let_time_pass(&self, inner: &mut Inner, now: Instant) -> Option<BreakerChange> {
        match inner.state {
            State::Open { until } if until <= now => {
                self.shift(inner, State::HalfOpen { out: 0, succeeded: 0 }, Why::TimePassed)
            }
            _ => None,
        }
    }

    fn shift(&self, inner: &mut Inner, to: State, why: Why) -> Option<BreakerChange> {
        let (from, seen) = (inner.state.seen(), to.seen());
        inner.state = to;
        inner.generation += 1;
        (from != seen).then(|| BreakerChange { model: self.model.clone(), from, to: seen, why })
    }

    fn tell(&self, change: Option<BreakerChange>) {
        if let Some(change) = change {
            (self.listener)(change);
            self.changed.send_replace(());
        }
    }
}

fn policy(settings: &Settings) -> OrElse<ConsecutiveFailures<Constant>, FailureShare> {
    consecutive_failures(settings.consecutive_failures, constant(settings.open_for)).or_else(FailureShare {
        percent: settings.failure_percent,
        min_calls: settings.min_calls,
        slice: settings.window.max(Duration::from_millis(SLICES.into())) / SLICES,
        open_for: settings.open_for,
        began: Instant::now(),
        slices: VecDeque::new(),
    })
}

/// How finely the window is cut: memory is constant, and a call counts for up to a tenth of the window less.
const SLICES: u32 = 10;

/// At least `percent` failures among at least `min_calls` calls of the window.
struct FailureShare {
    percent: u32,
    min_calls: u32,
    slice: Duration,
    open_for: Duration,
    began: Instant,
    slices: VecDeque<Slice>,
}

struct Slice {
    number: u128,
    calls: u32,
    failures: u32,
}

impl FailureShare {
    fn count(&mut self, failures: u32) {
        let number = self.began.elapsed().as_nanos() / self.slice.as_nanos();
        while self.slices.front().is_some_and(|slice| slice.number + u128::from(SLICES) <= number) {
            self.slices.pop_front();
        }
        match self.slices.back_mut() {
            Some(slice) if slice.number == number => {
                slice.calls += 1;
                slice.failures += failures;
            }
            _ => self.slices.push_back(Slice { number, calls: 1, failures }),
        }
    }

    fn is_too_high(&self) -> bool {
        let sum = |of: fn(&Slice) -> u32| self.slices.iter().map(|slice| u64::from(of(slice))).sum::<u64>();
        let (calls, failures) = (sum(|slice| slice.calls), sum(|slice| slice.failures));
        calls >= u64::from(self.min_calls) && failures * 100 >= calls * u64::from(self.percent)
    }
}

impl FailurePolicy for FailureShare {
    fn record_success(&mut self) {
        self.count(0);
    }

    fn mark_dead_on_failure(&mut self) -> Option<Duration> {
        self.count(1);
        self.is_too_high().then_some(self.open_for)
    }

    fn revived(&mut self) {
        self.slices.clear();
    }
}

#[cfg(test)]
mod tests;
