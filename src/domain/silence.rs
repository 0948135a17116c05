//! Notices that nobody ran: the process was frozen, the machine slept, or a thread was starved.
//!
//! Whoever waits gives a sign of life several times a second, on a clock that goes on during all of that (time since
//! boot, sleep included). Two signs further apart than the limit mean silence in between; waiting itself is none.
//! [`Presence`] is the process's own: who works in it asks whether it was there all the while, because what looks like
//! somebody else's slowness may have been its own.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::clock::Clock;

/// Gaps between signs of life.
#[derive(Debug)]
pub struct Silence {
    limit: Duration,
    last: Duration,
    longest: Duration,
}

impl Silence {
    /// Gaps longer than `limit` count; `now` is time since boot.
    #[must_use]
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

/// Whether this process ran all the while. Somebody has to [`listen`](Self::listen) several times within the limit.
pub struct Presence {
    clock: Arc<dyn Clock>,
    heard: Mutex<Heard>,
}

struct Heard {
    silence: Silence,
    absences: u64,
    /// The longest absence that nobody was told of yet.
    untold: Option<Duration>,
}

/// A moment at which the process was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    absences: u64,
}

impl Presence {
    /// It is there now, and away when it gives no sign of life for longer than `limit`.
    #[must_use]
    pub fn new(limit: Duration, clock: Arc<dyn Clock>) -> Self {
        let silence = Silence::new(limit, clock.since_boot());
        Self { clock, heard: Mutex::new(Heard { silence, absences: 0, untold: None }) }
    }

    /// A sign of life; how long it was away since this was asked last, if it was.
    pub fn listen(&self) -> Option<Duration> {
        self.beat().untold.take()
    }

    /// Now, for [`was_away_since`](Self::was_away_since).
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { absences: self.beat().absences }
    }

    /// Whether it was away at any time since then. Right also for who wakes first after the absence.
    #[must_use]
    pub fn was_away_since(&self, mark: Mark) -> bool {
        self.mark() != mark
    }

    fn beat(&self) -> MutexGuard<'_, Heard> {
        // Each word is whole by itself: what a panicking thread left is readable.
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, or an older reading could come after a newer one.
        heard.silence.beat(self.clock.since_boot());
        if let Some(silent) = heard.silence.take() {
            heard.absences += 1;
            heard.untold = heard.untold.max(Some(silent));
        }
        heard
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presence")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::HandClock;

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

    #[test]
    fn a_steady_pulse_and_a_clock_that_stands_still_are_no_silence() {
        let quarters = |count: u64| Duration::from_millis(100_000 + 250 * count);
        let mut silence = Silence::new(Duration::from_secs(1), quarters(0));
        for quarter in 1..40 {
            silence.beat(quarters(quarter));
        }
        silence.beat(quarters(30));
        assert_eq!(silence.take(), None);
    }

    #[test]
    fn an_absence_is_seen_by_all_who_were_there_before_it_and_told_once() {
        let clock = Arc::new(HandClock::default());
        let presence = Presence::new(Duration::from_secs(1), clock.clone());
        let before = presence.mark();
        clock.forward(Duration::from_millis(900));
        assert!(!presence.was_away_since(before));
        clock.forward(Duration::from_secs(20));
        // Who worked meanwhile wakes before who listens.
        assert!(presence.was_away_since(before));
        let after = presence.mark();
        clock.forward(Duration::from_millis(500));
        assert_eq!(presence.listen(), Some(Duration::from_secs(20)));
        assert_eq!(presence.listen(), None);
        assert!(presence.was_away_since(before) && !presence.was_away_since(after));
    }
}
