//! A place in flight is held by a call, not by the wait for its lease.
//!
//! A lease is a ledger batch away. If the wait for it held one of the `max_in_flight` places, each call would cost its
//! place that much longer, and a fast model would lose a seventh of its throughput to it. So a few more are started than
//! may call; each asks for its lease, and the granted ones wait here, in order, for the next free place.
//!
//! Invariant: no more than `max_in_flight` calls have a granted lease in their hands.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::lease::LeaseRequest;
use super::{Purpose, Road};
use crate::domain::identity::DedupeKey;
use crate::pipeline::dedupe::ledger::Entry;
use crate::pipeline::triage::guard::LeaseReply;

/// A lease outlives its call by a few seconds; one that waited longer than this would cut its call short.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How far a call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It prepares, or waits for something else than a lease: the breaker, its next attempt.
    Preparing,
    /// It waits for its lease, or with it for a place.
    Leasing,
    /// It has a place.
    Calling,
    /// Its answer is being saved.
    Done,
}

/// How many stand where.
#[derive(Debug, Default)]
pub(super) struct Places {
    preparing: usize,
    leasing: usize,
    calling: usize,
    /// Leases that wait for a place, and since when.
    granted: VecDeque<(Instant, LeaseRequest)>,
}

impl Places {
    fn count(&mut self, stage: Stage) -> Option<&mut usize> {
        match stage {
            Stage::Preparing => Some(&mut self.preparing),
            Stage::Leasing => Some(&mut self.leasing),
            Stage::Calling => Some(&mut self.calling),
            Stage::Done => None,
        }
    }

    /// A call has begun.
    pub(super) fn enter(&mut self, stage: Stage) {
        if let Some(count) = self.count(stage) {
            *count += 1;
        }
    }

    fn leave(&mut self, stage: Stage) {
        if let Some(count) = self.count(stage) {
            *count -= 1;
        }
    }

    /// Calls that have not ended.
    pub(super) fn taken(&self) -> usize {
        self.preparing + self.leasing + self.calling
    }

    /// Those of them that do not merely wait for a lease.
    pub(super) fn in_flight(&self) -> usize {
        self.preparing + self.calling
    }

    /// Whether another may begin, with `max` places and `ahead` more that may wait for a lease.
    fn has_room(&self, max: usize, ahead: usize) -> bool {
        self.in_flight() < max && self.taken() < max + ahead
    }

    /// The lease whose turn it is, if there is a place for it, and since when it waited.
    fn next_granted(&mut self, max: usize) -> Option<(Instant, LeaseRequest)> {
        if self.calling < max { self.granted.pop_front() } else { None }
    }
}

impl Road {
    /// Whether another call may be started.
    pub(super) fn may_start(&self) -> bool {
        let max = self.fixtures.settings.max_in_flight;
        // Leases are for remote models; a local one has its place from the start.
        let ahead = if self.fixtures.guard.first_is_remote() { max / 4 + 1 } else { 0 };
        self.places.has_room(max, ahead)
    }

    pub(super) fn move_call(&mut self, key: DedupeKey, stage: Stage) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        self.places.leave(call.stage);
        self.places.enter(stage);
        call.stage = stage;
    }

    /// The ledger has granted a lease.
    pub(super) fn lease_granted(&mut self, request: LeaseRequest, now: Instant) {
        self.places.granted.push_back((now, request));
    }

    /// Free places go to those that wait with their lease.
    pub(super) fn fill_places(&mut self, now: Instant) {
        while self.away_until.is_none()
            && let Some((since, request)) = self.places.next_granted(self.fixtures.settings.max_in_flight)
        {
            if now - since <= LONGEST_WAIT {
                self.move_call(request.key, Stage::Calling);
                request.answer(LeaseReply::Granted);
            } else {
                // It goes round again, and nobody else need wait for a lease that was not used.
                self.move_call(request.key, Stage::Preparing);
                let release = Entry::Release { key: request.key, owner: request.owner.clone() };
                self.want(release, Purpose::Background);
                request.answer(LeaseReply::Pointless);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::Position;

    fn places(preparing: usize, leasing: usize, calling: usize) -> Places {
        Places { preparing, leasing, calling, granted: VecDeque::new() }
    }

    #[test]
    fn who_waits_for_a_lease_holds_no_place_but_only_a_few_may_wait() {
        assert!(!places(1, 0, 3).has_room(4, 2));
        assert!(places(0, 1, 3).has_room(4, 2));
        assert!(places(0, 5, 0).has_room(4, 2));
        assert!(!places(0, 6, 0).has_room(4, 2));
        assert!(!places(0, 3, 3).has_room(4, 2));
        // Without leases there is nothing to start ahead of.
        assert!(places(3, 0, 0).has_room(4, 0) && !places(4, 0, 0).has_room(4, 0));
    }

    #[tokio::test]
    async fn a_granted_lease_waits_for_a_place_and_the_first_comes_first() {
        let mut places = places(0, 2, 4);
        for offset in [7, 8] {
            let owner = Position { topic_id: "t".to_owned(), partition: 0, offset };
            let request = LeaseRequest { key: DedupeKey([0; 32]), owner, lasts: Duration::ZERO, reply: None };
            places.granted.push_back((Instant::now(), request));
        }
        assert!(places.next_granted(4).is_none());
        places.leave(Stage::Calling);
        assert_eq!(places.next_granted(4).map(|(_, request)| request.owner.offset), Some(7));
    }
}
