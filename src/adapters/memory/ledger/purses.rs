//! Tenants' money.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Holder, MemoryLedger};
use crate::domain::budget::{Day, Purse};
use crate::domain::clock::Timestamp;
use crate::pipeline::dedupe::ledger::purses::{CallId, Purses, Reservation, SILENT_FOR, Spending};
use crate::pipeline::dedupe::ledger::{Entry, LedgerError, Outcome, outcomes, plan};

/// When each instance was last heard of.
pub(super) type Heard = BTreeMap<String, Timestamp>;

/// What a batch's movements came to, by their place in it.
pub(super) fn apply(
    (purses, heard): (&mut Purses, &Heard),
    me: &Holder,
    now: Timestamp,
    batch: &[Entry],
) -> BTreeMap<usize, Outcome> {
    let me = outcomes::Holder { instance: me.instance.clone(), incarnation: me.incarnation.cast_signed() };
    let before = purses.clone();
    let (mut moved, waiting) = purses.apply_all(&me, plan::movements(batch));
    let is_silent = |instance: &String| heard.get(instance).is_none_or(|at| *at <= now.before(SILENT_FOR));
    let is_gone = |(id, call): &(&CallId, &Reservation)| {
        let (holder, _) = id;
        holder.instance != me.instance
            && is_silent(&holder.instance)
            && waiting.contains(&(Arc::clone(&call.tenant), call.day))
    };
    let gone: Vec<CallId> = before.open.iter().filter(is_gone).map(|(id, _)| id.clone()).collect();
    if !gone.is_empty() {
        *purses = before;
        purses.give_up(&gone);
        (moved, _) = purses.apply_all(&me, plan::movements(batch));
    }
    moved.into_iter().map(|(place, moved)| (place, Outcome::Moved(moved))).collect()
}

impl Spending for MemoryLedger {
    fn spent<'a>(&'a self, tenant: &'a str, day: Day) -> BoxFuture<'a, Result<Purse, LedgerError>> {
        Box::pin(async move { Ok(self.rows.lock().purses.purse(&tenant.into(), day)) })
    }
}
