//! The labelled points of a batch at which the crash battery kills the process, the same in every ledger.

use super::Entry;
use crate::failpoints;

/// Which points a batch passes.
#[derive(Debug, Clone, Copy)]
pub struct KillPoints {
    claims: bool,
    answers: bool,
    verdicts: bool,
}

impl KillPoints {
    /// By what is in the batch.
    #[must_use]
    pub fn of(batch: &[Entry]) -> Self {
        let any = |kind: fn(&Entry) -> bool| batch.iter().any(kind);
        Self {
            claims: any(|entry| matches!(entry, Entry::Claim(_) | Entry::TakeOver { .. })),
            answers: any(|entry| matches!(entry, Entry::Answer { .. } | Entry::Decide { .. })),
            verdicts: any(|entry| matches!(entry, Entry::Verdict { .. } | Entry::Decide { .. })),
        }
    }

    /// Nothing of the batch has left yet.
    pub fn before(self) {
        for (passed, label) in [(self.claims, "claim_begun"), (self.answers, "save_begun")] {
            if passed {
                failpoints::hit(label);
            }
        }
    }

    /// The batch is committed, and nobody was told.
    pub fn after(self) {
        let labels =
            [(self.claims, "claim_committed"), (self.answers, "answer_saved"), (self.verdicts, "verdict_saved")];
        for (passed, label) in labels {
            if passed {
                failpoints::hit(label);
            }
        }
    }
}
