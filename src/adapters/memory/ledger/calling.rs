//! Who calls for an event, and what its call brought.

use std::sync::Arc;
use std::time::Duration;

use super::{Held, Holder};
use crate::domain::answer::Answer;
use crate::domain::clock::Timestamp;
use crate::pipeline::dedupe::ledger::Outcome;

pub(super) fn lease(held: Option<&mut Held>, lasts: Duration, me: &Holder, now: Timestamp) -> Outcome {
    let Some(held) = held.filter(|held| held.row.may_be_called_for()) else {
        return Outcome::LeasePointless;
    };
    match &held.lease {
        Some((holder, until)) if holder != me && *until > now => {
            Outcome::LeaseHeld { remaining: Duration::from_millis(until.millis_since(now).unsigned_abs()) }
        }
        _ => {
            held.lease = Some((me.clone(), now.after(lasts)));
            Outcome::LeaseGranted
        }
    }
}

/// The first answer stays, and one does not come under somebody else's lease.
pub(super) fn save_answer(
    held: &mut Held,
    answer: &Arc<Answer>,
    at: Timestamp,
    me: &Holder,
    now: Timestamp,
) -> Outcome {
    if let Some(saved) = &held.row.answer {
        return Outcome::Saved(Arc::clone(saved));
    }
    if let Some((_, until)) = held.lease.as_ref().filter(|(holder, until)| holder != me && *until > now) {
        return Outcome::LeaseHeld { remaining: Duration::from_millis(until.millis_since(now).unsigned_abs()) };
    }
    held.row.answered_at = Some(at);
    held.lease = None;
    Outcome::Saved(Arc::clone(held.row.answer.insert(Arc::clone(answer))))
}
