//! A burst as a typestate: Snapshot -> Sent -> Committed | Aborted.
//!
//! A snapshot holds whole groups of results and, for each partition they touch, what its frontier will be once they are
//! committed. It is consumed by sending; only the log's answer turns it into a commit, which moves the frontiers, or
//! into an abort, which gives the groups back in order. Nothing else moves a frontier.

use std::collections::BTreeMap;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::frontier::Proposal;
use super::log::{Burst, BurstPosition, Epoch, Errand};
use crate::domain::position::Partition;
use crate::domain::record::OutRecord;

/// Results that must travel together, in order.
#[derive(Debug)]
pub struct Group<I> {
    /// The events that end here, with what goes out for each.
    pub results: Vec<(I, Vec<OutRecord>)>,
}

impl<I> Group<I> {
    /// Bytes of all that goes out.
    pub fn bytes(&self) -> usize {
        self.results.iter().flat_map(|(_, records)| records).map(OutRecord::bytes).sum()
    }
}

/// What a commit does to one partition.
#[derive(Debug)]
pub struct Move {
    /// The assignment it was made under; a later one has a frontier of its own.
    pub assigned: Epoch,
    /// The frontier afterwards.
    pub proposal: Proposal,
    /// The same, encoded.
    pub metadata: String,
}

/// Everything one transaction will carry, taken at one moment.
#[derive(Debug)]
pub struct Snapshot<I> {
    /// Counts up within this process.
    pub number: u64,
    /// The ownership it was taken under.
    pub epoch: Epoch,
    /// Whole groups, in order.
    pub groups: Vec<Group<I>>,
    /// Records that belong to no result: what operators want to know.
    pub asides: Vec<OutRecord>,
    /// What it does to each partition it touches.
    pub moves: BTreeMap<Partition, Move>,
}

/// On its way; waits for the log's word.
#[derive(Debug)]
pub struct Sent<I> {
    /// Its number.
    pub number: u64,
    /// When it went.
    pub sent_at: Instant,
    groups: Vec<Group<I>>,
    asides: Vec<OutRecord>,
    moves: BTreeMap<Partition, Move>,
}

/// In the log.
#[derive(Debug)]
pub struct Committed<I> {
    /// What ended.
    pub groups: Vec<Group<I>>,
    /// What that does to each partition it touches.
    pub moves: BTreeMap<Partition, Move>,
}

/// Not in the log.
#[derive(Debug)]
pub struct Aborted<I> {
    /// To be sent again, in this order, before anything else.
    pub groups: Vec<Group<I>>,
    /// Likewise.
    pub asides: Vec<OutRecord>,
}

impl<I> Snapshot<I> {
    /// Hand it to the log.
    pub fn send(self, errands: &UnboundedSender<Errand>, now: Instant) -> Sent<I> {
        debug_assert!(!self.moves.is_empty(), "outputs without offsets are never committed");
        let records = self.groups.iter().flat_map(|group| &group.results).flat_map(|(_, records)| records);
        let burst = Burst {
            number: self.number,
            epoch: self.epoch,
            records: records.chain(&self.asides).cloned().collect(),
            positions: self
                .moves
                .iter()
                .map(|(partition, step)| BurstPosition {
                    partition: *partition,
                    base: step.proposal.base,
                    metadata: step.metadata.clone(),
                })
                .collect(),
        };
        // A log that is gone closes its happenings as well, and that ends the loop.
        errands.send(Errand::Publish(burst)).ok();
        Sent { number: self.number, sent_at: now, groups: self.groups, asides: self.asides, moves: self.moves }
    }
}

impl<I> Sent<I> {
    /// How many results it carries.
    pub fn results(&self) -> usize {
        self.groups.iter().map(|group| group.results.len()).sum()
    }

    /// The log says it is in.
    pub fn committed(self) -> Committed<I> {
        Committed { groups: self.groups, moves: self.moves }
    }

    /// The log says it is not in.
    pub fn aborted(self) -> Aborted<I> {
        Aborted { groups: self.groups, asides: self.asides }
    }
}
