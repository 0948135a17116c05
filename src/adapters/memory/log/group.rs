//! Who owns what: rebalances, and the fence of whoever takes a partition over.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng;
use tokio::time::{Instant, sleep};

use super::{MemberHandle, MemberId, MemoryLog, land, topic_id};
use crate::domain::position::{Partition, TopicRole};
use crate::pipeline::log::{Assignment, Epoch, Happening, PublishOutcome};

impl MemoryLog {
    /// Give the events' partitions to these members in turn. Members that lose some are asked to let go, or, if
    /// `at_once`, find that they have lost them.
    pub async fn rebalance(&self, read: &[TopicRole], members: &[MemberHandle], at_once: bool) {
        let moving = self.plan(read, members);
        let mut losing: BTreeMap<MemberId, Vec<Partition>> = BTreeMap::new();
        for (partition, from, _) in &moving {
            if let Some(from) = from {
                losing.entry(*from).or_default().push(*partition);
            }
        }
        let deadline = self.weather().revoke_deadline;
        for (member, partitions) in &losing {
            self.take_away(*member, partitions, at_once, deadline).await;
        }
        let mut gaining: BTreeMap<MemberId, Vec<Partition>> =
            members.iter().map(|member| (member.0, Vec::new())).collect();
        for (partition, _, to) in moving {
            gaining.entry(to).or_default().push(partition);
        }
        for (member, partitions) in gaining {
            self.give(member, &partitions).await;
        }
    }

    fn plan(&self, read: &[TopicRole], members: &[MemberHandle]) -> Vec<(Partition, Option<MemberId>, MemberId)> {
        let state = self.state();
        let turn = self.chance(|chance| chance.random_range(0..members.len().max(1)));
        state
            .partitions
            .keys()
            .filter(|partition| read.contains(&partition.topic))
            .filter_map(|partition| {
                let to = members.get((partition.number as usize + turn) % members.len().max(1))?.0;
                let from = state.owners.get(partition).copied();
                (from != Some(to)).then_some((*partition, from, to))
            })
            .collect()
    }

    async fn take_away(&self, member: MemberId, partitions: &[Partition], at_once: bool, deadline: Duration) {
        let alive = {
            let mut state = self.state();
            let alive = state.members.get(&member).filter(|member| !member.gone).map(|m| m.happenings.clone());
            if alive.is_some() && !at_once {
                state.revoking.extend(partitions.iter().map(|partition| (*partition, member)));
            }
            alive
        };
        if let Some(happenings) = alive.filter(|_| !at_once) {
            happenings.send(Happening::Revoking { partitions: partitions.to_vec(), deadline }).await.ok();
            let until = Instant::now() + deadline;
            while Instant::now() < until && self.state().revoking.values().any(|owner| *owner == member) {
                let dead = self.state().members.get(&member).is_none_or(|member| member.gone);
                if dead {
                    break;
                }
                sleep(Duration::from_millis(1)).await;
            }
        }
        let lost = {
            let mut state = self.state();
            for partition in partitions {
                state.revoking.remove(partition);
                state.owners.remove(partition);
            }
            state.epochs += 1;
            let epoch = Epoch(state.epochs);
            state.members.get_mut(&member).map(|member| {
                member.epoch = epoch;
                for partition in partitions {
                    member.cursors.remove(partition);
                    member.assigned_at.remove(partition);
                    member.paused.remove(partition);
                }
                member.happenings.clone()
            })
        };
        if let Some(happenings) = lost.filter(|_| at_once) {
            let partitions = partitions.to_vec();
            tokio::spawn(async move { happenings.send(Happening::Lost { partitions }).await.ok() });
        }
    }

