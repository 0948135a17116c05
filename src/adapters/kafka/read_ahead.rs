//! What was read and not yet handed to the road: a bounded queue a partition, served in turn.
//!
//! A partition with a long backlog must not fill the road while others wait, and a road that says "not now" must not
//! cost what was fetched: librdkafka's own pause throws its queue away and fetches it again. So a pause of the road only
//! holds a queue here, and librdkafka is paused when a queue is full.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use crate::domain::position::Partition;
use crate::domain::record::Record;
use crate::telemetry::happenings::ReadAheadFill;

/// How much is read ahead, and handed over at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Records of one partition before its reading stops.
    pub ahead_records: usize,
    /// Bytes of one partition before its reading stops.
    pub ahead_bytes: usize,
    /// Records handed over at once.
    pub batch_records: usize,
    /// Bytes handed over at once; the first record comes whatever its size.
    pub batch_bytes: usize,
}

/// All partitions that are ours.
#[derive(Debug)]
pub struct ReadAhead {
    limits: Limits,
    queues: BTreeMap<Partition, Queue>,
    last_served: Option<Partition>,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    records: usize,
    bytes: usize,
    /// The road does not want any.
    held: bool,
    /// librdkafka was told to stop.
    stopped: bool,
}

#[derive(Debug)]
enum Item {
    Record(Record),
    End(u64),
}

/// What is handed over as one happening.
#[derive(Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Consecutive records.
    Records(Partition, Vec<Record>),
    /// Everything before this offset was handed over.
    End(Partition, u64),
}

