//! Notices that the polling thread did not run: the process was frozen, or the machine slept.

use std::time::Duration;

/// Gaps between signs of life.
#[derive(Debug)]
pub struct Silence {
    limit: Duration,
    last: Duration,
    longest: Duration,
}

impl Silence {
    /// Gaps longer than `limit` count; `now` is time since boot, which goes on while the machine sleeps.
    pub fn new(limit: Duration, now: Duration) -> Self {
        Self { limit, last: now, longest: Duration::ZERO }
    }

    /// A sign of life.
    pub fn beat(&mut self, now: Duration) {
        self.longest = self.longest.max(now.saturating_sub(self.last));
        self.last = now;
    }

    /// Whatever was silent before does not matter any more.
    pub fn restart(&mut self, now: Duration) {
        (self.last, self.longest) = (now, Duration::ZERO);
    }

    /// The longest gap since this was asked, if it was longer than the limit.
    pub fn take(&mut self) -> Option<Duration> {
        let longest = std::mem::take(&mut self.longest);
        (longest > self.limit).then_some(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_longer_than_the_limit_is_told_once() {
        let seconds = Duration::from_secs;
        let mut silence = Silence::new(seconds(1), seconds(100));
        silence.beat(seconds(101));
        assert_eq!(silence.take(), None);
        silence.beat(seconds(121));
        silence.beat(seconds(122));
        assert_eq!(silence.take(), Some(seconds(20)));
        assert_eq!(silence.take(), None);
    }

    #[test]
    fn what_was_silent_before_a_restart_is_not_told() {
        let seconds = Duration::from_secs;
        let mut silence = Silence::new(seconds(1), seconds(100));
        silence.beat(seconds(120));
        silence.restart(seconds(130));
        silence.beat(seconds(131));
        assert_eq!(silence.take(), None);
    }
}
