//! How fast calls end: a tenant's, or all of them.

use std::time::Duration;

use tokio::time::Instant;

/// Less than this tells nothing.
const AT_LEAST: Duration = Duration::from_secs(1);

/// How many end in a second, as it was lately.
#[derive(Debug)]
pub struct Pace {
    /// What was longer ago counts little.
    memory: Duration,
    /// It is measured since then.
    since: Instant,
    at: Instant,
    /// How many have ended, each weighing less with time.
    ended: f64,
}

impl Pace {
    /// Measured from now on.
    #[must_use]
    pub fn begin(now: Instant, memory: Duration) -> Self {
        Self { memory, since: now, at: now, ended: 0.0 }
    }

    /// A call has ended.
    pub fn ended(&mut self, now: Instant) {
        self.ended = self.left(now) + 1.0;
        self.at = now;
    }

    /// A second's worth; none while too little is known.
    #[must_use]
    pub fn per_second(&self, now: Instant) -> Option<f64> {
        let waited = now.saturating_duration_since(self.since);
        // What a steady pace of one a second would weigh by now.
        let of_one = self.memory.as_secs_f64() * (1.0 - self.decay(waited));
        let pace = self.left(now) / of_one;
        let is_recent = now.saturating_duration_since(self.at) < 3 * self.memory;
        (waited >= AT_LEAST && is_recent && pace > 0.0).then_some(pace)
    }

    fn left(&self, now: Instant) -> f64 {
        self.ended * self.decay(now.saturating_duration_since(self.at))
    }

    fn decay(&self, over: Duration) -> f64 {
        (-over.as_secs_f64() / self.memory.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: Duration = Duration::from_secs(10);

    /// What is measured of so many a second after so long.
    fn measured(per_second: u32, seconds: u64) -> Option<f64> {
        let begun = Instant::now();
        let mut pace = Pace::begin(begun, MEMORY);
        let step = Duration::from_secs(1) / per_second;
        let end = begun + Duration::from_secs(seconds);
        let mut now = begun;
        while now + step <= end {
            now += step;
            pace.ended(now);
        }
        pace.per_second(end)
    }

    #[test]
    fn a_steady_pace_is_known_after_a_second_and_ever_after() {
        for seconds in [1, 5, 100] {
            let pace = measured(50, seconds).expect("it is known");
            assert!((47.0..53.0).contains(&pace), "{pace} after {seconds} s");
        }
        assert_eq!(measured(50, 0), None);
    }

    #[test]
    fn a_pace_that_falls_is_noticed_and_nothing_for_very_long_is_no_pace() {
        let begun = Instant::now();
        let mut pace = Pace::begin(begun, MEMORY);
        (1..=1_000).for_each(|n| pace.ended(begun + Duration::from_millis(10 * n)));
        (1..=30).for_each(|n| pace.ended(begun + Duration::from_secs(10 + n)));
        let slower = pace.per_second(begun + Duration::from_secs(40)).expect("it is known");
        assert!((1.0..8.0).contains(&slower), "{slower}");
        assert_eq!(pace.per_second(begun + Duration::from_secs(80)), None, "who has none for long has none");
        assert_eq!(Pace::begin(begun, MEMORY).per_second(begun + Duration::from_secs(5)), None, "nobody knows");
    }
}
