//! Partitions that are assigned to us and may not be read yet, because their topic has grown (`growth.rs`).
//!
//! librdkafka has them, paused; the road does not know of them, and bursts cannot be of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::rebalance::{SEEKING, begin};
use super::{End, Session, rejoin};
use crate::adapters::kafka::growth::Readable;
use crate::adapters::kafka::names;
use crate::domain::clock::since_boot;
use crate::domain::position::{Partition, TopicRole};
use crate::pipeline::log::Assignment;
use crate::telemetry::happenings::PartitionsHeld;

/// How often it is looked whether they may be read.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Holding {
    partitions: BTreeMap<Partition, Assignment>,
    look_at: Option<Instant>,
    /// Said last.
    why: Option<String>,
}

impl Session<'_> {
    /// Those that may be read; the others wait. One that was committed before was read before.
    pub(super) fn sort_out(&mut self, assignments: Vec<Assignment>) -> Vec<Assignment> {
        let mut readable: BTreeMap<TopicRole, Readable> = BTreeMap::new();
        for at in &assignments {
            let role = at.partition.topic;
            readable.entry(role).or_insert_with(|| self.poller.growth.readable(&self.consumer, role));
        }
        self.poller.silence.beat(since_boot());
        let may_be_read = |at: &Assignment| {
            at.committed.is_some() || readable.get(&at.partition.topic).is_none_or(|it| at.partition.number < it.below)
        };
        let (open, held): (Vec<_>, Vec<_>) = assignments.into_iter().partition(may_be_read);
        let why = held.first().and_then(|at| readable.remove(&at.partition.topic)?.why);
        self.holding.partitions.extend(held.into_iter().map(|at| (at.partition, at)));
        self.holding.look_at = Some(Instant::now() + LOOK_EVERY);
        if why != self.holding.why {
            let partitions: Vec<Partition> = self.holding.partitions.keys().copied().collect();
            PartitionsHeld { partitions: &partitions, why: why.as_deref() }.record();
            self.holding.why = why;
        }
        open
    }

    /// Nothing of them is fetched. Before the next event is taken.
    pub(super) fn pause_held(&self) {
        let held: Vec<Partition> = self.holding.partitions.keys().copied().collect();
        self.call(&held, BaseConsumer::pause);
    }

    /// They are not ours any more. librdkafka keeps a pause over revocation and assignment.
    pub(super) fn release_revoked(&mut self, gone: &[Partition]) {
        let held: Vec<Partition> =
            gone.iter().copied().filter(|partition| self.holding.partitions.remove(partition).is_some()).collect();
        self.call(&held, BaseConsumer::resume);
    }

    /// Take over what may be read by now.
    pub(super) fn release_held(&mut self) -> Result<(), End> {
        if self.holding.partitions.is_empty() || self.holding.look_at.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        let held = std::mem::take(&mut self.holding.partitions);
        let open = self.sort_out(held.into_values().collect());
        if open.is_empty() {
            return Ok(());
        }
        for at in &open {
            let name = self.poller.names.name(at.partition.topic);
            self.consumer.seek(name, names::number(at.partition), begin(at), SEEKING).map_err(rejoin)?;
        }
        let partitions: Vec<Partition> = open.iter().map(|at| at.partition).collect();
        self.call(&partitions, BaseConsumer::resume);
        self.take_over(open)
    }
}
