//! Tenants' money.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Holder, MemoryLedger};
use crate::domain::budget::{Day, Purse};
use crate::domain::clock::Timestamp;
use crate::pipeline::dedupe::ledger::purses::{CallId, Purses, Reservation, SILENT_FOR, Spending};
use crate::pipeline::dedupe::ledger::{Entry, LedgerError, Outcome, outcomes, plan};

/// What is kept of money.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf {
    purses: Purses,
    /// When each instance was last heard of.
    heard: BTreeMap<String, Timestamp>,
}

impl Shelf {
    pub fn hear(&mut self, instance: &str, now: Timestamp) {
        self.heard.insert(instance.to_owned(), now);
    }

    /// What a batch's movements came to, by their place in it.
    pub fn apply(&mut self, me: &Holder, now: Timestamp, batch: &[Entry]) -> BTreeMap<usize, Outcome> {
        self.hear(&me.instance, now);
        let movements = plan::movements(batch);
        if movements.is_empty() {
            return BTreeMap::new();
        }
        let me = outcomes::Holder { instance: me.instance.clone(), incarnation: me.incarnation.cast_signed() };
        let mut before = self.purses.clone();
        let (mut moved, waiting) = self.purses.apply_all(&me, movements.iter().copied());
        let is_gone = |id: &CallId, call: &Reservation| {
            waiting.contains(&(Arc::clone(&call.tenant), call.day)) && self.is_silent(&id.0.instance, now)
        };
        let open = before.open.iter().filter(|(id, call)| is_gone(id, call));
        let gone: BTreeMap<_, _> = open.map(|(id, call)| (id.clone(), call.clone())).collect();
        if !gone.is_empty() {
            (self.purses, moved) = before.again_without(gone, &me, movements);
        }
        moved.into_iter().map(|(place, moved)| (place, Outcome::Moved(moved))).collect()
    }

    fn is_silent(&self, instance: &str, now: Timestamp) -> bool {
        self.heard.get(instance).is_none_or(|at| *at <= now.before(SILENT_FOR))
    }
}

impl Spending for MemoryLedger {
    fn spent<'a>(&'a self, tenant: &'a str, day: Day) -> BoxFuture<'a, Result<Purse, LedgerError>> {
        Box::pin(async move { Ok(self.rows.lock().purses.purses.purse(&tenant.into(), day)) })
    }
}
