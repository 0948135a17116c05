//! Results become bursts, and committed bursts move frontiers. Nothing else does.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::item::{Item, ItemId, Plan};
use super::{Purpose, Road};
use crate::domain::position::Partition;
use crate::domain::record::OutRecord;
use crate::failpoints;
use crate::pipeline::burst::{Aborted, Committed, Group, Move, Snapshot};
use crate::pipeline::dedupe::ledger::Entry;
use crate::pipeline::frontier::codec::Tag;
use crate::pipeline::log::PublishOutcome;
use crate::telemetry::happenings::{BurstCommitted, BurstFailed, BurstFailure, FrontierWidened};

impl Road {
    /// A record for operators, to go with the next burst.
    pub fn aside(&mut self, record: OutRecord) {
        self.asides.push(record);
    }

    pub(super) fn burst_is_wanted(&self) -> bool {
        !self.ready.is_empty() || (!self.asides.is_empty() && !self.partitions.is_empty())
    }

    /// Results a burst waits for no longer: the next one may go at once.
    #[must_use]
    pub fn burst_is_full(&self) -> bool {
        self.ready_results >= self.fixtures.settings.burst_max_records
    }

    /// Send what is ready, if it is time.
    pub(super) fn burst(&mut self, now: Instant) {
        if self.leaving.is_none() && self.in_flight.is_none() && self.burst_is_wanted() && now >= self.not_before {
            self.send_burst(now);
        }
    }

    /// Send what is ready. Says whether anything was.
    pub(super) fn send_burst(&mut self, now: Instant) -> bool {
        self.not_before = now + self.fixtures.settings.burst_interval;
        let Some(snapshot) = self.snapshot() else { return false };
        failpoints::hit("burst_begun");
        self.in_flight = Some(snapshot.send(&self.errands, now));
        true
    }

    /// Whole groups from the front, as many as the settings allow and as the metadata of their partitions can express.
    fn snapshot(&mut self) -> Option<Snapshot<ItemId>> {
        if self.partitions.values().any(|owned| owned.gaps_unmarked > 0) {
            return None;
        }
        let usual = self.fixtures.settings.burst_max_records;
        // A few results may leave a longer list of unfinished offsets than many: when the usual number does not fit,
        // everything that is ready is tried.
        self.snapshot_of(usual).or_else(|| self.snapshot_of(usize::MAX))
    }

    fn snapshot_of(&mut self, max_results: usize) -> Option<Snapshot<ItemId>> {
        let mut groups: Vec<Group<ItemId>> = Vec::new();
        let mut results = 0;
        while let Some(group) = self.ready.front() {
            if results > 0 && results + group.results.len() > max_results {
                break;
            }
            results += group.results.len();
            groups.extend(self.ready.pop_front());
        }
        let number = self.next_burst;
        let (groups, left_over, moves) = self.fit(groups, number);
        for group in left_over.into_iter().rev() {
            self.ready.push_front(group);
        }
        self.ready_results = self.ready.iter().map(|group| group.results.len()).sum();
        if moves.is_empty() {
            return None;
        }
        self.next_burst += 1;
        let asides = std::mem::take(&mut self.asides);
        Some(Snapshot { number, epoch: self.epoch, groups, asides, moves })
    }

    /// Cut the list of groups until every partition's metadata fits: from the highest offsets down, and every later
    /// group of a lane that was cut goes as well (they stand behind it in the list and are of the same partition).
    #[expect(clippy::type_complexity, reason = "kept, cut, and what the frontiers will be")]
    fn fit(
        &self,
        groups: Vec<Group<ItemId>>,
        number: u64,
    ) -> (Vec<Group<ItemId>>, Vec<Group<ItemId>>, BTreeMap<Partition, Move>) {
        let mut offsets: BTreeMap<Partition, Vec<u64>> = BTreeMap::new();
        for (id, _) in groups.iter().flat_map(|group| &group.results) {
            if let Some(item) = self.items.get(id) {
                offsets.entry(item.partition()).or_default().push(item.offset());
            }
        }
        offsets.values_mut().for_each(|offsets| offsets.sort_unstable());
        if offsets.is_empty()
            && let Some(partition) = self.partitions.iter().find(|(_, owned)| !owned.stopped).map(|(p, _)| *p)
        {
            // Only asides: they still travel with a position.
            offsets.insert(partition, Vec::new());
        }
        let mut limits: BTreeMap<Partition, Option<u64>> = BTreeMap::new();
        loop {
            let mut moves = BTreeMap::new();
            let mut cut = false;
            for (partition, offsets) in &offsets {
                let limit = limits.get(partition).copied();
                let allowed: Vec<u64> = match limit {
                    None => offsets.clone(),
                    Some(None) => continue,
                    Some(Some(limit)) => offsets.iter().copied().filter(|offset| *offset <= limit).collect(),
                };
                let Some(owned) = self.partitions.get(partition) else { continue };
                match owned.frontier.fit(&allowed, &self.tag(number), self.fixtures.settings.metadata_max_chars) {
                    Some(fitted) if fitted.proposal.finishing.len() == allowed.len() => {
                        let (proposal, metadata) = (fitted.proposal, fitted.metadata);
                        moves.insert(*partition, Move { assigned: owned.epoch, proposal, metadata });
                    }
                    Some(fitted) => {
                        limits.insert(*partition, fitted.proposal.finishing.iter().max().copied());
                        cut = true;
                    }
                    None => {
                        limits.insert(*partition, None);
                        cut = true;
                    }
                }
            }
            if !cut {
                let (kept, left) = self.split(groups, &limits);
                return (kept, left, moves);
            }
            // A group that loses one of its results loses all of them, maybe below the limit of its partition.
            for group in &groups {
                let places: Vec<_> = group.results.iter().filter_map(|(id, _)| self.place(*id)).collect();
                if places.iter().any(|(partition, offset)| beyond(&limits, *partition, *offset)) {
                    for (partition, offset) in places {
                        let lower = offset.checked_sub(1);
                        let limit = limits.entry(partition).or_insert(Some(u64::MAX));
                        *limit = (*limit).min(lower);
                    }
                }
            }
        }
    }

