//! A partition is taken over where its last commit left it, or not read at all until a person has looked.
//!
//! What was committed was published, and what is gone can never come again: the ledger is told of both at once, for nobody knows
//! of it any more once a person has moved the position.

use std::collections::VecDeque;

use super::entering::Waiting;
use super::ownership::Owned;
use super::stopped::{cut_off, damaged, lost_unread, of_another_build};
use super::{Purpose, Road};
use crate::domain::position::Partition;
use crate::pipeline::dedupe::ledger::Entry;
use crate::pipeline::dedupe::ledger::places::{LastCommit, Mark};
use crate::pipeline::dedupe::ledger::plan::key_of;
use crate::pipeline::frontier::{Frontier, Gaps, codec};
use crate::pipeline::log::{Assignment, Epoch};

impl Road {
    pub(super) fn take_over(&mut self, epoch: Epoch, assignment: Assignment) {
        let Assignment { partition, topic_id, committed, metadata, log_start, log_end, truncated } = assignment;
        let base = committed.unwrap_or(log_start);
        let (mut frontier, last, mut stopped) = match restore(partition, base, &metadata) {
            Ok((frontier, last)) => (frontier, last, None),
            Err(Unusable::AnotherBuilds(why)) => (Frontier::fresh(base), None, Some(of_another_build(&why))),
            Err(Unusable::Damaged(why)) => {
                (Frontier::fresh(base), None, Some(damaged(partition, base.max(log_start), &why)))
            }
        };
        let is_unusable = stopped.is_some();
        if !is_unusable && (truncated || frontier.end() > log_end) {
            let open = frontier.first_open().max(log_start).min(log_end);
            stopped = Some(cut_off(partition, frontier.end(), log_end, open));
        }
        if stopped.is_none() {
            self.enter((partition, epoch), &topic_id, committed, last.clone());
        }
        // Before any gap: what is gone counts as finished afterwards, but was not published. Without a commit nothing is known
        // to have been.
        if !is_unusable && committed.is_some() {
            self.repair_published(&topic_id, partition, &frontier);
        }
        let gaps = if is_unusable {
            Gaps::default()
        } else if stopped.is_some() {
            lost_end(&frontier, log_end, truncated)
        } else {
            let gaps = frontier.advance_to(log_start);
            stopped = (!gaps.is_empty()).then(|| lost_unread(partition, base, log_start, frontier.first_open()));
            gaps
        };
        let owned = Owned {
            epoch,
            topic_id,
            frontier,
            caught_up: false,
            paused: None,
            held: None,
            entering: stopped.is_none().then(|| Waiting::at(committed, last)),
            noted: None,
            stopped: None,
            early: VecDeque::new(),
            read_to: None,
            gaps_unmarked: 0,
            committed: base,
            follow_at: None,
        };
        self.partitions.insert(partition, owned);
        if let Some(reason) = &stopped {
            self.stop_reading(partition, reason);
        }
        // Now, for nobody knows of the gap any more once a person has moved the position.
        self.mark_vanished(partition, &gaps);
    }

    /// A crash between a commit and its marks left rows unmarked: the restored frontier knows better.
    fn repair_published(&mut self, topic_id: &str, partition: Partition, frontier: &Frontier) {
        let at = self.fixtures.clock.now();
        let entry = Entry::RepairPublished {
            topic_id: topic_id.to_owned(),
            partition: partition.number,
            to: frontier.end(),
            unfinished: frontier.unfinished().collect(),
            at,
        };
        self.want(entry, Purpose::Background);
    }

    /// Unpublished rows whose owner lies in a gap can never come again. Said before what else waits, and together: bursts of the
    /// partition wait for it, and a log with many small transactions has a gap after each. What speaks of the partition as
    /// a whole stays before it.
    pub(super) fn mark_vanished(&mut self, partition: Partition, gaps: &Gaps) {
        let Some(owned) = self.partitions.get_mut(&partition) else { return };
        for gap in gaps.ranges() {
            owned.gaps_unmarked += 1;
            let entry = Entry::Vanished {
                topic_id: owned.topic_id.clone(),
                partition: partition.number,
                from: gap.start,
                to: gap.end,
            };
            let of_no_event = |group: &&Vec<(Entry, Purpose)>| group.iter().all(|(entry, _)| key_of(entry).is_none());
            let place = self.pending.iter().take_while(of_no_event).count();
            self.pending.insert(place, vec![(entry, Purpose::Vanished(partition, owned.epoch))]);
        }
    }
}

/// Why a commit does not say what is finished.
enum Unusable {
    AnotherBuilds(String),
    Damaged(String),
}

