//! Subjects, for operators' commands and for settling the ids of what we write.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::Method;
use serde_json::json;

use super::transport::Reply;
use super::{SchemaRegistry, wire};
use crate::operations::schemas::{Level, LevelOf, Subjects, Version};
use crate::pipeline::schema_set::registry::RegistryError;

/// More versions than a subject of ours can sensibly have: each is a request.
const MAX_VERSIONS: usize = 200;

impl Subjects for SchemaRegistry {
    fn find<'a>(&'a self, subject: &'a str, text: &'a str) -> BoxFuture<'a, Result<Option<u32>, RegistryError>> {
        async move {
            match self.transport.ask(Method::POST, &["subjects", subject], Some(json!({ "schema": text }))).await? {
                Reply::Found(body) => Ok(Some(wire::read::<wire::Place>(&body)?.id)),
                Reply::NotFound { .. } => Ok(None),
            }
        }
        .boxed()
    }

    fn register<'a>(&'a self, subject: &'a str, text: &'a str) -> BoxFuture<'a, Result<u32, RegistryError>> {
        async move {
            let body = Some(json!({ "schema": text }));
            match self.transport.ask(Method::POST, &["subjects", subject, "versions"], body).await? {
                Reply::Found(body) => Ok(wire::read::<wire::Place>(&body)?.id),
                Reply::NotFound { .. } => Err(absent_although(&format!("{subject} was to be created"))),
            }
        }
        .boxed()
    }

    fn versions<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<Vec<Version>, RegistryError>> {
        async move {
            let numbers: Vec<u32> =
                match self.transport.ask(Method::GET, &["subjects", subject, "versions"], None).await? {
                    Reply::Found(body) => wire::read(&body)?,
                    Reply::NotFound { .. } => return Ok(Vec::new()),
                };
            let mut versions = Vec::new();
            for number in numbers.into_iter().take(MAX_VERSIONS) {
                let path = ["subjects", subject, "versions", &number.to_string()];
                // One that was deleted meanwhile is not there.
                if let Reply::Found(body) = self.transport.ask(Method::GET, &path, None).await? {
                    let wire::Place { id, version } = wire::read(&body)?;
                    versions.push(Version { number: version, id, schema: wire::read::<wire::Schema>(&body)?.into() });
                }
            }
            Ok(versions)
        }
        .boxed()
    }

    fn objections<'a>(&'a self, subject: &'a str, text: &'a str) -> BoxFuture<'a, Result<Vec<String>, RegistryError>> {
        async move {
            let mut url = self.transport.url(&["compatibility", "subjects", subject, "versions"]);
            url.set_query(Some("verbose=true"));
            match self.transport.ask_at(Method::POST, url, Some(json!({ "schema": text }))).await {
                Ok(Reply::Found(body)) => {
                    let said: wire::Compatible = wire::read(&body)?;
                    let reasons = said.messages.filter(|reasons| !reasons.is_empty());
                    Ok(match said.is_compatible {
                        true => Vec::new(),
                        false => reasons.unwrap_or_else(|| vec!["the registry does not say why".to_owned()]),
                    })
                }
                // Nothing is registered there yet.
                Ok(Reply::NotFound { .. }) => Ok(Vec::new()),
                Err(RegistryError::Incompatible(reason)) => Ok(vec![reason]),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }

    fn level<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<LevelOf, RegistryError>> {
        async move {
            let (own, body) = match self.transport.ask(Method::GET, &["config", subject], None).await? {
                Reply::Found(body) => (true, body),
                Reply::NotFound { .. } => match self.transport.ask(Method::GET, &["config"], None).await? {
                    Reply::Found(body) => (false, body),
                    Reply::NotFound { .. } => return Err(absent_although("every registry has a global level")),
                },
            };
            let level = wire::read::<wire::Config>(&body)?.level().and_then(|name| Level::named(&name));
            let level = level.ok_or_else(|| RegistryError::Garbled("a compatibility level that is none".to_owned()))?;
            Ok(LevelOf { level, own })
        }
        .boxed()
    }

    fn set_level<'a>(&'a self, subject: &'a str, level: Level) -> BoxFuture<'a, Result<(), RegistryError>> {
        async move {
            let body = Some(json!({ "compatibility": level.name() }));
            match self.transport.ask(Method::PUT, &["config", subject], body).await? {
                Reply::Found(_) => Ok(()),
                Reply::NotFound { .. } => {
                    let message = format!("{subject} has no level of its own before it has a schema: register first");
                    Err(RegistryError::Refused { status: 404, message })
                }
            }
        }
        .boxed()
    }
}

fn absent_although(what: &str) -> RegistryError {
    RegistryError::Garbled(format!("it says \"not found\", although {what}"))
}
