//! Every finished input has exactly one terminal, that speaks of it; what is not finished has none.

use std::collections::BTreeSet;

use super::super::Input;
use super::super::case::{Case, Place, Standing, place};
use super::super::finding::Invariant;
use super::super::report::Report;
use crate::domain::feedback::{EventFeedback, FeedbackStatus};
use crate::domain::position::TopicRole;
use crate::domain::reason_code::STATUS_AND_CODES;

pub(in super::super) fn terminals(case: &Case<'_>, report: &mut Report) {
    let mut named = BTreeSet::new();
    for seen in &case.history.feedback {
        let feedback = &seen.record;
        if feedback.terminal {
            *report.by_code.entry((feedback.status, feedback.reason_code.clone())).or_default() += 1;
        }
        let at = format!("feedback at {}@{}", seen.partition, seen.offset);
        words(feedback, &at, report);
        let Some(place) = place(&feedback.origin) else {
            report.find(Invariant::Provenance, format!("{at} has no origin"));
            continue;
        };
        if seen.partition != place.0 {
            report.find(Invariant::Order, format!("{at} speaks of {}@{}, in another partition", place.0, place.1));
        }
        match case.inputs.get(&place) {
            Some(event) => subject(feedback, *event, place, report),
            None if case.standing(place) == Standing::Gone => {}
            None => {
                report.find(Invariant::Complete, format!("{at} is for {}@{}, which does not exist", place.0, place.1))
            }
        }
        if feedback.terminal && !named.insert(place) {
            report.twice += 1;
            report.find(Invariant::Unique, format!("two terminals for {}@{}", place.0, place.1));
        }
    }
    finished(case, report);
}

/// Status and code are a pair of the contract, and only a deferral is no end.
fn words(feedback: &EventFeedback, at: &str, report: &mut Report) {
    let codes = STATUS_AND_CODES.iter().find(|(status, _)| *status == feedback.status).map(|(_, codes)| *codes);
    if !codes.unwrap_or_default().iter().any(|code| code.as_str() == feedback.reason_code) {
        let pair = format!("{:?} / {}", feedback.status, feedback.reason_code);
        report.find(Invariant::Complete, format!("{at} says {pair}, which the contract does not know"));
    }
    if feedback.terminal == (feedback.status == FeedbackStatus::Deferred) {
        report.find(Invariant::Complete, format!("{at} is {:?} and terminal: {}", feedback.status, feedback.terminal));
    }
}

/// It names the event that stands there; without a name only for a record in which none could be trusted.
fn subject(feedback: &EventFeedback, event: Option<&Input>, place: Place, report: &mut Report) {
    let same = match (event, &feedback.event_id) {
        (_, None) => feedback.status == FeedbackStatus::Rejected && feedback.tenant_id.is_none(),
        (None, Some(_)) => false,
        (Some(event), Some(event_id)) => {
            *event_id == event.event_id
                && feedback.event_source.as_deref() == Some(&event.source)
                && feedback.tenant_id.as_deref() == Some(&event.tenant_id)
                && feedback.ticket_id.as_deref() == Some(&event.ticket_id)
        }
    };
    if !same {
        let what = format!("the feedback for {}@{} does not speak of the event there", place.0, place.1);
        report.find(Invariant::Provenance, what);
    }
}

fn finished(case: &Case<'_>, report: &mut Report) {
    for place in case.inputs.keys() {
        let is_deferred = case.deferred.contains(place);
        match (case.standing(*place), case.terminals.contains_key(place)) {
            (Standing::Open, _) if is_deferred => report.find(
                Invariant::Metadata,
                format!("{}@{} was put off, and its committed position does not know", place.0, place.1),
            ),
            (Standing::Finished, false) if case.may_be_taken(TopicRole::Feedback, *place) => {}
            // It comes back.
            (Standing::Finished, false) if is_deferred => report.open += 1,
            (Standing::Finished, false) => {
                report.missing += 1;
                report.find(Invariant::Complete, format!("{}@{} is finished and has no terminal", place.0, place.1));
            }
            (Standing::Open, true) => report.find(
                Invariant::Metadata,
                format!("{}@{} has a terminal that its committed position does not know", place.0, place.1),
            ),
            (Standing::Open | Standing::Meanwhile, false) => report.open += 1,
            (Standing::Finished | Standing::Meanwhile, true) | (Standing::Gone, _) => {}
        }
    }
}
