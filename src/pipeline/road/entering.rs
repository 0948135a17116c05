//! A partition is entered in the ledger before anything of it is taken in.
//!
//! The ledger remembers who may have left a transaction open where, so an owner says its name there before its first
//! burst; and a partition that is not entered yet cannot have one. And it remembers where the group stood: if the log
//! has forgotten that, reading on from the start would decide again whatever the ledger has let go, so the partition
//! stops. And it knows how far it had come when the last commit was made: one that has gone backwards since (a standby
//! took over, a copy was restored) no longer remembers what was published, and with it nothing may be decided at all.
//! What the log hands over meanwhile waits here: little, because the partition is paused until then.

use tokio::time::Instant;

use super::stopped::position_lost;
use super::{Purpose, Road};
use crate::domain::position::Partition;
use crate::domain::record::Record;
use crate::pipeline::dedupe::ledger::places::{LastCommit, Mark};
use crate::pipeline::dedupe::ledger::purses::Movement;
use crate::pipeline::dedupe::ledger::{Entry, Outcome};
use crate::pipeline::log::{Epoch, Errand};

/// What came from a partition that is not entered yet.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    committed: Option<u64>,
    last: Option<LastCommit>,
    records: Vec<Record>,
    /// The end that was reached, if nothing came since.
    end: Option<u64>,
}

impl Waiting {
    pub(super) fn at(committed: Option<u64>, last: Option<LastCommit>) -> Self {
        Self { committed, last, ..Self::default() }
    }

    pub(super) fn push(&mut self, records: Vec<Record>) {
        self.records.extend(records);
        self.end = None;
    }

    pub(super) fn caught_up(&mut self, end: u64) {
        self.end = Some(end);
    }
}

impl Road {
    pub(super) fn enter(
        &mut self,
        (partition, epoch): (Partition, Epoch),
        topic_id: &str,
        committed: Option<u64>,
        last: Option<LastCommit>,
    ) {
        let entry = Entry::Enter {
            topic_id: topic_id.to_owned(),
            partition: partition.number,
            writer: self.fixtures.writer.clone(),
            committed,
            last,
        };
        self.want(entry, Purpose::Enter(partition, epoch));
        if self.till.forfeits() {
            self.want(Entry::Money(Movement::Forfeit), Purpose::Background);
        }
    }

    /// The ledger knows that this partition is ours.
    pub(super) fn entered(&mut self, partition: Partition, epoch: Epoch, outcome: &Outcome, now: Instant) {
        let Outcome::Entered(known) = outcome else { return };
        // One that went meanwhile and came back is entered anew.
        let Some(owned) = self.partitions.get_mut(&partition).filter(|owned| owned.epoch == epoch) else { return };
        let Some(Waiting { committed, last, records, end }) = owned.entering.take() else { return };
        owned.noted = committed.map(|base| (now, base));
        if let Some(last) = last.filter(|last| last.mark.batches() > known.batches) {
            self.failed = Some(gone_backwards(partition, &last, known.batches));
            return;
        }
        if let (None, Some(base)) = (committed, known.stood_at) {
            return self.stop_reading(partition, &position_lost(partition, base));
        }
        self.errands.send(Errand::Resume(vec![partition])).ok();
        if !records.is_empty() {
            self.arrive(epoch, partition, records, now);
        }
        if let Some(end) = end {
            self.caught_up(epoch, partition, end, now);
        }
    }
}

impl Road {
    /// A batch is in the ledger that is counted; `after`: the latest that was known to be when it was begun.
    pub(super) fn marked(&mut self, after: Mark, outcome: &Outcome) {
        let Outcome::Marked(now) = *outcome else { return };
        let latest = self.ledger_mark;
        // Who commits the same batch again, not knowing how it ended, leaves a number out; one never comes twice. A batch of
        // the other line may have been counted and told meanwhile.
        let is_next = now.ledger() == latest.ledger() && now.batches() > after.batches() && now != latest;
        if latest != Mark::NONE && !is_next {
            let (writer, mark) = (self.fixtures.writer.clone(), latest);
            self.failed = Some(beneath_us(&LastCommit { writer, mark }, now));
        }
        self.ledger_mark = latest.max(now);
    }
}

