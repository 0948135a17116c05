//! A client of the cluster that gets every next token for as long as it lives.

use std::ops::Deref;

use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::producer::{NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer};

use super::tokens::Renewal;
use crate::adapters::kafka::raw::NativeClient;

/// A client, however it is used.
pub struct Client<C> {
    // Dropped before the client: from then on nobody tells it of tokens.
    _renewal: Option<Renewal>,
    inner: C,
}

impl<C> Client<C> {
    pub(super) fn new(inner: C, renewal: Option<Renewal>) -> Self {
        Self { _renewal: renewal, inner }
    }
}

impl<C> Deref for Client<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.inner
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
