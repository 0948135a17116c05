//! Which lot a ticket drew where flags are on for a share of tickets only: named in the decision, so that whoever compares
//! outcomes knows which tickets had what.

use crate::domain::answer::Answer;
use crate::domain::flags::Reason;

/// Flags that were split, and this ticket's side of each, in the same order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Experiment {
    /// Names, separated by commas.
    pub flags: String,
    /// `on` or `off` for each.
    pub variants: String,
}

/// If there were any.
#[must_use]
pub fn of(answer: &Answer) -> Option<Experiment> {
    let split: Vec<_> = answer.flags.iter().filter(|evaluation| evaluation.reason == Reason::Split).collect();
    if split.is_empty() {
        return None;
    }
    let flags: Vec<_> = split.iter().map(|evaluation| evaluation.flag.name()).collect();
    let variants: Vec<_> = split.iter().map(|evaluation| evaluation.variant()).collect();
    Some(Experiment { flags: flags.join(","), variants: variants.join(",") })
}
