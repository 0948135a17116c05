//! Where reading goes on in partitions that become ours.
//!
//! Positions in an open transaction cannot be read until it ends; a dead writer's is ended by fencing it (`orphans.rs`). And
//! a partition may have no leader. Neither may keep the others waiting for long: the thread that asks is the one that
//! serves rebalances, and a group settles only with all of its members.
//!
//! ```text
//!  round: where does the group stand? (all at once, then one by one; half of the time) -> is it the topic we knew?
//!         -> where does it end?
//!  again, ever more patiently, until all are known or patience ends; what is open then is looked after now and then
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;

use super::clients;
use super::hung::Life;
use super::inquiry::Inquiry;
use super::login::Login;
use super::names::{self, TopicNames};
use super::orders::Orders;
use super::orphans::{Fencing, Remembered};
use super::positions::{self, Committed};
use super::raw;
use crate::domain::position::{Partition, TopicRole};
use crate::pipeline::log::Assignment;
use crate::sabotage::{self, Sabotage};

/// So long all that is assigned is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between rounds of questions.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(20);

/// Between two questions whether a topic is there.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(100);

/// A topic that no broker knows for this long is gone.
const GONE_AFTER: Duration = Duration::from_secs(5);

/// A consumer without an answer for so long may have no broker left to ask (`raw/brokers.rs`).
const UNANSWERED_AFTER: Duration = Duration::from_secs(30);

/// Of a question about topics.
const QUESTION: Duration = Duration::from_secs(5);

/// Why partitions cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum CannotRestore {
    /// Everything ends.
    #[error("everything ends")]
    Stopped,
    /// This consumer gets no answer; another one may.
    #[error("the cluster does not say which topics there are")]
    Unanswered,
    /// It is another topic than the one we knew, or none.
    #[error("topic {name} {what}")]
    Topic {
        /// Its name.
        name: String,
        /// What is wrong.
        what: String,
    },
}

impl CannotRestore {
    /// What was committed and remembered speaks of other records.
    pub fn recreated(name: &str, known: &str, found: &str) -> Self {
        Self::Topic { name: name.to_owned(), what: format!("was recreated: its id was {known} and is {found}") }
    }

    /// For whoever has to look.
    pub fn reason(&self) -> String {
        format!(
            "{self}; nothing of it is read until somebody has looked (a new one is read after `gatekeeper ledger --recreated`)"
        )
    }
}

/// Asks the cluster.
pub struct Restorer {
    /// The cluster.
    pub kafka: Login,
    /// Topics by role.
    pub names: TopicNames,
    /// Ids of topics, once known.
    pub topic_ids: BTreeMap<TopicRole, String>,
    /// Who may have left a transaction open.
    pub writers: Remembered,
    /// That the thread is there.
    pub life: Life,
    /// Longest time that a look at what is open may take: less than what counts as an absence.
    pub look: Duration,
}

/// As far as it is known.
pub struct Restored {
    /// Where these stand.
    pub known: Vec<Assignment>,
    /// What is asked again.
    pub open: Inquiry,
}

impl Restorer {
    /// Where each of these stands, as far as the cluster says so while patience lasts; `beat` is called meanwhile.
    pub fn restore(
        &mut self,
        consumer: &BaseConsumer,
        partitions: &[Partition],
        orders: &Orders,
        mut beat: impl FnMut(),
    ) -> Result<Restored, CannotRestore> {
        let mut open = Inquiry::about(partitions, self.kafka.request_timeout);
        let (mut known, until) = (Vec::with_capacity(partitions.len()), open.begun() + PATIENCE);
        loop {
            known.extend(self.round(consumer, &mut open, until, orders, &mut beat)?);
            open.next_round();
            if open.is_done() || Instant::now() >= until {
                break;
            }
            // A cluster that is away answers at once, and so would we.
            if orders.pause(BETWEEN_ROUNDS) {
                return Err(CannotRestore::Stopped);
            }
        }
        Ok(Restored { known, open })
    }

    /// Ask about one that is open still, and about more of them if that is quick. Those that are known now.
    pub fn look(
        &mut self,
        consumer: &BaseConsumer,
        open: &mut Inquiry,
        orders: &Orders,
        mut beat: impl FnMut(),
    ) -> Result<Vec<Assignment>, CannotRestore> {
        let known = self.round(consumer, open, Instant::now() + self.look, orders, &mut beat)?;
        open.next_round();
        Ok(known)
    }

