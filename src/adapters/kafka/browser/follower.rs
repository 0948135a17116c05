//! Records of a whole topic, each as soon as it can be read.
//!
//! A page ([`super::reader`]) costs the cluster two requests and tells what was there; whoever wants to know when
//! something comes would ask for pages all the time. Here one consumer waits at the cluster instead.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::super::clients;
use super::super::login::{Client, Login};
use super::super::raw::{Event, EventQueue};
use super::browse_error;
use super::error::coded;
use crate::domain::record::Record;
use crate::operations::log_browser::BrowseError;

/// How often the thread looks whether anybody still listens.
const WAIT: Duration = Duration::from_millis(100);

/// The cluster keeps a question without an answer for so long.
const LONGEST_FETCH: &str = "500";

/// Committed records of so many partitions from their beginning, in the order of each, until nobody listens any more. What
/// cannot be read ends it, and is its last word.
pub fn follow(
    kafka: &Login,
    topic: &str,
    partitions: u32,
) -> Result<UnboundedReceiver<Result<Record, BrowseError>>, BrowseError> {
    let mut config = clients::browser(kafka, "read_committed");
    config.set("fetch.wait.max.ms", LONGEST_FETCH);
    let consumer: Arc<Client<BaseConsumer>> = Arc::new(kafka.open(&config).map_err(|error| browse_error(&error))?);
    let mut list = TopicPartitionList::new();
    for number in 0..partitions {
        let partition = i32::try_from(number).unwrap_or(i32::MAX);
        let added = list.add_partition_offset(topic, partition, Offset::Beginning);
        added.map_err(|error| browse_error(&error))?;
    }
    consumer.assign(&list).map_err(|error| browse_error(&error))?;
    let (found, records) = unbounded_channel();
    std::thread::spawn(move || {
        // Dropped before its consumer.
        let queue = EventQueue::of(&consumer);
        while !found.is_closed() {
            let said = match queue.poll(WAIT) {
                Some(Event::Record { record, .. }) => Ok(record),
                Some(Event::Trouble { code, text, fatal, partition }) if fatal || partition.is_some() => {
                    Err(coded(Some(code), text))
                }
                // What librdkafka gets over by itself is only told.
                Some(Event::Trouble { code, text, .. }) => {
                    clients::troubled("follower", Some(code), &text);
                    continue;
                }
                Some(_) | None => continue,
            };
            let ends = said.is_err();
            if found.send(said).is_err() || ends {
                return;
            }
        }
    });
    Ok(records)
}
