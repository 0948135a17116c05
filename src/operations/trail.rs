//! PORT: what operators changed while processors run, and who, when and why.
//!
//! One list of entries that are only ever added. A tenant's version *is* its entry, and so is an order to a breaker: what
//! is in force and what is told about it cannot disagree. The revision counts them all, so whoever follows has one cheap
//! question: is it still the same?
//!
//! Not here: what an entry means ([`super::tenants`], [`super::breakers`], [`super::flags`]), and changes of the log's positions, which are
//! records on the log.

use std::fmt;

use futures_util::future::BoxFuture;
use serde::Serialize;

use crate::domain::clock::Timestamp;
use crate::pipeline::dedupe::ledger::LedgerError;

/// The port. Implemented by every database a ledger may stand in.
pub trait AuditTrail: Send + Sync + 'static {
    /// The newest entry's revision; 0: there is none.
    fn revision(&self) -> BoxFuture<'_, Result<u64, LedgerError>>;

    /// Entries about this kind of subject with a greater revision, oldest first; of each subject the newest so many.
    fn since(&self, kind: Kind, revision: u64, of_each: u32) -> BoxFuture<'_, Result<Vec<Change>, LedgerError>>;

    /// The newest so many entries of one kind or all, about one subject or all, newest first.
    fn list<'a>(
        &'a self,
        kind: Option<Kind>,
        subject: Option<&'a str>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Change>, LedgerError>>;

    /// Add an entry, unless its subject's newest one is another than the operator saw. If the connection is lost
    /// meanwhile, the list says whether it was added.
    fn append(&self, change: NewChange) -> BoxFuture<'_, Result<Appended, LedgerError>>;
}

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A tenant's policy.
    Tenant,
    /// A model's breaker.
    Breaker,
    /// A rule for a flag.
    Flag,
    /// Dead letters.
    Redrive,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tenant, Self::Breaker, Self::Flag, Self::Redrive];

    /// As it is stored and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Breaker => "breaker",
            Self::Flag => "flag",
            Self::Redrive => "redrive",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A tenant has this policy, a flag this rule.
    Set,
    /// A tenant has no policy, a flag no such rule in the database.
    Removed,
    /// A model is not asked.
    Opened,
    /// A model's breaker is closed, whatever it was.
    Reset,
    /// Dead letters were sent again.
    Sent,
}

impl Act {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Set, Self::Removed, Self::Opened, Self::Reset, Self::Sent];

    /// As it is stored and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Removed => "removed",
            Self::Opened => "opened",
            Self::Reset => "reset",
            Self::Sent => "sent",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.name() == name)
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Counts all entries, from 1.
    pub revision: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What kind of thing was changed.
    pub kind: Kind,
    /// Which one: a tenant's id, a model's name, a flag and its tenant, the group whose dead letters.
    pub subject: String,
    /// How.
    pub act: Act,
    /// The subject's entry before this one.
    pub before: Option<u64>,
    /// Why, in the operator's words.
    pub note: Option<String>,
    /// A tenant's policy, or a flag's share of tickets, as it was given; which dead letters, and how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// Until when, if not until further notice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// An entry to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChange {
    /// Who, when and why.
    pub by: By,
    /// See [`Change`].
    pub kind: Kind,
    /// See [`Change`].
    pub subject: String,
    /// See [`Change`].
    pub act: Act,
    /// The subject's newest entry as the operator saw it.
    pub before: Option<u64>,
    /// See [`Change`].
    pub document: Option<String>,
    /// See [`Change`].
    pub until: Option<Timestamp>,
}

/// Who changes something, when and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// Why.
    pub note: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It has this revision.
    As(u64),
    /// Somebody was faster: this is the subject's newest entry.
    Overtaken(u64),
}
