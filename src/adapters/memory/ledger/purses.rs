//! Tenants' money.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;

use super::{Holder, MemoryLedger};
use crate::domain::budget::{Day, Purse};
use crate::pipeline::dedupe::ledger::purses::{Purses, Spending};
use crate::pipeline::dedupe::ledger::{Entry, LedgerError, Outcome, outcomes, plan};

/// What a batch's movements came to, by their place in it.
pub(super) fn apply(purses: &mut Purses, me: &Holder, batch: &[Entry]) -> BTreeMap<usize, Outcome> {
    let me = outcomes::Holder { instance: me.instance.clone(), incarnation: me.incarnation.cast_signed() };
    let movements = plan::movements(batch).into_iter();
    movements.map(|(place, movement)| (place, Outcome::Moved(purses.apply(&me, movement)))).collect()
}

impl Spending for MemoryLedger {
    fn spent<'a>(&'a self, tenant: &'a str, day: Day) -> BoxFuture<'a, Result<Purse, LedgerError>> {
        Box::pin(async move { Ok(self.rows.lock().purses.purse(&tenant.into(), day)) })
    }
}
