//! Notices that nobody was listening: the process was frozen, the machine slept, or the runtime was starved.
//!
//! A clock that goes on during all of that (`CLOCK_BOOTTIME`) is read several times a second while the reading loop
//! waits for anything. Two readings further apart than the limit mean silence in between. Waiting itself is no silence.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};

use crate::domain::clock::since_boot;

/// How often the clock is read at least, as a share of the limit.
const BEATS_PER_LIMIT: u32 = 4;

/// Wraps what the reading loop waits for.
pub(super) struct Pulse {
    ticks: Interval,
    gaps: Gaps,
}

impl Pulse {
    pub(super) fn new(limit: Duration) -> Self {
        let mut ticks = tokio::time::interval((limit / BEATS_PER_LIMIT).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ticks, gaps: Gaps { limit, last: since_boot(), longest: Duration::ZERO } }
    }

    /// Wait for `work`, listening all the while.
    pub(super) async fn during<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                output = &mut work => {
                    self.gaps.beat(since_boot());
                    return output;
                }
                _ = self.ticks.tick() => self.gaps.beat(since_boot()),
            }
        }
    }

    /// The longest silence since this was asked, if it was longer than the limit.
    pub(super) fn take_silence(&mut self) -> Option<Duration> {
        self.gaps.take_silence()
    }
}

struct Gaps {
    limit: Duration,
    last: Duration,
    longest: Duration,
}

impl Gaps {
    fn beat(&mut self, now: Duration) {
        self.longest = self.longest.max(now.saturating_sub(self.last));
        self.last = now;
    }

    fn take_silence(&mut self) -> Option<Duration> {
        let longest = std::mem::take(&mut self.longest);
        (longest > self.limit).then_some(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps() -> Gaps {
        Gaps { limit: Duration::from_secs(1), last: Duration::from_secs(100), longest: Duration::ZERO }
    }

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(100.0 + seconds)
    }

    #[test]
    fn a_steady_pulse_is_no_silence() {
        let mut gaps = gaps();
        for quarter in 1..40 {
            gaps.beat(at(f64::from(quarter) / 4.0));
        }
        assert_eq!(gaps.take_silence(), None);
    }

    #[test]
    fn the_longest_silence_is_told_once() {
        let mut gaps = gaps();
        for seconds in [0.5, 7.5, 8.0, 10.0] {
            gaps.beat(at(seconds));
        }
        assert_eq!(gaps.take_silence(), Some(Duration::from_secs(7)));
        gaps.beat(at(10.5));
        assert_eq!(gaps.take_silence(), None);
    }

    #[test]
    fn a_clock_that_stands_still_is_no_silence() {
        let mut gaps = gaps();
        gaps.beat(at(-5.0));
        assert_eq!(gaps.take_silence(), None);
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "to block the runtime is the point")]
    async fn a_loop_that_was_held_up_hears_of_its_silence() {
        let limit = Duration::from_millis(20);
        let mut pulse = Pulse::new(limit);
        // The runtime's only thread is held up, as a stopped process would be.
        let held_up = limit * 3;
        pulse.during(async { std::thread::sleep(held_up) }).await;
        assert!(pulse.take_silence().is_some_and(|silent| silent >= held_up));
    }
}
