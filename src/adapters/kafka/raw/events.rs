//! One event of the consumer's queue at a time, with the topic of an end of partition and rebalances as values.
//!
//! The crate's `poll` tells the partition of an end but not its topic, which is not enough when several topics are read,
//! and hands rebalances to a callback, where nothing but globals is at hand.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka_sys as sys;

use super::text;
use crate::domain::clock::Timestamp;
use crate::domain::record::{HEADERS_UNREADABLE, Header, Payload, Record};

/// What the queue holds.
pub enum Event {
    /// A record.
    Record {
        /// Its topic's name.
        topic: String,
        /// Its partition.
        partition: i32,
        /// All of it, copied.
        record: Record,
    },
    /// Everything before `end` of a partition has been handed over.
    EndOfPartition {
        /// Its topic's name.
        topic: String,
        /// Its number.
        partition: i32,
        /// The next offset there will be.
        end: i64,
    },
    /// These partitions are to be ours.
    Assign(Vec<(String, i32)>),
    /// These partitions are not to be ours any more.
    Revoke(Vec<(String, i32)>),
    /// Something went wrong, maybe with one partition.
    Trouble {
        /// What.
        code: RDKafkaErrorCode,
        /// librdkafka's words.
        text: String,
        /// The client cannot go on.
        fatal: bool,
        /// With which partition.
        partition: Option<(String, i32)>,
    },
    /// Nothing that concerns anybody.
    Nothing,
}

/// The consumer's queue; it must not outlive its consumer, which whoever holds both takes care of by dropping it first.
pub struct EventQueue(*mut sys::rd_kafka_queue_t);

// SAFETY: librdkafka's queues are thread safe.
unsafe impl Send for EventQueue {}

impl EventQueue {
    /// Of this consumer.
    pub fn of(consumer: &BaseConsumer) -> Self {
        // SAFETY: the client is alive; a consumer with a group has this queue. The reference is given back on drop.
        Self(unsafe { sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) })
    }

    /// The next event, if one comes in time.
    pub fn poll(&self, timeout: Duration) -> Option<Event> {
        let timeout = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: the queue is alive. The event is ours until destroyed, which `Owned` does.
        let event = unsafe { sys::rd_kafka_queue_poll(self.0, timeout) };
        if event.is_null() {
            return None;
        }
        Some(Owned(event).read())
    }
}

impl Drop for EventQueue {
    fn drop(&mut self) {
        // SAFETY: the reference taken in `of`, given back once.
        unsafe { sys::rd_kafka_queue_destroy(self.0) }
    }
}

struct Owned(*mut sys::rd_kafka_event_t);

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the event came from the queue and is destroyed once; everything read from it was copied.
        unsafe { sys::rd_kafka_event_destroy(self.0) }
    }
}

impl Owned {
    fn read(&self) -> Event {
        // SAFETY: the event is alive as long as `self`; each accessor is called for the type of event that has it.
        unsafe {
            match sys::rd_kafka_event_type(self.0) {
                sys::RD_KAFKA_EVENT_FETCH => self.record(),
                sys::RD_KAFKA_EVENT_ERROR => self.trouble(),
                sys::RD_KAFKA_EVENT_REBALANCE => self.rebalance(),
                sys::RD_KAFKA_EVENT_LOG => {
                    self.log();
                    Event::Nothing
                }
                _ => Event::Nothing,
            }
        }
    }

