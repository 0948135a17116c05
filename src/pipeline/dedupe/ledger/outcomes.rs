//! What an entry came to, told from what its statement did: the same in every ledger that is a database.
//!
//! A statement that changed as many rows as it had entries did the usual thing for each. Otherwise the outcome of every
//! entry can be read off its row *after* the statement, because each statement leaves a mark that tells (the owner, the
//! lease's holder, the text that was first).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Ahead, Entry, Outcome, Row};
use crate::domain::better::Dropped;
use crate::domain::past_decision::PastDecision;
use crate::domain::position::Position;

/// Who calls: an instance in one of its lives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Its name.
    pub instance: String,
    /// The bits of an unsigned number; databases know signed ones only.
    pub incarnation: i64,
}

/// A row with what the port does not show.
#[derive(Debug, Clone)]
pub struct Held {
    /// The row.
    pub row: Arc<Row>,
    /// Who calls for it, and for how long still at most; one that ran out counts until somebody else takes it.
    pub lease: Option<(Holder, Duration)>,
}

/// The outcome of an entry whose row was changed by it; `None`: only the row can tell.
#[must_use]
pub fn usual(entry: &Entry) -> Option<Outcome> {
    match entry {
        // A later hop may have changed the row instead of having inserted it.
        Entry::Claim(claim) => (claim.hop == 0).then(|| Outcome::Row(Arc::new(Row::left_by(claim)))),
        Entry::Lease { .. } => Some(Outcome::LeaseGranted),
        Entry::Answer { answer, .. } => Some(Outcome::Saved(Arc::clone(answer))),
        Entry::Verdict { verdict, .. } | Entry::Decide { verdict, .. } => Some(Outcome::Reached(Arc::clone(verdict))),
        Entry::Defer { .. } | Entry::Release { .. } | Entry::Published { .. } | Entry::Restore(_) => {
            Some(Outcome::Done)
        }
        _ => None,
    }
}

/// What the entry came to, now that its row looks like this; `None`: the database broke a promise, or (an answer that was
/// kept away) the row has changed since.
#[must_use]
pub fn read_off(entry: &Entry, held: Option<&Held>, me: &Holder) -> Option<Outcome> {
    let owned = |owner: &Position| held.filter(|held| held.row.owner == *owner);
    match entry {
        Entry::Claim(_) | Entry::TakeOver { .. } => Some(Outcome::Row(Arc::clone(&held?.row))),
        Entry::Lease { owner, .. } => Some(lease(owned(owner), me)),
        Entry::Answer { owner, .. } => match owned(owner) {
            Some(held) => answer(held, me),
            None => Some(Outcome::NotOwner),
        },
        Entry::Decide { owner, .. } => match owned(owner) {
            Some(held) => held.row.verdict.clone().map(Outcome::Reached).or_else(|| answer(held, me)),
            None => Some(Outcome::NotOwner),
        },
        Entry::Verdict { owner, .. } => match owned(owner) {
            Some(held) => held.row.verdict.clone().map(Outcome::Reached),
            None => Some(Outcome::NotOwner),
        },
        Entry::Restore(_) => Some(Outcome::Done),
        Entry::Defer { owner, .. } => Some(
            owned(owner)
                .map_or(Outcome::NotOwner, |held| held.row.verdict.clone().map_or(Outcome::Done, Outcome::Reached)),
        ),
        Entry::Release { owner, .. } | Entry::Published { owner, .. } => {
            Some(owned(owner).map_or(Outcome::NotOwner, |_| Outcome::Done))
        }
        _ => None,
    }
}

/// Adds to the rows that answer a batch's claims what is put off ahead of each: `ahead` by the claim's place among the
/// [claims](super::plan::claims) of the batch.
pub fn look_ahead(batch: &[Entry], outcomes: &mut [Outcome], ahead: Vec<(usize, Ahead)>) {
    let is_claim = |entry: &Entry| matches!(entry, Entry::Claim(_) | Entry::TakeOver { .. });
    let places: Vec<usize> = (0..batch.len()).filter(|index| is_claim(&batch[*index])).collect();
    for (place, ahead) in ahead {
        if let Some(Outcome::Row(row)) = places.get(place).and_then(|index| outcomes.get_mut(*index)) {
            Arc::make_mut(row).ahead = Some(ahead);
        }
    }
}

/// What was found in answer to a batch's [questions](super::plan::questions), by place in the batch.
#[derive(Debug, Default)]
pub struct Found {
    /// Decisions that are meant.
    pub recalled: HashMap<usize, Arc<PastDecision>>,
    /// What speaks against better ones.
    pub overtaken: HashMap<usize, Dropped>,
}

/// Adds the answers to a batch's questions, which are in no step.
#[must_use]
pub fn with_found(batch: &[Entry], outcomes: Vec<Option<Outcome>>, mut found: Found) -> Vec<Outcome> {
    let outcome = |(index, outcome): (usize, Option<Outcome>)| match &batch[index] {
        Entry::Recall(_) => Outcome::Recalled(found.recalled.remove(&index)),
        Entry::Overtaken(_) => Outcome::Overtaken(found.overtaken.remove(&index)),
        _ => outcome.expect("a plan has every entry but questions in a step"),
    };
    outcomes.into_iter().enumerate().map(outcome).collect()
}

/// The answer that is saved, or the lease that kept ours away.
fn answer(held: &Held, me: &Holder) -> Option<Outcome> {
    if let Some(answer) = &held.row.answer {
        return Some(Outcome::Saved(Arc::clone(answer)));
    }
    let (_, remaining) = held.lease.as_ref().filter(|(holder, _)| holder != me)?;
    Some(Outcome::LeaseHeld { remaining: *remaining })
}

fn lease(held: Option<&Held>, me: &Holder) -> Outcome {
    match held {
        Some(Held { row, lease: Some((holder, remaining)) }) if row.may_be_called_for() => {
            if holder == me {
                Outcome::LeaseGranted
            } else {
                Outcome::LeaseHeld { remaining: *remaining }
            }
        }
        _ => Outcome::LeasePointless,
    }
}
