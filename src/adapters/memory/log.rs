//! A log in memory with several members, for the simulation. It says every word of the port.
//!
//! What it models: partitions with committed positions, a group whose partitions move between members (revoked with a
//! deadline, or lost at once), epochs, bursts that stay in the air before they commit or abort, an ownership check at
//! both ends of that flight, and fencing: whoever takes a partition over ends the open burst of its last owner first, one
//! way or the other. What it leaves out: bytes, brokers and networks.

mod group;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

use crate::domain::clock::Timestamp;
use crate::domain::position::{Partition, TopicRole};
use crate::domain::record::{OutRecord, Payload, Record};
use crate::pipeline::log::{Burst, Epoch, Errand, Happening, LogAdapterEnd, LogPort, PublishOutcome, channels};

/// How unkind the log is; every chance is in percent.
#[derive(Debug, Clone)]
pub struct Weather {
    /// A burst is aborted.
    pub abort: u32,
    /// A burst takes long.
    pub slow: u32,
    /// A burst's member hears nothing for a while and its partitions may move meanwhile.
    pub longest_burst: Duration,
    /// Longest pause between two deliveries.
    pub longest_poll: Duration,
    /// Most records in one delivery.
    pub largest_batch: usize,
    /// Members answer a revocation within this.
    pub revoke_deadline: Duration,
}

impl Weather {
    /// Nothing goes wrong.
    #[must_use]
    pub fn fair() -> Self {
        Self {
            abort: 0,
            slow: 0,
            longest_burst: Duration::from_millis(5),
            longest_poll: Duration::from_millis(5),
            largest_batch: 64,
            revoke_deadline: Duration::from_secs(3),
        }
    }
}

/// Told of every burst as it comes in.
pub type Witness = Arc<dyn Fn(&Burst) + Send + Sync>;

type MemberId = u64;

#[derive(Debug, Default)]
struct State {
    partitions: BTreeMap<Partition, Vec<Record>>,
    positions: BTreeMap<Partition, (u64, String)>,
    owners: HashMap<Partition, MemberId>,
    members: BTreeMap<MemberId, Member>,
    next_member: MemberId,
    epochs: u64,
    in_air: Vec<InAir>,
    /// Partitions of members that have been told to let go, with the deadline.
    revoking: HashMap<Partition, MemberId>,
    failed_bursts: u64,
}

#[derive(Debug)]
struct Member {
    happenings: mpsc::Sender<Happening>,
    epoch: Epoch,
    paused: BTreeSet<Partition>,
    cursors: HashMap<Partition, u64>,
    assigned_at: HashMap<Partition, Epoch>,
    told_caught_up: HashMap<Partition, u64>,
    gone: bool,
}

#[derive(Debug)]
struct InAir {
    member: MemberId,
    burst: Burst,
    outcome: Option<PublishOutcome>,
}

/// The log; clones are the same log.
#[derive(Clone)]
pub struct MemoryLog {
    state: Arc<Mutex<State>>,
    chance: Arc<Mutex<ChaCha8Rng>>,
    weather: Arc<Mutex<Weather>>,
    witness: Option<Witness>,
    stirred: Arc<Notify>,
}

/// A member's handle: it outlives the road, as a broker's memory of a dead consumer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberHandle(MemberId);

impl MemoryLog {
    /// A log with this many partitions a topic.
    #[must_use]
    pub fn new(roles: &[TopicRole], partitions: u32, chance: ChaCha8Rng, weather: Weather) -> Self {
        let mut state = State::default();
        for &topic in roles {
            for number in 0..partitions {
                state.partitions.insert(Partition { topic, number }, Vec::new());
            }
        }
        Self {
            state: Arc::new(Mutex::new(state)),
            chance: Arc::new(Mutex::new(chance)),
            weather: Arc::new(Mutex::new(weather)),
            witness: None,
            stirred: Arc::new(Notify::new()),
        }
    }

    /// The same log, watched.
    #[must_use]
    pub fn watched_by(self, witness: Witness) -> Self {
        Self { witness: Some(witness), ..self }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the log")
    }

    fn chance<T>(&self, f: impl FnOnce(&mut ChaCha8Rng) -> T) -> T {
        f(&mut self.chance.lock().expect("nobody panics while drawing"))
    }

    fn weather(&self) -> Weather {
        self.weather.lock().expect("nobody panics while looking").clone()
    }

    /// From now on.
    pub fn set_weather(&self, weather: Weather) {
        *self.weather.lock().expect("nobody panics while setting") = weather;
    }

