//! The cluster's settings, together with what every client of it logs in with.
//!
//! ```text
//!  token_endpoint.rs  one request for one token        (OAuth 2.0, client credentials)
//!  tokens.rs          a token that is always fresh     (one thread, until everything that uses it is gone)
//!  client.rs          a client that has the token, and gets each next one for as long as it lives
//! ```
//!
//! Passwords and certificates are properties of librdkafka's (`protection.rs`); a token is not, because it ends. librdkafka
//! asks for a new one by an event in the queue that a client's user polls, and most of our clients are only asked
//! questions and never polled: they would wait for their first token for ever. So tokens are pushed: every client is made
//! here, has the current token before anybody else has the client, and is told of the next one by the thread that fetched
//! it. librdkafka could fetch tokens itself, but only built with libcurl, with a second TLS stack, and once per client.

mod client;
mod token_endpoint;
mod tokens;

use std::ops::Deref;
use std::sync::Arc;

use rdkafka::ClientConfig;
use rdkafka::config::{FromClientConfig, FromClientConfigAndContext};
use rdkafka::error::{KafkaError, KafkaResult};

pub use self::client::{Client, Native};
use self::token_endpoint::TokenEndpoint;
pub use self::token_endpoint::TokenError;
use self::tokens::Tokens;
use crate::settings::kafka::Kafka;

/// The cluster, and who we are to it. Cloning is cheap; all clones share one token.
#[derive(Clone)]
pub struct Login {
    kafka: Arc<Kafka>,
    /// None: none are needed.
    tokens: Option<Arc<Tokens>>,
}

impl Deref for Login {
    type Target = Kafka;

    fn deref(&self) -> &Kafka {
        &self.kafka
    }
}

impl Login {
    /// With these settings. The first token is being fetched when this comes back.
    ///
    /// # Errors
    /// When the endpoint's authorities cannot be read.
    pub fn new(kafka: &Kafka) -> Result<Self, TokenError> {
        // Before librdkafka does: left to itself, OpenSSL tears itself down when the process exits, while threads that had
        // used it are still leaving, and now and then a command that had succeeded ended with a segmentation fault.
        openssl_sys::init();
        let tokens = match TokenEndpoint::of(&kafka.security)? {
            Some(endpoint) => Some(Arc::new(Tokens::keep(endpoint)?)),
            None => None,
        };
        Ok(Self { kafka: Arc::new(kafka.clone()), tokens })
    }

    /// Wait for a token, if one is needed: not longer than one request takes.
    pub fn have_token(&self) -> Result<(), TokenError> {
        self.tokens.as_ref().map_or(Ok(()), |tokens| tokens.wait())
    }

    /// A client of this configuration.
    pub fn open<C: FromClientConfig + Native + Send + 'static>(&self, config: &ClientConfig) -> KafkaResult<Client<C>> {
        self.admit(config.create()?)
    }

    /// The same, with a context.
    pub fn open_with<X, C>(&self, config: &ClientConfig, context: X) -> KafkaResult<Client<C>>
    where
        X: rdkafka::ClientContext,
        C: FromClientConfigAndContext<X> + Native + Send + 'static,
    {
        self.admit(config.create_with_context(context)?)
    }

    fn admit<C: Native + Send + 'static>(&self, client: C) -> KafkaResult<Client<C>> {
        let no_token = |why: TokenError| KafkaError::ClientCreation(why.to_string());
        let renewal = match &self.tokens {
            Some(tokens) => Some(tokens.push_to(client.native()).map_err(no_token)?),
            None => None,
        };
        Ok(Client::new(client, renewal))
    }
}