    unsafe fn record(&self) -> Event {
        // SAFETY: a fetch event holds one message, valid until the event is destroyed.
        unsafe {
            let message = sys::rd_kafka_event_message_next(self.0);
            let Some(message) = message.as_ref() else { return Event::Nothing };
            let topic = text(sys::rd_kafka_topic_name(message.rkt));
            if message.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Event::Trouble {
                    code: message.err.into(),
                    text: text(sys::rd_kafka_err2str(message.err)),
                    fatal: false,
                    partition: Some((topic, message.partition)),
                };
            }
            let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
            let timestamp = sys::rd_kafka_message_timestamp(message, &raw mut kind);
            let record = Record {
                offset: u64::try_from(message.offset).unwrap_or_default(),
                timestamp: Timestamp(timestamp.max(0)),
                key: bytes(message.key, message.key_len),
                value: bytes(message.payload, message.len),
                headers: headers(message),
            };
            Event::Record { topic, partition: message.partition, record }
        }
    }

    unsafe fn trouble(&self) -> Event {
        // SAFETY: an error event; the partition, if there is one, is a copy that we destroy.
        unsafe {
            let code = sys::rd_kafka_event_error(self.0);
            let at = sys::rd_kafka_event_topic_partition(self.0);
            let partition = at.as_ref().map(|at| (text(at.topic), at.partition, at.offset));
            if !at.is_null() {
                sys::rd_kafka_topic_partition_destroy(at);
            }
            match (code, partition) {
                (RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF, Some((topic, partition, end))) => {
                    Event::EndOfPartition { topic, partition, end }
                }
                (code, partition) => Event::Trouble {
                    code: code.into(),
                    text: text(sys::rd_kafka_event_error_string(self.0)),
                    fatal: sys::rd_kafka_event_error_is_fatal(self.0) != 0,
                    partition: partition.map(|(topic, partition, _)| (topic, partition)),
                },
            }
        }
    }

    unsafe fn rebalance(&self) -> Event {
        // SAFETY: a rebalance event; its list belongs to the event.
        unsafe {
            let list = sys::rd_kafka_event_topic_partition_list(self.0);
            let elements = match list.as_ref() {
                Some(list) if list.cnt > 0 => {
                    std::slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or_default())
                }
                _ => &[],
            };
            let partitions = elements.iter().map(|at| (text(at.topic), at.partition)).collect();
            match sys::rd_kafka_event_error(self.0) {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Event::Assign(partitions),
                // librdkafka asks for the same after an error of the group: whatever was ours is not any more.
                _ => Event::Revoke(partitions),
            }
        }
    }

    unsafe fn log(&self) {
        let (mut facility, mut line, mut level) = (ptr::null::<c_char>(), ptr::null::<c_char>(), 0);
        // SAFETY: a log event; both texts belong to it.
        unsafe {
            if sys::rd_kafka_event_log(self.0, &raw mut facility, &raw mut line, &raw mut level) == 0 {
                let (facility, line) = (text(facility), text(line));
                // Syslog's levels.
                match level {
                    0..=3 => tracing::warn!(target: "librdkafka", facility, "{}", line.trim()),
                    4 => tracing::info!(target: "librdkafka", facility, "{}", line.trim()),
                    _ => tracing::debug!(target: "librdkafka", facility, "{}", line.trim()),
                }
            }
        }
    }
}

unsafe fn bytes(data: *const c_void, length: usize) -> Option<Payload> {
    if data.is_null() {
        return None;
    }
    // SAFETY: librdkafka gives this many bytes there.
    Some(Payload::copy_from_slice(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) }))
}

unsafe fn headers(message: &sys::rd_kafka_message_t) -> Vec<Header> {
    let mut found = Vec::new();
    let mut list = ptr::null_mut();
    // SAFETY: the list, names and values belong to the message.
    unsafe {
        match sys::rd_kafka_message_headers(message, &raw mut list) {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {}
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__NOENT => return found,
            // There are some, and what they say is not known: not the same as none.
            error => return vec![Header::text(HEADERS_UNREADABLE, &text(sys::rd_kafka_err2str(error)))],
        }
        for at in 0.. {
            let (mut name, mut value, mut size) = (ptr::null::<c_char>(), ptr::null::<c_void>(), 0);
            let got = sys::rd_kafka_header_get_all(list, at, &raw mut name, &raw mut value, &raw mut size);
            if got != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                break;
            }
            found.push(Header { name: text(name).into(), value: bytes(value, size) });
        }
    }
    found
}
