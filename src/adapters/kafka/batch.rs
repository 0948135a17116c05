//! What one turn of the polling thread read, in order: runs of records of one partition, and ends that were reached.

use crate::domain::position::Partition;
use crate::domain::record::Record;

/// One turn's worth.
#[derive(Debug)]
pub struct Batch {
    deliveries: Vec<Delivery>,
    records: usize,
    bytes: usize,
    max_records: usize,
    max_bytes: usize,
}

/// A part of it, told as one happening.
#[derive(Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Consecutive records.
    Records(Partition, Vec<Record>),
    /// Everything before this offset was read.
    End(Partition, u64),
}

impl Batch {
    /// Of at most this much; the last record may pass the bound.
    pub fn new(max_records: usize, max_bytes: usize) -> Self {
        Self { deliveries: Vec::new(), records: 0, bytes: 0, max_records, max_bytes }
    }

    /// Whether it is time to hand it over.
    pub fn is_full(&self) -> bool {
        self.records >= self.max_records || self.bytes >= self.max_bytes
    }

    /// One more record.
    pub fn push(&mut self, partition: Partition, record: Record) {
        self.records += 1;
        self.bytes += size(&record);
        match self.deliveries.last_mut() {
            Some(Delivery::Records(last, records)) if *last == partition => records.push(record),
            _ => self.deliveries.push(Delivery::Records(partition, vec![record])),
        }
    }

    /// The end of a partition.
    pub fn end(&mut self, partition: Partition, end: u64) {
        self.deliveries.push(Delivery::End(partition, end));
    }

    /// All of it; empty from now on.
    pub fn take(&mut self) -> Vec<Delivery> {
        (self.records, self.bytes) = (0, 0);
        std::mem::take(&mut self.deliveries)
    }
}

/// Bytes of key, value and headers.
pub fn size(record: &Record) -> usize {
    let of = |bytes: Option<&crate::domain::record::Payload>| bytes.map_or(0, bytes::Bytes::len);
    let headers: usize = record.headers.iter().map(|header| header.name.len() + of(header.value.as_ref())).sum();
    of(record.key.as_ref()) + of(record.value.as_ref()) + headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::Timestamp;
    use crate::domain::position::TopicRole;

    fn at(number: u32) -> Partition {
        Partition { topic: TopicRole::Events, number }
    }

    fn record(offset: u64, bytes: usize) -> Record {
        let value = Some(vec![0; bytes].into());
        Record { offset, timestamp: Timestamp(0), key: None, value, headers: Vec::new() }
    }

    #[test]
    fn runs_stay_together_and_an_end_stands_between_what_came_before_and_after() {
        let mut batch = Batch::new(100, 100);
        batch.push(at(0), record(1, 1));
        batch.push(at(0), record(2, 1));
        batch.push(at(1), record(7, 1));
        batch.end(at(0), 3);
        batch.push(at(0), record(3, 1));
        let expected = vec![
            Delivery::Records(at(0), vec![record(1, 1), record(2, 1)]),
            Delivery::Records(at(1), vec![record(7, 1)]),
            Delivery::End(at(0), 3),
            Delivery::Records(at(0), vec![record(3, 1)]),
        ];
        assert_eq!(batch.take(), expected);
        assert_eq!(batch.take(), Vec::new());
    }

    #[test]
    fn it_is_full_by_records_or_by_bytes_and_empty_when_taken() {
        let mut batch = Batch::new(2, 10);
        batch.push(at(0), record(0, 1));
        assert!(!batch.is_full());
        batch.push(at(0), record(1, 1));
        assert!(batch.is_full());
        batch.take();
        assert!(!batch.is_full());
        batch.push(at(0), record(2, 10));
        assert!(batch.is_full());
    }
}
