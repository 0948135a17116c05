//! Wall-clock time and time since boot, and the one place that reads them.
//!
//! Durations and deadlines inside the process use `tokio::time::Instant`, which tests move by hand; wall-clock time is
//! for what leaves the process (records, the ledger), and comes from a [`Clock`] so that the simulation owns it too. So
//! does time since boot, by which the process notices that it was away.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};

/// Two machines' clocks may differ by so much.
pub const CLOCKS_DIFFER_MS: i64 = 5_000;

/// Milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Whether it is a time at all: a log that does not know when a record was written says 0, or -1.
    #[must_use]
    pub fn is_known(self) -> bool {
        self.0 > 0
    }

    /// This much later; saturates.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This much earlier; saturates.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// From a text such as `2025-11-17T08:00:00Z`; none if it is no time with its offset from UTC.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| Self(time.timestamp_millis()))
    }

    /// Milliseconds since `earlier`, never negative.
    #[must_use]
    pub fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0).max(0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_millis(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true)),
            None => write!(f, "{} ms", self.0),
        }
    }
}

/// Where wall-clock time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Time since the machine started, as [`since_boot`]: what tells an absence from a wait.
    fn since_boot(&self) -> Duration {
        since_boot()
    }
}

/// A clock that was set forward is believed after so long.
const BELIEVED_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// Up to when what was written may be counted as old: the clock, but not further than time has passed. A clock that is set
/// forward must not make everything old at once; a day later it is believed, for it may have been behind before.
#[derive(Debug)]
pub struct Ageing(std::sync::Mutex<Paces>);

/// Two clocks side by side.
#[derive(Debug, Clone, Copy)]
struct Paces {
    began: Timestamp,
    since_boot: Duration,
    /// Since when the clock is further than it may be.
    ahead_since: Option<Duration>,
}

impl Ageing {
    /// From now on.
    pub fn from(clock: &dyn Clock) -> Self {
        Self(std::sync::Mutex::new(Paces { began: clock.now(), since_boot: clock.since_boot(), ahead_since: None }))
    }

    /// Now, for whatever is deleted by its age.
    #[must_use]
    pub fn now(&self, clock: &dyn Clock) -> Timestamp {
        let mut paces = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (now, since_boot) = (clock.now(), clock.since_boot());
        let passed = paces.began.after(since_boot.saturating_sub(paces.since_boot));
        if now.0.saturating_sub(passed.0) <= CLOCKS_DIFFER_MS {
            paces.ahead_since = None;
            return now.min(passed);
        }
        let ahead_since = *paces.ahead_since.get_or_insert(since_boot);
        if since_boot.saturating_sub(ahead_since) < BELIEVED_AFTER {
            return passed;
        }
        *paces = Paces { began: now, since_boot, ahead_since: None };
        now
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Time since the machine started, sleep included: what notices that nobody ran for a while.
#[cfg(unix)]
#[must_use]
pub fn since_boot() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: nix::time::ClockId = nix::time::ClockId::CLOCK_BOOTTIME;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: nix::time::ClockId = nix::time::ClockId::CLOCK_MONOTONIC;
    nix::time::clock_gettime(CLOCK).map(Duration::from).expect("the kernel has this clock")
}

/// Time since this was first asked.
#[cfg(not(unix))]
#[must_use]
pub fn since_boot() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

/// Time that passes when a test says so.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct HandClock(std::sync::Mutex<Duration>);

#[cfg(test)]
impl HandClock {
    /// Let this much time pass.
    pub(crate) fn forward(&self, duration: Duration) {
        *self.0.lock().expect("nobody panics while adding") += duration;
    }
}

#[cfg(test)]
impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_790_000_000_000).after(self.since_boot())
    }

    fn since_boot(&self) -> Duration {
        *self.0.lock().expect("nobody panics while reading")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two clocks that a test sets.
    struct Two(std::sync::Mutex<(i64, u64)>);

    impl Clock for Two {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.lock().expect("nobody panics with it").0)
        }

        fn since_boot(&self) -> Duration {
            Duration::from_millis(self.0.lock().expect("nobody panics with it").1)
        }
    }

    #[test]
    fn a_clock_that_is_set_forward_makes_nothing_old() {
        let clock = Two(std::sync::Mutex::new((1_000, 50)));
        let ageing = Ageing::from(&clock);
        let at = |wall, boot| {
            *clock.0.lock().expect("nobody panics with it") = (wall, boot);
            ageing.now(&clock)
        };
        assert_eq!(at(1_000, 50), Timestamp(1_000));
        assert_eq!(at(1_100, 150), Timestamp(1_100));
        assert_eq!(at(900_000, 160), Timestamp(1_110), "set forward");
        assert_eq!(at(10, 170), Timestamp(10), "set back");
        let day = 24 * 3_600_000;
        assert_eq!(at(90_000_000, 200), Timestamp(1_150), "set forward again");
        let later = |passed: u64| (90_000_000 + passed.cast_signed() - 200, passed);
        let (wall, boot) = later(100 + day);
        assert_eq!(at(wall, boot), Timestamp(1_050 + day.cast_signed()), "not for long enough");
        let (wall, boot) = later(200 + day);
        assert_eq!(at(wall, boot), Timestamp(wall), "it was behind before, then");
        let (wall, boot) = later(300 + day);
        assert_eq!(at(wall, boot), Timestamp(wall));
    }
}
