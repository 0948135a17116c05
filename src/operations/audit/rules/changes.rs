//! A review of what an agent changed comes with the end of the event that changed it, once, and speaks of it.
//!
//! Which events must have one cannot be told from outside: whether there was a decision to judge is the ledger's knowledge.

use std::collections::BTreeSet;

use super::super::case::{Case, place};
use super::super::finding::Invariant;
use super::super::report::Report;
use crate::domain::feedback::FeedbackStatus;

pub(in super::super) fn changes(case: &Case<'_>, report: &mut Report) {
    let mut found = BTreeSet::new();
    for seen in &case.history.changes_reviewed {
        let review = &seen.record;
        let at = format!("the review at {}@{}", seen.partition, seen.offset);
        let Some(place) = place(&review.origin) else {
            report.find(Invariant::Provenance, format!("{at} has no origin"));
            continue;
        };
        let of = format!("{}@{}", place.0, place.1);
        if seen.partition != place.0 {
            report.find(Invariant::Order, format!("{at} speaks of {of}, in another partition"));
        }
        if !found.insert(place) {
            report.twice += 1;
            report.find(Invariant::Unique, format!("two reviews of the changes at {of}"));
        }
        if case.is_torn(place) {
            report.find(Invariant::Atomic, format!("{at} came without the terminal of {of}"));
        }
        // A copy's changes are the first one's.
        if case.terminals.get(&place).is_some_and(|terminal| terminal.status != FeedbackStatus::Ignored) {
            report.find(Invariant::Unique, format!("{at} reviews {of}, which did not end as IGNORED"));
        }
        let speaks_of_it = case.inputs.get(&place).is_none_or(|event| {
            event.is_some_and(|event| {
                (&event.tenant_id, &event.ticket_id, &event.event_id)
                    == (&review.tenant_id, &review.ticket_id, &review.feedback_id)
            })
        });
        if !speaks_of_it {
            report.find(Invariant::Provenance, format!("{at} does not speak of the event at {of}"));
        }
    }
}
