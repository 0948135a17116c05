//! Results become bursts, and committed bursts move frontiers. Nothing else does.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::choice::{Moves, choose};
use super::item::{Item, ItemId, Plan};
use super::ownership::{FOLLOW_AFTER, Owned};
use super::{Purpose, Road};
use crate::domain::position::Partition;
use crate::domain::record::OutRecord;
use crate::failpoints;
use crate::pipeline::burst::{Aborted, Committed, Group, Move, Snapshot};
use crate::pipeline::dedupe::ledger::Entry;
use crate::pipeline::frontier::codec::Tag;
use crate::pipeline::lane::TicketKey;
use crate::pipeline::log::PublishOutcome;
use crate::pipeline::log_health::Unpublished;
use crate::sabotage::{self, Sabotage};
use crate::telemetry::happenings::{BurstCommitted, BurstFailed, BurstFailure, FrontierWidened};

/// So often is what a burst carries halved at most.
const SMALLEST: u32 = 10;

impl Road {
    /// A record for operators, to go with the next burst that has a partition to be of. While there is none it waits.
    pub fn aside(&mut self, record: OutRecord) {
        self.asides.push(record);
    }

    pub(super) fn burst_is_wanted(&self) -> bool {
        !self.ready.is_empty() || (!self.asides.is_empty() && !self.partitions.is_empty())
    }

    /// When positions are to follow over what holds no records.
    pub(super) fn follow_due(&self) -> Option<Instant> {
        self.partitions.values().filter_map(|owned| owned.follow_at).min()
    }

    /// How long a position that lags waits for a burst that takes it along. Whoever ends does not wait.
    pub(super) fn follow_after(&self) -> Duration {
        if self.draining { self.fixtures.settings.burst_interval } else { FOLLOW_AFTER }
    }

    /// Positions that lag wait for nothing else.
    pub(super) fn follow_at_once(&mut self, now: Instant) {
        self.partitions.values_mut().filter(|owned| owned.lags()).for_each(|owned| owned.follow_at = Some(now));
    }

    /// Send what is ready, if it is time.
    pub(super) fn burst(&mut self, now: Instant) {
        let wanted = self.burst_is_wanted() || self.follow_due().is_some_and(|due| due <= now);
        if self.leaving.is_none() && self.in_flight.is_none() && wanted && now >= self.not_before {
            self.send_burst(now);
        }
    }

    /// Send what is ready. Says whether anything was.
    pub(super) fn send_burst(&mut self, now: Instant) -> bool {
        self.not_before = now + self.fixtures.settings.burst_interval;
        let Some(snapshot) = self.snapshot() else {
            // What cannot be written now is tried again, but not at once.
            let due = |owned: &&mut Owned| owned.follow_at.is_some_and(|due| due <= now);
            let again = now + self.follow_after();
            self.partitions.values_mut().filter(due).for_each(|owned| owned.follow_at = Some(again));
            return false;
        };
        failpoints::hit("burst_begun");
        self.in_flight = Some(snapshot.send(&self.errands, now));
        self.unpublished.get_or_insert(Unpublished { since: now, why: None });
        true
    }

    /// Whole groups from the front, as many as the settings allow and as the metadata of their partitions can express.
    fn snapshot(&mut self) -> Option<Snapshot<ItemId>> {
        if self.failed.is_some() {
            return None;
        }
        let settings = &self.fixtures.settings;
        let (results, bytes) = (settings.burst_max_records >> self.smaller, settings.burst_max_bytes >> self.smaller);
        // A few results may leave a longer list of unfinished offsets than many: when the usual number does not fit, as many
        // bytes are tried, and at last everything that is ready.
        self.snapshot_of(results, bytes)
            .or_else(|| self.snapshot_of(usize::MAX, bytes))
            .or_else(|| self.snapshot_of(usize::MAX, usize::MAX))
    }

