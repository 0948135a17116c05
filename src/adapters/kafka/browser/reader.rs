//! Pages of records: one consumer, assigned one partition at a time by hand.
//!
//! While pages of a partition are asked for one after the other, the assignment stays and librdkafka reads ahead. A read
//! is over at its limit, or when everything before the end was seen, which only the consumer can tell: the last offsets
//! of a partition may hold no record, but marks of a transaction, or records that were taken back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};

use super::super::login::Client;
use super::super::raw::{Event, EventQueue};
use super::super::{clients, names};
use super::browse_error;
use super::error::coded;
use crate::domain::position::Partition;
use crate::domain::record::Record;
use crate::operations::log_browser::{BrowseError, ReadLimit};

/// Longest wait for one event.
const WAIT: Duration = Duration::from_millis(100);

/// Reads.
pub struct Reader {
    // Dropped before its consumer.
    queue: EventQueue,
    consumer: Arc<Client<BaseConsumer>>,
    at: Option<Place>,
}

/// Where a partition is being read.
struct Place {
    partition: Partition,
    /// The next page begins here.
    next: u64,
    /// Nothing is waited for from here on.
    end: u64,
    /// Did not fit into the last page.
    held: Option<Record>,
}

impl Reader {
    /// With this consumer, whose events are nobody else's.
    pub fn new(consumer: Arc<Client<BaseConsumer>>) -> Self {
        Self { queue: EventQueue::of(&consumer), consumer, at: None }
    }

    /// The end that a read from here was promised to come to; `None`: it has to be looked up.
    pub fn known_end(&self, partition: Partition, from: u64) -> Option<u64> {
        self.at.as_ref().filter(|at| at.partition == partition && at.next == from && from < at.end).map(|at| at.end)
    }

    /// The next page of what is before `end`; fails after `patience` without any sign of the cluster.
    pub fn read(
        &mut self,
        topic: &str,
        partition: Partition,
        from: u64,
        end: u64,
        limit: ReadLimit,
        patience: Duration,
    ) -> Result<Vec<Record>, BrowseError> {
        if from >= end {
            return Ok(Vec::new());
        }
        // Whatever goes wrong, the next read begins anew.
        let mut at = match self.at.take() {
            Some(at) if at.partition == partition && at.next == from => Place { end, ..at },
            _ => self.go_to(topic, partition, from, end)?,
        };
        let mut page = Page::new(limit);
        let mut heard = Instant::now();
        while at.next < end && !page.is_full() {
            let record = match at.held.take() {
                Some(record) => record,
                None => match self.queue.poll(WAIT) {
                    Some(Event::Record { topic: of, partition: number, record })
                        if of == topic && number == names::number(partition) =>
                    {
                        record
                    }
                    Some(Event::EndOfPartition { topic: of, partition: number, .. })
                        if of == topic && number == names::number(partition) =>
                    {
                        at.next = end;
                        break;
                    }
                    Some(Event::Trouble { code, text, fatal, partition: of }) => {
                        self.trouble(code, text, fatal || of.is_some())?;
                        continue;
                    }
                    // Left over from another partition.
                    Some(_) => continue,
                    None if heard.elapsed() > patience => {
                        let why = format!("nothing was heard of {topic}/{} for {patience:?}", partition.number);
                        return Err(BrowseError::Unavailable(why));
                    }
                    None => continue,
                },
            };
            heard = Instant::now();
            let next = record.offset + 1;
            match page.take(record) {
                None => at.next = next,
                Some(record) => {
                    at.held = Some(record);
                    break;
                }
            }
        }
        if at.next < end {
            self.at = Some(at);
        } else {
            // Nothing is read ahead for nobody.
            self.consumer.unassign().map_err(|error| browse_error(&error))?;
        }
        Ok(page.records)
    }

    fn go_to(&self, topic: &str, partition: Partition, from: u64, end: u64) -> Result<Place, BrowseError> {
        let mut list = TopicPartitionList::new();
        let offset = Offset::Offset(i64::try_from(from).unwrap_or(i64::MAX));
        list.add_partition_offset(topic, names::number(partition), offset)
            .and_then(|()| self.consumer.assign(&list))
            .map_err(|error| browse_error(&error))?;
        Ok(Place { partition, next: from, end, held: None })
    }

    /// What librdkafka gets over by itself is only told.
    fn trouble(&self, code: Code, text: String, is_the_end: bool) -> Result<(), BrowseError> {
        if is_the_end {
            return Err(coded(Some(code), text));
        }
        clients::troubled("browser", Some(code), &text);
        Ok(())
    }
}

/// What is handed over at once.
struct Page {
    records: Vec<Record>,
    bytes: usize,
    limit: ReadLimit,
}

impl Page {
    fn new(limit: ReadLimit) -> Self {
        Self { records: Vec::new(), bytes: 0, limit }
    }

    fn is_full(&self) -> bool {
        self.records.len() >= self.limit.max_records.max(1)
    }

    /// The record comes back if it does not fit; the first one always does.
    fn take(&mut self, record: Record) -> Option<Record> {
        let bytes = self.bytes.saturating_add(record.bytes());
        if !self.records.is_empty() && bytes > self.limit.max_bytes {
            return Some(record);
        }
        self.bytes = bytes;
        self.records.push(record);
        None
    }
}
