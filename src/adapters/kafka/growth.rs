//! PORT: how many partitions of a topic are read. And whether those that were added may be.
//!
//! Keys move to other partitions when a topic gets more of them. So new ones are not read until the old ones are worked
//! off up to where they ended when that was noticed, else a ticket's newer events would be decided before its older ones.
//! Whoever notices first writes down the ends, for all of the group and over restarts, with whoever implements
//! [`Counts`]; without it there is nobody to tell an added partition from one that was never used.
//!
//! ```text
//!  4 settled -> 6 are seen: ends of 0..4 -> each committed up to its end? -> 6 settled
//! ```

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::hung::Life;
use super::login::{Client, Login};
use super::names::{self, TopicNames};
use super::raw::{self, TopicDescription};
use super::{clients, positions};
use crate::domain::position::{Partition, TopicRole};

/// Longest wait for what is remembered: the thread that asks is the one that polls.
const REMEMBERING: Duration = Duration::from_secs(1);

/// Of a question about topics or ends.
const QUESTION: Duration = Duration::from_secs(5);

/// Of a question about positions: those in an open transaction are asked for again later.
const POSITIONS: Duration = Duration::from_millis(400);

/// For the end of a partition to be told.
const END: Duration = Duration::from_secs(2);

/// Steps of one look: noticed, worked off, settled; and the same again if others take turns.
const STEPS: usize = 8;

/// Remembers how many partitions are read.
pub trait Counts: Send + Sync + 'static {
    /// `None`: nobody counted yet. Blocks for so long at most.
    fn counted(&self, topic_id: &str, patience: Duration) -> Result<Option<Counted>, String>;

    /// Count anew, unless somebody else did since; answered with what stands then. Blocks for so long at most.
    fn count(
        &self,
        topic_id: &str,
        from: Option<&Counted>,
        to: &Counted,
        patience: Duration,
    ) -> Result<Counted, String>;
}

/// How many partitions of a topic are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// So many, from 0 on.
    pub settled: u32,
    /// How many there are in all, if that is more, and where each of the old ones ended when it was noticed.
    pub growth: Option<(u32, Vec<u64>)>,
}

/// Which partitions of a topic may be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readable {
    /// Those with lower numbers.
    pub below: u32,
    /// Why not all of them.
    pub why: Option<String>,
}

/// Looks after growing topics.
pub struct Growth {
    /// The cluster.
    pub kafka: Login,
    /// Topics by role.
    pub names: TopicNames,
    /// What is read and written: all of them grow together.
    pub co_owned: Vec<TopicRole>,
    /// Who remembers.
    pub counts: Option<Arc<dyn Counts>>,
    /// That the thread is there: it asks about every old partition.
    pub life: Life,
}

impl Growth {
    /// Which partitions of this topic may be read now.
    pub fn readable(&self, consumer: &BaseConsumer, role: TopicRole) -> Readable {
        self.life.sign();
        let Some(counts) = &self.counts else { return Readable { below: u32::MAX, why: None } };
        self.look(consumer, role, &**counts).unwrap_or_else(|why| Readable { below: 0, why: Some(why) })
    }

    fn look(&self, consumer: &BaseConsumer, role: TopicRole, counts: &dyn Counts) -> Result<Readable, String> {
        let names: Vec<String> = self.co_owned.iter().map(|role| self.names.name(*role).to_owned()).collect();
        let topics = raw::describe_topics(consumer.client().native_ptr(), &names, QUESTION)
            .map_err(|error| format!("the cluster does not describe its topics: {error}"))?;
        let name = self.names.name(role);
        let topic =
            topics.iter().find(|topic| topic.name == name).ok_or_else(|| format!("there is no topic {name}"))?;
        for _ in 0..STEPS {
            let counted = match counts.counted(&topic.id, REMEMBERING)? {
                Some(counted) => counted,
                None => counts.count(&topic.id, None, &settled(number(topic)), REMEMBERING)?,
            };
            let below = counted.settled;
            let next = match &counted.growth {
                None if below >= number(topic) => return Ok(Readable { below: u32::MAX, why: None }),
                None => Counted { settled: below, growth: Some((number(topic), self.ends(consumer, role, below)?)) },
                Some((to, ends)) => {
                    if let Some(why) = lags(&topics, *to).or_else(|| self.is_behind(consumer, role, ends)) {
                        let why = Some(why + &moves_between_old_ones(below, *to));
                        return Ok(Readable { below, why });
                    }
                    settled(*to)
                }
            };
            counts.count(&topic.id, Some(&counted), &next, REMEMBERING)?;
        }
        Err(format!("others count the partitions of {name} at this moment"))
    }

