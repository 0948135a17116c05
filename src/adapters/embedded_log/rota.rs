//! Whose turn it is: the reader's cursors, and what is due at each. Pure.
//!
//! Partitions take turns, a batch each, so that a full one does not starve the others. A cursor only moves forward.

use std::collections::{BTreeMap, BTreeSet};

use super::catalog::Marks;
use super::error::Error;
use super::place::Stretch;
use crate::domain::position::Partition;

/// The reader's place in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    partition: Partition,
    /// How the file calls the partition.
    address: (i64, u32),
    stretch: Stretch,
    next: u64,
    end: u64,
    /// The end that the road was told it has caught up with.
    told: Option<u64>,
    paused: bool,
}

impl Cursor {
    pub(super) fn new(partition: Partition, topic: i64, stretch: Stretch, next: u64) -> Self {
        let address = (topic, partition.number);
        Self { partition, address, stretch, next, end: next, told: None, paused: false }
    }
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Read from here to at most the end; then say [`Rota::handed_over`].
    Read { partition: Partition, stretch: Stretch, from: u64, end: u64 },
    /// Say that the partition has been read to its end.
    CaughtUp { partition: Partition, end: u64 },
}

/// All cursors.
#[derive(Debug)]
pub(super) struct Rota {
    cursors: Vec<Cursor>,
    turn: usize,
}

impl Rota {
    pub(super) fn new(cursors: Vec<Cursor>) -> Self {
        Self { cursors, turn: 0 }
    }

    /// These are paused, and only these.
    pub(super) fn pause(&mut self, paused: &BTreeSet<Partition>) {
        for cursor in &mut self.cursors {
            cursor.paused = paused.contains(&cursor.partition);
        }
    }

    /// Take note of where the partitions stand now.
    pub(super) fn look(&mut self, marks: &BTreeMap<(i64, u32), Marks>) -> Result<(), Error> {
        for cursor in &mut self.cursors {
            let partition = cursor.partition;
            let marks = marks.get(&cursor.address).ok_or(Error::Gone { partition })?;
            marks.hold(partition, cursor.next)?;
            cursor.end = marks.next_offset;
        }
        Ok(())
    }

    /// The next one whose turn it is and that has something due.
    pub(super) fn next_due(&mut self) -> Option<Due> {
        let count = self.cursors.len();
        let turn = (0..count).map(|step| (self.turn + step) % count).find(|&at| self.cursors[at].is_due())?;
        self.turn = (turn + 1) % count;
        let cursor = &mut self.cursors[turn];
        let Cursor { partition, stretch, next: from, end, .. } = *cursor;
        if from < end {
            return Some(Due::Read { partition, stretch, from, end });
        }
        cursor.told = Some(end);
        Some(Due::CaughtUp { partition, end })
    }

    /// Records before `next` are with the road.
    pub(super) fn handed_over(&mut self, partition: Partition, next: u64) {
        if let Some(cursor) = self.cursors.iter_mut().find(|cursor| cursor.partition == partition) {
            cursor.next = cursor.next.max(next);
        }
    }
}

impl Cursor {
    fn is_due(&self) -> bool {
        !self.paused && (self.next < self.end || self.told != Some(self.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::TopicRole;

    fn partition(number: u32) -> Partition {
        Partition { topic: TopicRole::Events, number }
    }

    fn rota(partitions: u32) -> Rota {
        let cursor = |number| Cursor::new(partition(number), 1, Stretch::of(1, number).expect("fits"), 0);
        Rota::new((0..partitions).map(cursor).collect())
    }

    fn ends(ends: &[u64]) -> BTreeMap<(i64, u32), Marks> {
        (0..).zip(ends).map(|(number, &end)| ((1, number), Marks { log_start: 0, next_offset: end })).collect()
    }

    /// Reads one record a turn, as far as there is anything due.
    fn work(rota: &mut Rota) -> Vec<String> {
        let mut done = Vec::new();
        while let Some(due) = rota.next_due() {
            match due {
                Due::Read { partition, from, .. } => {
                    rota.handed_over(partition, from + 1);
                    done.push(format!("{}@{from}", partition.number));
                }
                Due::CaughtUp { partition, end } => done.push(format!("{} up to {end}", partition.number)),
            }
        }
        done
    }

    #[test]
    fn a_deleted_topic_is_an_error() {
        let gone = rota(2).look(&ends(&[3]));
        assert!(matches!(gone, Err(Error::Gone { partition }) if partition.number == 1));
    }

    #[test]
    fn a_log_that_begins_after_the_cursor_is_an_error_and_so_is_one_that_ends_before_it() {
        let mut rota = rota(1);
        rota.look(&ends(&[5])).expect("nothing wrong yet");
        rota.handed_over(partition(0), 3);
        for (log_start, next_offset) in [(4, 9), (0, 2)] {
            let marks = BTreeMap::from([((1, 0), Marks { log_start, next_offset })]);
            assert!(matches!(rota.look(&marks), Err(Error::OutOfRange { position: 3, .. })));
        }
    }

    #[test]
    fn partitions_take_turns() {
        let mut rota = rota(3);
        rota.look(&ends(&[3, 1, 2])).expect("all there");
        assert_eq!(work(&mut rota), ["0@0", "1@0", "2@0", "0@1", "1 up to 1", "2@1", "0@2", "2 up to 2", "0 up to 3"]);
    }

    #[test]
    fn an_end_is_told_once_and_again_after_new_records() {
        let mut rota = rota(1);
        rota.look(&ends(&[0])).expect("all there");
        assert_eq!(work(&mut rota), ["0 up to 0"]);
        rota.look(&ends(&[0])).expect("all there");
        assert_eq!(work(&mut rota), [""; 0]);
        rota.look(&ends(&[1])).expect("all there");
        assert_eq!(work(&mut rota), ["0@0", "0 up to 1"]);
    }

    #[test]
    fn a_paused_partition_has_nothing_due_until_it_is_resumed() {
        let mut rota = rota(2);
        rota.look(&ends(&[1, 1])).expect("all there");
        rota.pause(&BTreeSet::from([partition(0)]));
        assert_eq!(work(&mut rota), ["1@0", "1 up to 1"]);
        rota.pause(&BTreeSet::new());
        assert_eq!(work(&mut rota), ["0@0", "0 up to 1"]);
    }

    #[test]
    fn a_cursor_never_goes_back() {
        let mut rota = rota(1);
        rota.look(&ends(&[9])).expect("all there");
        rota.handed_over(partition(0), 5);
        rota.handed_over(partition(0), 2);
        assert!(matches!(rota.next_due(), Some(Due::Read { from: 5, .. })));
    }
}
