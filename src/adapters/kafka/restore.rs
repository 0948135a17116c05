//! Where reading goes on in partitions that become ours.
//!
//! Positions in an open transaction cannot be read until it ends; a dead writer's is ended by fencing it (`orphans.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::clients;
use super::login::Login;
use super::names::{self, TopicNames};
use super::orders::Orders;
use super::orphans::{Orphans, Remembered};
use super::positions::{self, Committed};
use super::raw;
use crate::domain::position::{Partition, TopicRole};
use crate::pipeline::log::Assignment;
use crate::sabotage::{self, Sabotage};

/// All at once: a healthy coordinator answers in milliseconds.
const ALL: Duration = Duration::from_millis(400);

/// One by one: a single unstable partition holds an answer back.
const ONE: Duration = Duration::from_millis(100);

/// Between rounds of questions.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(20);

/// A topic that no broker knows for this long is gone.
const GONE_AFTER: Duration = Duration::from_secs(5);

/// Of a question about topics or ends.
const QUESTION: Duration = Duration::from_secs(5);

/// Why partitions cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum CannotRestore {
    /// Everything ends.
    #[error("everything ends")]
    Stopped,
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
        format!("{self}; nothing of it is read until somebody has looked")
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
}

impl Restorer {
    /// Where each of these stands. Blocks until all of them can be read; `beat` is called meanwhile.
    pub fn restore(
        &mut self,
        consumer: &BaseConsumer,
        partitions: &[Partition],
        orders: &Orders,
        mut beat: impl FnMut(),
    ) -> Result<Vec<Assignment>, CannotRestore> {
        let committed = self.committed(consumer, partitions, orders, &mut beat)?;
        let topics: BTreeSet<TopicRole> = partitions.iter().map(|partition| partition.topic).collect();
        self.check_topics(consumer, &topics, orders, &mut beat)?;
        let mut assignments = Vec::with_capacity(partitions.len());
        for partition in partitions {
            beat();
            let Committed { offset, metadata } = committed.get(partition).cloned().unwrap_or_default();
            let (log_start, end) = self.marks(consumer, *partition, orders, &mut beat)?;
            assignments.push(Assignment {
                partition: *partition,
                topic_id: self.topic_ids.get(&partition.topic).cloned().unwrap_or_default(),
                committed: offset.or_else(|| sabotage::on(Sabotage::StartAtLatest).then_some(end)),
                metadata,
                log_start,
                log_end: end,
            });
        }
        Ok(assignments)
    }

    fn committed(
        &self,
        consumer: &BaseConsumer,
        partitions: &[Partition],
        orders: &Orders,
        beat: &mut impl FnMut(),
    ) -> Result<BTreeMap<Partition, Committed>, CannotRestore> {
        let mut orphans = Orphans::new(&self.kafka, &self.names, &self.topic_ids, &self.writers);
        let mut found = positions::committed(consumer, &self.names, partitions, ALL).unwrap_or_default();
        loop {
            let missing: Vec<Partition> = partitions.iter().copied().filter(|p| !found.contains_key(p)).collect();
            if missing.is_empty() {
                return Ok(found);
            }
            for partition in missing {
                beat();
                if let Ok(one) = positions::committed(consumer, &self.names, &[partition], ONE) {
                    found.extend(one);
                }
            }
            // A cluster that is away answers at once, and so would we.
            if orders.pause(BETWEEN_ROUNDS) {
                return Err(CannotRestore::Stopped);
            }
            let missing: Vec<Partition> = partitions.iter().copied().filter(|p| !found.contains_key(p)).collect();
            if !missing.is_empty() {
                orphans.fence_next(&missing);
            }
        }
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
                Err(error) => clients::troubled("consumer", Some(error.code), &error.text),
            }
            if orders.pause(ONE) {
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
    fn marks(
        &self,
        consumer: &BaseConsumer,
        partition: Partition,
        orders: &Orders,
        beat: &mut impl FnMut(),
    ) -> Result<(u64, u64), CannotRestore> {
        loop {
            match consumer.fetch_watermarks(self.names.name(partition.topic), names::number(partition), QUESTION) {
                Ok((start, end)) => {
                    let offset = |mark: i64| u64::try_from(mark).unwrap_or_default();
                    return Ok((offset(start), offset(end)));
                }
                Err(error) => {
                    let reason = format!("the start of {partition} is not known yet: {error}");
                    clients::troubled("consumer", error.rdkafka_error_code(), &reason);
                }
            }
            beat();
            if orders.pause(ONE) {
                return Err(CannotRestore::Stopped);
            }
        }
    }
}
