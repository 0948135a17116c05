//! A client of the cluster that gets every next token for as long as it lives, and does not keep whoever drops it.

use std::ops::Deref;
use std::time::Duration;

use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::producer::{NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer};

use super::tokens::Renewal;
use crate::adapters::kafka::raw::NativeClient;
use crate::telemetry::bounded::within;

/// For a client to leave its group and to end its threads; librdkafka itself waits for them for ever.
const ENDING: Duration = Duration::from_secs(10);

/// A client, however it is used.
pub struct Client<C: Send + 'static> {
    renewal: Option<Renewal>,
    // Until it is dropped.
    inner: Option<C>,
}

impl<C: Send> Client<C> {
    pub(super) fn new(inner: C, renewal: Option<Renewal>) -> Self {
        Self { renewal, inner: Some(inner) }
    }
}

impl<C: Send> Deref for Client<C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.inner.as_ref().expect("it is there until it is dropped")
    }
}

impl<C: Send + 'static> Drop for Client<C> {
    fn drop(&mut self) {
        // Before the client: from then on nobody tells it of tokens.
        self.renewal.take();
        let inner = self.inner.take();
        within(ENDING, "kafka-ending", move || drop(inner));
    }
}

/// What has a client of librdkafka's inside.
pub trait Native {
    /// That client.
    fn native(&self) -> NativeClient;
}

impl<X: ConsumerContext> Native for BaseConsumer<X> {
    fn native(&self) -> NativeClient {
        NativeClient::of(self.client())
    }
}

impl<X: ProducerContext<NoCustomPartitioner>> Native for ThreadedProducer<X> {
    fn native(&self) -> NativeClient {
        NativeClient::of(self.client())
    }
}

impl Native for AdminClient<DefaultClientContext> {
    fn native(&self) -> NativeClient {
        NativeClient::of(self.inner())
    }
}
