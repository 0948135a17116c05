//! Which topics of ours there are, remembered: every call names a partition, and most name one that was asked for before.
//!
//! What is remembered tells names and that a partition exists. It is no proof of a topic's id: that may change at any time,
//! so whoever hands out positions looks.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::super::names::TopicNames;
use super::super::raw;
use super::described;
use crate::domain::position::{Partition, TopicRole};
use crate::operations::log_browser::{BrowseError, TopicInfo};

/// The topics as they were last seen.
pub struct KnownTopics {
    names: TopicNames,
    known: Mutex<BTreeMap<TopicRole, TopicInfo>>,
}

impl KnownTopics {
    /// Nothing seen yet.
    pub fn new(names: TopicNames) -> Self {
        Self { names, known: Mutex::default() }
    }

    /// Those that exist now, by role.
    pub fn look(&self, client: &BaseConsumer, timeout: Duration) -> Result<Vec<TopicInfo>, BrowseError> {
        let roles: Vec<TopicRole> = self.names.roles().collect();
        let names: Vec<String> = roles.iter().map(|role| self.names.name(*role).to_owned()).collect();
        let mut found = raw::describe_topics(client.client().native_ptr(), &names, timeout).map_err(described)?;
        let topics = roles.into_iter().filter_map(|role| {
            let at = found.iter().position(|topic| topic.name == self.names.name(role))?;
            let topic = found.swap_remove(at);
            let partitions = u32::try_from(topic.partitions).unwrap_or(u32::MAX);
            Some((role, TopicInfo { role, name: topic.name, topic_id: topic.id, partitions }))
        });
        let topics: BTreeMap<TopicRole, TopicInfo> = topics.collect();
        let list = topics.values().cloned().collect();
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = topics;
        Ok(list)
    }

    /// The topic of a partition that exists; looked for once more if it was not there the last time.
    pub fn of(&self, partition: Partition, client: &BaseConsumer, timeout: Duration) -> Result<TopicInfo, BrowseError> {
        if let Some(topic) = self.known(partition) {
            return Ok(topic);
        }
        self.look(client, timeout)?;
        self.known(partition).ok_or(BrowseError::NoSuchPartition { partition })
    }

    fn known(&self, partition: Partition) -> Option<TopicInfo> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&partition.topic).filter(|topic| partition.number < topic.partitions).cloned()
    }
}
