//! Who holds a connection, since when, and how full the pool is. Pure: the caller says what time it is.

use std::collections::BTreeMap;
use std::panic::Location;
use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::happenings::{LedgerLeakSuspected, PoolMark};

/// The book of connections that are out.
#[derive(Debug)]
pub(super) struct Desk {
    max: usize,
    next: u64,
    out: BTreeMap<u64, Loan>,
    /// The highest mark since it was calm: use that goes to and fro around a mark is said once.
    said: PoolMark,
}

#[derive(Debug)]
struct Loan {
    held_at: &'static Location<'static>,
    since: Instant,
    suspected: bool,
}

impl Desk {
    pub(super) fn new(max: usize) -> Self {
        Self { max, next: 0, out: BTreeMap::new(), said: PoolMark::Calm }
    }

    /// Connections in use.
    pub(super) fn used(&self) -> usize {
        self.out.len()
    }

    /// A connection went out: its number, and the mark that was passed.
    pub(super) fn take(&mut self, held_at: &'static Location<'static>, now: Instant) -> (u64, Option<PoolMark>) {
        let number = self.next;
        self.next += 1;
        self.out.insert(number, Loan { held_at, since: now, suspected: false });
        let mark = self.mark();
        let passed = mark > self.said;
        self.said = self.said.max(mark);
        (number, passed.then_some(mark))
    }

    /// It came back; the mark, if it is calm again now.
    pub(super) fn give_back(&mut self, number: u64) -> Option<PoolMark> {
        self.out.remove(&number);
        let calmed = self.said > PoolMark::Calm && self.mark() == PoolMark::Calm;
        calmed.then(|| {
            self.said = PoolMark::Calm;
            PoolMark::Calm
        })
    }

    /// Connections that are out for longer than this and were not told of before.
    pub(super) fn suspects(&mut self, longer_than: Duration, now: Instant) -> Vec<LedgerLeakSuspected> {
        let mut found = Vec::new();
        for loan in self.out.values_mut() {
            let held_for = now - loan.since;
            if !loan.suspected && held_for > longer_than {
                loan.suspected = true;
                found.push(LedgerLeakSuspected { held_at: loan.held_at, held_for });
            }
        }
        found
    }

    fn mark(&self) -> PoolMark {
        match self.used() * 100 / self.max.max(1) {
            90.. => PoolMark::Alarm,
            70.. => PoolMark::Warn,
            _ => PoolMark::Calm,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(desk: &mut Desk, number: usize) -> Vec<Option<PoolMark>> {
        (0..number).map(|_| desk.take(Location::caller(), Instant::now()).1).collect()
    }

    #[test]
    fn each_mark_is_said_once_until_it_was_calm_again() {
        let mut desk = Desk::new(10);
        assert_eq!(marks(&mut desk, 6), [None; 6]);
        assert_eq!(marks(&mut desk, 3), [Some(PoolMark::Warn), None, Some(PoolMark::Alarm)]);
        assert_eq!((0..2).map(|number| desk.give_back(number)).collect::<Vec<_>>(), [None, None]);
        assert_eq!(marks(&mut desk, 3), [None; 3], "to and fro around a mark");
        let calm: Vec<_> = (2..6).map(|number| desk.give_back(number)).collect();
        assert_eq!(calm, [None, None, None, Some(PoolMark::Calm)]);
        assert_eq!(marks(&mut desk, 1), [Some(PoolMark::Warn)]);
    }

    #[test]
    fn a_connection_that_is_held_for_long_is_suspected_once_with_its_place() {
        let (mut desk, start, limit) = (Desk::new(10), Instant::now(), Duration::from_secs(30));
        let place = Location::caller();
        let (forgotten, _) = desk.take(place, start);
        let (returned, _) = desk.take(Location::caller(), start);
        assert!(desk.suspects(limit, start + limit).is_empty());
        desk.give_back(returned);
        let suspects = desk.suspects(limit, start + limit * 2);
        assert_eq!(suspects.len(), 1);
        assert_eq!((suspects[0].held_at, suspects[0].held_for), (place, limit * 2));
        assert!(desk.suspects(limit, start + limit * 3).is_empty());
        desk.give_back(forgotten);
        assert_eq!(desk.used(), 0);
    }
}