    fn snapshot_of(&mut self, max_results: usize, max_bytes: usize) -> Option<Snapshot<ItemId>> {
        let mut groups: Vec<Group<ItemId>> = Vec::new();
        let (mut results, mut bytes) = (0, 0);
        while let Some(group) = self.ready.front() {
            // What cannot go yet is left out below, with what follows it in its lane, and takes no room.
            if !self.waits_for_a_mark(group) {
                let is_first = results == 0;
                (results, bytes) = (results + group.results.len(), bytes + group.bytes());
                if !is_first && (results > max_results || bytes > max_bytes) {
                    break;
                }
            }
            groups.extend(self.ready.pop_front());
        }
        let number = self.next_burst;
        let (groups, left_over, mut moves) = self.fit(groups, number);
        for group in left_over.into_iter().rev() {
            self.ready.push_front(group);
        }
        self.ready_results = self.ready.iter().map(|group| group.results.len()).sum();
        self.follow(&mut moves, number);
        if moves.is_empty() && !self.asides.is_empty() {
            moves.extend(self.move_for_asides(number));
        }
        if moves.is_empty() {
            return None;
        }
        self.next_burst += 1;
        let asides = self.asides.take();
        Some(Snapshot { number, epoch: self.epoch, groups, asides, moves })
    }

    /// Which of these groups one commit can express, and what it does to each partition. The rest keeps its order.
    fn fit(&self, groups: Vec<Group<ItemId>>, number: u64) -> (Vec<Group<ItemId>>, Vec<Group<ItemId>>, Moves) {
        let places = groups.iter().map(|group| self.places(group)).collect::<Vec<_>>();
        let before = self.before_in_lane(&groups);
        let (left_out, moves) = choose(&places, &before, |partition, offsets| self.fitted(partition, offsets, number));
        let mut index = 0..;
        let (left_out, kept) =
            groups.into_iter().partition(|_| index.next().is_some_and(|index| left_out.contains(&index)));
        (kept, left_out, moves)
    }

    /// For each group the one that comes before it in its lane.
    fn before_in_lane(&self, groups: &[Group<ItemId>]) -> Vec<Option<usize>> {
        let mut latest: HashMap<&TicketKey, usize> = HashMap::with_capacity(groups.len());
        let ticket = |group: &Group<ItemId>| self.items.get(&group.results.first()?.0)?.ticket();
        let before = |(index, group)| ticket(group).and_then(|ticket| latest.insert(ticket, index));
        groups.iter().enumerate().map(before).collect()
    }

    fn places(&self, group: &Group<ItemId>) -> Vec<(Partition, u64)> {
        let items = group.results.iter().filter_map(|(id, _)| self.items.get(id));
        items.map(|item| (item.partition(), item.offset())).collect()
    }

    /// A gap is marked before a commit passes it: nobody asks for its rows afterwards.
    fn waits_for_a_mark(&self, group: &Group<ItemId>) -> bool {
        let mut partitions = group.results.iter().filter_map(|(id, _)| Some(self.items.get(id)?.partition()));
        partitions.any(|partition| self.partitions.get(&partition).is_some_and(|owned| owned.gaps_unmarked > 0))
    }

    fn fitted(&self, partition: Partition, groups: &[Vec<u64>], number: u64) -> Option<(usize, Move)> {
        let owned = self.partitions.get(&partition).filter(|owned| owned.gaps_unmarked == 0)?;
        let fitted = owned.frontier.fit(groups, &self.tag(number), self.fixtures.settings.metadata_max_chars)?;
        let step = Move { assigned: owned.epoch, proposal: fitted.proposal, metadata: fitted.metadata };
        Some((fitted.kept, step))
    }

    /// Records for operators travel with a position, even if it stays where it is.
    fn move_for_asides(&self, number: u64) -> Option<(Partition, Move)> {
        let mut partitions =
            self.partitions.iter().filter(|(_, owned)| owned.is_open()).map(|(partition, _)| *partition);
        partitions.find_map(|partition| Some((partition, self.fitted(partition, &[], number)?.1)))
    }

    /// Positions that lag over nothing but gaps go along.
    fn follow(&self, moves: &mut Moves, number: u64) {
        for (partition, owned) in &self.partitions {
            if owned.follow_at.is_some()
                && owned.lags()
                && !moves.contains_key(partition)
                && let Some((_, step)) = self.fitted(*partition, &[], number)
            {
                moves.insert(*partition, step);
            }
        }
    }

