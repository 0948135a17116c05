//! Partitions that are assigned to us and not read yet: their topic has grown (`growth.rs`), or the cluster does not say where
//! they stand (`restore.rs`).
//!
//! librdkafka has them, paused; the road does not own them, and bursts cannot be of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::rebalance::{SEEKING, begin};
use super::{End, Poller, Session, rejoin};
use crate::adapters::kafka::growth::Readable;
use crate::adapters::kafka::inquiry::Inquiry;
use crate::adapters::kafka::names;
use crate::domain::clock::since_boot;
use crate::domain::position::{Partition, TopicRole};
use crate::pipeline::log::{Assignment, Happening};
use crate::telemetry::happenings::{PartitionsHeld, PartitionsUnknown};

/// How often it is looked whether they may be read.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A look at what is not known blocks what is: four fifths of the time are left for that.
const REST: u32 = 4;

/// How often it is said again that something is not known.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Holding {
    partitions: BTreeMap<Partition, Assignment>,
    look_at: Option<Instant>,
    /// Said last.
    why: Option<String>,
    /// The cluster does not say where these stand.
    unknown: Option<Inquiry>,
    ask_at: Option<Instant>,
    /// When it was logged that something is not known.
    logged: Option<Instant>,
}

/// What the road is told of partitions that are not told with an assignment.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Unread {
    why: Option<String>,
    waiting: bool,
}

impl Holding {
    /// Whether anything that is assigned is not the road's.
    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty() && self.unknown.is_none()
    }

    /// Whether this one waits here.
    pub(super) fn has(&self, partition: Partition) -> bool {
        let is_unknown = || self.unknown.as_ref().is_some_and(|unknown| unknown.open().contains(&partition));
        self.partitions.contains_key(&partition) || is_unknown()
    }

    /// Nothing is assigned any more. What was logged is not forgotten.
    pub(super) fn forget_all(&mut self) {
        *self = Self { why: self.why.take(), logged: self.logged, ..Self::default() };
    }

    /// What is not known yet is asked about now and then.
    pub(super) fn ask_later(&mut self, open: Inquiry) {
        if open.is_done() {
            return;
        }
        self.ask_at = Some(Instant::now() + LOOK_EVERY);
        match &mut self.unknown {
            Some(unknown) => unknown.join(open),
            None => self.unknown = Some(open),
        }
    }

    /// When it changes, and now and then.
    fn log_unknown(&mut self, why: Option<&str>, now: Instant) {
        let is_due = self.logged.is_none_or(|logged| now - logged >= SAY_EVERY);
        let is_over = why.is_none() && self.logged.take().is_some();
        if is_over || (why.is_some() && is_due) {
            let open = self.unknown.as_ref();
            let (partitions, waited) = open.map(|open| (open.open(), now - open.begun())).unwrap_or_default();
            PartitionsUnknown { partitions: &partitions, why, waited }.record();
            self.logged = why.map(|_| now);
        }
    }
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
        let unknown = self.holding.unknown.iter().flat_map(Inquiry::open);
        let held: Vec<Partition> = self.holding.partitions.keys().copied().chain(unknown).collect();
        self.call(&held, BaseConsumer::pause);
    }

    /// They are not ours any more. librdkafka keeps a pause over revocation and assignment.
    pub(super) fn release_revoked(&mut self, gone: &[Partition]) {
        let Holding { partitions, unknown, .. } = &mut self.holding;
        let mut was_held = |partition: &Partition| {
            partitions.remove(partition).is_some() || unknown.as_mut().is_some_and(|open| open.remove(*partition))
        };
        let held: Vec<Partition> = gone.iter().copied().filter(|partition| was_held(partition)).collect();
        self.holding.unknown.take_if(|open| open.is_done());
        self.call(&held, BaseConsumer::resume);
    }

    /// Where are they by now? Those that are known wait for nothing else than all others do.
    pub(super) fn ask_about_unknown(&mut self) -> Result<(), End> {
        if self.holding.ask_at.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        let Some(mut open) = self.holding.unknown.take() else { return Ok(()) };
        let begun = Instant::now();
        let Poller { restorer, orders, silence, .. } = &mut *self.poller;
        let known = restorer.look(&self.consumer, &mut open, orders, || silence.beat(since_boot()))?;
        if !known.is_empty() {
            self.holding.partitions.extend(known.into_iter().map(|at| (at.partition, at)));
            self.holding.look_at = None;
        }
        self.holding.ask_later(open);
        self.holding.ask_at = Some(Instant::now() + LOOK_EVERY.max(begun.elapsed() * REST));
        Ok(())
    }

    /// Tell the road what is not read, or that everything is, if it is news. After it was told what is ours by now: a road that
    /// waits for nothing may end.
    pub(super) fn tell_unread(&mut self) -> Result<(), End> {
        let now = Instant::now();
        let unknown = self.holding.unknown.as_ref().and_then(Inquiry::complaint);
        self.holding.log_unknown(unknown.as_deref(), now);
        let why = unknown.or_else(|| self.poller.outside.complaint(now));
        let unread = Unread { why, waiting: !self.holding.partitions.is_empty() };
        if unread == self.poller.unread {
            return Ok(());
        }
        self.poller.unread = unread.clone();
        let Unread { why, waiting } = unread;
        self.tell(Happening::Unread { why, waiting })
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