    async fn give(&self, member: MemberId, partitions: &[Partition]) {
        self.fence(partitions);
        let message = {
            let mut state = self.state();
            state.epochs += 1;
            let epoch = Epoch(state.epochs);
            let mut assignments = Vec::new();
            for partition in partitions {
                let position = state.positions.get(partition).cloned();
                state.owners.insert(*partition, member);
                let (committed, metadata) = match position {
                    Some((offset, metadata)) => (Some(offset), metadata),
                    None => (None, String::new()),
                };
                if let Some(member) = state.members.get_mut(&member) {
                    member.cursors.insert(*partition, committed.unwrap_or(0));
                    member.assigned_at.insert(*partition, epoch);
                    member.told_caught_up.remove(partition);
                }
                assignments.push(Assignment {
                    partition: *partition,
                    topic_id: topic_id(partition.topic),
                    committed,
                    metadata,
                    log_start: 0,
                    log_end: u64::MAX,
                    truncated: false,
                });
            }
            state.members.get_mut(&member).filter(|member| !member.gone).map(|member| {
                member.epoch = epoch;
                (member.happenings.clone(), Happening::Assigned { epoch, partitions: assignments })
            })
        };
        if let Some((happenings, message)) = message {
            happenings.send(message).await.ok();
        }
        self.stirred.notify_waiters();
    }

    /// End the open bursts that touch these partitions: each is committed or aborted, for good.
    fn fence(&self, partitions: &[Partition]) {
        let mut state = self.state();
        for index in 0..state.in_air.len() {
            let touches = state.in_air[index].outcome.is_none()
                && state.in_air[index].burst.positions.iter().any(|p| partitions.contains(&p.partition));
            if touches {
                let commit = self.chance(|chance| chance.random_ratio(1, 2));
                land(&mut state, index, if commit { None } else { Some(PublishOutcome::Refused) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::super::Weather;
    use super::*;
    use crate::domain::record::{OutRecord, Payload};
    use crate::pipeline::log::{Burst, BurstPosition, LogPort};

    const EVENTS: Partition = Partition { topic: TopicRole::Events, number: 0 };

    fn log(seed: u64) -> MemoryLog {
        let chance = ChaCha8Rng::seed_from_u64(seed);
        MemoryLog::new(&[TopicRole::Events, TopicRole::Decisions], 1, chance, Weather::fair())
    }

    fn burst(epoch: Epoch) -> Burst {
        let decision = OutRecord {
            topic: TopicRole::Decisions,
            partition: 0,
            key: None,
            value: Some(Payload::from_static(b"decided")),
            headers: Vec::new(),
        };
        let position = BurstPosition { partition: EVENTS, base: 1, metadata: String::new() };
        Burst { number: 1, epoch, records: vec![decision], positions: vec![position] }
    }

    async fn assigned(port: &mut LogPort) -> Epoch {
        loop {
            if let Some(Happening::Assigned { epoch, .. }) = port.happenings.recv().await {
                return epoch;
            }
        }
    }

    async fn outcome(port: &mut LogPort) -> PublishOutcome {
        loop {
            if let Some(Happening::Published { outcome, .. }) = port.happenings.recv().await {
                return outcome;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_that_comes_after_its_partition_was_taken_away_is_refused_however_the_fence_decides() {
        for seed in 0..16 {
            let log = log(seed);
            let ((old, mut port), (new, _new_port)) = (log.join(64), log.join(64));
            log.rebalance(&[TopicRole::Events], &[old], false).await;
            let epoch = assigned(&mut port).await;
            log.take_away(old.0, &[EVENTS], true, Duration::ZERO).await;
            log.publish(old.0, burst(epoch));
            log.give(new.0, &[EVENTS]).await;
            assert_eq!(outcome(&mut port).await, PublishOutcome::Refused, "seed {seed}");
            assert_eq!(log.position(EVENTS), None);
            assert!(log.records(Partition { topic: TopicRole::Decisions, number: 0 }).is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_an_earlier_epoch_is_refused_although_its_partition_came_back() {
        for seed in 0..16 {
            let log = log(seed);
            let (member, mut port) = log.join(64);
            log.rebalance(&[TopicRole::Events], &[member], false).await;
            let epoch = assigned(&mut port).await;
            log.take_away(member.0, &[EVENTS], true, Duration::ZERO).await;
            log.give(member.0, &[EVENTS]).await;
            log.publish(member.0, burst(epoch));
            log.fence(&[EVENTS]);
            assert_eq!(outcome(&mut port).await, PublishOutcome::Refused, "seed {seed}");
            assert_eq!(log.position(EVENTS), None);
        }
    }
}