    fn tag(&self, number: u64) -> Tag {
        Tag {
            writer: self.fixtures.writer.clone(),
            incarnation: self.fixtures.incarnation,
            burst: number,
            ledger: self.ledger_mark.to_number(),
        }
    }

    /// The log says how the burst ended.
    pub(super) fn published(&mut self, number: u64, outcome: PublishOutcome, now: Instant) {
        let Some(sent) = self.in_flight.take_if(|sent| sent.number == number) else {
            tracing::error!(burst = number, "the log answers a burst that is not on its way");
            return;
        };
        let duration = now - sent.sent_at;
        match &outcome {
            PublishOutcome::Committed | PublishOutcome::Refused => self.unpublished = None,
            PublishOutcome::NotCommitted { reason } | PublishOutcome::NotTried { reason } => {
                self.unpublished.get_or_insert(Unpublished { since: sent.sent_at, why: None }).why =
                    Some(reason.clone());
            }
        }
        match outcome {
            PublishOutcome::Committed => {
                BurstCommitted { results: sent.results(), duration }.record();
                self.smaller = self.smaller.saturating_sub(1);
                let sent_at = sent.sent_at;
                self.committed(sent.committed(), now);
                // One that went before may have been committed before as well: it says nothing of today.
                if self.away.as_ref().is_some_and(|away| away.since <= sent_at) {
                    self.back_from_away();
                }
            }
            PublishOutcome::Refused => {
                BurstFailed { results: sent.results(), failure: BurstFailure::Refused }.record();
                self.send_again_later(sent.aborted(), now);
            }
            PublishOutcome::NotTried { reason } => {
                BurstFailed { results: sent.results(), failure: BurstFailure::NotCommitted { reason: &reason } }
                    .record();
                self.send_again_later(sent.aborted(), now);
            }
            PublishOutcome::NotCommitted { reason } => {
                BurstFailed { results: sent.results(), failure: BurstFailure::NotCommitted { reason: &reason } }
                    .record();
                self.smaller = (self.smaller + 1).min(SMALLEST);
                match sabotage::on(Sabotage::NoReturnAfterAbort) {
                    true => self.committed(sent.committed(), now),
                    false => self.send_again_later(sent.aborted(), now),
                }
            }
        }
    }

    fn committed(&mut self, committed: Committed<ItemId>, now: Instant) {
        let goes = self.draining || self.leaving.is_some();
        let mut marks = Vec::new();
        for (partition, Move { assigned, proposal, metadata }) in &committed.moves {
            // A partition that went and came back meanwhile was restored from what is committed.
            if let Some(owned) = self.partitions.get_mut(partition).filter(|owned| owned.epoch == *assigned) {
                owned.frontier.confirm(proposal);
                owned.committed = proposal.base;
                owned.follow_at = owned.follow_at.filter(|_| owned.lags());
                FrontierWidened {
                    partition: *partition,
                    width: usize::try_from(owned.frontier.width()).unwrap_or(usize::MAX),
                    metadata_chars: metadata.len(),
                    metadata_max_chars: self.fixtures.settings.metadata_max_chars,
                }
                .record();
                marks.extend(owned.noting(*partition, now, goes).map(|entry| (entry, Purpose::Background)));
            }
        }
        let at = self.fixtures.clock.now();
        for (id, _) in committed.groups.into_iter().flat_map(|group| group.results) {
            let Some(item) = self.off_the_road(id) else { continue };
            let item = item.committed();
            self.is_back_no_longer(&item);
            if let Some(key) = item.claim().map(|claim| claim.key)
                && self.carriers.get(&key) == Some(&id)
            {
                self.carriers.remove(&key);
            }
            if let Some((key, owner)) = owned_row(&item) {
                marks.push((Entry::Published { key, owner, at }, Purpose::Background));
            }
        }
        if !marks.is_empty() {
            self.pending.push_back(marks);
        }
    }

