//! Who ended because of another event names one that is there: the newer one that was decided instead, the first of
//! which it is a copy.

use std::collections::{BTreeMap, HashSet};

use super::super::Input;
use super::super::case::{Case, Identity, Place, Standing, identity_of_event};
use super::super::finding::Invariant;
use super::super::report::Report;
use crate::domain::feedback::{EventFeedback, FeedbackStatus};
use crate::domain::position::TopicRole;
use crate::domain::reason_code::ReasonCode;

pub(in super::super) fn others(case: &Case<'_>, report: &mut Report) {
    let known = Known::of(case);
    for (place, feedback) in &case.terminals {
        // An input that is gone or cannot be read is for the other rules.
        let Some(event) = case.inputs.get(place).copied().flatten() else { continue };
        match feedback.status {
            FeedbackStatus::Superseded => known.superseded(*place, event, feedback, report),
            FeedbackStatus::Duplicate => known.copy(case, *place, event, feedback, report),
            _ if feedback.reason_code == ReasonCode::IdempotencyConflict.as_str() => {
                known.copy(case, *place, event, feedback, report);
            }
            _ => {}
        }
    }
}

struct Known<'a> {
    /// Tenant and event id of what was decided.
    decided: HashSet<(&'a str, &'a str)>,
    /// Tenant and event id of inputs whose decisions retention may have taken.
    maybe_decided: HashSet<(&'a str, &'a str)>,
    decision_ids: HashSet<&'a str>,
    copies: BTreeMap<Identity<'a>, Vec<Place>>,
}

impl<'a> Known<'a> {
    fn of(case: &Case<'a>) -> Self {
        let decisions = || case.history.decisions.iter().map(|seen| &seen.record);
        let mut copies: BTreeMap<Identity<'a>, Vec<Place>> = BTreeMap::new();
        for (place, event) in &case.inputs {
            if let Some(event) = event {
                copies.entry(identity_of_event(event)).or_default().push(*place);
            }
        }
        let taken = case.inputs.iter().filter(|(place, _)| case.may_be_taken(TopicRole::Decisions, **place));
        Self {
            maybe_decided: taken
                .filter_map(|(_, event)| event.map(|event| (&*event.tenant_id, &*event.event_id)))
                .collect(),
            decided: decisions().map(|one| (one.tenant_id.as_str(), one.event_id.as_str())).collect(),
            decision_ids: decisions().map(|one| one.decision_id.as_str()).collect(),
            copies,
        }
    }

    fn superseded(&self, place: Place, event: &Input, feedback: &EventFeedback, report: &mut Report) {
        let by = feedback.superseded_by_event_id.as_deref();
        let is_decided = |by: &(&str, &str)| self.decided.contains(by) || self.maybe_decided.contains(by);
        if !by.is_some_and(|by| is_decided(&(&event.tenant_id, by))) {
            let by = by.unwrap_or("nothing");
            let what = format!("{}@{} was superseded by {by}, which was not decided", place.0, place.1);
            report.find(Invariant::Complete, what);
        }
    }

    /// Not judged once the log has lost its beginning: the ledger remembers longer.
    fn copy(&self, case: &Case<'_>, place: Place, event: &Input, feedback: &EventFeedback, report: &mut Report) {
        if !case.history.log_start.is_empty() {
            return;
        }
        let copies = self.copies.get(&identity_of_event(event)).map(Vec::as_slice).unwrap_or_default();
        let mut firsts = copies.iter().filter(|other| **other != place).peekable();
        if firsts.peek().is_none() {
            let what = format!("{}@{} is a copy of an event that is not there", place.0, place.1);
            report.find(Invariant::Provenance, what);
            return;
        }
        // The first may have its decision saved, and be on its way to publish it; or retention has taken that.
        let on_its_way = firsts.any(|first| {
            matches!(case.standing(*first), Standing::Open | Standing::Meanwhile)
                || case.may_be_taken(TopicRole::Decisions, *first)
        });
        let named = feedback.decision_id.as_deref().filter(|_| feedback.status == FeedbackStatus::Duplicate);
        if named.is_some_and(|id| !self.decision_ids.contains(id)) && !on_its_way {
            let what = format!("{}@{} names a first decision that is not there", place.0, place.1);
            report.find(Invariant::Provenance, what);
        }
    }
}
