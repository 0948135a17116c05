//! A log in memory, for tests of what is read from one: the least that keeps the port's promises.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::{BoxFuture, ready};
use serde::Serialize;

use super::{BrowseError, CommittedPosition, LogBrowser, ReadLimit, TopicInfo, Watermarks};
use crate::domain::clock::Timestamp;
use crate::domain::position::{Partition, Position, TopicRole};
use crate::domain::record::{Header, OutRecord, Record};

/// Two partitions of each topic, or more.
#[derive(Default)]
pub(crate) struct Shelf {
    added: AtomicU32,
    records: BTreeMap<Partition, Vec<Record>>,
    begins: BTreeMap<Partition, u64>,
    positions: BTreeMap<Partition, u64>,
}

impl Shelf {
    /// What a topic is called.
    pub fn name(role: TopicRole) -> &'static str {
        role.key()
    }

    /// From now on each topic has so many partitions.
    pub fn widen_to(&self, partitions: u32) {
        self.added.store(partitions - 2, Ordering::Relaxed);
    }

    /// Append it as JSON.
    pub fn put(&mut self, topic: TopicRole, number: u32, timestamp: Timestamp, value: &impl Serialize) {
        self.put_with(topic, number, timestamp, value, Vec::new());
    }

    /// The same under these headers.
    pub fn put_with(
        &mut self,
        topic: TopicRole,
        number: u32,
        timestamp: Timestamp,
        value: &impl Serialize,
        headers: Vec<Header>,
    ) {
        let records = self.records.entry(Partition { topic, number }).or_default();
        let value = serde_json::to_vec(value).expect("a record is plain data");
        let offset = records.len() as u64;
        records.push(Record { offset, timestamp, key: None, value: Some(value.into()), headers });
    }

    /// Retention takes what is below.
    pub fn begins_at(&mut self, topic: TopicRole, number: u32, offset: u64) {
        self.begins.insert(Partition { topic, number }, offset);
    }

    /// Every group has finished what is below.
    pub fn commit(&mut self, topic: TopicRole, number: u32, offset: u64) {
        self.positions.insert(Partition { topic, number }, offset);
    }

    fn records(&self, partition: Partition) -> &[Record] {
        self.records.get(&partition).map(Vec::as_slice).unwrap_or_default()
    }
}

impl LogBrowser for Shelf {
    fn topics(&self) -> BoxFuture<'_, Result<Vec<TopicInfo>, BrowseError>> {
        let topic = |role| {
            let (name, topic_id) = (Self::name(role).to_owned(), Self::name(role).to_owned());
            TopicInfo { role, name, topic_id, partitions: 2 + self.added.load(Ordering::Relaxed) }
        };
        let tiers = self.records.keys().map(|at| at.topic).filter(|role| matches!(role, TopicRole::Deferred(_)));
        let tiers: BTreeSet<TopicRole> = tiers.collect();
        Box::pin(ready(Ok(TopicRole::FIXED.into_iter().chain(tiers).map(topic).collect())))
    }

    fn watermarks(&self, partition: Partition) -> BoxFuture<'_, Result<Watermarks, BrowseError>> {
        let log_start = self.begins.get(&partition).copied().unwrap_or_default();
        Box::pin(ready(Ok(Watermarks { log_start, end: self.records(partition).len() as u64 })))
    }

    fn read(
        &self,
        partition: Partition,
        from: u64,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<Vec<Record>, BrowseError>> {
        let from = from.max(self.begins.get(&partition).copied().unwrap_or_default());
        let records = self.records(partition).iter().skip(usize::try_from(from).unwrap_or(usize::MAX));
        Box::pin(ready(Ok(records.take(limit.max_records).cloned().collect())))
    }

    fn append(&self, _: Vec<OutRecord>) -> BoxFuture<'_, Result<Vec<Position>, BrowseError>> {
        Box::pin(ready(Err(BrowseError::ReadOnly)))
    }

    fn positions<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<CommittedPosition>, BrowseError>> {
        let position = |(partition, offset): (&Partition, &u64)| CommittedPosition {
            partition: *partition,
            offset: *offset,
            metadata: String::new(),
        };
        Box::pin(ready(Ok(self.positions.iter().map(position).collect())))
    }

    fn create_topics(&self) -> BoxFuture<'_, Result<Vec<TopicRole>, BrowseError>> {
        Box::pin(ready(Err(BrowseError::ReadOnly)))
    }
}
