//! The log in memory as an operation reads it.

use futures_util::future::BoxFuture;
use gatekeeper::adapters::memory::log::MemoryLog;
use gatekeeper::adapters::memory::log::topic_id;
use gatekeeper::domain::position::{Partition, Position, TopicRole};
use gatekeeper::domain::record::{OutRecord, Record};
use gatekeeper::operations::log_browser::{
    BrowseError, CommittedPosition, LogBrowser, ReadLimit, TopicInfo, Watermarks,
};

use super::world::READS;

/// Of this many partitions a topic.
pub struct Browser {
    pub log: MemoryLog,
    pub partitions: u32,
    pub events_topic: String,
}

fn ready<T>(value: T) -> BoxFuture<'static, Result<T, BrowseError>>
where
    T: Send + 'static,
{
    Box::pin(std::future::ready(Ok(value)))
}

impl LogBrowser for Browser {
    fn topics(&self) -> BoxFuture<'_, Result<Vec<TopicInfo>, BrowseError>> {
        let roles = READS.into_iter().chain([TopicRole::Feedback, TopicRole::Decisions]);
        let topic = |role: TopicRole| TopicInfo {
            role,
            name: if role == TopicRole::Events { self.events_topic.clone() } else { role.key().to_owned() },
            topic_id: topic_id(role),
            partitions: self.partitions,
        };
        ready(roles.map(topic).collect())
    }

    fn watermarks(&self, partition: Partition) -> BoxFuture<'_, Result<Watermarks, BrowseError>> {
        ready(Watermarks { log_start: 0, end: self.log.records(partition).len() as u64 })
    }

    fn read(
        &self,
        partition: Partition,
        from: u64,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<Vec<Record>, BrowseError>> {
        let records = self.log.records(partition).into_iter().filter(|record| record.offset >= from);
        ready(records.take(limit.max_records).collect())
    }

    fn append(&self, _: Vec<OutRecord>) -> BoxFuture<'_, Result<Vec<Position>, BrowseError>> {
        Box::pin(std::future::ready(Err(BrowseError::ReadOnly)))
    }

    fn positions<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<CommittedPosition>, BrowseError>> {
        let of = |partition: Partition| {
            let (offset, metadata) = self.log.position(partition)?;
            Some(CommittedPosition { partition, offset, metadata })
        };
        let numbers = 0..self.partitions;
        let all = READS.iter().flat_map(|topic| numbers.clone().map(|number| Partition { topic: *topic, number }));
        ready(all.filter_map(of).collect())
    }

    fn create_topics(&self) -> BoxFuture<'_, Result<Vec<TopicRole>, BrowseError>> {
        Box::pin(std::future::ready(Err(BrowseError::ReadOnly)))
    }
}
