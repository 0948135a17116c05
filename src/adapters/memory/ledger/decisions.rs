//! Decisions, kept to be joined with feedback.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::MemoryLedger;
use crate::domain::better::Dropped;
use crate::domain::clock::Timestamp;
use crate::domain::past_decision::{DecisionQuestion, OvertakenQuestion, PastDecision};
use crate::pipeline::dedupe::ledger::LedgerError;
use crate::pipeline::dedupe::ledger::decision_index::DecisionIndex;

/// By id.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf {
    decisions: BTreeMap<String, Arc<PastDecision>>,
    /// Those that a person has acted on.
    acted_on: BTreeSet<String>,
}

impl Shelf {
    /// The same decision anew is one whose first owner vanished before it was published.
    pub(super) fn remember(&mut self, decision: Option<&Arc<PastDecision>>) {
        if let Some(decision) = decision {
            self.decisions.insert(decision.decision_id.clone(), Arc::clone(decision));
        }
    }

    pub(super) fn recall(&self, question: &DecisionQuestion) -> Option<Arc<PastDecision>> {
        let meant = self.decisions.values().filter(|decision| question.is_about(decision));
        meant.max_by_key(|decision| (decision.decided_at, &decision.decision_id)).cloned()
    }

    pub(super) fn acted_on(&mut self, tenant_id: &str, ticket_id: &str, decision_id: Option<&str>) {
        let is_meant = |decision: &&Arc<PastDecision>| {
            (&*decision.tenant_id, &*decision.ticket_id) == (tenant_id, ticket_id)
                && decision_id.is_none_or(|id| decision.decision_id == id)
        };
        let meant = self.decisions.values().filter(is_meant).map(|decision| decision.decision_id.clone());
        self.acted_on.extend(meant);
    }

    pub(super) fn overtaken(&self, question: &OvertakenQuestion) -> Option<Dropped> {
        let OvertakenQuestion { tenant_id, ticket_id, .. } = question;
        let of_ticket = self
            .decisions
            .values()
            .filter(|decision| (&decision.tenant_id, &decision.ticket_id) == (tenant_id, ticket_id));
        question.answer(of_ticket.map(|decision| (&**decision, self.acted_on.contains(&decision.decision_id))))
    }

    fn forget(&mut self, decided_before: Timestamp, limit: u32) -> u64 {
        let old = self.decisions.values().filter(|decision| decision.decided_at < decided_before);
        let mut old: Vec<_> = old.map(|decision| (decision.decided_at, decision.decision_id.clone())).collect();
        old.sort_unstable();
        old.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        for (_, id) in &old {
            self.decisions.remove(id);
            self.acted_on.remove(id);
        }
        old.len() as u64
    }
}

impl DecisionIndex for MemoryLedger {
    fn forget_decisions(&self, decided_before: Timestamp, limit: u32) -> BoxFuture<'_, Result<u64, LedgerError>> {
        Box::pin(async move { Ok(self.rows.lock().decisions.forget(decided_before, limit)) })
    }
}
