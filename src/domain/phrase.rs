//! Words that a policy looks for in tickets.

use serde::{Deserialize, Serialize};

use super::text::folded;

/// As it was written, and as it compares: folded once, not again with every ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Phrase {
    written: String,
    folded: String,
}

impl Phrase {
    /// As its tenant wrote it.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// As it stands in a [`folded`] text.
    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }
}

impl From<String> for Phrase {
    fn from(written: String) -> Self {
        Self { folded: folded(&written), written }
    }
}

impl From<&str> for Phrase {
    fn from(written: &str) -> Self {
        written.to_owned().into()
    }
}

impl From<Phrase> for String {
    fn from(phrase: Phrase) -> Self {
        phrase.written
    }
}
