//! The polling thread: the only one that reads, and the only one that knows who owns what.
//!
//! ```text
//!  turn: what the road wants (pause, resume) -> events -> what was read, to the road -> who are we to the group now?
//! ```
//!
//! A rebalance is an event among others, handled where it stands: `Revoke` waits (bounded) for the road's last burst and
//! closes the partitions to bursts before the group hears that they are free; `Assign` reads where each partition stands
//! before the first record of it can come. Everything that blocks beats meanwhile, so that only a thread that did not
//! run counts as away.

mod cut_off;
mod holding;
mod outside;
mod rebalance;
mod reminder;
mod standing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::sync::mpsc::Sender;

pub use self::cut_off::CutOff;
pub use self::holding::Unread;
pub use self::outside::Outside;
use super::clients;
use super::growth::Growth;
use super::hung::{self, Heart};
use super::login::{Client, Login};
use super::names::TopicNames;
use super::orders::{Orders, Steer};
use super::ownership::{Membership as _, Ownership};
use super::raw::{self, Event, EventQueue, GroupMetadata};
use super::read_ahead::{Delivery, Limits, ReadAhead};
use super::refusal::Refusal;
use super::restore::{CannotRestore, Restorer};
use crate::domain::clock::since_boot;
use crate::domain::position::{Partition, TopicRole};
use crate::failpoints;
use crate::pipeline::log::{Epoch, Happening};

/// Longest wait for an event: how soon a pause takes effect when nothing comes.
const WAIT: Duration = Duration::from_millis(10);

/// Events taken before the road gets its share.
const EVENTS_A_TURN: usize = 1_000;

/// Before a consumer that cannot go on is replaced.
const BEFORE_REJOINING: Duration = Duration::from_secs(1);

/// The thread's own.
pub struct Poller {
    /// The cluster.
    pub kafka: Login,
    /// Topics by role.
    pub names: TopicNames,
    /// What is read.
    pub roles: Vec<TopicRole>,
    /// What the road asks for.
    pub orders: Arc<Orders>,
    /// What may be published.
    pub ownership: Arc<Ownership<GroupMetadata>>,
    /// To the road.
    pub happenings: Sender<Happening>,
    /// Asks where partitions stand.
    pub restorer: Restorer,
    /// Knows which partitions may be read.
    pub growth: Growth,
    /// Notices a freeze, and that the thread is there.
    pub silence: Heart,
    /// Knows whose end is gone.
    pub cut_off: CutOff,
    /// Knows why nothing is ours.
    pub outside: Outside,
    /// What the road was told last of what is not read.
    pub unread: Unread,
}

/// Why a consumer is given up.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Everything ends.
    Stopped,
    /// This consumer cannot go on; another one may.
    Rejoin,
    /// Nothing can go on.
    Failed(String),
}

impl From<CannotRestore> for End {
    fn from(why: CannotRestore) -> Self {
        match why {
            CannotRestore::Stopped => Self::Stopped,
            CannotRestore::Unanswered => Self::Rejoin,
            CannotRestore::Topic { .. } => Self::Failed(why.reason()),
        }
    }
}

/// One consumer's life in the group.
struct Session<'a> {
    poller: &'a mut Poller,
    // Dropped before its consumer.
    queue: EventQueue,
    consumer: Client<BaseConsumer>,
    owned: BTreeMap<Partition, Epoch>,
    read_ahead: ReadAhead,
    holding: holding::Holding,
    standing: standing::Standing,
    reminder: reminder::Reminder,
    /// With the eager protocol: what was assigned is ours in this generation only.
    assigned_generation: Option<i32>,
}

impl Poller {
    /// Until the road stops, or nothing can go on.
    pub fn run(mut self) {
        loop {
            let end = match self.join() {
                Ok(mut session) => session.run(),
                Err(error) => {
                    clients::troubled("consumer", error.rdkafka_error_code(), &error.to_string());
                    End::Rejoin
                }
            };
            match end {
                End::Stopped => return,
                End::Rejoin => {
                    if self.orders.pause(BEFORE_REJOINING) {
                        return;
                    }
                    self.silence.beat(since_boot());
                }
                End::Failed(reason) => {
                    // A road that is gone needs no reason.
                    self.happenings.blocking_send(Happening::Failed { reason }).ok();
                    return;
                }
            }
        }
    }