/// Rows that the log's outputs stem from are missing.
fn gone_backwards(partition: Partition, last: &LastCommit, known: u64) -> String {
    let LastCommit { writer, mark } = last;
    format!(
        "the ledger has gone backwards, or is another one: the last commit of {partition}, by {writer}, rests on batch {} of \
         ledger {}, and {known} of its batches are known here; nothing is decided until what was published is back: stop \
         the processors of this group and run `gatekeeper ledger --rebuild`",
        mark.batches(),
        mark.ledger(),
    )
}

fn beneath_us(last: &LastCommit, now: Mark) -> String {
    let LastCommit { writer, mark } = last;
    format!(
        "the ledger went backwards while it was in use: {writer} had saved batch {} of ledger {}, and its next one is \
         batch {} of ledger {}; nothing is decided until what was published is back: stop the processors of this group \
         and run `gatekeeper ledger --rebuild`",
        mark.batches(),
        mark.ledger(),
        now.batches(),
        now.ledger(),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pipeline::dedupe::ledger::places::Entered;
    use crate::pipeline::frontier::Frontier;
    use crate::pipeline::frontier::codec::{self, Tag};
    use crate::pipeline::log::{Assignment, Happening, PublishOutcome};
    use crate::pipeline::road::testing::{EVENTS, TestRoad};

    fn assignment() -> Assignment {
        Assignment::never_read(EVENTS, "t")
    }

    const ENTERED: Outcome = Outcome::Entered(Entered { stood_at: None, batches: 0 });

    fn happened(test: &mut TestRoad, epoch: u64) {
        let assigned = Happening::Assigned { epoch: Epoch(epoch), partitions: vec![assignment()] };
        test.road.happened(assigned, Instant::now());
    }

    fn resumed(test: &mut TestRoad) -> usize {
        test.errands().iter().filter(|errand| matches!(errand, Errand::Resume(which) if *which == [EVENTS])).count()
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_committed_of_a_partition_before_the_ledger_knows_its_writer() {
        let mut test = TestRoad::new(&[]);
        happened(&mut test, 1);
        assert!(test.errands().iter().any(|errand| matches!(errand, Errand::Pause(which) if *which == [EVENTS])));
        test.read_unreadable(0..3);
        test.road.happened(Happening::CaughtUp { epoch: Epoch(1), partition: EVENTS, end: 3 }, Instant::now());
        let aside = test.for_operators();
        test.road.aside(aside);
        test.wake();
        let errands = test.errands();
        assert!(errands.iter().all(|errand| matches!(errand, Errand::Pause(_))), "{errands:?}");

        let (entries, batch) = test.next_batch(1).expect("it wants to enter");
        let writer =
            |entry: &Entry| if let Entry::Enter { writer, .. } = entry { writer.clone() } else { String::new() };
        assert_eq!(entries.iter().map(writer).collect::<Vec<_>>(), ["a"]);
        test.road.ledger_said(batch, vec![ENTERED], Instant::now());
        assert_eq!(resumed(&mut test), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        test.wake();
        assert_eq!(test.bursts().iter().map(|burst| burst.positions[0].base).collect::<Vec<_>>(), [3]);
        assert!(test.road.partitions[&EVENTS].is_read(), "what was told meanwhile is not forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_about_an_earlier_ownership_lets_nothing_in() {
        let mut test = TestRoad::new(&[]);
        happened(&mut test, 1);
        let (_, batch) = test.next_batch(1).expect("it wants to enter");
        test.road.happened(Happening::Lost { partitions: vec![EVENTS] }, Instant::now());
        happened(&mut test, 2);
        test.errands();
        test.road.ledger_said(batch, vec![ENTERED], Instant::now());
        assert_eq!(resumed(&mut test), 0);
        while let Some((entries, batch)) = test.next_batch(1) {
            let outcome = if matches!(entries[..], [Entry::Enter { .. }]) { ENTERED } else { Outcome::Changed(0) };
            test.road.ledger_said(batch, vec![outcome], Instant::now());
        }
        assert_eq!(resumed(&mut test), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_of_an_earlier_ownership_that_is_marked_lets_no_commit_pass_one_of_this() {
        let mut test = TestRoad::new(&[]);
        let mut earlier = None;
        for epoch in [1, 2] {
            test.road.happened(Happening::Lost { partitions: vec![EVENTS] }, Instant::now());
            happened(&mut test, epoch);
            let is_gap = |entries: &[Entry]| matches!(entries, [Entry::Vanished { .. }]);
            test.road.happened(Happening::CaughtUp { epoch: Epoch(epoch), partition: EVENTS, end: 2 }, Instant::now());
            let gap = loop {
                let (entries, batch) = test.next_batch(1).expect("the gap is told");
                if is_gap(&entries) {
                    break batch;
                }
                let outcome = if matches!(entries[..], [Entry::Enter { .. }]) { ENTERED } else { Outcome::Changed(0) };
                test.road.ledger_said(batch, vec![outcome], Instant::now());
            };
            earlier.get_or_insert(gap);
        }
        test.road.ledger_said(earlier.expect("it was told twice"), vec![Outcome::Changed(0)], Instant::now());
        assert_eq!(test.road.partitions[&EVENTS].gaps_unmarked, 1);
    }

    fn stands(test: &mut TestRoad) -> Vec<u64> {
        let entries = std::iter::from_fn(|| test.next_batch(100)).flat_map(|(entries, _)| entries);
        entries.filter_map(|entry| if let Entry::Stands { base, .. } = entry { Some(base) } else { None }).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_position_that_the_log_forgot_and_the_ledger_did_not_stops_its_partition_and_no_other() {
        let mut test = TestRoad::new(&[]);
        let other = Partition { number: 1, ..EVENTS };
        let assignments = vec![assignment(), Assignment { partition: other, ..assignment() }];
        test.road.happened(Happening::Assigned { epoch: Epoch(1), partitions: assignments }, Instant::now());
        test.read_unreadable_of(EVENTS, 0..3);
        test.read_unreadable_of(other, 0..3);
        for stood_at in [Some(7), None] {
            let entry = loop {
                let (entries, batch) = test.next_batch(1).expect("it wants to enter");
                if matches!(entries[..], [Entry::Enter { .. }]) {
                    break batch;
                }
            };
            test.road.ledger_said(entry, vec![Outcome::Entered(Entered { stood_at, batches: 0 })], Instant::now());
        }
        let complaint = test.road.complaint().expect("it is loud");
        assert!(complaint.contains("events/0 is stopped") && complaint.contains("stood at offset 7"), "{complaint}");
        assert!(complaint.contains("topics --position events:0=after-ledger"), "{complaint}");
        assert_eq!(resumed(&mut test), 0);
        test.wake();
        let bursts = test.bursts();
        let moved: Vec<_> = bursts.iter().flat_map(|burst| &burst.positions).map(|at| at.partition).collect();
        assert_eq!(moved, [other]);
    }

    /// Committed by `b` when this many of its batches were in ledger 3.
    fn resting_on(batches: u64) -> Assignment {
        let tag = Tag { writer: "b".to_owned(), incarnation: 1, burst: 1, ledger: Mark::new(3, batches).to_number() };
        let fitted = Frontier::fresh(4).fit(&[], &tag, codec::MAX_CHARS).expect("it is short");
        Assignment { committed: Some(4), metadata: fitted.metadata, ..assignment() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_ledger_that_lost_what_a_commit_rests_on_ends_everything_before_anything_is_taken_in() {
        for (known, ends) in [(7, false), (8, false), (6, true), (0, true)] {
            let mut test = TestRoad::new(&[]);
            let assigned = Happening::Assigned { epoch: Epoch(1), partitions: vec![resting_on(7)] };
            test.road.happened(assigned, Instant::now());
            test.read_unreadable(4..6);
            let (entries, batch) = test.next_batch(1).expect("it wants to enter");
            let last = Some(LastCommit { writer: "b".to_owned(), mark: Mark::new(3, 7) });
            assert!(matches!(&entries[..], [Entry::Enter { last: asked, .. }] if *asked == last), "{entries:?}");
            let entered = Outcome::Entered(Entered { stood_at: Some(4), batches: known });
            test.road.ledger_said(batch, vec![entered], Instant::now());
            test.wake();
            assert_eq!(test.bursts().is_empty(), ends, "{known} are known");
            let failure = test.road.failure();
            assert_eq!(failure.is_some(), ends, "{failure:?}");
            assert!(failure.is_none_or(|why| why.contains("ledger --rebuild") && why.contains("batch 7 of ledger 3")));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_says_what_it_rests_on_and_a_ledger_that_counts_backwards_ends_everything() {
        let mut test = TestRoad::new(&[]);
        test.assign(assignment());
        test.road.marked(Mark::NONE, &Outcome::Marked(Mark::new(3, 12)));
        test.read_unreadable(0..1);
        test.wake();
        let bursts = test.bursts();
        let Ok(codec::Metadata::Ours(decoded)) = codec::decode(&bursts[0].positions[0].metadata) else { panic!() };
        assert_eq!(Mark::of_number(decoded.tag.ledger), Mark::new(3, 12));
        let committed = Happening::Published { burst: bursts[0].number, outcome: PublishOutcome::Committed };
        test.road.happened(committed, Instant::now());

        let mut marked = |after, mark| {
            test.road.marked(Mark::new(3, after), &Outcome::Marked(mark));
            (test.road.failure(), test.road.ledger_mark)
        };
        assert_eq!(
            marked(12, Mark::new(3, 14)),
            (None, Mark::new(3, 14)),
            "a batch that came twice leaves a number out"
        );
        assert_eq!(
            marked(12, Mark::new(3, 13)),
            (None, Mark::new(3, 14)),
            "the other line's was begun before, and told after"
        );
        let backwards = [(14, Mark::new(3, 14)), (12, Mark::new(3, 14)), (14, Mark::new(3, 2)), (14, Mark::new(4, 15))];
        for (offset, (after, backwards)) in (1..).zip(backwards) {
            test.road.ledger_mark = Mark::new(3, 14);
            test.road.marked(Mark::new(3, after), &Outcome::Marked(backwards));
            test.read_unreadable(offset..offset + 1);
            tokio::time::advance(Duration::from_secs(1)).await;
            test.wake();
            assert!(test.bursts().is_empty(), "{backwards:?}");
            let failure = test.road.failure().expect("it is the end");
            assert!(failure.contains("ledger --rebuild"), "{failure}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_ledger_is_told_of_the_first_commit_at_once_and_of_later_ones_now_and_then() {
        let mut test = TestRoad::new(&["pipeline.burst_interval=1s"]);
        test.assign(assignment());
        let mut told = Vec::new();
        for (offset, seconds) in [(0, 1), (1, 3), (2, 10), (3, 1)] {
            test.read_unreadable(offset..offset + 1);
            test.wake();
            let number = test.bursts()[0].number;
            let committed = Happening::Published { burst: number, outcome: PublishOutcome::Committed };
            test.road.happened(committed, Instant::now());
            told.push(stands(&mut test));
            tokio::time::advance(Duration::from_secs(seconds)).await;
        }
        assert_eq!(told, [vec![1], vec![], vec![], vec![4]]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_goes_tells_the_ledger_where_the_group_stands_at_last() {
        type Goes = fn(&mut TestRoad);
        let revoked: Goes = |test| {
            let (partitions, deadline) = (vec![EVENTS], Duration::from_secs(9));
            test.road.happened(Happening::Revoking { partitions, deadline }, Instant::now());
        };
        let drained: Goes = |test| test.road.drain();
        for goes in [revoked, drained] {
            let mut test = TestRoad::new(&["pipeline.burst_interval=1s"]);
            test.assign(assignment());
            let commit = |test: &mut TestRoad, offset| {
                test.read_unreadable(offset..offset + 1);
                test.wake();
                let number = test.bursts()[0].number;
                let committed = Happening::Published { burst: number, outcome: PublishOutcome::Committed };
                test.road.happened(committed, Instant::now());
            };
            commit(&mut test, 0);
            tokio::time::advance(Duration::from_secs(1)).await;
            commit(&mut test, 1);
            assert_eq!(stands(&mut test), [1], "the second one is for later");
            goes(&mut test);
            assert_eq!(stands(&mut test), [2]);
            goes(&mut test);
            assert_eq!(stands(&mut test), [0; 0], "it knows");
        }
    }
}
