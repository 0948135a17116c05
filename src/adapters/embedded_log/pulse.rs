//! Signs of life of the reading loop, several times a second whatever it waits for: so its silence is noticed.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};

use crate::domain::clock::since_boot;
use crate::domain::silence::Silence;

/// How often the clock is read at least, as a share of the limit.
const BEATS_PER_LIMIT: u32 = 4;

/// Wraps what the reading loop waits for.
pub(super) struct Pulse {
    ticks: Interval,
    silence: Silence,
}

impl Pulse {
    pub(super) fn new(limit: Duration) -> Self {
        let mut ticks = tokio::time::interval((limit / BEATS_PER_LIMIT).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ticks, silence: Silence::new(limit, since_boot()) }
    }

    /// Wait for `work`, listening all the while.
    pub(super) async fn during<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                output = &mut work => {
                    self.silence.beat(since_boot());
                    return output;
                }
                _ = self.ticks.tick() => {
                    self.silence.beat(since_boot());
                }
            }
        }
    }

    /// The longest silence since this was asked, if it was longer than the limit.
    pub(super) fn take_silence(&mut self) -> Option<Duration> {
        self.silence.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
