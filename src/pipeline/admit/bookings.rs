//! When the turn of events comes that do not wait in memory.
//!
//! A tenant far over its limits books turns one after the other: each event that is put off gets the moment at which the
//! limits will have room for it, behind everything that was put off before. So it comes back about then, however many
//! there are, and nothing is asked again and again in the meantime.
//!
//! Pure, and kept in memory only: what a life before has booked is learnt from the events as they come back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::tenant::Limits;

/// Beyond this nothing is foreseen.
const HORIZON: Duration = Duration::from_secs(24 * 3_600);

/// Until when each tenant's limits are spoken for.
#[derive(Debug, Default)]
pub struct Bookings {
    until: HashMap<Arc<str>, Instant>,
    /// When it is looked for bookings that are over.
    tidy_at: Option<Instant>,
}

impl Bookings {
    /// How long the tenant's limits are spoken for.
    #[must_use]
    pub fn booked(&self, now: Instant, tenant: &str) -> Duration {
        self.until.get(tenant).map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// A turn when everything that waits and itself could have gone (`wait`), and behind everything that was booked.
    pub fn book(&mut self, now: Instant, tenant: &Arc<str>, limits: &Limits, tokens: u32, wait: Duration) -> Duration {
        self.tidy(now);
        let behind_others =
            self.until.get(tenant).map(|until| until.saturating_duration_since(now) + time_of(limits, tokens));
        let turn = behind_others.unwrap_or_default().max(wait).min(HORIZON);
        self.until.insert(tenant.clone(), now + turn);
        turn
    }

    /// An event that came back has its turn in so long: the limits are spoken for at least until then.
    pub fn came_back(&mut self, now: Instant, tenant: &Arc<str>, turn: Duration) {
        if turn > self.booked(now, tenant) {
            self.until.insert(tenant.clone(), now + turn.min(HORIZON));
        }
    }

    fn tidy(&mut self, now: Instant) {
        if self.tidy_at.is_none_or(|at| at <= now) {
            self.until.retain(|_, until| *until > now);
            self.tidy_at = Some(now + Duration::from_secs(60));
        }
    }
}

/// What one event takes of its tenant's limits, as time.
fn time_of(limits: &Limits, tokens: u32) -> Duration {
    let time = |per_minute: Option<u32>, cost: u32| match per_minute {
        None => Duration::ZERO,
        Some(0) => HORIZON,
        Some(per_minute) => Duration::from_secs_f64(60.0 * f64::from(cost) / f64::from(per_minute)),
    };
    time(limits.requests_per_minute, 1).max(time(limits.tokens_per_minute, tokens))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { requests_per_minute: Some(60), tokens_per_minute: Some(6_000), ..Limits::NONE };

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn turns_follow_each_other_at_the_pace_of_the_limits() {
        let (mut bookings, now, acme) = (Bookings::default(), Instant::now(), Arc::from("acme"));
        let turns = [0; 3].map(|_| bookings.book(now, &acme, &LIMITS, 10, seconds(20)));
        assert_eq!(turns, [20, 21, 22].map(seconds), "behind what waits, a request a second");
        let later = now + seconds(3);
        assert_eq!(bookings.book(later, &acme, &LIMITS, 200, seconds(1)), seconds(21), "tokens take longer here");
        assert_eq!(bookings.booked(later, "acme"), seconds(21));
    }

    #[test]
    fn tenants_do_not_wait_for_each_other_and_a_booking_ends() {
        let (mut bookings, now) = (Bookings::default(), Instant::now());
        bookings.book(now, &Arc::from("acme"), &LIMITS, 10, seconds(1_000));
        assert_eq!(bookings.book(now, &Arc::from("globex"), &LIMITS, 10, seconds(1)), seconds(1));
        assert_eq!(bookings.booked(now + seconds(1_001), "acme"), Duration::ZERO);
        bookings.book(now + seconds(2_000), &Arc::from("globex"), &LIMITS, 10, seconds(1));
        assert_eq!(bookings.until.len(), 1, "what is over is forgotten");
    }

    #[test]
    fn what_comes_back_tells_of_bookings_that_a_crash_forgot() {
        let (mut bookings, now, acme) = (Bookings::default(), Instant::now(), Arc::from("acme"));
        bookings.came_back(now, &acme, seconds(100));
        bookings.came_back(now, &acme, seconds(50));
        assert_eq!(bookings.book(now, &acme, &LIMITS, 10, Duration::ZERO), seconds(101));
    }

    #[test]
    fn a_tenant_that_may_nothing_is_looked_at_again_within_a_day() {
        let (mut bookings, now, acme) = (Bookings::default(), Instant::now(), Arc::from("acme"));
        let nothing = Limits { requests_per_minute: Some(0), ..LIMITS };
        assert_eq!([0; 2].map(|_| bookings.book(now, &acme, &nothing, 1, HORIZON)), [HORIZON; 2]);
    }
}