    /// Where the first so many partitions end now.
    fn ends(&self, consumer: &BaseConsumer, role: TopicRole, count: u32) -> Result<Vec<u64>, String> {
        let end = |number: u32| {
            self.life.sign();
            let at = Partition { topic: role, number };
            let marks = consumer.fetch_watermarks(self.names.name(role), names::number(at), QUESTION);
            let (_, end) = marks.map_err(|error| format!("the end of {at} is not known: {error}"))?;
            Ok(u64::try_from(end).unwrap_or_default())
        };
        (0..count).map(end).collect()
    }

    /// The first old partition that is not worked off up to its end.
    fn is_behind(&self, consumer: &BaseConsumer, role: TopicRole, ends: &[u64]) -> Option<String> {
        let old: Vec<Partition> = (0..).zip(ends).map(|(number, _)| Partition { topic: role, number }).collect();
        let committed = match positions::committed(consumer, &self.names, &old, POSITIONS) {
            Ok(committed) => committed,
            Err(error) => return Some(format!("the positions of its old partitions are not known: {error}")),
        };
        old.iter().zip(ends).find_map(|(partition, end)| {
            self.life.sign();
            let base = committed.get(partition).map(|at| at.offset);
            match base {
                Some(Some(base)) if base >= *end => None,
                // A position in an open transaction.
                None => Some(format!("the position of {partition} is on its way")),
                // Nothing but marks of the cluster's own may stand before the end; no burst moves over those.
                Some(base) => match self.has_records(*partition, base, *end) {
                    Ok(false) => None,
                    Ok(true) => Some(format!("{partition} is not worked off up to offset {end}, where it ended then")),
                    Err(error) => Some(format!("{partition} cannot be read: {error}")),
                },
            }
        })
    }

    /// Whether any record stands in `from..end`.
    fn has_records(&self, partition: Partition, from: Option<u64>, end: u64) -> KafkaResult<bool> {
        let reader: Client<BaseConsumer> = self.kafka.open(&clients::browser(&self.kafka, "read_committed"))?;
        let name = self.names.name(partition.topic);
        let (start, _) = reader.fetch_watermarks(name, names::number(partition), QUESTION)?;
        let from = i64::try_from(from.unwrap_or_default()).unwrap_or(i64::MAX).max(start);
        let end = i64::try_from(end).unwrap_or(i64::MAX);
        if from >= end {
            return Ok(false);
        }
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(name, names::number(partition), Offset::Offset(from))?;
        reader.assign(&place)?;
        match reader.poll(END) {
            Some(Ok(record)) => Ok(record.offset() < end),
            Some(Err(KafkaError::PartitionEOF(_))) => Ok(false),
            Some(Err(error)) => Err(error),
            // Not told in time: it may have.
            None => Ok(true),
        }
    }
}

fn settled(settled: u32) -> Counted {
    Counted { settled, growth: None }
}

fn number(topic: &TopicDescription) -> u32 {
    u32::try_from(topic.partitions).unwrap_or(u32::MAX)
}

/// Outputs go to the partition number of the record they stem from, and co-read topics are assigned together.
fn lags(topics: &[TopicDescription], to: u32) -> Option<String> {
    let lagging = topics.iter().find(|topic| number(topic) < to)?;
    Some(format!("{} has {} partitions and must have {to}: all topics grow together", lagging.name, lagging.partitions))
}

/// Where a topic grows to a multiple, a key stays in its partition or moves to a new one.
fn moves_between_old_ones(from: u32, to: u32) -> String {
    if from == 0 || to.is_multiple_of(from) {
        return String::new();
    }
    format!(
        "; {to} is no multiple of {from}: tickets moved between old partitions too, which are read on, maybe out of order"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_has_not_grown_with_the_others_is_named() {
        let topic =
            |name: &str, partitions| TopicDescription { name: name.to_owned(), id: name.to_owned(), partitions };
        let topics = [topic("events", 6), topic("decisions", 6), topic("feedback", 4)];
        let why = lags(&topics, 6).expect("feedback has 4");
        assert!(why.contains("feedback has 4 partitions and must have 6"), "{why}");
        assert_eq!(lags(&topics[..2], 6), None);
        assert_eq!(lags(&topics, 4), None);
    }

    #[test]
    fn who_grows_to_anything_but_a_multiple_is_told_what_that_does() {
        assert_eq!((moves_between_old_ones(4, 8), moves_between_old_ones(0, 4)), (String::new(), String::new()));
        assert!(moves_between_old_ones(4, 6).contains("6 is no multiple of 4"));
    }
}
