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
use super::{Purpose, Road};
use crate::domain::position::Partition;
use crate::failpoints;
use crate::pipeline::dedupe::ledger::Entry;
use crate::pipeline::frontier::{Frontier, codec};
use crate::pipeline::log::{Assignment, Epoch, Errand};
use crate::sabotage::{self, Sabotage};
use crate::telemetry::happenings::{
    AwayNoticed, FrontierLeft, PartitionStopped, PartitionsAssigned, PartitionsLost, PartitionsRevoked, PauseReason,
    PausedFor,
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

    /// Nothing of it is read or committed from now on, which is said as loudly as can be; the others go on.
    pub(super) fn stop_reading(&mut self, partition: Partition, reason: &str) {
        let Some(owned) = self.partitions.get_mut(&partition) else { return };
        (owned.stopped, owned.paused) = (Some(reason.to_owned()), None);
        self.errands.send(Errand::Pause(vec![partition])).ok();
        PartitionStopped { partition, reason }.record();
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
                    PausedFor { reason, paused_now: self.paused_for(reason) }.record();
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
        let mut pending = std::mem::take(&mut self.pending);
        pending.iter_mut().for_each(|group| group.retain(|(_, purpose)| !self.is_of_another_now(purpose)));
        pending.retain(|group| !group.is_empty());
        self.pending = pending;
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
    use crate::pipeline::log::{Happening, PublishOutcome};
    use crate::pipeline::road::testing::{EVENTS, TestRoad};

    const OTHER: Partition = Partition { number: 1, ..EVENTS };

    fn happens(test: &mut TestRoad, happening: Happening) {
        test.road.happened(happening, Instant::now());
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
        let assignment = Assignment::never_read(EVENTS, "t");
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
    async fn a_group_that_reaches_into_a_lost_partition_keeps_its_other_results() {
        let mut test = TestRoad::new(&[]);
        for partition in [EVENTS, OTHER] {
            test.owns(partition);
            test.read_unreadable_of(partition, 0..1);
        }
        let results = test.road.ready.drain(..).flat_map(|group| group.results).collect();
        test.road.ready.push_back(crate::pipeline::burst::Group { results });
        test.road.happened(Happening::Lost { partitions: vec![OTHER] }, Instant::now());
        test.wake();
        let bursts = test.bursts();
        assert_eq!((bursts[0].positions.len(), bursts[0].positions[0].base), (1, 1));
    }
}
