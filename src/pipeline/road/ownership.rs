//! Which partitions are ours, and whether they are read.
//!
//! A partition comes with its committed frontier and leaves with a last burst. Its frontier is dropped with it; running
//! calls go on, keyed by event, in case it comes back.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::deferral::Early;
use super::entering::Waiting;
use super::hold::Held;
use super::stopped::{cut_off, damaged, lost_unread};
use super::{Purpose, Road};
use crate::domain::position::Partition;
use crate::failpoints;
use crate::pipeline::dedupe::ledger::Entry;
use crate::pipeline::dedupe::ledger::places::{LastCommit, Mark};
use crate::pipeline::frontier::{Frontier, Gaps, codec};
use crate::pipeline::log::{Assignment, Epoch, Errand};
use crate::sabotage::{self, Sabotage};
use crate::telemetry::happenings::{
    AwayNoticed, FrontierLeft, PartitionStopped, PartitionsAssigned, PartitionsLost, PartitionsRevoked, PauseReason,
    PausedLeft,
};

/// One unfinished offset takes fewer characters than this, however far it is from the next: a partition with less than
/// its share of them need not be measured.
const CHARS_PER_GAP: usize = 16;

/// How often the ledger is told where the group stands: what a lost position may cost in work that is done again.
const NOTED_EVERY: Duration = Duration::from_secs(10);

/// A partition that is ours.
#[derive(Debug)]
pub(super) struct Owned {
    /// When it became ours.
    pub epoch: Epoch,
    /// For positions.
    pub topic_id: String,
    /// What is finished.
    pub frontier: Frontier,
    /// The end that was reached, if nothing was read since.
    pub caught_up: bool,
    /// Why the log was told to stop reading it, if it was.
    pub paused: Option<PauseReason>,
    /// A record that waits for its schema, and what is behind it.
    pub held: Option<Held>,
    /// What waits for the ledger to know that it is ours; nothing of it is read or committed before.
    pub entering: Option<Waiting>,
    /// When the ledger was last told where the group stands here, and what; never: it knows of no commit.
    pub noted: Option<(Instant, u64)>,
    /// Why its commit cannot be gone on from: nothing of it is read or committed until a person has looked.
    pub stopped: Option<String>,
    /// Of a deferred topic: records that may not come yet; while there are any, it is not read further.
    pub early: VecDeque<Early>,
    /// Of a deferred topic: the end that was reached behind those.
    pub read_to: Option<u64>,
    /// Gaps whose rows the ledger has not marked yet; nothing is committed meanwhile.
    pub gaps_unmarked: usize,
    /// The offset that stands in the log as our position.
    pub committed: u64,
    /// When the position follows over what holds no records, though nothing is published.
    pub follow_at: Option<Instant>,
}

/// A position that lags behind the end of the log follows after this time, if no burst takes it along before.
///
/// What it lags by are the log's own marks (the end of a transaction upstream). Left there, the position would point at
/// offsets that retention takes away, and nobody could tell whether records were lost with them.
pub(super) const FOLLOW_AFTER: Duration = Duration::from_secs(10);

impl Owned {
    /// Everything before the cursor is finished, and more of it than stands in the log.
    pub(super) fn lags(&self) -> bool {
        self.stopped.is_none() && self.frontier.base() > self.committed
    }

    /// The end was reached over nothing but gaps.
    pub(super) fn follow_by(&mut self, due: Instant) {
        if self.lags() {
            self.follow_at.get_or_insert(due);
        }
    }

    /// Whether its finished set nears the longest there may be. Few unfinished offsets never do, whatever their pattern,
    /// and need not be measured.
    pub(super) fn is_wide(&self, share: f64, max_chars: usize) -> bool {
        let few = max_chars / CHARS_PER_GAP;
        #[expect(clippy::cast_precision_loss, reason = "a few thousand characters")]
        let limit = share * max_chars as f64 / codec::MAX_CHARS as f64;
        // What a restored set lists must be read to be finished, and reading it makes the set no wider.
        let reading_widens = self.frontier.cursor() >= self.frontier.end();
        reading_widens && self.frontier.unfinished_count() > few && self.frontier.fill() >= limit
    }

