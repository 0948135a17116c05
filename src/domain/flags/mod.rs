//! Flags: switches of capabilities, for everybody, for a tenant, or for a share of tickets.
//!
//! The shape is OpenFeature's: a provider answers a question about a flag, in a context, with a value, its variant, the
//! reason for it and the version of the rule. The list of flags is closed and stands here, with what each switches.
//! Every flag is on unless a rule says otherwise: a flag takes a capability away, or lets a share of tickets have it.
//!
//! An answer is sticky: it depends on rule, flag, tenant and ticket and on nothing else, so a ticket gets the same one on
//! every instance and after every restart, and a share that grows takes no ticket out ([`Share`]).
//!
//! Not here: where rules come from and when they change. Taking personal data out of a text is no capability and has no
//! flag.

mod book;
mod share;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::book::{FlagBook, Rule};
pub use self::share::{NoShare, Share};

/// A capability that can be switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// Whether texts may go to remote models at all.
    RemoteModels,
    /// Whether the local model may answer first, where the settings let it.
    LocalFirst,
    /// Whether an event waits for a model whose breaker is open.
    Hold,
    /// Whether a model is asked once more after an answer that cannot be used.
    Repair,
    /// Whether anything may be applied without a person.
    Apply,
    /// Whether drafts of replies are offered.
    DraftReplies,
}

impl Flag {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::RemoteModels, Self::LocalFirst, Self::Hold, Self::Repair, Self::Apply, Self::DraftReplies];

    /// As it is written in settings, commands, metrics and the trail.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RemoteModels => "remote_models",
            Self::LocalFirst => "local_first",
            Self::Hold => "hold",
            Self::Repair => "repair",
            Self::Apply => "apply",
            Self::DraftReplies => "draft_replies",
        }
    }

    /// What it means that it is off.
    #[must_use]
    pub const fn when_off(self) -> &'static str {
        match self {
            Self::RemoteModels => "no text goes to a remote model: the local one or people decide, SWITCHED_OFF",
            Self::LocalFirst => "the local model never answers first, whatever triage.local_first says",
            Self::Hold => "an open breaker is not waited for: the chain goes on at once",
            Self::Repair => "an answer that cannot be used is not asked for again",
            Self::Apply => "nothing is applied without a person: SELECT at most",
            Self::DraftReplies => "no drafts of replies are offered",
        }
    }

    /// The one of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<Self, UnknownFlag> {
        Self::ALL.into_iter().find(|flag| flag.name() == name).ok_or_else(|| UnknownFlag { name: name.to_owned() })
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no such flag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no flag {name:?}; there are: {}", Flag::ALL.map(Flag::name).join(", "))]
pub struct UnknownFlag {
    name: String,
}

/// Whose ticket a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// OpenFeature's targeting key, first half.
    pub tenant_id: &'a str,
    /// And the second.
    pub ticket_id: &'a str,
}

/// Who answers questions about flags.
pub trait FlagProvider: Send + Sync {
    /// This flag, for this ticket, as of now. Never fails: what cannot be known is answered with a default, and says so.
    fn evaluate(&self, flag: Flag, context: Context<'_>) -> Evaluation;
}

/// An answer, with why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Of which flag.
    pub flag: Flag,
    /// Whether the capability is there.
    pub on: bool,
    /// Why.
    pub reason: Reason,
    /// What the rule says.
    pub share: Share,
    /// Which rule it was.
    pub source: Source,
}

impl Evaluation {
    /// `on` or `off`.
    #[must_use]
    pub const fn variant(&self) -> &'static str {
        if self.on { "on" } else { "off" }
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flag, reason, share, source, .. } = self;
        write!(f, "{flag} {}: {reason}, {share} by {source}", self.variant())
    }
}

/// Why an answer is what it is, in OpenFeature's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// No rule says anything.
    Default,
    /// A rule for everybody.
    Static,
    /// A rule for this tenant.
    TargetingMatch,
    /// A share of tickets, and this one is in it or not.
    Split,
    /// The rule that should count cannot be read: the one below it counts.
    Error,
}

impl Reason {
    /// As it stands in records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "DEFAULT",
            Self::Static => "STATIC",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::Split => "SPLIT",
            Self::Error => "ERROR",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a rule stands; with its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Nowhere: flags are on.
    BuiltIn,
    /// In the settings.
    Configuration,
    /// In the ledger's database, at this revision of the trail.
    Database(u64),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("default"),
            Self::Configuration => f.write_str("configuration"),
            Self::Database(revision) => write!(f, "database, revision {revision}"),
        }
    }
}

/// Every flag of one ticket at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags([Evaluation; Flag::ALL.len()]);

impl Flags {
    /// As this provider answers now.
    #[must_use]
    pub fn of(provider: &dyn FlagProvider, context: Context<'_>) -> Self {
        Self(Flag::ALL.map(|flag| provider.evaluate(flag, context)))
    }

    /// As if there were no rules.
    #[must_use]
    pub fn without_rules() -> Self {
        Self::of(&FlagBook::default(), Context { tenant_id: "", ticket_id: "" })
    }

    /// Whether a capability is there.
    #[must_use]
    pub fn is_on(&self, flag: Flag) -> bool {
        self.0.iter().any(|evaluation| evaluation.flag == flag && evaluation.on)
    }

    /// Every answer.
    pub fn iter(&self) -> impl Iterator<Item = &Evaluation> {
        self.0.iter()
    }

    /// The answers that a rule gave; the other flags are on.
    #[must_use]
    pub fn ruled(&self) -> Vec<Evaluation> {
        self.0.iter().filter(|evaluation| evaluation.reason != Reason::Default).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_known_by_one_name_everywhere_and_an_unknown_one_is_told_the_others() {
        for flag in Flag::ALL {
            assert_eq!(Flag::named(flag.name()), Ok(flag));
            assert_eq!(serde_json::to_value(flag).expect("a name"), flag.name());
        }
        let told = Flag::named("redaction").expect_err("it may not be switched off").to_string();
        assert!(told.contains("\"redaction\"") && told.ends_with(&Flag::ALL.map(Flag::name).join(", ")), "{told}");
    }

    #[test]
    fn without_rules_everything_is_on_and_nothing_is_worth_keeping() {
        let flags = Flags::without_rules();
        assert!(Flag::ALL.into_iter().all(|flag| flags.is_on(flag)));
        assert_eq!(flags.ruled(), []);
        assert!(flags.iter().all(|evaluation| evaluation.reason == Reason::Default));
    }
}
