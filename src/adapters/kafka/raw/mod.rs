//! The calls of librdkafka that the crate lacks: the only unsafe code of the program.
//!
//! Each file says why the crate's own way does not do. What comes out of here is safe: owned values, errors as types.

#![expect(unsafe_code, reason = "librdkafka is C, and the crate does not wrap these calls")]

mod events;
mod group;
mod topic_ids;
mod transaction;

pub(super) use events::{Event, EventQueue};
pub(super) use group::GroupMetadata;
pub(super) use topic_ids::{DescribeError, describe_topics};
pub(super) use transaction::{TransactionError, commit, send_offsets};
