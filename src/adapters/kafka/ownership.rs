//! Which partitions are ours, under which membership: one snapshot, written by the polling thread, read by bursts.
//!
//! Brokers check the member and the generation of a transaction's offsets, not whether the member owns the partition. A
//! burst of a partition that was lost, sent with fresh group metadata, would be accepted and double what its new owner
//! publishes. So metadata and ownership are one value: a burst takes both together and asks again right before its
//! offsets are sent.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::position::{Partition, TopicRole};
use crate::pipeline::log::{Burst, Epoch};
use crate::sabotage::{self, Sabotage};

/// A member of the group at one generation (its member epoch, with KIP-848).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Counts up with every rebalance.
    pub generation: i32,
    /// As the coordinator named it.
    pub id: String,
}

impl Member {
    /// Whether the group has made it one: the shape of a client that never joined passes the brokers unchecked, and is
    /// never fenced.
    pub fn has_joined(&self) -> bool {
        self.generation >= 0 && !self.id.is_empty()
    }
}

/// What carries a [`Member`] in the form that a transaction sends.
pub trait Membership {
    /// Who.
    fn member(&self) -> &Member;
}

/// Why a burst may not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Partitions came or went since it was made.
    #[error("ownership changed")]
    EpochPassed,
    /// It moves no position.
    #[error("it has no positions")]
    NoPositions,
    /// It moves the position of a partition that is not ours.
    #[error("a partition in it is not ours")]
    NotOwned,
    /// Its outputs stem from a partition whose position it does not move.
    #[error("an output's partition is missing from its positions")]
    OutputWithoutPosition,
    /// The group is being joined.
    #[error("this instance is not a member of its group now")]
    NotAMember,
    /// The coordinator refused this member and generation before; it will again.
    #[error("the group refused this membership")]
    RefusedBefore,
}

/// Shared by the polling and the committing thread.
#[derive(Debug)]
pub struct Ownership<M> {
    state: Mutex<State<M>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<M> {
    epoch: Epoch,
    owned: BTreeSet<Partition>,
    membership: Option<Arc<M>>,
    refused: Option<Member>,
    on_its_way: BTreeSet<Partition>,
}

impl<M: Membership> Ownership<M> {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State {
                epoch: Epoch(0),
                owned: BTreeSet::new(),
                membership: None,
                refused: None,
                on_its_way: BTreeSet::new(),
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are ours too. The epoch from now on.
    pub fn add(&self, partitions: impl IntoIterator<Item = Partition>) -> Epoch {
        let mut state = self.lock();
        state.owned.extend(partitions);
        state.epoch = Epoch(state.epoch.0 + 1);
        state.epoch
    }

    /// These are not ours any more: whatever was made before is refused from now on.
    pub fn remove(&self, partitions: &[Partition]) -> Epoch {
        let mut state = self.lock();
        state.owned.retain(|owned| !partitions.contains(owned));
        state.epoch = Epoch(state.epoch.0 + 1);
        state.epoch
    }

    /// Who we are to the group now. Called by the thread that serves rebalances, between them.
    pub fn observe(&self, membership: Option<M>) {
        let mut state = self.lock();
        let same = match (&state.membership, &membership) {
            (Some(old), Some(new)) => old.member() == new.member(),
            _ => false,
        };
        if !same {
            state.membership = membership.map(Arc::new);
        }
    }

    /// The membership for this burst, if it may be sent. Its partitions count as on their way until [`Self::end`].
    pub fn begin(&self, burst: &Burst) -> Result<Arc<M>, Denied> {
        let mut state = self.lock();
        let membership = state.permit(burst)?;
        state.on_its_way = burst.positions.iter().map(|position| position.partition).collect();
        Ok(membership)
    }

    /// Whether what [`Self::begin`] allowed still holds: asked right before the offsets are sent.
    pub fn still_allows(&self, burst: &Burst) -> Result<(), Denied> {
        self.lock().permit(burst).map(|_| ())
    }

    /// The burst is over. `refused`: the group does not accept this membership.
    pub fn end(&self, refused: Option<&Member>) {
        let mut state = self.lock();
        state.on_its_way.clear();
        if let Some(member) = refused {
            state.refused = Some(member.clone());
        }
        self.changed.notify_all();
    }

