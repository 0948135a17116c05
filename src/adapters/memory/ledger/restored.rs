//! What the log tells of a row that is not known, or known less well.

use std::sync::Arc;

use super::{Held, Map};
use crate::domain::feedback::FeedbackStatus;
use crate::pipeline::dedupe::ledger::Row;
use crate::pipeline::dedupe::ledger::restored::{Restored, rank};

/// A row that was published stays if it ranks as high.
pub(super) fn restore(rows: &mut Map, Restored { claim, verdict, published_at, .. }: &Restored) {
    let known = rows.get(&claim.key);
    let published = known.and_then(|held| held.row.published_at.map(|at| rank(held.row.verdict.as_deref(), at)));
    if published.is_some_and(|published| published >= rank(Some(verdict), *published_at)) {
        return;
    }
    let rejected_at = (verdict.status == FeedbackStatus::Rejected).then_some(verdict.processed_at);
    let rejected_at = rejected_at.or(known.and_then(|held| held.rejected_at));
    let same_owner = known.filter(|held| held.row.owner == claim.position).map(|held| &held.row);
    let row = Row {
        answer: same_owner.and_then(|row| row.answer.clone()),
        answered_at: same_owner.and_then(|row| row.answered_at),
        first_seen_at: known.map_or(claim.at, |held| held.row.first_seen_at),
        verdict: Some(Arc::clone(verdict)),
        published_at: Some(*published_at),
        rejected: rejected_at.is_some(),
        ..Row::left_by(claim)
    };
    rows.insert(claim.key, Held { row, rejected_at, lease: None, deferred_ticket: None, is_put_off: false });
}
