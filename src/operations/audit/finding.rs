//! What can be wrong.

use std::fmt;

/// The promise that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Every record has exactly one terminal, and what belongs to it; nothing else exists.
    Complete,
    /// No (dedupe key, decision version) twice, no terminal twice.
    Unique,
    /// Per ticket, source positions of decisions strictly increase.
    Order,
    /// Outputs of one record come together.
    Atomic,
    /// Committed offset and finished set are the source offsets present in the outputs.
    Metadata,
    /// An output speaks of its own input.
    Provenance,
    /// No provider call starts after that event's answer was saved.
    PaidOnce,
}

/// One violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which promise.
    pub invariant: Invariant,
    /// Where, in words.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.what)
    }
}