    fn join(&mut self) -> KafkaResult<Session<'_>> {
        let consumer: Client<BaseConsumer> = self.kafka.open(&clients::consumer(&self.kafka))?;
        let topics: Vec<&str> = self.roles.iter().map(|role| self.names.name(*role)).collect();
        consumer.subscribe(&topics)?;
        let queue = EventQueue::of(&consumer);
        let limits = Limits {
            ahead_records: self.kafka.read_ahead_records,
            ahead_bytes: self.kafka.read_ahead_bytes,
            batch_records: self.kafka.batch_max_records,
            batch_bytes: self.kafka.batch_max_bytes,
        };
        let (owned, read_ahead, holding) = (BTreeMap::new(), ReadAhead::new(limits), holding::Holding::default());
        Ok(Session {
            queue,
            consumer,
            owned,
            read_ahead,
            holding,
            standing: standing::Standing::new(self.kafka.session_timeout),
            reminder: reminder::Reminder::default(),
            assigned_generation: None,
            poller: self,
        })
    }
}

impl Session<'_> {
    fn run(&mut self) -> End {
        loop {
            if let Err(end) = self.turn() {
                match end {
                    End::Stopped => self.leave(),
                    End::Rejoin => self.lose_everything(),
                    End::Failed(_) => {}
                }
                return end;
            }
        }
    }

    fn turn(&mut self) -> Result<(), End> {
        if self.poller.orders.stopped() {
            return Err(End::Stopped);
        }
        for steer in self.poller.orders.take_steering() {
            match steer {
                Steer::Pause(partitions) => self.read_ahead.hold(&partitions, true),
                Steer::Resume(partitions) => self.read_ahead.hold(&partitions, false),
            }
        }
        self.read()?;
        self.ask_about_unknown()?;
        self.release_held()?;
        self.tell_unread()?;
        self.deliver()?;
        self.steer();
        self.observe_membership();
        if self.reminder.take(Instant::now()) {
            raw::add_brokers(self.consumer.client(), &self.poller.kafka.bootstrap_servers);
        }
        self.poller.silence.beat(since_boot());
        if let Some(silent) = self.poller.silence.take() {
            self.tell(Happening::Away { silent })?;
        }
        Ok(())
    }

    /// What librdkafka has, as long as it comes without waiting.
    fn read(&mut self) -> Result<(), End> {
        let mut wait = WAIT;
        for _ in 0..EVENTS_A_TURN {
            let Some(event) = self.queue.poll(wait) else { break };
            wait = Duration::ZERO;
            match event {
                Event::Record { topic, partition, record } => {
                    if let Some(partition) = self.owned_partition(&topic, partition) {
                        self.read_ahead.push(partition, record);
                    }
                }
                Event::EndOfPartition { topic, partition, end } => {
                    if let Some(partition) = self.owned_partition(&topic, partition) {
                        self.read_ahead.end(partition, u64::try_from(end).unwrap_or_default());
                    }
                }
                Event::Assign(partitions) => self.assigned(&partitions)?,
                Event::Revoke(partitions) => self.revoked(&partitions)?,
                Event::Trouble { code, text, fatal, partition } => self.trouble(code, &text, fatal, partition)?,
                Event::Nothing => {}
            }
        }
        Ok(())
    }

    fn owned_partition(&self, topic: &str, number: i32) -> Option<Partition> {
        self.poller.names.partition(topic, number).filter(|partition| self.owned.contains_key(partition))
    }

    fn is_assigned(&self, partition: Partition) -> bool {
        self.owned.contains_key(&partition) || self.holding.has(partition)
    }

    /// Hand over what the road has room for; the rest waits here.
    fn deliver(&mut self) -> Result<(), End> {
        while self.poller.happenings.capacity() > 0 {
            let Some(delivery) = self.read_ahead.next() else { break };
            let (Delivery::Records(partition, _) | Delivery::End(partition, _)) = delivery;
            let Some(epoch) = self.owned.get(&partition).copied() else { continue };
            self.tell(match delivery {
                Delivery::Records(partition, records) => {
                    failpoints::hit("polled");
                    Happening::Records { epoch, partition, records }
                }
                Delivery::End(partition, end) => Happening::CaughtUp { epoch, partition, end },
            })?;
        }
        Ok(())
    }

    fn is_eager(&self) -> bool {
        !matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Cooperative)
    }

    /// Membership and ownership as one: between two events, on the thread that serves rebalances.
    fn observe_membership(&mut self) {
        // With the eager protocol the group may be a generation further than what was assigned.
        let stands = |metadata: &GroupMetadata| {
            self.assigned_generation.is_none_or(|generation| generation == metadata.member().generation)
        };
        let known = (!self.owned.is_empty() || !self.is_eager()) && !self.consumer.assignment_lost();
        let metadata = if known { GroupMetadata::of(&self.consumer).filter(stands) } else { None };
        // The newer protocol need not say anything to a member that has nothing.
        if !self.is_eager() && metadata.as_ref().is_some_and(|metadata| metadata.member().has_joined()) {
            self.poller.outside.entered();
        }
        self.poller.ownership.observe(metadata);
    }

    /// Stop what is read too far ahead, go on with what is not.
    fn steer(&mut self) {
        self.read_ahead.fill().record();
        let (stop, go_on) = self.read_ahead.steer();
        self.call(&stop, BaseConsumer::pause);
        self.call(&go_on, BaseConsumer::resume);
    }

    fn call(&self, partitions: &[Partition], call: fn(&BaseConsumer, &TopicPartitionList) -> KafkaResult<()>) {
        if !partitions.is_empty()
            && let Err(error) = call(&self.consumer, &self.poller.names.list(partitions))
        {
            clients::troubled("consumer", error.rdkafka_error_code(), &error.to_string());
        }
    }

    fn trouble(&mut self, code: Code, text: &str, fatal: bool, at: Option<(String, i32)>) -> Result<(), End> {
        // Of what ends a client the event says only that.
        let ended = self.consumer.client().fatal_error();
        let code = ended.as_ref().filter(|_| code == Code::Fatal).map_or(code, |(why, _)| *why);
        clients::troubled("consumer", Some(code), text);
        if let Some(refusal) = Refusal::of(Some(code), text).filter(|refusal| refusal.is_of_the_group()) {
            let why = format!("nothing is read: the group does not let this instance in: {text}; {}", refusal.cure());
            if !refusal.may_pass() {
                return Err(End::Failed(why));
            }
            self.poller.outside.refused(why);
        }
        let at = at.and_then(|(topic, number)| self.poller.names.partition(&topic, number));
        match (code, at.filter(|at| self.is_assigned(*at))) {
            (Code::FencedInstanceId, _) => Err(self.fenced()),
            (Code::AllBrokersDown, _) => {
                self.reminder.all_are_down();
                Ok(())
            }
            (Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::NoOffset, Some(partition)) => {
                // librdkafka has given it up, and takes no word about it any more: another consumer begins anew, and the road
                // hears where the log begins now, and whether its end was cut off, and decides.
                self.poller.cut_off.heard(partition, text);
                Err(End::Rejoin)
            }
            (Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownTopicId, _) => self.check_topics(),
            _ if fatal || ended.is_some() => Err(End::Rejoin),
            _ => Ok(()),
        }
    }

    /// Somebody joined under our name. If that may have been us, the next consumer finds out: it is in good standing then, and
    /// so is another process, if there is one; whoever of the two is fenced ends.
    fn fenced(&self) -> End {
        let has_member_id = raw::has_member_id(&self.consumer);
        if self.standing.may_be_fenced_by_itself(has_member_id, Instant::now()) {
            tracing::warn!("fenced after the session was lost, perhaps by our own joining again: once more");
            return End::Rejoin;
        }
        End::Failed(format!(
            "another process runs with log.kafka.transactional_id = {}: it has taken over, this one ends",
            clients::instance(&self.poller.kafka)
        ))
    }

    /// A topic may be gone for good, or its broker for a moment.
    fn check_topics(&mut self) -> Result<(), End> {
        let topics = self.owned.keys().map(|partition| partition.topic).collect();
        let Poller { restorer, orders, silence, .. } = &mut *self.poller;
        restorer.check_topics(&self.consumer, &topics, orders, &mut || silence.beat(since_boot())).map_err(End::from)
    }

    /// Tell the road, waiting while it is full.
    fn tell(&mut self, happening: Happening) -> Result<(), End> {
        let Poller { happenings, silence, .. } = &mut *self.poller;
        let is_there = hung::tell(happenings, happening, || silence.beat(since_boot()));
        is_there.then_some(()).ok_or(End::Stopped)
    }
}

fn rejoin(error: rdkafka::error::KafkaError) -> End {
    clients::troubled("consumer", error.rdkafka_error_code(), &error.to_string());
    End::Rejoin
}
