//! Why a client gets no answer. A question that nobody answers says "timed out"; the client itself knows more: the connection
//! was refused, the credentials are wrong.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::raw::DescribeError;

/// Long enough for all that has piled up in a few seconds.
const SERVING: Duration = Duration::from_millis(20);

/// Keeps what a client complains of.
#[derive(Debug, Default, Clone)]
pub struct Complaints(Arc<Mutex<Option<DescribeError>>>);

impl ClientContext for Complaints {
    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // "All brokers are down" is true and says nothing; wrong credentials explain everything that comes after them.
        let says_less = code == Code::AllBrokersDown && last.is_some();
        let known = last.as_ref().is_some_and(|last| last.code == Code::Authentication);
        if !says_less && !known {
            *last = Some(DescribeError { code, text: reason.to_owned() });
        }
    }
}

impl ConsumerContext for Complaints {}

/// What this client has complained of since this was asked; it is in no group.
pub fn heard(client: &BaseConsumer<Complaints>) -> Option<DescribeError> {
    // Its complaints are events, served by whoever polls: one a time, so not without waiting. Nothing else can come.
    while client.poll(SERVING).is_some() {}
    client.context().0.lock().unwrap_or_else(PoisonError::into_inner).take()
}
