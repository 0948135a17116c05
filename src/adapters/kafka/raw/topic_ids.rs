//! The ids of topics, which tell a recreated topic from its predecessor. The crate's metadata has names only.

use std::ffi::{CString, c_char, c_int};
use std::ptr;
use std::time::Duration;

use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka_sys as sys;

use super::text;

/// What brokers from before 2.8 say of every topic.
pub const NO_TOPIC_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// A topic as the cluster knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// Its id, in the form that Kafka's own tools print.
    pub id: String,
    /// How many partitions.
    pub partitions: usize,
}

/// Why topics could not be described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} ({code:?})")]
pub struct DescribeError {
    /// What.
    pub code: RDKafkaErrorCode,
    /// librdkafka's words.
    pub text: String,
}

/// Those of these topics that exist.
pub fn describe_topics(
    client: *mut sys::rd_kafka_t,
    names: &[String],
    timeout: Duration,
) -> Result<Vec<TopicDescription>, DescribeError> {
    let names: Vec<CString> = names.iter().filter_map(|name| CString::new(name.as_str()).ok()).collect();
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let millis = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: the client is alive and the names outlive the call, which copies them. Collection, options, queue and
    // event are ours, each destroyed once, after everything read from them was copied.
    unsafe {
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let options =
            sys::rd_kafka_AdminOptions_new(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        // Out of range at worst, and then the default holds.
        sys::rd_kafka_AdminOptions_set_request_timeout(options, millis, ptr::null_mut(), 0);
        let queue = sys::rd_kafka_queue_new(client);
        sys::rd_kafka_DescribeTopics(client, topics, options, queue);
        let event = sys::rd_kafka_queue_poll(queue, millis.saturating_add(1_000));
        let described = if event.is_null() {
            Err(DescribeError { code: RDKafkaErrorCode::OperationTimedOut, text: "no answer in time".to_owned() })
        } else {
            let described = read(event);
            sys::rd_kafka_event_destroy(event);
            described
        };
        sys::rd_kafka_queue_destroy(queue);
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_TopicCollection_destroy(topics);
        described
    }
}

unsafe fn read(event: *mut sys::rd_kafka_event_t) -> Result<Vec<TopicDescription>, DescribeError> {
    // SAFETY: the event is alive; everything reached from it belongs to it.
    unsafe {
        let code = sys::rd_kafka_event_error(event);
        if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(DescribeError { code: code.into(), text: text(sys::rd_kafka_event_error_string(event)) });
        }
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        let list = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let mut found = Vec::new();
        for at in 0..count {
            let topic = *list.add(at);
            let error = sys::rd_kafka_TopicDescription_error(topic);
            match sys::rd_kafka_error_code(error) {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {}
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => continue,
                code => {
                    let name = text(sys::rd_kafka_TopicDescription_name(topic));
                    let why = text(sys::rd_kafka_error_string(error));
                    return Err(DescribeError { code: code.into(), text: format!("{name}: {why}") });
                }
            }
            let mut partitions = 0;
            sys::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
            found.push(TopicDescription {
                name: text(sys::rd_kafka_TopicDescription_name(topic)),
                id: text(sys::rd_kafka_Uuid_base64str(sys::rd_kafka_TopicDescription_topic_id(topic))),
                partitions,
            });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_nothing_but_zeros_is_none() {
        // SAFETY: the id is ours, destroyed once, after its text was copied; the text belongs to it.
        let id = unsafe {
            let id = sys::rd_kafka_Uuid_new(0, 0);
            let said = text(sys::rd_kafka_Uuid_base64str(id));
            sys::rd_kafka_Uuid_destroy(id);
            said
        };
        assert_eq!(id, NO_TOPIC_ID);
    }
}