    /// Write a record from outside; returns its offset.
    pub fn append(&self, partition: Partition, record: Record) -> u64 {
        let offset = push(&mut self.state(), partition, record);
        self.stirred.notify_waiters();
        offset
    }

    /// Everything in a partition.
    #[must_use]
    pub fn records(&self, partition: Partition) -> Vec<Record> {
        self.state().partitions.get(&partition).cloned().unwrap_or_default()
    }

    /// The committed offset and metadata.
    #[must_use]
    pub fn position(&self, partition: Partition) -> Option<(u64, String)> {
        self.state().positions.get(&partition).cloned()
    }

    /// Overwrite a committed position, as an operator's tool would.
    pub fn set_position(&self, partition: Partition, position: Option<(u64, String)>) {
        let mut state = self.state();
        match position {
            Some(position) => state.positions.insert(partition, position),
            None => state.positions.remove(&partition),
        };
    }

    /// Bursts that were refused or aborted so far.
    #[must_use]
    pub fn failed_bursts(&self) -> u64 {
        self.state().failed_bursts
    }

    /// Tell a member that nobody was listening.
    pub async fn say_away(&self, member: MemberHandle, silent: Duration) {
        let happenings = self.state().members.get(&member.0).map(|member| member.happenings.clone());
        if let Some(happenings) = happenings {
            happenings.send(Happening::Away { silent }).await.ok();
        }
    }

    /// A new member joins; it owns nothing until [`MemoryLog::rebalance`].
    #[must_use]
    pub fn join(&self, queue: usize) -> (MemberHandle, LogPort) {
        let (port, end) = channels(queue);
        let id = {
            let mut state = self.state();
            let id = state.next_member;
            state.next_member += 1;
            state.members.insert(
                id,
                Member {
                    happenings: end.happenings.clone(),
                    epoch: Epoch::default(),
                    paused: BTreeSet::new(),
                    cursors: HashMap::new(),
                    assigned_at: HashMap::new(),
                    told_caught_up: HashMap::new(),
                    gone: false,
                },
            );
            id
        };
        tokio::spawn(self.clone().serve(id, end));
        (MemberHandle(id), port)
    }

    /// The member is dead: it hears and says nothing more. A burst in the air stays there.
    pub fn forget(&self, member: MemberHandle) {
        if let Some(member) = self.state().members.get_mut(&member.0) {
            member.gone = true;
        }
        self.stirred.notify_waiters();
    }

    /// One member's adapter: answers errands, hands records over.
    async fn serve(self, id: MemberId, mut end: LogAdapterEnd) {
        loop {
            let pause = self.chance(|chance| {
                let longest = self.weather().longest_poll.as_micros().max(1);
                Duration::from_micros(chance.random_range(1..=u64::try_from(longest).unwrap_or(1)))
            });
            tokio::select! {
                biased;
                errand = end.errands.recv() => match errand {
                    Some(Errand::Publish(burst)) => self.publish(id, burst),
                    Some(Errand::Pause(partitions)) => self.with(id, |member| member.paused.extend(partitions)),
                    Some(Errand::Resume(partitions)) => {
                        self.with(id, |member| member.paused.retain(|paused| !partitions.contains(paused)));
                    }
                    Some(Errand::LetGo(partitions)) => {
                        self.state().revoking.retain(|partition, _| !partitions.contains(partition));
                    }
                    Some(Errand::Stop) | None => return,
                },
                () = sleep(pause) => {
                    for happening in self.deliveries(id) {
                        if end.happenings.send(happening).await.is_err() {
                            return;
                        }
                    }
                }
            }
        }
    }

    fn with(&self, id: MemberId, change: impl FnOnce(&mut Member)) {
        if let Some(member) = self.state().members.get_mut(&id) {
            change(member);
        }
    }

    fn deliveries(&self, id: MemberId) -> Vec<Happening> {
        let weather = self.weather();
        let mut state = self.state();
        let State { partitions, members, .. } = &mut *state;
        let Some(member) = members.get_mut(&id).filter(|member| !member.gone) else { return Vec::new() };
        let mut deliveries = Vec::new();
        for (partition, epoch) in member.assigned_at.clone().into_iter().collect::<BTreeMap<_, _>>() {
            if member.paused.contains(&partition) {
                continue;
            }
            let (Some(log), Some(cursor)) = (partitions.get(&partition), member.cursors.get_mut(&partition)) else {
                continue;
            };
            let end = log.len() as u64;
            if *cursor < end {
                let most = self.chance(|chance| chance.random_range(1..=weather.largest_batch));
                let records: Vec<_> =
                    log.iter().skip(usize::try_from(*cursor).unwrap_or(usize::MAX)).take(most).cloned().collect();
                *cursor += records.len() as u64;
                deliveries.push(Happening::Records { epoch, partition, records });
            } else if member.told_caught_up.insert(partition, end) != Some(end) {
                deliveries.push(Happening::CaughtUp { epoch, partition, end });
            }
        }
        deliveries
    }