impl From<codec::CodecError> for Unusable {
    fn from(error: codec::CodecError) -> Self {
        match error {
            codec::CodecError::UnknownVersion { .. } => Self::AnotherBuilds(error.to_string()),
            _ => Self::Damaged(error.to_string()),
        }
    }
}

/// The frontier as the last commit left it, and what that rests on; or why that is not known.
fn restore(partition: Partition, base: u64, metadata: &str) -> Result<(Frontier, Option<LastCommit>), Unusable> {
    match codec::decode(metadata)? {
        codec::Metadata::Ours(decoded) => {
            let frontier = Frontier::restore(base, &decoded).map_err(|error| Unusable::Damaged(error.to_string()))?;
            let last = LastCommit { writer: decoded.tag.writer, mark: Mark::of_number(decoded.tag.ledger) };
            Ok((frontier, Some(last).filter(|last| last.mark != Mark::NONE)))
        }
        codec::Metadata::Empty => Ok((Frontier::fresh(base), None)),
        codec::Metadata::Foreign => {
            tracing::warn!(%partition, "the commit metadata was written by somebody else: only the offset is used");
            Ok((Frontier::fresh(base), None))
        }
    }
}

/// What a log that was cut off has lost: what was not finished there, and whatever was claimed beyond the last commit. What
/// was finished had its end, or a copy of it is in a delay tier. Where nobody knows how far it was cut, all that is open may be
/// gone; a record that is still there and is read again owns its row all the same.
fn lost_end(frontier: &Frontier, log_end: u64, is_anywhere: bool) -> Gaps {
    let mut frontier = frontier.clone();
    if !is_anywhere {
        frontier.advance_to(log_end);
    }
    frontier.advance_to(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use tokio::time::Instant;

    use super::*;
    use crate::pipeline::frontier::codec::Tag;
    use crate::pipeline::log::{Errand, Happening};
    use crate::pipeline::road::testing::{EVENTS, TestRoad};

    /// Committed by another instance when this was read, and these of it unfinished.
    fn committed_with(read: Range<u64>, open: &[u64]) -> Assignment {
        let mut frontier = Frontier::fresh(read.start);
        for offset in read.clone() {
            frontier.read(offset);
        }
        let tag = Tag { writer: "before".to_owned(), incarnation: 1, burst: 1, ledger: 0 };
        let finished = read.clone().filter(|offset| !open.contains(offset)).collect();
        let fitted = frontier.fit(&[finished], &tag, codec::MAX_CHARS).expect("it is short");
        let (committed, metadata) = (Some(fitted.proposal.base), fitted.metadata);
        let (topic_id, log_end) = ("t".to_owned(), read.end);
        Assignment { partition: EVENTS, topic_id, committed, metadata, log_start: 0, log_end, truncated: false }
    }

    /// Committed by another instance when 10, 12 and 14 were unfinished below 16.
    fn committed_at_ten() -> Assignment {
        committed_with(10..16, &[10, 12, 14])
    }

    /// What the ledger is told: up to where everything but these was published, and what is gone.
    fn told(test: &mut TestRoad) -> (u64, Vec<u64>, Vec<(u64, u64)>) {
        let entries = entries(test);
        let [Entry::RepairPublished { to, unfinished, .. }, lost @ ..] = &entries[..] else { panic!("{entries:?}") };
        let range = |entry: &Entry| match entry {
            Entry::Vanished { from, to, .. } => (*from, *to),
            other => panic!("{other:?}"),
        };
        (*to, unfinished.clone(), lost.iter().map(range).collect())
    }

    fn entries(test: &mut TestRoad) -> Vec<Entry> {
        std::iter::from_fn(|| test.next_batch(100)).flat_map(|(entries, _)| entries).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_commit_nothing_is_taken_for_published() {
        let mut test = TestRoad::new(&[]);
        let forgotten = Assignment { committed: None, metadata: String::new(), log_start: 13, ..committed_at_ten() };
        test.road.happened(Happening::Assigned { epoch: Epoch(1), partitions: vec![forgotten] }, Instant::now());
        let entries = entries(&mut test);
        assert!(!entries.iter().any(|entry| matches!(entry, Entry::RepairPublished { .. })), "{entries:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_whose_end_was_cut_off_is_stopped_and_goes_on_with_what_is_left_and_not_finished() {
        let mut test = TestRoad::new(&[]);
        test.assign(Assignment { log_end: 15, ..committed_at_ten() });
        let complaint = test.road.complaint().expect("it is loud");
        assert!(complaint.contains("ends at offset 15") && complaint.contains("read up to 16"), "{complaint}");
        assert!(complaint.contains("`gatekeeper topics --position events:0=10 --again`"), "{complaint}");
        assert!(complaint.contains("told a second time"), "{complaint}");
        // 15 was finished: it is gone, but had its end. Beyond 16 somebody may have claimed what was never committed.
        assert_eq!(told(&mut test), (16, vec![10, 12, 14], vec![(16, u64::MAX)]));
        test.road.lost(&[EVENTS], Instant::now());
        assert_eq!(test.road.complaint(), None, "whoever owns it next complains of it");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_cut_off_before_it_was_finished_is_known_to_be_gone() {
        let mut test = TestRoad::new(&[]);
        test.assign(Assignment { log_end: 15, ..committed_with(17..20, &[17]) });
        let complaint = test.road.complaint().expect("it is loud");
        assert!(complaint.contains("`gatekeeper topics --position events:0=15 --again`"), "{complaint}");
        assert_eq!(told(&mut test), (20, vec![17], vec![(17, 18), (20, u64::MAX)]), "a resend of it is decided");
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_was_cut_off_is_no_better_for_having_grown_since() {
        let mut test = TestRoad::new(&[]);
        test.assign(Assignment { truncated: true, log_end: 1_000, ..committed_at_ten() });
        let complaint = test.road.complaint().expect("it is loud");
        assert!(complaint.contains("cut off below what was read of it, and has grown to offset 1000"), "{complaint}");
        assert!(complaint.contains("`gatekeeper topics --position events:0=10 --again`"), "{complaint}");
        // Nobody knows where.
        let gone = vec![(10, 11), (12, 13), (14, 15), (16, u64::MAX)];
        assert_eq!(told(&mut test), (16, vec![10, 12, 14], gone));
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_whose_unread_records_are_gone_is_stopped_and_never_committed() {
        let mut test = TestRoad::new(&[]);
        test.assign(Assignment { log_start: 13, ..committed_at_ten() });
        let complaint = test.road.complaint().expect("it is loud");
        assert!(complaint.contains("offsets 10 to 13 are gone from the log before they were read"), "{complaint}");
        assert!(complaint.contains("`gatekeeper topics --position events:0=14`"), "{complaint}");
        assert!(test.errands().iter().any(|errand| matches!(errand, Errand::Pause(which) if *which == [EVENTS])));

        // What was committed is repaired first; what is gone is marked, nothing else.
        assert_eq!(told(&mut test), (16, vec![10, 12, 14], vec![(10, 11), (12, 13)]));

        let aside = test.for_operators();
        test.road.aside(aside);
        test.read_unreadable(13..16);
        test.wake();
        assert!(test.bursts().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_whose_commit_is_damaged_says_how_it_goes_on() {
        let mut test = TestRoad::new(&[]);
        test.assign(Assignment { metadata: "gk1.AAAAAAAA".to_owned(), ..committed_at_ten() });
        let complaint = test.road.complaint().expect("it is loud");
        assert!(complaint.contains("`gatekeeper topics --position events:0=10 --again`"), "{complaint}");
        assert!(complaint.contains("told a second time"), "{complaint}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_of_a_newer_build_is_not_damaged_and_nobody_is_sent_to_throw_it_away() {
        let mut test = TestRoad::new(&[]);
        test.assign(Assignment { metadata: "gk2.AAAA".to_owned(), ..committed_at_ten() });
        let complaint = test.road.complaint().expect("it is loud");
        assert!(
            complaint.contains("another version, \"gk2.\"") && complaint.contains("nothing is damaged"),
            "{complaint}"
        );
        assert!(!complaint.contains("--again") && !complaint.contains("--position"), "{complaint}");
        assert!(test.errands().iter().any(|errand| matches!(errand, Errand::Pause(which) if *which == [EVENTS])));
        assert!(entries(&mut test).is_empty(), "nothing is said of what is finished");
    }

    #[tokio::test(start_paused = true)]
    async fn a_partition_without_a_commit_starts_where_the_log_does() {
        let mut test = TestRoad::new(&[]);
        test.assign(Assignment { committed: None, metadata: String::new(), log_start: 13, ..committed_at_ten() });
        assert_eq!(test.road.complaint(), None);
        test.read_unreadable(13..15);
        test.wake();
        let bursts = test.bursts();
        assert_eq!(bursts.iter().map(|burst| burst.positions[0].base).collect::<Vec<_>>(), [15]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_position_set_by_hand_goes_on_from_there() {
        let mut test = TestRoad::new(&[]);
        test.assign(Assignment { committed: Some(13), metadata: String::new(), log_start: 13, ..committed_at_ten() });
        assert_eq!(test.road.complaint(), None);
        assert_eq!(test.road.partitions[&EVENTS].stopped, None);
    }
}
