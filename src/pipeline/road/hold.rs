//! A partition that waits for a schema: the record whose id is not known yet, and everything behind it, in order.
//!
//! ```text
//! take_in -> ingest cannot say yet -> hold      the record is put aside; reading of its partition stops
//! arrive, caught_up of a held partition         what was on its way queues up behind it
//! awaited_schemas -> (run loop: the registry is asked) -> schema_answered -> go_on, in order
//! ```
//!
//! The record stands in the frontier as unfinished and what is behind it was not read as far as the frontier knows, so no
//! commit passes either. Nothing here counts as being on the road: a wrong id stops its own partition and no other. What
//! queues up is bounded by what the log had on its way when reading was paused. A partition that is taken away takes its
//! queue with it; its new owner reads the records again.

use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

use super::Road;
use crate::domain::position::Partition;
use crate::domain::record::Record;
use crate::telemetry::happenings::{PartitionHeld, PartitionReleased};

/// A record without a known schema, and what came after it.
#[derive(Debug)]
pub(super) struct Held {
    pub schema_id: u32,
    record: Record,
    since: Instant,
    behind: VecDeque<Behind>,
}

/// What the log said of a held partition.
#[derive(Debug)]
pub(super) enum Behind {
    /// Another record.
    Record(Record),
    /// Everything before this offset has been handed over.
    End(u64),
}

impl Held {
    pub fn queue(&mut self, behind: Behind) {
        // A log that says the same end again and again must not fill our memory with it.
        if let (Some(Behind::End(last)), Behind::End(end)) = (self.behind.back_mut(), &behind) {
            *last = *end;
        } else {
            self.behind.push_back(behind);
        }
    }
}

impl Road {
    /// Ingest could not say yet what the record is.
    pub(super) fn hold(&mut self, partition: Partition, record: Record, schema_id: u32, now: Instant) {
        let Some(owned) = self.partitions.get_mut(&partition) else { return };
        PartitionHeld { partition, offset: record.offset, schema_id }.record();
        owned.caught_up = false;
        owned.held = Some(Held { schema_id, record, since: now, behind: VecDeque::new() });
    }

    /// Schema ids that partitions wait for, with one partition of each.
    #[must_use]
    pub fn awaited_schemas(&self) -> BTreeMap<u32, Partition> {
        self.held().map(|(held, partition)| (held.schema_id, partition)).collect()
    }

    fn held(&self) -> impl Iterator<Item = (&Held, Partition)> {
        self.partitions.iter().filter_map(|(partition, owned)| Some((owned.held.as_ref()?, *partition)))
    }

    /// The registry has answered: whoever waits for this id goes on, until the next id that is not known.
    pub fn schema_answered(&mut self, id: u32, now: Instant) {
        let waiting = self.held().filter(|(held, _)| held.schema_id == id).map(|(_, partition)| partition);
        let waiting: Vec<_> = waiting.collect();
        for partition in waiting {
            self.go_on(partition, now);
        }
    }