    fn publish(&self, id: MemberId, burst: Burst) {
        if let Some(witness) = &self.witness {
            witness(&burst);
        }
        let number = burst.number;
        let (flight, abort) = self.chance(|chance| {
            let weather = self.weather();
            let longest = u64::try_from(weather.longest_burst.as_micros()).unwrap_or(u64::MAX).max(2);
            let slow = chance.random_range(0..100) < weather.slow;
            let flight = Duration::from_micros(chance.random_range(1..if slow { longest * 20 } else { longest }));
            (flight, chance.random_range(0..100) < weather.abort)
        });
        {
            let mut state = self.state();
            // What comes too late is no open burst: nobody who takes its partitions over may commit it.
            let outcome = (!may_commit(&state, id, &burst)).then_some(PublishOutcome::Refused);
            state.failed_bursts += u64::from(outcome.is_some());
            state.in_air.push(InAir { member: id, burst, outcome });
        }
        let log = self.clone();
        tokio::spawn(async move {
            sleep(flight).await;
            let told = log.end_of_flight(id, number, abort);
            if let Some((happenings, outcome)) = told {
                happenings.send(Happening::Published { burst: number, outcome }).await.ok();
            }
        });
    }

    fn end_of_flight(
        &self,
        id: MemberId,
        number: u64,
        abort: bool,
    ) -> Option<(mpsc::Sender<Happening>, PublishOutcome)> {
        let mut state = self.state();
        let index = state.in_air.iter().position(|air| air.member == id && air.burst.number == number)?;
        if state.in_air[index].outcome.is_none() {
            let outcome = match (may_commit(&state, id, &state.in_air[index].burst), abort) {
                (false, _) => Some(PublishOutcome::Refused),
                (true, true) => Some(PublishOutcome::NotCommitted { reason: "aborted by the weather".to_owned() }),
                (true, false) => None,
            };
            land(&mut state, index, outcome);
        }
        let air = state.in_air.swap_remove(index);
        let member = state.members.get(&id).filter(|member| !member.gone)?;
        Some((member.happenings.clone(), air.outcome?))
    }
}

/// Whether this member owns everything the burst moves, under the epoch it was made under.
fn may_commit(state: &State, id: MemberId, burst: &Burst) -> bool {
    let owns_all = burst.positions.iter().all(|p| state.owners.get(&p.partition) == Some(&id));
    let current = state.members.get(&id).is_some_and(|member| member.epoch == burst.epoch);
    owns_all && current && !burst.positions.is_empty()
}

/// End a burst's flight; without an outcome it is committed.
fn land(state: &mut State, index: usize, outcome: Option<PublishOutcome>) {
    let burst = state.in_air[index].burst.clone();
    let outcome = outcome.unwrap_or_else(|| {
        for record in burst.records {
            let OutRecord { topic, partition, key, value, headers } = record;
            let record = Record { offset: 0, timestamp: Timestamp(0), key, value, headers };
            push(state, Partition { topic, number: partition }, record);
        }
        for position in burst.positions {
            state.positions.insert(position.partition, (position.base, position.metadata));
        }
        PublishOutcome::Committed
    });
    state.failed_bursts += u64::from(outcome != PublishOutcome::Committed);
    state.in_air[index].outcome = Some(outcome);
}

fn push(state: &mut State, partition: Partition, mut record: Record) -> u64 {
    let log = state.partitions.entry(partition).or_default();
    record.offset = log.len() as u64;
    let offset = record.offset;
    log.push(record);
    offset
}

/// As positions name it.
#[must_use]
pub fn topic_id(topic: TopicRole) -> String {
    match topic {
        TopicRole::Deferred(tier) => format!("memory-deferred-{tier}"),
        topic => format!("memory-{}", topic.key()),
    }
}

/// A value with a key, written now.
#[must_use]
pub fn record(key: &str, value: Payload, timestamp: Timestamp) -> Record {
    Record {
        offset: 0,
        timestamp,
        key: Some(Payload::copy_from_slice(key.as_bytes())),
        value: Some(value),
        headers: Vec::new(),
    }
}
