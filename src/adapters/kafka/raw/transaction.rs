//! The two steps of a transaction that the crate cannot do as a burst needs them.
//!
//! `send_offsets` takes our readable [`GroupMetadata`]. `commit` goes straight to librdkafka: the crate flushes first, in
//! steps of 100 ms, which is longer than a burst takes. A polling thread must serve the producer meanwhile.

use std::ffi::c_int;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;

use super::{GroupMetadata, text};

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step}: {text} ({code:?})")]
pub struct TransactionError {
    /// Which step.
    pub step: &'static str,
    /// What.
    pub code: RDKafkaErrorCode,
    /// librdkafka's words.
    pub text: String,
    /// The producer cannot go on.
    pub fatal: bool,
    /// The same call may be made again.
    pub retriable: bool,
}

/// Put positions into the open transaction, on behalf of this member.
pub fn send_offsets(
    producer: *mut sys::rd_kafka_t,
    positions: &TopicPartitionList,
    metadata: &GroupMetadata,
    timeout: Duration,
) -> Result<(), TransactionError> {
    // SAFETY: the caller's producer, list and metadata are alive; librdkafka copies what it needs.
    let error = unsafe {
        sys::rd_kafka_send_offsets_to_transaction(producer, positions.ptr(), metadata.native(), millis(timeout))
    };
    result("the offsets could not be sent", error)
}

/// Commit the open transaction, outstanding records first.
pub fn commit(producer: *mut sys::rd_kafka_t, timeout: Duration) -> Result<(), TransactionError> {
    // SAFETY: the caller's producer is alive.
    let error = unsafe { sys::rd_kafka_commit_transaction(producer, millis(timeout)) };
    result("the commit failed", error)
}

fn millis(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX)
}

fn result(step: &'static str, error: *mut sys::rd_kafka_error_t) -> Result<(), TransactionError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: an error object of ours: read, then destroyed once.
    unsafe {
        let read = TransactionError {
            step,
            code: sys::rd_kafka_error_code(error).into(),
            text: text(sys::rd_kafka_error_string(error)),
            fatal: sys::rd_kafka_error_is_fatal(error) != 0,
            retriable: sys::rd_kafka_error_is_retriable(error) != 0
                && sys::rd_kafka_error_txn_requires_abort(error) == 0
                && sys::rd_kafka_error_is_fatal(error) == 0,
        };
        sys::rd_kafka_error_destroy(error);
        Err(read)
    }
}