    /// Wait until no burst of these partitions is on its way, calling `beat` meanwhile; false: not in time.
    pub fn wait_for_burst(&self, partitions: &[Partition], until: Instant, mut beat: impl FnMut()) -> bool {
        let mut state = self.lock();
        while partitions.iter().any(|partition| state.on_its_way.contains(partition)) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            beat();
            let pause = left.min(Duration::from_millis(20));
            state = self.changed.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Whether this partition is ours.
    pub fn owns(&self, partition: Partition) -> bool {
        self.lock().owned.contains(&partition)
    }
}

impl<M: Membership> State<M> {
    fn permit(&self, burst: &Burst) -> Result<Arc<M>, Denied> {
        if burst.positions.is_empty() {
            return Err(Denied::NoPositions);
        }
        let careless = sabotage::on(Sabotage::WorkAfterRevocation);
        if burst.epoch != self.epoch && !careless {
            return Err(Denied::EpochPassed);
        }
        if !careless && !burst.positions.iter().all(|position| self.owned.contains(&position.partition)) {
            return Err(Denied::NotOwned);
        }
        // What operators are told stems from no record.
        let mut outputs = burst.records.iter().filter(|record| record.topic != TopicRole::Ops);
        if !outputs.all(|record| burst.positions.iter().any(|at| at.partition.number == record.partition)) {
            return Err(Denied::OutputWithoutPosition);
        }
        let membership = self.membership.as_ref().ok_or(Denied::NotAMember)?;
        if self.refused.as_ref() == Some(membership.member()) {
            return Err(Denied::RefusedBefore);
        }
        Ok(membership.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::OutRecord;
    use crate::pipeline::log::BurstPosition;

    impl Membership for Member {
        fn member(&self) -> &Member {
            self
        }
    }

    fn at(number: u32) -> Partition {
        Partition { topic: TopicRole::Events, number }
    }

    fn member(generation: i32) -> Member {
        Member { generation, id: "gatekeeper-1-abc".to_owned() }
    }

    fn burst(epoch: Epoch, partitions: &[u32]) -> Burst {
        let positions = partitions
            .iter()
            .map(|number| BurstPosition { partition: at(*number), base: 7, metadata: "m".to_owned() })
            .collect();
        Burst { number: 1, epoch, records: Vec::new(), positions }
    }

    fn output(partition: u32, topic: TopicRole) -> OutRecord {
        OutRecord { topic, partition, key: None, value: None, headers: Vec::new() }
    }

    fn owning(partitions: &[u32]) -> (Ownership<Member>, Epoch) {
        let ownership = Ownership::new();
        let epoch = ownership.add(partitions.iter().map(|number| at(*number)));
        ownership.observe(Some(member(3)));
        (ownership, epoch)
    }

    #[test]
    fn a_burst_of_what_is_ours_gets_the_membership_that_owns_it() {
        let (ownership, epoch) = owning(&[0, 1]);
        assert_eq!(ownership.begin(&burst(epoch, &[0, 1])).map(|given| given.generation), Ok(3));
    }

    #[test]
    fn a_burst_made_before_a_partition_left_is_refused_though_its_own_partitions_stayed() {
        let (ownership, epoch) = owning(&[0, 1]);
        let next = ownership.remove(&[at(1)]);
        assert_eq!(ownership.begin(&burst(epoch, &[0])).err(), Some(Denied::EpochPassed));
        assert!(ownership.begin(&burst(next, &[0])).is_ok());
        assert_eq!(ownership.begin(&burst(next, &[1])).err(), Some(Denied::NotOwned));
    }

    #[test]
    fn what_was_allowed_is_asked_again_before_the_offsets_are_sent() {
        let (ownership, epoch) = owning(&[0]);
        let burst = burst(epoch, &[0]);
        assert!(ownership.begin(&burst).is_ok());
        ownership.remove(&[at(0)]);
        assert_eq!(ownership.still_allows(&burst), Err(Denied::EpochPassed));
    }

    #[test]
    fn a_burst_without_positions_is_refused_and_so_is_an_output_without_its_position() {
        let (ownership, epoch) = owning(&[0, 1]);
        assert_eq!(ownership.begin(&burst(epoch, &[])).err(), Some(Denied::NoPositions));
        let mut stray = burst(epoch, &[0]);
        stray.records = vec![output(0, TopicRole::Decisions), output(1, TopicRole::Feedback)];
        assert_eq!(ownership.begin(&stray).err(), Some(Denied::OutputWithoutPosition));
        stray.records = vec![output(0, TopicRole::Decisions), output(5, TopicRole::Ops)];
        assert!(ownership.begin(&stray).is_ok());
    }

    #[test]
    fn a_client_that_never_joined_is_told_apart_because_brokers_do_not_fence_it() {
        assert!(member(0).has_joined());
        assert!(!member(-1).has_joined());
        assert!(!Member { generation: 5, id: String::new() }.has_joined());
    }

    #[test]
    fn without_a_membership_nothing_is_sent() {
        let (ownership, epoch) = owning(&[0]);
        ownership.observe(None);
        assert_eq!(ownership.begin(&burst(epoch, &[0])).err(), Some(Denied::NotAMember));
    }

    #[test]
    fn a_membership_that_was_refused_is_never_used_again_but_the_next_one_is() {
        let (ownership, epoch) = owning(&[0]);
        assert!(ownership.begin(&burst(epoch, &[0])).is_ok());
        ownership.end(Some(&member(3)));
        ownership.observe(Some(member(3)));
        assert_eq!(ownership.begin(&burst(epoch, &[0])).err(), Some(Denied::RefusedBefore));
        ownership.observe(Some(member(4)));
        assert!(ownership.begin(&burst(epoch, &[0])).is_ok());
    }

    #[test]
    fn a_burst_on_its_way_is_waited_for_by_its_own_partitions_only() {
        let (ownership, epoch) = owning(&[0, 1]);
        assert!(ownership.begin(&burst(epoch, &[0])).is_ok());
        let soon = Instant::now() + Duration::from_millis(30);
        assert!(!ownership.wait_for_burst(&[at(0)], soon, || ()));
        assert!(ownership.wait_for_burst(&[at(1)], soon, || ()));
        ownership.end(None);
        assert!(ownership.wait_for_burst(&[at(0)], soon, || ()));
    }
}
