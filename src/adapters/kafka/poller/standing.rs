//! Who is meant when the group says that this instance was fenced. Pure.
//!
//! A static member that is fenced has been replaced by whoever joined last under its name: another process, or this very
//! client. After a silence of the brokers librdkafka gives its membership up and joins under no member id, while requests of
//! the old membership still wait for their answers; if the brokers read those last, we are fenced by ourselves.

use std::time::{Duration, Instant};

/// Of one consumer.
#[derive(Debug)]
pub struct Standing {
    session_timeout: Duration,
    was_assigned: bool,
    lost: bool,
    doubtful_until: Option<Instant>,
}

impl Standing {
    /// Not a member yet.
    pub fn new(session_timeout: Duration) -> Self {
        Self { session_timeout, was_assigned: false, lost: false, doubtful_until: None }
    }

    /// The group did not hear of us for too long, or we not of it.
    pub fn lost(&mut self) {
        self.lost = true;
    }

    /// The group has said what is ours. Requests from before are not waited for any longer than a session.
    pub fn assigned(&mut self, now: Instant) {
        if std::mem::take(&mut self.lost) {
            self.doubtful_until = Some(now + self.session_timeout);
        }
        self.was_assigned = true;
    }

    /// Whether a fence may be our own doing. A client in good standing asks under its member id only, and is fenced by another
    /// process alone; so is one that has never been in. `has_member_id`: as librdkafka has it now.
    pub fn may_be_fenced_by_itself(&self, has_member_id: bool, now: Instant) -> bool {
        self.was_assigned && (self.lost || !has_member_id || self.doubtful_until.is_some_and(|until| now < until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Duration = Duration::from_secs(10);

    #[test]
    fn a_member_in_good_standing_is_fenced_by_another_process_and_so_is_one_that_never_got_in() {
        let (mut standing, now) = (Standing::new(SESSION), Instant::now());
        assert!(!standing.may_be_fenced_by_itself(false, now));
        standing.assigned(now);
        assert!(!standing.may_be_fenced_by_itself(true, now));
        assert!(!standing.may_be_fenced_by_itself(true, now + 2 * SESSION));
    }

    #[test]
    fn who_lost_its_session_may_be_fenced_by_itself_until_old_requests_are_gone() {
        let (mut standing, now) = (Standing::new(SESSION), Instant::now());
        standing.assigned(now);
        standing.lost();
        let much_later = now + 10 * SESSION;
        assert!(standing.may_be_fenced_by_itself(true, much_later), "a silence may last");
        standing.assigned(much_later);
        let gone = much_later + SESSION;
        assert!(standing.may_be_fenced_by_itself(true, gone - Duration::from_millis(1)));
        assert!(!standing.may_be_fenced_by_itself(true, gone));
        standing.assigned(gone);
        assert!(!standing.may_be_fenced_by_itself(true, gone), "a rebalance is no loss");
    }

    /// One that has no partitions loses none.
    #[test]
    fn who_joins_again_under_no_member_id_may_be_fenced_by_itself() {
        let (mut standing, now) = (Standing::new(SESSION), Instant::now());
        standing.assigned(now);
        assert!(standing.may_be_fenced_by_itself(false, now + 2 * SESSION));
    }
}
