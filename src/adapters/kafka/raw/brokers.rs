//! Telling a client of its brokers from outside.
//!
//! librdkafka drops every broker that the latest metadata does not name, its bootstrap servers too, and where metadata names
//! none (all brokers are fenced, for a moment) it may be left without any: then it asks nobody, for ever, and says nothing
//! (confluentinc/librdkafka issue 5301).

use std::ffi::CString;

use rdkafka::client::{Client, ClientContext};
use rdkafka_sys as sys;

/// These too are brokers of its cluster. Those that it has already are not added again, but are remembered once more: not to
/// be called without need.
pub fn add_brokers<C: ClientContext>(client: &Client<C>, servers: &str) {
    // The client was made of the same text.
    let Ok(servers) = CString::new(servers) else { return };
    // SAFETY: the client is alive; the text outlives the call, which copies it.
    unsafe { sys::rd_kafka_brokers_add(client.native_ptr(), servers.as_ptr()) };
}
