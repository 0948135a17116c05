//! Decisions, kept to be joined with feedback.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::MemoryLedger;
use crate::domain::clock::Timestamp;
use crate::domain::past_decision::{DecisionQuestion, PastDecision};
use crate::pipeline::dedupe::ledger::LedgerError;
use crate::pipeline::dedupe::ledger::decision_index::DecisionIndex;

/// By id.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf(BTreeMap<String, Arc<PastDecision>>);

impl Shelf {
    /// The same decision anew is one whose first owner vanished before it was published.
    pub(super) fn remember(&mut self, decision: Option<&Arc<PastDecision>>) {
        if let Some(decision) = decision {
            self.0.insert(decision.decision_id.clone(), Arc::clone(decision));
        }
    }

    pub(super) fn recall(&self, question: &DecisionQuestion) -> Option<Arc<PastDecision>> {
        let meant = self.0.values().filter(|decision| question.is_about(decision));
        meant.max_by_key(|decision| (decision.decided_at, &decision.decision_id)).cloned()
    }

    fn forget(&mut self, decided_before: Timestamp, limit: u32) -> u64 {
        let old = self.0.values().filter(|decision| decision.decided_at < decided_before);
        let mut old: Vec<_> = old.map(|decision| (decision.decided_at, decision.decision_id.clone())).collect();
        old.sort_unstable();
        old.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        for (_, id) in &old {
            self.0.remove(id);
        }
        old.len() as u64
    }
}

impl DecisionIndex for MemoryLedger {
    fn forget_decisions(&self, decided_before: Timestamp, limit: u32) -> BoxFuture<'_, Result<u64, LedgerError>> {
        Box::pin(async move { Ok(self.rows.lock().decisions.forget(decided_before, limit)) })
    }
}
