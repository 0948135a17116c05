//! When a consumer is told again where its cluster is. Pure.
//!
//! A consumer that says that all of its brokers are down may have none left to try (`raw/brokers.rs`), and cannot be asked
//! how many it has.

use std::time::{Duration, Instant};

/// librdkafka remembers every reminder for as long as the client lives, and says that brokers are down as often as it tries.
const EVERY: Duration = Duration::from_secs(5);

/// It need not say so again when it loses those that it was told of.
const TIMES: u32 = 3;

/// Of one consumer.
#[derive(Debug, Default)]
pub struct Reminder {
    left: u32,
    last: Option<Instant>,
}

impl Reminder {
    /// The consumer says that all of its brokers are down.
    pub fn all_are_down(&mut self) {
        self.left = TIMES;
    }

    /// Whether to remind it now.
    pub fn take(&mut self, now: Instant) -> bool {
        let may = self.left > 0 && self.last.is_none_or(|last| now - last >= EVERY);
        if may {
            *self = Self { left: self.left - 1, last: Some(now) };
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_followed_by_some_reminders_the_first_at_once() {
        let (mut reminder, begun) = (Reminder::default(), Instant::now());
        assert!(!reminder.take(begun), "not without need");
        reminder.all_are_down();
        for number in 0..TIMES {
            assert!(reminder.take(begun + number * EVERY));
        }
        assert!(!reminder.take(begun + 10 * EVERY));
        reminder.all_are_down();
        assert!(reminder.take(begun + 10 * EVERY));
    }

    #[test]
    fn reminders_are_no_more_frequent_than_that_however_often_brokers_are_down() {
        let (mut reminder, begun) = (Reminder::default(), Instant::now());
        reminder.all_are_down();
        assert!(reminder.take(begun));
        reminder.all_are_down();
        let due = begun + EVERY;
        assert!(!reminder.take(due - Duration::from_millis(1)));
        assert!(reminder.take(due));
    }
}