    fn go_on(&mut self, partition: Partition, now: Instant) {
        let Some(owned) = self.partitions.get_mut(&partition) else { return };
        let Some(Held { schema_id, record, since, behind }) = owned.held.take() else { return };
        PartitionReleased { partition, schema_id, held_for: now - since }.record();
        let topic_id = owned.topic_id.clone();
        self.take_in(partition, topic_id, record, now);
        for behind in behind {
            match behind {
                Behind::Record(record) => self.arrive_one(partition, record, now),
                Behind::End(end) => self.reached(partition, end, now),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::Timestamp;
    use crate::domain::feedback::FeedbackStatus;
    use crate::domain::record::Payload;
    use crate::pipeline::dedupe::ledger::Entry;
    use crate::pipeline::log::{Epoch, Errand, Happening};
    use crate::pipeline::road::testing::{EVENTS, TestRoad};
    use crate::pipeline::schema_set::registry::testing::{Scripted, framed_event};

    const OTHER: Partition = Partition { number: 1, ..EVENTS };

    fn assign(test: &mut TestRoad, partition: Partition) {
        test.owns(partition);
    }

    fn read(test: &mut TestRoad, partition: Partition, from: u64, values: &[&[u8]]) {
        let record = |(offset, value): (u64, &&[u8])| Record {
            offset,
            timestamp: Timestamp(0),
            key: None,
            value: Some(Payload::copy_from_slice(value)),
            headers: Vec::new(),
        };
        let records = (from..).zip(values).map(record).collect();
        test.road.happened(Happening::Records { epoch: Epoch(1), partition, records }, Instant::now());
    }

    fn caught_up(test: &mut TestRoad, partition: Partition, end: u64) {
        test.road.happened(Happening::CaughtUp { epoch: Epoch(1), partition, end }, Instant::now());
    }

    fn bases(test: &mut TestRoad) -> Vec<(Partition, u64)> {
        test.wake();
        let bursts = test.bursts();
        bursts.iter().flat_map(|burst| &burst.positions).map(|at| (at.partition, at.base)).collect()
    }

    fn claimed(test: &mut TestRoad) -> Vec<u64> {
        let entries = std::iter::from_fn(|| test.next_batch(100)).flat_map(|(entries, _)| entries);
        let offset = |entry| if let Entry::Claim(claim) = entry { Some(claim.position.offset) } else { None };
        entries.filter_map(offset).collect()
    }

    async fn answer(test: &mut TestRoad, registry: &Scripted, id: u32) {
        registry.lookup(test.schemas()).look_up(id).await.expect("it answers");
        test.road.schema_answered(id, Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_id_holds_its_partition_and_no_other_and_what_is_behind_it_comes_in_order() {
        let mut test = TestRoad::with_registry();
        assign(&mut test, EVENTS);
        assign(&mut test, OTHER);
        read(&mut test, EVENTS, 0, &[b"?", &framed_event(42), b"?"]);
        read(&mut test, EVENTS, 3, &[b"?"]);
        caught_up(&mut test, EVENTS, 4);
        read(&mut test, OTHER, 0, &[b"?", b"?"]);
        caught_up(&mut test, OTHER, 2);
        assert_eq!(test.road.awaited_schemas(), BTreeMap::from([(42, EVENTS)]));
        test.wake();
        let errands = test.errands();
        assert!(
            errands.iter().any(|errand| matches!(errand, Errand::Pause(which) if *which == [EVENTS])),
            "{errands:?}"
        );
        let bursts: Vec<_> =
            errands.iter().filter_map(|e| if let Errand::Publish(b) = e { Some(b) } else { None }).collect();
        let bases: Vec<_> = bursts[0].positions.iter().map(|at| (at.partition, at.base)).collect();
        assert_eq!(bases, [(EVENTS, 1), (OTHER, 2)], "what stands before it goes on, and so does the other partition");
        assert!(!test.road.is_idle(Instant::now()));
        assert_eq!(claimed(&mut test), [0_u64; 0]);

        let registry = Scripted::knows([42]);
        answer(&mut test, &registry, 42).await;
        assert!(test.road.awaited_schemas().is_empty());
        assert_eq!(claimed(&mut test), [1]);
        let Some(owned) = test.road.partitions.get(&EVENTS) else { panic!("it is ours") };
        assert!(owned.caught_up, "the end that was queued was reached");
        assert_eq!(owned.frontier.cursor(), 4);
        test.wake();
        assert!(test.errands().iter().any(|errand| matches!(errand, Errand::Resume(which) if *which == [EVENTS])));
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_that_a_healthy_registry_does_not_have_is_rejected_as_unknown() {
        let mut test = TestRoad::with_registry();
        assign(&mut test, EVENTS);
        read(&mut test, EVENTS, 0, &[&framed_event(42)]);
        assert_eq!(bases(&mut test), []);
        answer(&mut test, &Scripted::knows([]), 42).await;
        test.wake();
        let bursts = test.bursts();
        assert_eq!(bursts[0].positions[0].base, 1);
        let feedback = test.feedback(&bursts[0]);
        assert_eq!(feedback[0].status, FeedbackStatus::Rejected);
        assert_eq!(feedback[0].reason_code.as_str(), "UNKNOWN_SCHEMA");
    }

    #[tokio::test(start_paused = true)]
    async fn behind_a_record_whose_schema_is_known_now_the_next_unknown_id_holds_again() {
        let mut test = TestRoad::with_registry();
        assign(&mut test, EVENTS);
        read(&mut test, EVENTS, 0, &[&framed_event(1), b"?", &framed_event(2), b"?"]);
        caught_up(&mut test, EVENTS, 4);
        let registry = Scripted::knows([1, 2]);
        answer(&mut test, &registry, 1).await;
        assert_eq!(test.road.awaited_schemas(), BTreeMap::from([(2, EVENTS)]));
        assert_eq!(claimed(&mut test), [0]);
        answer(&mut test, &registry, 2).await;
        assert_eq!(claimed(&mut test), [2]);
        assert_eq!(test.road.partitions[&EVENTS].frontier.cursor(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_partition_that_is_taken_away_leaves_nothing_behind() {
        let mut test = TestRoad::with_registry();
        assign(&mut test, EVENTS);
        read(&mut test, EVENTS, 0, &[&framed_event(42), b"?"]);
        test.road.happened(Happening::Lost { partitions: vec![EVENTS] }, Instant::now());
        assert!(test.road.awaited_schemas().is_empty());
        answer(&mut test, &Scripted::knows([42]), 42).await;
        assert_eq!(claimed(&mut test), [0_u64; 0]);
    }
}
