//! A client of the schema registry's API as Confluent defined it (Confluent, Apicurio under `/apis/ccompat/v7`, Karapace).
//!
//! Our own, over the HTTP client that is here anyway: the crate for this keeps an outage (500, 429, 401) as the lasting
//! answer about an id, and reads values with their writer's schema only, where we need them as ours. What is left is eight
//! requests. Nothing is remembered here: what an answer is worth, and for how long, is for whoever asked.
//!
//! One question is one request: no retries, no redirects, no proxy from the environment, TLS verified, a time limit, a
//! capped body. A 404 counts as "there is no such id" only in a registry's own words (in JSON, with a code that says what was
//! not found); any other one is a wrong URL, and nothing may be rejected for that.

mod subjects;
#[cfg(test)]
mod tests;
mod transport;
mod wire;

use std::ops::RangeInclusive;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::Method;

use self::transport::{Reply, Transport};
use crate::pipeline::schema_set::registry::{RegisteredSchema, Registry, RegistryError};
use crate::settings::schemas;

/// Codes of what was not found: a subject, a version, a schema. Under a path that it does not know, a registry that is well
/// says a bare 404 in the same words.
const NOT_FOUND: RangeInclusive<u32> = 40_400..=40_499;

/// The client. Its connections are kept for the next question.
pub struct SchemaRegistry {
    transport: Transport,
}

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address cannot be used.
    #[error("schemas.registry.url must be http:// or https:// without user, query or fragment")]
    Url,
    /// What we log in with cannot stand in a header.
    #[error("schemas.registry: the user, the password or the token holds characters that cannot stand in a header")]
    Credentials,
    /// The HTTP client.
    #[error("schemas.registry: the HTTP client cannot be made: {0}")]
    Client(#[from] reqwest::Error),
}

impl SchemaRegistry {
    /// The registry of the settings; none if there is no URL.
    ///
    /// # Errors
    /// When the settings do not make a client.
    pub fn new(settings: &schemas::Registry) -> Result<Option<Self>, SetupError> {
        let Some(url) = &settings.url else { return Ok(None) };
        Ok(Some(Self { transport: Transport::new(url, settings)? }))
    }
}

impl Registry for SchemaRegistry {
    fn schema(&self, id: u32) -> BoxFuture<'_, Result<Option<RegisteredSchema>, RegistryError>> {
        async move {
            match self.transport.ask(Method::GET, &["schemas", "ids", &id.to_string()], None).await? {
                Reply::Found(body) => Ok(Some(wire::read::<wire::Schema>(&body)?.into())),
                Reply::NotFound { code } if NOT_FOUND.contains(&code) => Ok(None),
                Reply::NotFound { code } => {
                    Err(RegistryError::Garbled(format!("it has no /schemas/ids (code {code}); is the path missing?")))
                }
            }
        }
        .boxed()
    }
}
