//! Partitions that come and go: revocation before it is told, positions before the first record.
//!
//! What must hold: partitions are closed to bursts before the group hears that they are free, and a partition is told to
//! the road together with where it stands.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::{End, Poller, Session, WAIT, rejoin};
use crate::adapters::kafka::names;
use crate::adapters::kafka::ownership::Membership as _;
use crate::adapters::kafka::raw::{Event, GroupMetadata};
use crate::adapters::kafka::restore::Restored;
use crate::domain::clock::since_boot;
use crate::domain::position::Partition;
use crate::failpoints;
use crate::pipeline::log::{Assignment, Epoch, Happening};
use crate::settings::kafka::GroupProtocol;

/// Longest wait for the partitions to come back when this instance leaves its group, and for the word to leave after that.
const LEAVING: Duration = Duration::from_secs(3);

/// For librdkafka to turn to another place.
pub(super) const SEEKING: Duration = Duration::from_secs(5);

/// For the request to leave, where nothing says that it is on its way.
const LEAVE_REQUEST: Duration = Duration::from_millis(200);

/// A burst that is on its way when a revocation's deadline passes gets this much longer.
const BURST_GRACE: Duration = Duration::from_secs(2);

impl Session<'_> {
    pub(super) fn assigned(&mut self, partitions: &[(String, i32)]) -> Result<(), End> {
        self.poller.outside.entered();
        self.standing.assigned(Instant::now());
        let Restored { known, open } = self.restore(&self.ours(partitions))?;
        let mut list = TopicPartitionList::new();
        let known_places = known.iter().map(|at| (at.partition, begin(at)));
        // Paused before anything of them is fetched, and turned to their places once those are known.
        let no_places = open.open().into_iter().map(|partition| (partition, Offset::End));
        for (partition, place) in known_places.chain(no_places) {
            let (topic, number) = (self.poller.names.name(partition.topic), names::number(partition));
            list.add_partition_offset(topic, number, place).map_err(rejoin)?;
        }
        let eager = self.is_eager();
        if eager { self.consumer.assign(&list) } else { self.consumer.incremental_assign(&list) }.map_err(rejoin)?;
        self.assigned_generation =
            GroupMetadata::of(&self.consumer).filter(|_| eager).map(|metadata| metadata.member().generation);
        self.holding.ask_later(open);
        let readable = self.sort_out(known);
        self.pause_held();
        self.take_over(readable)?;
        self.tell_unread()
    }

    /// Where each of these stands, as far as that is known in time.
    fn restore(&mut self, partitions: &[Partition]) -> Result<Restored, End> {
        let Poller { restorer, orders, silence, .. } = &mut *self.poller;
        let restored = restorer.restore(&self.consumer, partitions, orders, || silence.beat(since_boot()));
        // Fencing a dead writer takes a second; and a fresh assignment says that these are ours.
        silence.restart(since_boot());
        restored.map_err(End::from)
    }

    /// librdkafka reads them from now on: they are ours, and the road is told.
    pub(super) fn take_over(&mut self, mut assignments: Vec<Assignment>) -> Result<(), End> {
        self.poller.cut_off.mark(&mut assignments);
        let epoch = self.poller.ownership.add(assignments.iter().map(|at| at.partition));
        for at in &assignments {
            self.owned.insert(at.partition, epoch);
            self.read_ahead.add(at.partition);
        }
        // Before the road is told: its first burst may come at once.
        self.observe_membership();
        self.tell(Happening::Assigned { epoch, partitions: assignments })
    }

    fn ours(&self, partitions: &[(String, i32)]) -> Vec<Partition> {
        partitions.iter().filter_map(|(topic, number)| self.poller.names.partition(topic, *number)).collect()
    }

    pub(super) fn revoked(&mut self, partitions: &[(String, i32)]) -> Result<(), End> {
        failpoints::hit("in_revocation");
        let mut gone = self.ours(partitions);
        self.release_revoked(&gone);
        self.tell_unread()?;
        gone.retain(|partition| self.owned.contains_key(partition));
        let epoch = if self.consumer.assignment_lost() {
            // A fence takes everything as well; what it means was decided by what came before it.
            if self.consumer.client().fatal_error().is_none() {
                self.standing.lost();
            }
            let epoch = self.poller.ownership.remove(&gone);
            self.tell(Happening::Lost { partitions: gone.clone() })?;
            epoch
        } else {
            self.let_go_of(&gone)?
        };
        self.give_up(&gone, partitions)?;
        self.tell(Happening::Assigned { epoch, partitions: Vec::new() })
    }

    /// After the road's last burst, if it comes in time. The epoch from then on.
    fn let_go_of(&mut self, gone: &[Partition]) -> Result<Epoch, End> {
        let deadline = self.poller.kafka.revoke_deadline;
        let until = Instant::now() + deadline;
        self.poller.orders.expect_let_go();
        self.tell(Happening::Revoking { partitions: gone.to_vec(), deadline })?;
        let Poller { orders, ownership, silence, .. } = &mut *self.poller;
        let mut beat = || silence.beat(since_boot());
        orders.wait_for_let_go(gone, until, &mut beat);
        // Closed first: what is not on its way by now is refused.
        let epoch = ownership.remove(gone);
        if !ownership.wait_for_burst(gone, until + BURST_GRACE, &mut beat) {
            tracing::warn!("partitions are given back while their last burst is on its way: its commit will be fenced");
        }
        Ok(epoch)
    }

    /// They are not read any more.
    fn forget(&mut self, gone: &[Partition]) {
        // librdkafka keeps a pause over revocation and assignment; its next owner here would never resume it.
        let stopped = self.read_ahead.remove(gone);
        self.call(&stopped, BaseConsumer::resume);
        for partition in gone {
            self.owned.remove(partition);
        }
    }

    /// Tell librdkafka that they are not read any more.
    fn give_up(&mut self, gone: &[Partition], revoked: &[(String, i32)]) -> Result<(), End> {
        self.forget(gone);
        if self.is_eager() {
            self.assigned_generation = None;
            self.poller.outside.left(Instant::now());
            self.poller.ownership.observe(None);
            return self.consumer.unassign().map_err(rejoin);
        }
        let mut list = TopicPartitionList::new();
        for (topic, number) in revoked {
            list.add_partition(topic, *number);
        }
        self.consumer.incremental_unassign(&list).map_err(rejoin)
    }

    /// The consumer is broken: nothing is ours any more.
    pub(super) fn lose_everything(&mut self) {
        let gone: Vec<Partition> = std::mem::take(&mut self.owned).into_keys().collect();
        self.poller.ownership.observe(None);
        let epoch = self.poller.ownership.remove(&gone);
        // A road that is gone has lost them as well.
        self.tell(Happening::Lost { partitions: gone }).ok();
        self.tell(Happening::Assigned { epoch, partitions: Vec::new() }).ok();
        self.holding.forget_all();
        self.poller.outside.left(Instant::now());
        self.tell_unread().ok();
    }

    /// Give the partitions to the others at once. A static member that merely closes keeps them until its session ends;
    /// one that unsubscribes leaves (KIP-345 forbids it on termination only).
    pub(super) fn leave(&mut self) {
        let owned: Vec<Partition> = self.owned.keys().copied().collect();
        // What came in before the road stopped is still published.
        self.poller.orders.wait_for_bursts(Instant::now() + BURST_GRACE);
        self.poller.ownership.remove(&owned);
        if !self.poller.kafka.leave_on_stop {
            return;
        }
        self.consumer.unsubscribe();
        let until = Instant::now() + LEAVING;
        let mut given_up = false;
        while Instant::now() < until {
            match self.queue.poll(WAIT) {
                Some(Event::Revoke(partitions)) => {
                    // An error here means that the group has them back already.
                    given_up = self.give_up(&owned, &partitions).is_ok();
                    break;
                }
                Some(_) => {}
                None if owned.is_empty() && self.holding.is_empty() => break,
                None => {}
            }
        }
        // librdkafka asks to leave once it has stopped reading, and its member has no name from then on. Closing waits for
        // the answer to that; closing before it was asked would leave the partitions with us until the session ends.
        let until = Instant::now() + if self.is_classic() { LEAVING } else { LEAVE_REQUEST };
        let is_member = || !self.is_classic() || GroupMetadata::of(&self.consumer).is_some();
        while given_up && is_member() && Instant::now() < until {
            self.queue.poll(WAIT);
        }
    }

    /// A member of the newer protocol keeps its name when it leaves.
    fn is_classic(&self) -> bool {
        self.poller.kafka.group_protocol == GroupProtocol::Classic
    }
}

/// Where reading begins. A position before the start or beyond the end is a loss that the road has to see; reading it would be
/// an error, again and again.
pub(super) fn begin(at: &Assignment) -> Offset {
    let from = at.committed.unwrap_or(at.log_start).min(at.log_end).max(at.log_start);
    Offset::Offset(i64::try_from(from).unwrap_or(i64::MAX))
}
