//! When a breaker trips: a streak of failures, or too large a share of them.
//!
//! The streak and the combination are failsafe's. Its success rate is a moving average that is silent for the first window,
//! so the share is counted here, in slices of the window.

use std::collections::VecDeque;
use std::time::Duration;

use failsafe::FailurePolicy;
use failsafe::backoff::{Constant, constant};
use failsafe::failure_policy::{ConsecutiveFailures, OrElse, consecutive_failures};
use tokio::time::Instant;

use crate::settings::triage::Breaker as Settings;

/// Either is enough.
pub(super) type Trip = OrElse<ConsecutiveFailures<Constant>, FailureShare>;

/// As the settings want it.
pub(super) fn policy(settings: &Settings) -> Trip {
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
pub(super) struct FailureShare {
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
