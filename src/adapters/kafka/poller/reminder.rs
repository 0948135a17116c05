//! When a consumer is told again where its cluster is. Pure.
//!
//! A consumer that says that all of its brokers are down may have none left to try (`raw/brokers.rs`), and cannot be asked
//! how many it has.

use std::time::{Duration, Instant};

/// librdkafka remembers every reminder for as long as the client lives, and says that brokers are down as often as it tries.
const EVERY: Duration = Duration::from_secs(5);

/// Of one consumer.
#[derive(Debug, Default)]
pub struct Reminder {
    is_due: bool,
    last: Option<Instant>,
}

impl Reminder {
    /// The consumer says that all of its brokers are down.
    pub fn all_are_down(&mut self) {
        self.is_due = true;
    }

    /// Whether to remind it now.
    pub fn take(&mut self, now: Instant) -> bool {
        let may = self.is_due && self.last.is_none_or(|last| now - last >= EVERY);
        if may {
            *self = Self { is_due: false, last: Some(now) };
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outage_is_followed_by_a_reminder_and_none_is_without_need() {
        let (mut reminder, begun) = (Reminder::default(), Instant::now());
        assert!(!reminder.take(begun));
        reminder.all_are_down();
        assert!(reminder.take(begun), "the first comes at once");
        assert!(!reminder.take(begun + 2 * EVERY), "it has been reminded");
        reminder.all_are_down();
        assert!(reminder.take(begun + 3 * EVERY));
    }

    #[test]
    fn what_comes_too_soon_comes_later() {
        let (mut reminder, begun) = (Reminder::default(), Instant::now());
        reminder.all_are_down();
        assert!(reminder.take(begun));
        reminder.all_are_down();
        let due = begun + EVERY;
        assert!(!reminder.take(due - Duration::from_millis(1)));
        assert!(reminder.take(due));
        assert!(!reminder.take(due + EVERY));
    }
}
