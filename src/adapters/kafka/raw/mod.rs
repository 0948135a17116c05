//! The calls of librdkafka that the crate lacks: the only unsafe code of the program.
//!
//! Each file says why the crate's own way does not do. What comes out of here is safe: owned values, errors as types.

#![expect(unsafe_code, reason = "librdkafka is C, and the crate does not wrap these calls")]

mod brokers;
mod events;
mod group;
mod token;
mod topic_ids;
mod transaction;

use std::ffi::{CStr, c_char};

pub(super) use brokers::add_brokers;
pub(super) use events::{Event, EventQueue};
pub(super) use group::{GroupMetadata, has_member_id};
pub(super) use token::NativeClient;
pub(super) use topic_ids::{DescribeError, NO_TOPIC_ID, TopicDescription, describe_topics};
pub(super) use transaction::{TransactionError, commit, send_offsets};

/// A text of librdkafka's, copied.
///
/// # Safety
/// It is null, or ends with a zero and lives as long as the call.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: just checked, and the caller's word.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
