//! Subjects of the schema registry: what is there, what is missing, what may be changed.
//!
//! A topic's subject is `<topic>-value`. The topics of delay tiers have none: their records are other topics' records, byte
//! for byte, and keep their ids. What we register is always the whole document of a released version, letter by letter,
//! because some registries give the same schema with other white space another id.
//!
//! Reading records by id is not here: [`crate::pipeline::schema_set::registry`].

mod browser;
mod desk;
mod settle;
#[cfg(test)]
mod testing;

use std::fmt;

use futures_util::future::BoxFuture;
use serde::Serialize;

pub use self::browser::LearningBrowser;
pub use self::desk::{Check, Flaw, Listed, ListedVersion, Registered, check, list, register};
pub use self::settle::{SettleError, settle};
use crate::domain::position::TopicRole;
use crate::pipeline::schema_set::registry::{RegisteredSchema, RegistryError};
use crate::settings::topics::Topics;

/// PORT: a registry's subjects.
pub trait Subjects: Send + Sync + 'static {
    /// The id of this very document under this subject; none if it is not registered there.
    fn find<'a>(&'a self, subject: &'a str, text: &'a str) -> BoxFuture<'a, Result<Option<u32>, RegistryError>>;

    /// Register it, if it is not; answered with its id.
    fn register<'a>(&'a self, subject: &'a str, text: &'a str) -> BoxFuture<'a, Result<u32, RegistryError>>;

    /// Every version, oldest first; none if there is no such subject.
    fn versions<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<Vec<Version>, RegistryError>>;

    /// What the subject's level has against registering this document; empty if nothing.
    fn objections<'a>(&'a self, subject: &'a str, text: &'a str) -> BoxFuture<'a, Result<Vec<String>, RegistryError>>;

    /// Its compatibility level.
    fn level<'a>(&'a self, subject: &'a str) -> BoxFuture<'a, Result<LevelOf, RegistryError>>;

    /// Give it a level of its own.
    fn set_level<'a>(&'a self, subject: &'a str, level: Level) -> BoxFuture<'a, Result<(), RegistryError>>;
}

/// A version in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Within its subject, from 1.
    pub number: u32,
    /// What values are framed with.
    pub id: u32,
    /// The schema.
    pub schema: RegisteredSchema,
}

/// A level, and whether it is the subject's own or that of the whole registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LevelOf {
    /// Which.
    pub level: Level,
    /// The subject's own.
    pub own: bool,
}

/// Which changes a subject accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the registry's own words")]
pub enum Level {
    None,
    Backward,
    BackwardTransitive,
    Forward,
    ForwardTransitive,
    Full,
    /// Ours: any reader can read any writer, old or new.
    FullTransitive,
}

impl Level {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Backward,
        Self::BackwardTransitive,
        Self::Forward,
        Self::ForwardTransitive,
        Self::Full,
        Self::FullTransitive,
    ];

    /// As the registry writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A subject of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What its topic is for.
    pub role: TopicRole,
    /// Its name.
    pub name: String,
    /// Which record its values are.
    pub record: &'static str,
}

/// All of them, inputs first.
#[must_use]
pub fn subjects(topics: &Topics) -> Vec<Subject> {
    let subject = |role| {
        let name = format!("{}-value", topics.name(role));
        Some(Subject { role, name, record: record_of(role)? })
    };
    TopicRole::FIXED.into_iter().filter_map(subject).collect()
}

/// What the processor writes.
pub const WRITTEN_BY_SERVE: [TopicRole; 5] =
    [TopicRole::Decisions, TopicRole::Feedback, TopicRole::DecisionReviews, TopicRole::DeadLetters, TopicRole::Ops];
/// What `publish` writes.
pub const WRITTEN_BY_PUBLISH: [TopicRole; 1] = [TopicRole::Events];

fn record_of(role: TopicRole) -> Option<&'static str> {
    match role {
        TopicRole::Events => Some("SupportEvent"),
        TopicRole::HumanFeedback => Some("HumanFeedback"),
        TopicRole::Decisions | TopicRole::DecisionsShadow => Some("TriageDecision"),
        TopicRole::Feedback => Some("EventFeedback"),
        TopicRole::DecisionReviews => Some("DecisionReview"),
        TopicRole::DeadLetters => Some("DeadLetter"),
        TopicRole::Ops => Some("OpsEvent"),
        TopicRole::Deferred(_) => None,
    }
}