    fn place(&self, id: ItemId) -> Option<(Partition, u64)> {
        self.items.get(&id).map(|item| (item.partition(), item.offset()))
    }

    fn split(
        &self,
        groups: Vec<Group<ItemId>>,
        limits: &BTreeMap<Partition, Option<u64>>,
    ) -> (Vec<Group<ItemId>>, Vec<Group<ItemId>>) {
        groups.into_iter().partition(|group| {
            !group
                .results
                .iter()
                .filter_map(|(id, _)| self.place(*id))
                .any(|(partition, offset)| beyond(limits, partition, offset))
        })
    }

    fn tag(&self, number: u64) -> Tag {
        Tag { writer: self.fixtures.writer.clone(), incarnation: self.fixtures.incarnation, burst: number, ledger: 0 }
    }

    /// The log says how the burst ended.
    pub(super) fn published(&mut self, number: u64, outcome: PublishOutcome, now: Instant) {
        let Some(sent) = self.in_flight.take_if(|sent| sent.number == number) else {
            tracing::error!(burst = number, "the log answers a burst that is not on its way");
            return;
        };
        let duration = now - sent.sent_at;
        match outcome {
            PublishOutcome::Committed => {
                BurstCommitted { results: sent.results(), duration }.record();
                self.committed(sent.committed());
                if self.away_until.is_some() {
                    self.back_from_away();
                }
            }
            PublishOutcome::Refused => {
                BurstFailed { results: sent.results(), failure: BurstFailure::Refused }.record();
                self.send_again_later(sent.aborted(), now);
            }
            PublishOutcome::NotCommitted { reason } => {
                BurstFailed { results: sent.results(), failure: BurstFailure::NotCommitted { reason: &reason } }
                    .record();
                self.send_again_later(sent.aborted(), now);
            }
        }
    }

    fn committed(&mut self, committed: Committed<ItemId>) {
        for (partition, Move { assigned, proposal, metadata }) in &committed.moves {
            // A partition that went and came back meanwhile was restored from what is committed.
            if let Some(owned) = self.partitions.get_mut(partition).filter(|owned| owned.epoch == *assigned) {
                owned.frontier.confirm(proposal);
                FrontierWidened {
                    partition: *partition,
                    width: usize::try_from(owned.frontier.width()).unwrap_or(usize::MAX),
                    metadata_chars: metadata.len(),
                    metadata_max_chars: self.fixtures.settings.metadata_max_chars,
                }
                .record();
            }
        }
        let at = self.fixtures.clock.now();
        let mut marks = Vec::new();
        for (id, _) in committed.groups.into_iter().flat_map(|group| group.results) {
            let Some(item) = self.items.remove(&id) else { continue };
            let item = item.committed();
            if let Some((key, owner)) = owned_row(&item) {
                marks.push((Entry::Published { key, owner, at }, Purpose::Background));
            }
        }
        if !marks.is_empty() {
            self.pending.push_back(marks);
        }
    }

    fn send_again_later(&mut self, aborted: Aborted<ItemId>, now: Instant) {
        for group in aborted.groups.into_iter().rev() {
            // What belonged to a partition that is gone is its new owner's.
            if group.results.iter().all(|(id, _)| self.items.contains_key(id)) {
                self.ready_results += group.results.len();
                self.ready.push_front(group);
            }
        }
        self.asides.splice(0..0, aborted.asides);
        self.not_before = now + self.fixtures.settings.retry_pause;
    }
}

fn beyond(limits: &BTreeMap<Partition, Option<u64>>, partition: Partition, offset: u64) -> bool {
    match limits.get(&partition) {
        None => false,
        Some(None) => true,
        Some(Some(limit)) => offset > *limit,
    }
}

/// The row that remembers this item's verdict, if it has one: duplicates and conflicts speak of another's row.
fn owned_row(item: &Item) -> Option<(crate::domain::identity::DedupeKey, crate::domain::position::Position)> {
    use crate::domain::reason_code::ReasonCode;
    let event = item.event()?;
    match &item.plan {
        Plan::Publish(verdict) if !matches!(verdict.code, ReasonCode::SameEvent | ReasonCode::IdempotencyConflict) => {
            Some((event.claim.key, event.claim.position.clone()))
        }
        _ => None,
    }
}