    /// Where the group stands, if it is time to say so again. Whoever goes says it at once.
    pub(super) fn noting(&mut self, partition: Partition, now: Instant, goes: bool) -> Option<Entry> {
        let base = self.committed;
        let due = self.noted.is_none_or(|(at, noted)| now - at >= NOTED_EVERY || (goes && noted != base));
        due.then(|| {
            self.noted = Some((now, base));
            let topic_id = self.topic_id.clone();
            Entry::Stands { topic_id, partition: partition.number, base }
        })
    }

    /// Whether it may be read and committed.
    pub(super) fn is_open(&self) -> bool {
        self.entering.is_none() && self.stopped.is_none()
    }

    pub(super) fn is_read(&self) -> bool {
        self.caught_up || self.stopped.is_some()
    }
}

/// The frontier as the last commit left it, and what that rests on; or why that is not known.
fn restore(partition: Partition, base: u64, metadata: &str) -> Result<(Frontier, Option<LastCommit>), String> {
    match codec::decode(metadata).map_err(|error| error.to_string())? {
        codec::Metadata::Ours(decoded) => {
            let frontier = Frontier::restore(base, &decoded).map_err(|error| error.to_string())?;
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

/// The lowest offset that is not finished, also if what is finished below it is still to be read over.
fn first_open(frontier: &Frontier) -> u64 {
    frontier.unfinished().next().unwrap_or_else(|| frontier.end())
}

/// Partitions that are being taken away.
#[derive(Debug)]
pub(super) struct Leaving {
    partitions: Vec<Partition>,
    /// The log waits no longer than this.
    pub deadline: Instant,
    last_burst_sent: bool,
}

/// After an absence: somebody else may own what was ours.
#[derive(Debug)]
pub(super) struct Away {
    /// When it was noticed.
    pub since: Instant,
    /// No sign of ownership is waited for any longer.
    pub until: Instant,
    /// The log has said so itself: what comes after that is younger than the absence.
    log_knows: bool,
}

impl Road {
    pub(super) fn assigned(&mut self, epoch: Epoch, assignments: Vec<Assignment>, now: Instant) {
        self.leave_at_once(now);
        self.epoch = epoch;
        failpoints::hit("assigned_before_restore");
        let partitions: Vec<_> = assignments.iter().map(|assignment| assignment.partition).collect();
        for assignment in assignments {
            self.take_over(epoch, assignment);
        }
        // Resumed when they are entered, whatever pause from before they were taken away is still on its way.
        self.errands.send(Errand::Pause(partitions.clone())).ok();
        PartitionsAssigned { partitions: &partitions, owned_now: self.partitions.len() }.record();
        // A fresh assignment is a sign of ownership, unless it may have waited in the queue since before the absence.
        if self.away.as_ref().is_some_and(|away| away.log_knows) {
            self.back_from_away();
        }
        self.not_before = self.not_before.max(now);
    }

    fn take_over(&mut self, epoch: Epoch, assignment: Assignment) {
        let Assignment { partition, topic_id, committed, metadata, log_start, log_end } = assignment;
        let base = committed.unwrap_or(log_start);
        let (mut frontier, last, mut stopped) = match restore(partition, base, &metadata) {
            Ok((frontier, last)) => (frontier, last, None),
            Err(reason) => (Frontier::fresh(base), None, Some(damaged(partition, base.max(log_start), &reason))),
        };
        if stopped.is_none() && frontier.end() > log_end {
            stopped = Some(cut_off(partition, frontier.end(), log_end));
        }
        let mut gaps = Gaps::default();
        if stopped.is_none() {
            self.enter((partition, epoch), &topic_id, committed, last.clone());
            // Before the gap: what is gone counts as finished afterwards, but was not published. Without a commit nothing is
            // known to have been.
            if committed.is_some() {
                self.repair_published(&topic_id, partition, &frontier);
            }
            gaps = frontier.advance_to(log_start);
            stopped = (!gaps.is_empty()).then(|| lost_unread(partition, base, log_start, first_open(&frontier)));
        }
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

    /// Nothing of it is read or committed from now on, which is said as loudly as can be; the others go on.
    pub(super) fn stop_reading(&mut self, partition: Partition, reason: &str) {
        let Some(owned) = self.partitions.get_mut(&partition) else { return };
        (owned.stopped, owned.paused) = (Some(reason.to_owned()), None);
        self.errands.send(Errand::Pause(vec![partition])).ok();
        PartitionStopped { partition, reason }.record();
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

    /// Unpublished rows whose owner lies in a gap can never come again.
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
            self.pending.push_back(vec![(entry, Purpose::Vanished(partition))]);
        }
    }

    /// The log waited for this no longer, and whatever it says next comes after that: they may even be ours anew.
    fn leave_at_once(&mut self, now: Instant) {
        if let Some(Leaving { partitions, .. }) = self.leaving.take() {
            self.drop_partitions(&partitions, now);
            PartitionsRevoked { partitions: &partitions, owned_now: self.partitions.len() }.record();
        }
    }

    /// The ledger has marked a gap; of an earlier ownership it says nothing.
    pub(super) fn gap_marked(&mut self, partition: Partition, epoch: Epoch) {
        if let Some(owned) = self.partitions.get_mut(&partition).filter(|owned| owned.epoch == epoch) {
            owned.gaps_unmarked = owned.gaps_unmarked.saturating_sub(1);
        }
    }

    pub(super) fn revoking(&mut self, partitions: Vec<Partition>, deadline: Instant, now: Instant) {
        self.leave_at_once(now);
        self.note_before_going(&partitions, now);
        self.leaving = Some(Leaving { partitions, deadline, last_burst_sent: false });
    }

    /// The log may forget where the group stood long after we are gone.
    pub(super) fn note_before_going(&mut self, partitions: &[Partition], now: Instant) {
        for partition in partitions {
            let owned = self.partitions.get_mut(partition).filter(|owned| owned.noted.is_some());
            if let Some(entry) = owned.and_then(|owned| owned.noting(*partition, now, true)) {
                self.want(entry, Purpose::Background);
            }
        }
    }

    /// One last burst for partitions that are taken away, then they are let go.
    pub(super) fn let_go_if_done(&mut self, now: Instant) {
        let Some(leaving) = &mut self.leaving else { return };
        let overdue = leaving.deadline <= now;
        if !overdue {
            if self.in_flight.is_some() {
                return;
            }
            if !leaving.last_burst_sent {
                leaving.last_burst_sent = true;
                if self.send_burst(now) {
                    return;
                }
            }
        }
        let Some(leaving) = self.leaving.take() else { return };
        self.drop_partitions(&leaving.partitions, now);
        PartitionsRevoked { partitions: &leaving.partitions, owned_now: self.partitions.len() }.record();
        self.errands.send(Errand::LetGo(leaving.partitions)).ok();
    }

    pub(super) fn lost(&mut self, gone: &[Partition], now: Instant) {
        self.drop_partitions(gone, now);
        PartitionsLost { partitions: gone, owned_now: self.partitions.len() }.record();
    }

    fn drop_partitions(&mut self, gone: &[Partition], now: Instant) {
        if sabotage::on(Sabotage::WorkAfterRevocation) {
            return;
        }
        for partition in gone {
            if let Some(owned) = self.partitions.remove(partition) {
                FrontierLeft { partition: *partition }.record();
                if let Some(reason) = owned.paused {
                    PausedLeft { reason, paused_now: self.paused_for(reason) }.record();
                }
            }
        }
        let ids: Vec<_> =
            self.items.iter().filter(|(_, item)| gone.contains(&item.partition())).map(|(id, _)| *id).collect();
        // In an order that comes from no hash map.
        let mut left = BTreeSet::new();
        for id in ids {
            let Some(item) = self.off_the_road(id) else { continue };
            let item = item.given_up();
            self.is_back_no_longer(&item);
            if let Some(ticket) = item.ticket() {
                self.lanes.leave(ticket, |other| other == id);
                left.insert(ticket.clone());
            }
        }
        for call in self.calls.values_mut() {
            if call.item.is_some_and(|id| !self.items.contains_key(&id)) {
                call.item = None;
            }
        }
        // Said by us after the next owner has claimed it, it would stand against what that one comes to.
        let items = &self.items;
        let is_of_another = |(_, purpose): &(Entry, Purpose)| matches!(purpose, Purpose::PutOff { item, .. } if !items.contains_key(item));
        self.pending.iter_mut().for_each(|group| group.retain(|entry| !is_of_another(entry)));
        self.pending.retain(|group| !group.is_empty());
        self.held.retain(|(_, id)| self.items.contains_key(id));
        self.waiting_for_earlier.retain(|id| self.items.contains_key(id));
        self.carriers.retain(|_, id| self.items.contains_key(id));
        for group in &mut self.ready {
            group.results.retain(|(id, _)| self.items.contains_key(id));
        }
        self.ready.retain(|group| !group.results.is_empty());
        self.ready_results = self.ready.iter().map(|group| group.results.len()).sum();
        // A lane that was reset asks for admission anew; its old request must not start a second call.
        let lanes = &self.lanes;
        self.overflow.retain(|ticket| lanes.unit(ticket).is_some());
        self.at_home.retain(|ticket| lanes.unit(ticket).is_some());
        self.admission.remove_if(now, |ticket| lanes.unit(ticket).is_none());
        // A lane may reach over several partitions: what of it is still here goes on.
        for ticket in left {
            self.work(&ticket, now);
        }
    }

    /// Notice that this process did not run for a while. Before anything that came meanwhile is acted upon.
    pub fn notice_absence(&mut self, now: Instant) {
        if let Some(silent) = self.presence.listen() {
            AwayNoticed { silent }.record();
            self.hold_calls(now, false);
        }
    }

    /// The log has noticed that nobody was listening. Mostly it is the road's own absence once more.
    pub(super) fn log_was_away(&mut self, silent: Duration, now: Instant) {
        if silent >= self.fixtures.settings.away_limit {
            if self.away.is_none() {
                AwayNoticed { silent }.record();
            }
            self.hold_calls(now, true);
        }
    }

    fn hold_calls(&mut self, now: Instant, log_knows: bool) {
        self.away = Some(Away { since: now, until: now + self.fixtures.settings.away_hold, log_knows });
    }

    pub(super) fn back_from_away(&mut self) {
        self.away = None;
        for request in std::mem::take(&mut self.leases_waiting) {
            self.want_lease(request);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::frontier::codec::Tag;
    use crate::pipeline::log::{Happening, PublishOutcome};
    use crate::pipeline::road::testing::{EVENTS, TestRoad};

    const OTHER: Partition = Partition { number: 1, ..EVENTS };

    fn happens(test: &mut TestRoad, happening: Happening) {
        test.road.happened(happening, Instant::now());
    }

    /// Committed by another instance when 10, 12 and 14 were unfinished below 16.
    fn committed_at_ten() -> Assignment {
        let mut frontier = Frontier::fresh(10);
        for offset in 10..16 {
            frontier.read(offset);
        }
        let tag = Tag { writer: "before".to_owned(), incarnation: 1, burst: 1, ledger: 0 };
        let fitted = frontier.fit(&[vec![11, 13, 15]], &tag, codec::MAX_CHARS).expect("it is short");
        let (committed, metadata) = (Some(fitted.proposal.base), fitted.metadata);
        Assignment { partition: EVENTS, topic_id: "t".to_owned(), committed, metadata, log_start: 0, log_end: 16 }
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
    async fn a_partition_whose_end_was_cut_off_is_stopped_and_none_of_its_rows_is_touched() {
        let mut test = TestRoad::new(&[]);
        test.assign(Assignment { log_end: 15, ..committed_at_ten() });
        let complaint = test.road.complaint().expect("it is loud");
        assert!(complaint.contains("ends at offset 15") && complaint.contains("read up to 16"), "{complaint}");
        assert!(complaint.contains("topics --position events:0=15"), "{complaint}");
        assert!(entries(&mut test).is_empty(), "what stands there now is not what was worked on");
        test.road.lost(&[EVENTS], Instant::now());
        assert_eq!(test.road.complaint(), None, "whoever owns it next complains of it");
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
        let entries = entries(&mut test);
        let [Entry::RepairPublished { to: 16, unfinished, .. }, lost @ ..] = &entries[..] else {
            panic!("{entries:?}")
        };
        assert_eq!(*unfinished, [10, 12, 14]);
        let lost: Vec<_> = lost
            .iter()
            .map(|entry| match entry {
                Entry::Vanished { from, to, .. } => *from..*to,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(lost, [10..11, 12..13]);

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

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_loses_what_it_works_on_goes_on_with_what_is_behind_it_in_another_partition() {
        let mut test = TestRoad::new(&["pipeline.superseding=false"]);
        for partition in [EVENTS, OTHER] {
            test.owns(partition);
            test.read_of_ticket("t-9", partition, 0);
        }
        let first = test.road.next_job(Instant::now()).expect("there is room");
        assert_eq!(first.owner.partition, 0);
        assert!(test.road.next_job(Instant::now()).is_none(), "one at a time");
        happens(&mut test, Happening::Lost { partitions: vec![EVENTS] });
        assert_eq!(test.road.next_job(Instant::now()).expect("it goes on").owner.partition, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_back_after_the_log_waited_no_longer_for_the_last_burst_is_ours() {
        let mut test = TestRoad::new(&[]);
        test.owns(EVENTS);
        test.read_unreadable(0..1);
        test.wake();
        let burst = test.bursts()[0].number;
        let deadline = Duration::from_secs(3);
        happens(&mut test, Happening::Revoking { partitions: vec![EVENTS], deadline });
        tokio::time::advance(deadline).await;
        happens(&mut test, Happening::Assigned { epoch: Epoch(2), partitions: Vec::new() });
        assert!(test.road.partitions.is_empty(), "the log has it no more");
        let assignment = Assignment {
            partition: EVENTS,
            topic_id: "t".to_owned(),
            committed: None,
            metadata: String::new(),
            log_start: 0,
            log_end: u64::MAX,
        };
        happens(&mut test, Happening::Assigned { epoch: Epoch(3), partitions: vec![assignment] });
        happens(&mut test, Happening::Published { burst, outcome: PublishOutcome::Committed });
        tokio::time::advance(deadline).await;
        test.wake();
        assert_eq!(test.road.partitions.keys().collect::<Vec<_>>(), [&EVENTS]);
        assert!(!test.errands().iter().any(|errand| matches!(errand, Errand::LetGo(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_revocation_does_not_forget_the_first() {
        let mut test = TestRoad::new(&[]);
        for partition in [EVENTS, OTHER] {
            test.owns(partition);
            let deadline = Duration::from_secs(3);
            happens(&mut test, Happening::Revoking { partitions: vec![partition], deadline });
        }
        assert_eq!(test.road.partitions.keys().collect::<Vec<_>>(), [&OTHER]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_reaches_into_a_lost_partition_keeps_its_other_results() {
        let other = Partition { number: 1, ..EVENTS };
        let mut test = TestRoad::new(&[]);
        for partition in [EVENTS, other] {
            test.assign(Assignment { partition, committed: None, metadata: String::new(), ..committed_at_ten() });
            test.read_unreadable_of(partition, 0..1);
        }
        let results = test.road.ready.drain(..).flat_map(|group| group.results).collect();
        test.road.ready.push_back(crate::pipeline::burst::Group { results });
        test.road.happened(Happening::Lost { partitions: vec![other] }, Instant::now());
        test.wake();
        let bursts = test.bursts();
        assert_eq!((bursts[0].positions.len(), bursts[0].positions[0].base), (1, 1));
    }
}