    /// Ask once about each, until then. Where the group stands is asked every time: it counts together with what follows, for
    /// which half of the time is left.
    fn round(
        &mut self,
        consumer: &BaseConsumer,
        open: &mut Inquiry,
        until: Instant,
        orders: &Orders,
        beat: &mut impl FnMut(),
    ) -> Result<Vec<Assignment>, CannotRestore> {
        let committed = self.committed(consumer, open, half_way(until), beat);
        beat();
        let unreadable: Vec<Partition> = open.open().into_iter().filter(|at| !committed.contains_key(at)).collect();
        if !unreadable.is_empty() {
            let Self { kafka, names, topic_ids, writers: remembered, life, .. } = &*self;
            Fencing { kafka, names, topic_ids, remembered, life }.fence_next(&mut open.orphans, &unreadable, until);
        }
        let topics: BTreeSet<TopicRole> = committed.keys().map(|partition| partition.topic).collect();
        if !topics.is_empty() {
            self.check_topics(consumer, &topics, orders, beat)?;
        }
        let mut known = Vec::with_capacity(committed.len());
        for partition in open.open() {
            let Some(Committed { offset, metadata }) = committed.get(&partition).cloned() else { continue };
            let Some(patience) = left(open.answer(), until) else { break };
            beat();
            let (log_start, end) = match self.marks(consumer, partition, patience) {
                Ok(marks) => marks,
                Err(error) => {
                    let reason = format!("the start of {partition} is not known yet: {error}");
                    clients::troubled("consumer", error.rdkafka_error_code(), &reason);
                    open.unanswered(error.to_string());
                    continue;
                }
            };
            open.remove(partition);
            known.push(Assignment {
                partition,
                topic_id: self.topic_ids.get(&partition.topic).cloned().unwrap_or_default(),
                committed: offset.or_else(|| sabotage::on(Sabotage::StartAtLatest).then_some(end)),
                metadata,
                log_start,
                log_end: end,
                truncated: false,
            });
        }
        beat();
        Ok(known)
    }

    /// What the group committed for those that are open, where that can be read.
    fn committed(
        &self,
        consumer: &BaseConsumer,
        open: &mut Inquiry,
        until: Instant,
        beat: &mut impl FnMut(),
    ) -> BTreeMap<Partition, Committed> {
        let (all, mut found) = (open.open(), BTreeMap::new());
        if all.len() > 1
            && let Some(patience) = left(open.answer_of_all(), half_way(until))
        {
            beat();
            found = positions::committed(consumer, &self.names, &all, patience).unwrap_or_default();
        }
        for partition in all {
            if found.contains_key(&partition) {
                continue;
            }
            let Some(patience) = left(open.answer(), until) else { break };
            beat();
            match positions::committed(consumer, &self.names, &[partition], patience) {
                Ok(one) if one.contains_key(&partition) => found.extend(one),
                Ok(_) => open.unanswered(format!("its position is in a transaction that is open ({partition})")),
                Err(error) => open.unanswered(format!("its position was asked for in vain ({partition}): {error}")),
            }
        }
        found
    }

    /// A recreated topic has another id: what was committed and remembered speaks of other records. A broker that has just
    /// started may not know a topic yet, so one that is missing is asked for again.
    pub fn check_topics(
        &mut self,
        consumer: &BaseConsumer,
        topics: &BTreeSet<TopicRole>,
        orders: &Orders,
        beat: &mut impl FnMut(),
    ) -> Result<(), CannotRestore> {
        let names: Vec<String> = topics.iter().map(|role| self.names.name(*role).to_owned()).collect();
        let begun = Instant::now();
        let described = loop {
            beat();
            match raw::describe_topics(consumer.client().native_ptr(), &names, QUESTION) {
                Ok(described) if described.len() == names.len() || begun.elapsed() > GONE_AFTER => break described,
                Ok(_) => {}
                Err(error) => {
                    clients::troubled("consumer", Some(error.code), &error.text);
                    if begun.elapsed() > UNANSWERED_AFTER {
                        return Err(CannotRestore::Unanswered);
                    }
                }
            }
            if orders.pause(BETWEEN_QUESTIONS) {
                return Err(CannotRestore::Stopped);
            }
        };
        for role in topics {
            let name = self.names.name(*role);
            let Some(found) = described.iter().find(|topic| topic.name == name) else {
                let what = "does not exist any more".to_owned();
                return Err(CannotRestore::Topic { name: name.to_owned(), what });
            };
            let known = self.topic_ids.entry(*role).or_insert_with(|| found.id.clone());
            if *known != found.id {
                return Err(CannotRestore::recreated(name, known, &found.id));
            }
        }
        Ok(())
    }

    /// Where a partition begins and ends now.
    fn marks(&self, consumer: &BaseConsumer, partition: Partition, patience: Duration) -> KafkaResult<(u64, u64)> {
        let (name, number) = (self.names.name(partition.topic), names::number(partition));
        let (start, end) = consumer.fetch_watermarks(name, number, patience)?;
        let offset = |mark: i64| u64::try_from(mark).unwrap_or_default();
        Ok((offset(start), offset(end)))
    }
}

/// How long a question may wait that ends by then; `None`: it is not asked.
fn left(answer: Duration, until: Instant) -> Option<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    (!left.is_zero()).then(|| left.min(answer))
}

/// Whoever asks first must leave some of the time to whoever asks next.
fn half_way(until: Instant) -> Instant {
    let now = Instant::now();
    now + until.saturating_duration_since(now) / 2
}