impl ReadAhead {
    /// Of nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, queues: BTreeMap::new(), last_served: None }
    }

    /// This one is read from now on.
    pub fn add(&mut self, partition: Partition) {
        self.queues.insert(partition, Queue::default());
    }

    /// These are not read any more; those that librdkafka was told to stop.
    pub fn remove(&mut self, partitions: &[Partition]) -> Vec<Partition> {
        let gone = partitions.iter().filter_map(|partition| Some((*partition, self.queues.remove(partition)?)));
        gone.filter(|(_, queue)| queue.stopped).map(|(partition, _)| partition).collect()
    }

    /// A record was read.
    pub fn push(&mut self, partition: Partition, record: Record) {
        if let Some(queue) = self.queues.get_mut(&partition) {
            queue.records += 1;
            queue.bytes += record.bytes();
            queue.items.push_back(Item::Record(record));
        }
    }

    /// The end was reached.
    pub fn end(&mut self, partition: Partition, end: u64) {
        if let Some(queue) = self.queues.get_mut(&partition) {
            // Only the last of several ends matters, and an idle partition has no other bound.
            if let Some(Item::End(last)) = queue.items.back_mut() {
                *last = end;
            } else {
                queue.items.push_back(Item::End(end));
            }
        }
    }

    /// The road wants these, or does not.
    pub fn hold(&mut self, partitions: &[Partition], held: bool) {
        for partition in partitions {
            if let Some(queue) = self.queues.get_mut(partition) {
                queue.held = held;
            }
        }
    }

    /// The next batch, from the partition whose turn it is.
    pub fn next(&mut self) -> Option<Delivery> {
        let after = self.last_served.map_or(Bound::Unbounded, Bound::Excluded);
        let wanted = |(_, queue): &(&Partition, &Queue)| !queue.held && !queue.items.is_empty();
        let later = self.queues.range((after, Bound::Unbounded)).find(wanted);
        let partition = *later.or_else(|| self.queues.iter().find(wanted))?.0;
        self.last_served = Some(partition);
        let queue = self.queues.get_mut(&partition)?;
        if let Some(Item::End(end)) = queue.items.front() {
            let end = *end;
            queue.items.pop_front();
            return Some(Delivery::End(partition, end));
        }
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some(Item::Record(_)) = queue.items.front() {
            if records.len() >= self.limits.batch_records || bytes >= self.limits.batch_bytes {
                break;
            }
            let Some(Item::Record(record)) = queue.items.pop_front() else { break };
            bytes += record.bytes();
            records.push(record);
        }
        queue.records -= records.len();
        queue.bytes -= bytes;
        Some(Delivery::Records(partition, records))
    }

    /// How many records wait here, and how many may.
    pub fn fill(&self) -> ReadAheadFill {
        let records = self.queues.values().map(|queue| queue.records).sum();
        ReadAheadFill { records, max: self.limits.ahead_records * self.queues.len() }
    }

    /// Partitions that librdkafka must stop from now on, and those that it may go on with: a queue that is full stops,
    /// one that is down to a quarter goes on.
    pub fn steer(&mut self) -> (Vec<Partition>, Vec<Partition>) {
        let Limits { ahead_records, ahead_bytes, .. } = self.limits;
        let (mut stop, mut go_on) = (Vec::new(), Vec::new());
        for (partition, queue) in &mut self.queues {
            let full = queue.records >= ahead_records || queue.bytes >= ahead_bytes;
            let roomy = queue.records <= ahead_records / 4 && queue.bytes <= ahead_bytes / 4;
            if full && !queue.stopped {
                queue.stopped = true;
                stop.push(*partition);
            } else if roomy && queue.stopped {
                queue.stopped = false;
                go_on.push(*partition);
            }
        }
        (stop, go_on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::Timestamp;
    use crate::domain::position::TopicRole;
    use crate::domain::record::Header;

    const LIMITS: Limits = Limits { ahead_records: 4, ahead_bytes: 1_000, batch_records: 2, batch_bytes: 100 };

    fn at(number: u32) -> Partition {
        Partition { topic: TopicRole::Events, number }
    }

    fn record(offset: u64, bytes: usize) -> Record {
        let value = Some(vec![0; bytes].into());
        Record { offset, timestamp: Timestamp(0), key: None, value, headers: Vec::new() }
    }

    fn reading(partitions: &[u32]) -> ReadAhead {
        let mut read_ahead = ReadAhead::new(LIMITS);
        partitions.iter().for_each(|number| read_ahead.add(at(*number)));
        read_ahead
    }

    fn offsets(delivery: Option<Delivery>) -> (u32, Vec<u64>) {
        match delivery {
            Some(Delivery::Records(partition, records)) => {
                (partition.number, records.iter().map(|record| record.offset).collect())
            }
            other => panic!("{other:?} is no batch"),
        }
    }

    #[test]
    fn partitions_take_turns_however_long_their_backlogs() {
        let mut read_ahead = reading(&[0, 1]);
        (0..6).for_each(|offset| read_ahead.push(at(0), record(offset, 1)));
        (0..1).for_each(|offset| read_ahead.push(at(1), record(offset, 1)));
        assert_eq!(offsets(read_ahead.next()), (0, vec![0, 1]));
        assert_eq!(offsets(read_ahead.next()), (1, vec![0]));
        assert_eq!(offsets(read_ahead.next()), (0, vec![2, 3]));
        assert_eq!(offsets(read_ahead.next()), (0, vec![4, 5]));
        assert_eq!(read_ahead.next(), None);
    }

    #[test]
    fn an_end_comes_after_everything_before_it_and_before_everything_after() {
        let mut read_ahead = reading(&[0]);
        read_ahead.push(at(0), record(0, 1));
        read_ahead.end(at(0), 1);
        read_ahead.push(at(0), record(1, 1));
        read_ahead.end(at(0), 2);
        read_ahead.end(at(0), 3);
        assert_eq!(offsets(read_ahead.next()), (0, vec![0]));
        assert_eq!(read_ahead.next(), Some(Delivery::End(at(0), 1)));
        assert_eq!(offsets(read_ahead.next()), (0, vec![1]));
        assert_eq!(read_ahead.next(), Some(Delivery::End(at(0), 3)));
    }

    #[test]
    fn what_the_road_does_not_want_stays_and_does_not_keep_others_waiting() {
        let mut read_ahead = reading(&[0, 1]);
        read_ahead.push(at(0), record(0, 1));
        read_ahead.push(at(1), record(7, 1));
        read_ahead.hold(&[at(0)], true);
        assert_eq!(offsets(read_ahead.next()), (1, vec![7]));
        assert_eq!(read_ahead.next(), None);
        read_ahead.hold(&[at(0)], false);
        assert_eq!(offsets(read_ahead.next()), (0, vec![0]));
    }

    #[test]
    fn a_full_queue_stops_its_partition_until_it_is_nearly_empty() {
        let mut read_ahead = reading(&[0, 1]);
        (0..4).for_each(|offset| read_ahead.push(at(0), record(offset, 1)));
        assert_eq!(read_ahead.steer(), (vec![at(0)], vec![]));
        assert_eq!(read_ahead.fill(), ReadAheadFill { records: 4, max: 8 });
        assert_eq!(read_ahead.steer(), (vec![], vec![]), "told once");
        read_ahead.next();
        assert_eq!(read_ahead.steer(), (vec![], vec![]), "half is not nearly empty");
        read_ahead.next();
        assert_eq!(read_ahead.steer(), (vec![], vec![at(0)]));
    }

    #[test]
    fn large_records_stop_a_partition_by_their_bytes_and_go_alone() {
        let mut read_ahead = reading(&[0]);
        read_ahead.push(at(0), record(0, 600));
        read_ahead.push(at(0), record(1, 600));
        assert_eq!(read_ahead.steer(), (vec![at(0)], vec![]));
        assert_eq!(offsets(read_ahead.next()), (0, vec![0]));
        assert_eq!(offsets(read_ahead.next()), (0, vec![1]));
    }

    #[test]
    fn headers_that_hold_nothing_fill_a_queue_all_the_same() {
        let limits = Limits { ahead_records: 1_000, ahead_bytes: 1 << 20, ..LIMITS };
        let (mut read_ahead, empty) = (ReadAhead::new(limits), Header { name: "".into(), value: None });
        read_ahead.add(at(0));
        (0..10).for_each(|offset| {
            read_ahead.push(at(0), Record { headers: vec![empty.clone(); 5_000], ..record(offset, 0) });
        });
        assert_eq!(read_ahead.steer(), (vec![at(0)], vec![]));
    }

    #[test]
    fn what_leaves_is_forgotten_and_says_whether_librdkafka_was_stopped() {
        let mut read_ahead = reading(&[0, 1]);
        (0..4).for_each(|offset| read_ahead.push(at(0), record(offset, 1)));
        read_ahead.steer();
        assert_eq!(read_ahead.remove(&[at(0), at(1)]), vec![at(0)]);
        read_ahead.push(at(0), record(9, 1));
        assert_eq!(read_ahead.next(), None);
    }
}
