//! Committed positions, asked of the coordinator.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset, TopicPartitionList};

use super::names::TopicNames;
use crate::domain::position::Partition;
use crate::pipeline::log::BurstPosition;

/// What a group committed for a partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// The offset; `None`: never.
    pub offset: Option<u64>,
    /// Its metadata.
    pub metadata: String,
}

/// What the consumer's group committed for those of these partitions that the answer speaks of. A `read_committed`
/// consumer gets no answer for a partition with positions in an open transaction.
pub fn committed(
    consumer: &BaseConsumer,
    names: &TopicNames,
    partitions: &[Partition],
    timeout: Duration,
) -> KafkaResult<BTreeMap<Partition, Committed>> {
    let answer = consumer.committed_offsets(names.list(partitions), timeout)?;
    let mut found = BTreeMap::new();
    for element in answer.elements() {
        let Some(partition) = names.partition(element.topic(), element.partition()) else { continue };
        match element.error() {
            Ok(()) => {
                let offset = match element.offset() {
                    Offset::Offset(offset) => u64::try_from(offset).ok(),
                    _ => None,
                };
                found.insert(partition, Committed { offset, metadata: element.metadata().to_owned() });
            }
            // Open transactions are said by time-outs, or like this; either way: ask again.
            Err(KafkaError::OffsetFetch(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The positions of a burst, in librdkafka's form.
pub fn list(names: &TopicNames, positions: &[BurstPosition]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for position in positions {
        let (topic, number) = (names.name(position.partition.topic), super::names::number(position.partition));
        let offset = Offset::Offset(i64::try_from(position.base).unwrap_or(i64::MAX));
        list.add_partition_offset(topic, number, offset)?;
        if let Some(mut element) = list.find_partition(topic, number) {
            element.set_metadata(&position.metadata);
        }
    }
    Ok(list)
}
