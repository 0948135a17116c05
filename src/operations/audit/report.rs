//! The verdict on a history.

use std::collections::BTreeMap;
use std::fmt;

use super::finding::{Finding, Invariant};
use crate::domain::feedback::FeedbackStatus;

/// Findings beyond this many are counted, not kept.
const MAX_FINDINGS: usize = 100;

/// What was counted, and what is wrong.
#[derive(Debug, Default)]
pub struct Report {
    /// Records of the events topic.
    pub records: u64,
    /// Terminal feedback records.
    pub terminals: u64,
    /// Live decisions.
    pub decisions: u64,
    /// Of those: better ones after a fallback's.
    pub better: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Records of the topic of human feedback.
    pub human_feedback: u64,
    /// Reviews of it.
    pub reviews: u64,
    /// Reviews of what agents changed by hand.
    pub changes_reviewed: u64,
    /// Terminals by status and code.
    pub by_code: BTreeMap<(FeedbackStatus, String), u64>,
    /// Finished by the committed position, without an output.
    pub missing: u64,
    /// Not finished yet.
    pub open: u64,
    /// Terminals or decisions that exist twice.
    pub twice: u64,
    /// Decisions of a ticket against log order.
    pub out_of_order: u64,
    /// Provider calls seen.
    pub calls: u64,
    /// Calls begun after that event's answer was saved.
    pub paid_twice: u64,
    /// Answers that were sent whole and never saved: a crash between reply and save.
    pub calls_lost: u64,
    /// Calls that began and whose reply never came to us: a crash or a timeout of ours in the middle of them, the
    /// provider's end, or calls that go on yet. The provider may have billed them.
    pub calls_cut_off: u64,
    /// The first violations.
    pub findings: Vec<Finding>,
    /// How many there are.
    pub violations: u64,
}

impl Report {
    pub(super) fn find(&mut self, invariant: Invariant, what: String) {
        self.violations += 1;
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { invariant, what });
        }
    }

    /// For scripts.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let by_code: Vec<_> = self
            .by_code
            .iter()
            .map(|((status, code), count)| serde_json::json!({"status": status, "code": code, "count": count}))
            .collect();
        serde_json::json!({
            "records": self.records, "terminals": self.terminals, "decisions": self.decisions, "better": self.better,
            "dead_letters": self.dead_letters, "by_code": by_code, "missing": self.missing, "open": self.open,
            "twice": self.twice, "out_of_order": self.out_of_order, "paid_twice": self.paid_twice,
            "human_feedback": self.human_feedback, "reviews": self.reviews,
            "changes_reviewed": self.changes_reviewed,
            "calls": self.calls, "calls_lost": self.calls_lost, "calls_cut_off": self.calls_cut_off,
            "violations": self.violations,
            "findings": self.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }

    /// No promise was broken.
    #[must_use]
    pub fn is_green(&self) -> bool {
        self.violations == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((status, code), count) in &self.by_code {
            let status = format!("{status:?}").to_uppercase();
            writeln!(f, "  {status:<11} {code:<22} {count:>8}")?;
        }
        for finding in &self.findings {
            writeln!(f, "  VIOLATION   {finding}")?;
        }
        write!(
            f,
            "records {}, terminals {}, decisions {} ({} of them better ones), feedback of people {}, reviews {}, of changes {}, missing {}, open {}, twice {}, out of order {}, paid twice {}, calls {}, lost in crashes {}, cut off {}, violations {}",
            self.records,
            self.terminals,
            self.decisions,
            self.better,
            self.human_feedback,
            self.reviews,
            self.changes_reviewed,
            self.missing,
            self.open,
            self.twice,
            self.out_of_order,
            self.paid_twice,
            self.calls,
            self.calls_lost,
            self.calls_cut_off,
            self.violations
        )
    }
}
