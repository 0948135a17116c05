//! A history, looked up by the place that outputs name as their origin.

use std::collections::{BTreeMap, BTreeSet};

use super::{History, Input};
use crate::domain::decision::{Origin, TriageDecision};
use crate::domain::feedback::EventFeedback;
use crate::domain::position::TopicRole;

/// Partition and offset of an input.
pub(super) type Place = (u32, u64);

/// Which event: compared whole, unlike the ledger's hash of it, whose mistakes are to be found here.
pub(super) type Identity<'a> = (&'a str, &'a str, bool, &'a str);

pub(super) fn identity_of_event(event: &Input) -> Identity<'_> {
    identity(&event.tenant_id, &event.source, event.idempotency_key.as_deref(), &event.event_id)
}

pub(super) fn identity_of_decision(decision: &TriageDecision) -> Identity<'_> {
    let key = decision.idempotency_key.as_deref();
    identity(&decision.tenant_id, &decision.event_source, key, &decision.event_id)
}

fn identity<'a>(tenant: &'a str, source: &'a str, key: Option<&'a str>, id: &'a str) -> Identity<'a> {
    (tenant, source, key.is_some(), key.unwrap_or(id))
}

/// None for numbers that no log gives out.
pub(super) fn place_of(partition: i32, offset: i64) -> Option<Place> {
    Some((u32::try_from(partition).ok()?, u64::try_from(offset).ok()?))
}

pub(super) fn place(origin: &Origin) -> Option<Place> {
    place_of(origin.partition, origin.offset)
}

/// What the committed positions say of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Below the log's beginning: not judged.
    Gone,
    /// Finished before the outputs were read: they must be there.
    Finished,
    /// Finished while they were read: they may or may not be there yet.
    Meanwhile,
    /// Not finished: there must be none.
    Open,
}

pub(super) struct Case<'a> {
    pub history: &'a History,
    pub inputs: BTreeMap<Place, Option<&'a Input>>,
    /// Places that were put off, maybe more than once: finished, and their terminals come with their copies.
    pub deferred: BTreeSet<Place>,
    /// The first terminal that names a place.
    pub terminals: BTreeMap<Place, &'a EventFeedback>,
    pub decisions: BTreeMap<Place, Vec<&'a TriageDecision>>,
}

impl<'a> Case<'a> {
    pub fn new(history: &'a History) -> Self {
        let inputs = history.inputs.iter().map(|seen| ((seen.partition, seen.offset), seen.record.as_ref())).collect();
        let mut terminals = BTreeMap::new();
        for feedback in history.feedback.iter().map(|seen| &seen.record).filter(|feedback| feedback.terminal) {
            if let Some(place) = place(&feedback.origin) {
                terminals.entry(place).or_insert(feedback);
            }
        }
        let put_off = history.feedback.iter().map(|seen| &seen.record).filter(|feedback| !feedback.terminal);
        let deferred = put_off.filter_map(|feedback| place(&feedback.origin)).collect();
        let mut decisions: BTreeMap<Place, Vec<_>> = BTreeMap::new();
        for decision in history.decisions.iter().map(|seen| &seen.record) {
            if let Some(place) = place(&decision.origin) {
                decisions.entry(place).or_default().push(decision);
            }
        }
        Self { history, inputs, deferred, terminals, decisions }
    }

    pub fn standing(&self, place: Place) -> Standing {
        let (number, offset) = place;
        let covers = |positions: &BTreeMap<u32, super::Committed>| {
            positions.get(&number).is_some_and(|committed| committed.covers(offset))
        };
        if self.history.log_start.get(&number).is_some_and(|start| offset < *start) {
            Standing::Gone
        } else if covers(&self.history.committed) {
            Standing::Finished
        } else if self.history.committed_after.as_ref().is_some_and(covers) {
            Standing::Meanwhile
        } else {
            Standing::Open
        }
    }

    /// Whether an output without its terminal is an output torn off, not one whose terminal was written meanwhile or
    /// went with retention.
    pub fn is_torn(&self, place: Place) -> bool {
        matches!(self.standing(place), Standing::Finished | Standing::Open)
            && !self.terminals.contains_key(&place)
            && !self.may_be_taken(TopicRole::Feedback, place)
    }

    /// Whether retention may have taken an output of this input from that topic.
    pub fn may_be_taken(&self, topic: TopicRole, place: Place) -> bool {
        self.history.taken.may_have(topic, place)
    }
}
