//! A ledger that remembers nothing, for `ledger.enabled = false`.
//!
//! Every claim is the first, every lease is granted, every answer and verdict is the one that is handed in. Offsets and
//! finished sets still keep results exactly once per record; what is lost is dedupe across records, and answers paid for
//! before a crash.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;

use super::ledger::decision_index::DecisionIndex;
use super::ledger::outcomes::Holder;
use super::ledger::places::{Counted, Entered, Mark, Places};
use super::ledger::purses::{Purses, Spending};
use super::ledger::{Claim, Entry, Ledger, LedgerError, Outcome, Row};
use crate::domain::budget::{Day, Purse};
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::identity::DedupeKey;
use crate::domain::position::TopicRole;

/// Remembers nothing.
pub struct NoLedger {
    clock: Arc<dyn Clock>,
    /// What this process has spent: a budget holds from its start on, and for it alone.
    purses: Mutex<Purses>,
}

impl NoLedger {
    /// The clock dates the rows it pretends to have.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, purses: Mutex::default() }
    }

    fn purses(&self) -> MutexGuard<'_, Purses> {
        self.purses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outcome(&self, entry: Entry) -> Outcome {
        match entry {
            Entry::Claim(claim) | Entry::TakeOver { claim, .. } => Outcome::Row(Arc::new(self.row(&claim))),
            Entry::Money(movement) => Outcome::Moved(self.purses().apply(&nobody(), &movement)),
            Entry::Lease { .. } => Outcome::LeaseGranted,
            Entry::Answer { answer, .. } => Outcome::Saved(answer),
            Entry::Verdict { verdict, .. } | Entry::Decide { verdict, .. } => Outcome::Reached(verdict),
            Entry::Recall(_) => Outcome::Recalled(None),
            Entry::Overtaken(_) => Outcome::Overtaken(None),
            Entry::Defer { .. }
            | Entry::Release { .. }
            | Entry::Published { .. }
            | Entry::ActedOn { .. }
            | Entry::Stands { .. }
            | Entry::Recovered(_)
            | Entry::Restore(_) => Outcome::Done,
            // What a ledger knew before is not missed by one that remembers nothing.
            Entry::Enter { last, .. } => {
                let batches = last.map_or(0, |last| last.mark.batches());
                Outcome::Entered(Entered { stood_at: None, batches })
            }
            Entry::Mark { .. } => Outcome::Marked(Mark::NONE),
            Entry::Vanished { .. } | Entry::RepairPublished { .. } => Outcome::Changed(0),
        }
    }

    fn row(&self, claim: &Claim) -> Row {
        Row { first_seen_at: self.clock.now(), ..Row::left_by(claim) }
    }
}

impl Places for NoLedger {
    fn bind<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<String, LedgerError>> {
        Box::pin(std::future::ready(Ok(group.to_owned())))
    }

    fn topic<'a>(&'a self, _: TopicRole, topic_id: &'a str) -> BoxFuture<'a, Result<String, LedgerError>> {
        Box::pin(std::future::ready(Ok(topic_id.to_owned())))
    }

    fn recreated<'a>(&'a self, _: TopicRole, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<u64, LedgerError>> {
        Box::pin(std::future::ready(Ok(0)))
    }

    fn writer<'a>(&'a self, _: &'a str, _: u32) -> BoxFuture<'a, Result<Option<String>, LedgerError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn counted<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Counted>, LedgerError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn count<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a Counted>,
        to: &'a Counted,
    ) -> BoxFuture<'a, Result<Counted, LedgerError>> {
        Box::pin(std::future::ready(Ok(to.clone())))
    }

    fn first_open<'a>(&'a self, _: &'a str, _: u32) -> BoxFuture<'a, Result<Option<u64>, LedgerError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// There is only one here.
fn nobody() -> Holder {
    Holder { instance: String::new(), incarnation: 0 }
}

impl Spending for NoLedger {
    fn spent<'a>(&'a self, tenant: &'a str, day: Day) -> BoxFuture<'a, Result<Purse, LedgerError>> {
        Box::pin(std::future::ready(Ok(self.purses().purse(&tenant.into(), day))))
    }
}

impl DecisionIndex for NoLedger {
    fn forget_decisions(&self, _: Timestamp, _: u32) -> BoxFuture<'_, Result<u64, LedgerError>> {
        Box::pin(std::future::ready(Ok(0)))
    }
}

impl Ledger for NoLedger {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'_, Result<Vec<Outcome>, LedgerError>> {
        let outcomes = entries.into_iter().map(|entry| self.outcome(entry)).collect();
        Box::pin(std::future::ready(Ok(outcomes)))
    }

    fn find_all(&self, _: Vec<DedupeKey>) -> BoxFuture<'_, Result<HashMap<DedupeKey, Row>, LedgerError>> {
        Box::pin(std::future::ready(Ok(HashMap::new())))
    }

    fn forget(&self, _: Timestamp, _: Timestamp, _: u32) -> BoxFuture<'_, Result<u64, LedgerError>> {
        Box::pin(std::future::ready(Ok(0)))
    }
}
