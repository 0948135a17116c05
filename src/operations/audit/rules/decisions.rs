//! Who was decided has a decision of that very event, once as long as it is remembered; who was not has none.

use std::collections::HashMap;

use super::super::case::{Case, Standing, identity_of_decision, identity_of_event, place};
use super::super::finding::Invariant;
use super::super::report::Report;
use crate::domain::decision::TriageDecision;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::position::TopicRole;

pub(in super::super) fn decisions(case: &Case<'_>, report: &mut Report) {
    each(case, report);
    with_their_terminals(case, report);
}

fn each(case: &Case<'_>, report: &mut Report) {
    let mut decided: HashMap<_, Vec<&TriageDecision>> = HashMap::new();
    for seen in &case.history.decisions {
        let decision = &seen.record;
        let before = decided.entry((identity_of_decision(decision), decision.decision_version)).or_default();
        let is_again = |before: &&TriageDecision| {
            place(&before.origin) == place(&decision.origin)
                || case.history.are_too_close(before.decided_at, decision.decided_at)
        };
        if before.iter().any(is_again) {
            report.twice += 1;
            report.find(Invariant::Unique, format!("event {} was decided twice", decision.event_id));
        }
        before.push(decision);
        let Some(place) = place(&decision.origin) else {
            report.find(Invariant::Provenance, format!("decision {} has no origin", decision.decision_id));
            continue;
        };
        if seen.partition != place.0 {
            let what = format!("the decision of {}@{} went to partition {}", place.0, place.1, seen.partition);
            report.find(Invariant::Order, what);
        }
        if case.standing(place) == Standing::Gone {
            continue;
        }
        let event = case.inputs.get(&place).copied().flatten();
        let same = event.is_some_and(|event| {
            identity_of_event(event) == identity_of_decision(decision)
                && event.ticket_id == decision.ticket_id
                && event.event_id == decision.event_id
        });
        if !same {
            let id = &decision.decision_id;
            let what = format!("decision {id} does not speak of the event at {}@{}", place.0, place.1);
            report.find(Invariant::Provenance, what);
        }
    }
}

fn with_their_terminals(case: &Case<'_>, report: &mut Report) {
    for (place, feedback) in &case.terminals {
        let decisions = case.decisions.get(place).map(Vec::as_slice).unwrap_or_default();
        let may_be_taken = case.may_be_taken(TopicRole::Decisions, *place);
        let named = |id: &String| decisions.iter().any(|decision| decision.decision_id == *id);
        match feedback.status {
            // A better one may be left of two.
            FeedbackStatus::Accepted | FeedbackStatus::Degraded if may_be_taken => {}
            FeedbackStatus::Accepted | FeedbackStatus::Degraded if decisions.is_empty() => {
                report.missing += 1;
                report.find(Invariant::Complete, format!("{}@{} is decided but has no decision", place.0, place.1));
            }
            FeedbackStatus::Accepted | FeedbackStatus::Degraded => {
                if !feedback.decision_id.as_ref().is_some_and(named) {
                    let what = format!("feedback and decision of {}@{} name different ids", place.0, place.1);
                    report.find(Invariant::Complete, what);
                }
            }
            _ if decisions.is_empty() => {}
            status => {
                report.find(Invariant::Complete, format!("{}@{} is {status:?} and has a decision", place.0, place.1));
            }
        }
    }
    for place in case.decisions.keys().filter(|place| case.is_torn(**place)) {
        report.find(Invariant::Atomic, format!("a decision for {}@{} without a terminal", place.0, place.1));
    }
}
