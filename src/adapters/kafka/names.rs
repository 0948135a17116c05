//! Topics by role and by name.

use std::collections::HashMap;

use rdkafka::TopicPartitionList;

use crate::domain::position::{Partition, TopicRole};
use crate::settings::topics::Topics;

/// The topics of this installation.
#[derive(Debug, Clone)]
pub struct TopicNames {
    by_role: HashMap<TopicRole, String>,
    by_name: HashMap<String, TopicRole>,
}

impl TopicNames {
    /// As the settings name them.
    pub fn new(topics: &Topics) -> Self {
        let by_role: HashMap<_, _> = Topics::roles().map(|role| (role, topics.name(role))).collect();
        let by_name = by_role.iter().map(|(role, name)| (name.clone(), *role)).collect();
        Self { by_role, by_name }
    }

    /// The topic of a role.
    pub fn name(&self, role: TopicRole) -> &str {
        self.by_role.get(&role).map_or("", String::as_str)
    }

    /// Every role.
    pub fn roles(&self) -> impl Iterator<Item = TopicRole> {
        self.by_role.keys().copied()
    }

    /// A partition by its topic's name; `None`: a topic that is not ours.
    pub fn partition(&self, topic: &str, number: i32) -> Option<Partition> {
        Some(Partition { topic: *self.by_name.get(topic)?, number: u32::try_from(number).ok()? })
    }

    /// In librdkafka's form.
    pub fn list<'a>(&self, partitions: impl IntoIterator<Item = &'a Partition>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(self.name(partition.topic), number(*partition));
        }
        list
    }
}

/// A partition's number in librdkafka's form.
pub fn number(partition: Partition) -> i32 {
    i32::try_from(partition.number).unwrap_or(i32::MAX)
}