    fn send_again_later(&mut self, aborted: Aborted<ItemId>, now: Instant) {
        for mut group in aborted.groups.into_iter().rev() {
            // What belonged to a partition that is gone is its new owner's.
            group.results.retain(|(id, _)| self.items.contains_key(id));
            if !group.results.is_empty() {
                self.ready_results += group.results.len();
                self.ready.push_front(group);
            }
        }
        self.asides.put_back(aborted.asides);
        self.not_before = now + self.fixtures.settings.retry_pause;
    }
}

/// The row that remembers this item's verdict, if it has one: duplicates and conflicts speak of another's row.
fn owned_row(item: &Item) -> Option<(crate::domain::identity::DedupeKey, crate::domain::position::Position)> {
    use crate::domain::reason_code::ReasonCode;
    let claim = item.claim()?;
    match &item.plan {
        Plan::Publish(verdict) if !matches!(verdict.code, ReasonCode::SameEvent | ReasonCode::IdempotencyConflict) => {
            Some((claim.key, claim.position.clone()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, advance};

    use super::super::ownership::FOLLOW_AFTER;
    use crate::domain::position::Partition;
    use crate::pipeline::dedupe::ledger::Entry;
    use crate::pipeline::frontier::codec;
    use crate::pipeline::log::{Assignment, Burst, Epoch, Happening, PublishOutcome};
    use crate::pipeline::road::testing::{EVENTS, TestRoad};

    const OTHER: Partition = Partition { number: 1, ..EVENTS };

    fn assign(test: &mut TestRoad, partition: Partition, committed: Option<u64>, log_start: u64) {
        test.assign(Assignment { committed, log_start, ..Assignment::never_read(partition, "t") });
    }

    fn reach_the_end(test: &mut TestRoad, partition: Partition, end: u64) {
        test.road.happened(Happening::CaughtUp { epoch: Epoch(1), partition, end }, Instant::now());
    }

    fn commit(test: &mut TestRoad) -> Vec<Burst> {
        test.wake();
        let bursts = test.bursts();
        for burst in &bursts {
            let outcome = PublishOutcome::Committed;
            test.road.happened(Happening::Published { burst: burst.number, outcome }, Instant::now());
        }
        bursts
    }

    fn positions(bursts: &[Burst]) -> Vec<(u32, u64)> {
        bursts.iter().flat_map(|burst| &burst.positions).map(|at| (at.partition.number, at.base)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_position_follows_to_the_end_of_the_log_over_what_holds_no_records() {
        let mut test = TestRoad::new(&[]);
        assign(&mut test, EVENTS, Some(0), 0);
        test.read_unreadable(0..3);
        assert_eq!(positions(&commit(&mut test)), [(0, 3)]);
        // The mark of the transaction upstream comes after the burst.
        reach_the_end(&mut test, EVENTS, 4);
        assert_eq!(test.road.next_wake(Instant::now()), Some(Instant::now() + FOLLOW_AFTER));
        advance(FOLLOW_AFTER - Duration::from_millis(1)).await;
        assert_eq!(commit(&mut test), []);
        advance(Duration::from_millis(1)).await;
        let bursts = commit(&mut test);
        assert_eq!((positions(&bursts), bursts[0].records.len()), (vec![(0, 4)], 0));
        // Retention takes the mark away; who comes next misses nothing.
        let metadata = bursts[0].positions[0].metadata.clone();
        let mut next = TestRoad::new(&[]);
        let left = Assignment {
            committed: Some(4),
            metadata,
            log_start: 4,
            log_end: 4,
            ..Assignment::never_read(EVENTS, "t")
        };
        next.assign(left);
        assert_eq!(next.road.complaint(), None);

        reach_the_end(&mut test, EVENTS, 4);
        assert_eq!(test.road.next_wake(Instant::now()), None, "it stands at the end");
    }

    #[tokio::test(start_paused = true)]
    async fn a_position_that_lags_goes_along_with_any_burst_and_with_the_last_one() {
        let mut test = TestRoad::new(&[]);
        for partition in [EVENTS, OTHER] {
            assign(&mut test, partition, Some(0), 0);
        }
        reach_the_end(&mut test, OTHER, 2);
        test.read_unreadable(0..1);
        assert_eq!(positions(&commit(&mut test)), [(0, 1), (1, 2)]);

        reach_the_end(&mut test, OTHER, 5);
        while test.next_batch(100).is_some() {}
        test.road.drain();
        assert!(!test.road.is_drained());
        advance(Duration::from_secs(1)).await;
        assert_eq!(positions(&commit(&mut test)), [(1, 5)]);
        while test.next_batch(100).is_some() {}
        assert!(test.road.is_drained());
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_for_the_mark_of_a_gap_and_no_longer() {
        let mut test = TestRoad::new(&[]);
        assign(&mut test, EVENTS, Some(0), 0);
        reach_the_end(&mut test, EVENTS, 2);
        test.road.drain();
        test.road.woke(Instant::now());
        assert!(test.bursts().is_empty(), "the ledger does not know yet");
        test.answer_vanished();
        advance(Duration::from_millis(50)).await;
        test.road.woke(Instant::now());
        assert_eq!(positions(&test.bursts()), [(0, 2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_road_is_not_idle_before_its_positions_stand_at_the_end() {
        let mut test = TestRoad::new(&[]);
        assign(&mut test, EVENTS, Some(0), 0);
        reach_the_end(&mut test, EVENTS, 2);
        test.answer_vanished();
        assert!(!test.road.is_idle(Instant::now()));
        let bursts = commit(&mut test);
        assert_eq!((positions(&bursts), bursts[0].records.len()), (vec![(0, 2)], 0));
        test.answer_vanished();
        assert!(test.road.is_idle(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_position_behind_an_unfinished_event_stays() {
        let mut test = TestRoad::new(&[]);
        assign(&mut test, EVENTS, Some(0), 0);
        test.read_unreadable(0..1);
        // Its result is on its way, and not in the log yet.
        test.wake();
        assert_eq!(positions(&test.bursts()), [(0, 1)]);
        reach_the_end(&mut test, EVENTS, 2);
        assert_eq!(test.road.follow_due(), None);
    }

    /// The log of a publisher with small transactions has a gap after each.
    #[tokio::test(start_paused = true)]
    async fn gaps_are_said_together_and_before_what_else_waits_for_the_ledger() {
        let mut test = TestRoad::new(&[]);
        test.owns(EVENTS);
        (0..3).for_each(|number| test.hand_over_tickets(2 * number..2 * number + 1));
        let (entries, _) = test.next_batch(100).expect("claims and gaps");
        let gap = |entry: &Entry| if let Entry::Vanished { from, to, .. } = entry { Some((*from, *to)) } else { None };
        assert_eq!(entries.iter().map_while(gap).collect::<Vec<_>>(), [(1, 2), (3, 4)], "{entries:?}");
        assert_eq!(entries.iter().filter(|entry| matches!(entry, Entry::Claim(_))).count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_that_is_not_marked_yet_keeps_back_its_own_partition_only() {
        let mut test = TestRoad::new(&[]);
        for partition in [EVENTS, OTHER] {
            assign(&mut test, partition, Some(0), 0);
        }
        test.read_unreadable_of(EVENTS, 0..2);
        test.read_unreadable_of(OTHER, 0..1);
        // The end of a transaction upstream.
        test.read_unreadable_of(OTHER, 2..3);
        test.road.woke(Instant::now());
        assert_eq!(positions(&test.bursts()), [(0, 2)]);
        test.road.happened(Happening::Published { burst: 1, outcome: PublishOutcome::Committed }, Instant::now());
        test.answer_vanished();
        advance(Duration::from_millis(50)).await;
        test.road.woke(Instant::now());
        assert_eq!(positions(&test.bursts()), [(1, 3)]);
    }

    #[tokio::test(start_paused = true)]
    async fn results_behind_a_gap_that_is_not_marked_take_no_room_in_a_burst_and_its_size_holds() {
        let mut test = TestRoad::new(&[]);
        for partition in [EVENTS, OTHER] {
            assign(&mut test, partition, Some(0), 0);
        }
        test.read_unreadable_of(EVENTS, 1..101);
        test.read_unreadable_of(OTHER, 0..100);
        let of_one = test.road.ready[0].bytes();
        test.road.fixtures.settings.burst_max_bytes = 10 * of_one + of_one / 2;
        test.road.woke(Instant::now());
        let bursts = test.bursts();
        assert_eq!((positions(&bursts), bursts[0].records.len() / 2), (vec![(1, 10)], 10));
        assert_eq!((test.road.ready_results, test.road.ready.len()), (190, 190), "the others keep their place");
        assert_eq!(test.road.items[&test.road.ready[0].results[0].0].offset(), 1);
    }

    /// How many results each burst carries when all of them end like this.
    async fn sizes(test: &mut TestRoad, outcome: impl Fn() -> PublishOutcome) -> Vec<usize> {
        let mut sizes = Vec::new();
        for _ in 0..3 {
            advance(Duration::from_secs(1)).await;
            test.wake();
            for burst in test.bursts() {
                sizes.push(burst.records.len() / 2);
                test.road.happened(Happening::Published { burst: burst.number, outcome: outcome() }, Instant::now());
            }
        }
        sizes
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_has_a_size_and_one_that_could_not_be_committed_makes_the_next_ones_smaller() {
        let mut test = TestRoad::new(&[]);
        assign(&mut test, EVENTS, Some(0), 0);
        test.read_unreadable(0..100);
        let of_one = test.road.ready[0].bytes();
        // They differ by the digits of their offsets.
        test.road.fixtures.settings.burst_max_bytes = 41 * of_one;
        let aborted = || PublishOutcome::NotCommitted { reason: "timed out".to_owned() };
        assert_eq!(sizes(&mut test, aborted).await, [40, 20, 10]);
        assert_eq!(sizes(&mut test, || PublishOutcome::Committed).await, [5, 10, 20]);
        assert_eq!(sizes(&mut test, || PublishOutcome::Refused).await, [40, 40, 40], "nobody was slow");
        let not_tried = || PublishOutcome::NotTried { reason: "not a member".to_owned() };
        assert_eq!(sizes(&mut test, not_tried).await, [40, 40, 40], "nothing was sent");
        test.road.fixtures.settings.burst_max_bytes = 1;
        assert_eq!(sizes(&mut test, || PublishOutcome::Committed).await, [1, 1, 1], "one goes, however large");
    }

    /// Forty results wait, the one in the middle first; a burst usually carries one, and its metadata may be as long as
    /// it is with none.
    fn cramped() -> TestRoad {
        let mut test = TestRoad::new(&["pipeline.burst_max_records=1"]);
        test.owns(EVENTS);
        test.read_unreadable(0..40);
        let road = &mut test.road;
        road.ready.swap(0, 20);
        let chars = |offsets: &[u64]| {
            let fitted = road.partitions[&EVENTS].frontier.fit(&[offsets.to_vec()], &road.tag(1), codec::MAX_CHARS);
            fitted.expect("short").metadata.len()
        };
        let (with_none, with_one) = (chars(&[]), chars(&[20]));
        assert!(with_none < with_one);
        road.fixtures.settings.metadata_max_chars = with_none;
        test
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_usual_number_does_not_fit_everything_is_tried_and_never_an_empty_burst() {
        let mut test = cramped();
        test.wake();
        let bursts = test.bursts();
        assert_eq!(bursts.iter().map(|burst| burst.positions[0].base).collect::<Vec<_>>(), [40]);
    }

    #[tokio::test(start_paused = true)]
    async fn when_nothing_fits_nothing_is_sent_and_nothing_forgotten() {
        let mut test = cramped();
        test.road.ready.truncate(1);
        test.wake();
        assert!(test.bursts().is_empty());
        assert_eq!((test.road.ready.len(), test.road.ready_results), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn records_for_operators_go_even_when_no_result_fits() {
        let mut test = cramped();
        test.road.ready.truncate(1);
        let aside = test.for_operators();
        test.road.aside(aside);
        test.wake();
        let bursts = test.bursts();
        assert_eq!(
            bursts.iter().map(|burst| (burst.records.len(), burst.positions[0].base)).collect::<Vec<_>>(),
            [(1, 0)]
        );
        assert_eq!(test.road.ready.len(), 1);
    }
}
