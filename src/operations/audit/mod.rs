//! Re-prove the promises from outside: the log, the ledger's rows and the provider's own call ledger are all it looks
//! at; it trusts no counter.
//!
//! [`check`] is pure, so the simulation and the `audit` command judge by the same rules. Its own tests are bad histories,
//! one an anomaly: a checker that cannot find them proves nothing.

mod finding;
pub mod reading;
mod report;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::dead_letter::DeadLetter;
use crate::domain::decision::TriageDecision;
use crate::domain::event::SupportEvent;
use crate::domain::feedback::{EventFeedback, FeedbackStatus};
use crate::domain::identity::{DedupeKey, RecordKind};

pub use self::finding::{Finding, Invariant};
pub use self::report::Report;

/// A record of a topic, decoded.
#[derive(Debug, Clone)]
pub struct Seen<T> {
    /// Its partition.
    pub partition: u32,
    /// Its offset there.
    pub offset: u64,
    /// What it says.
    pub record: T,
}

/// One call as the provider remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderCall {
    /// The event it was for: hexadecimal dedupe key.
    pub key: String,
    /// Milliseconds since the epoch.
    pub started_at: i64,
    /// Whether a good answer was sent, and under which id.
    pub answered: Option<String>,
}

/// When the ledger saved an answer, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedAnswer {
    /// Milliseconds since the epoch.
    pub answered_at: i64,
    /// The provider's id of it; none for a model in the process.
    pub response_id: Option<String>,
}

/// What a partition's committed position says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// Everything below is finished.
    pub base: u64,
    /// Finished offsets above it.
    pub finished: BTreeSet<u64>,
}

/// Everything there is to see.
#[derive(Debug, Default)]
pub struct History {
    /// The events topic: every record, decoded if it can be.
    pub inputs: Vec<Seen<Option<SupportEvent>>>,
    /// Live decisions, in log order within each partition.
    pub decisions: Vec<Seen<TriageDecision>>,
    /// Feedback, likewise.
    pub feedback: Vec<Seen<EventFeedback>>,
    /// Dead letters, likewise.
    pub dead_letters: Vec<Seen<DeadLetter>>,
    /// Committed positions by partition of the events topic.
    pub committed: BTreeMap<u32, Committed>,
    /// The provider's own ledger, if it is there to see.
    pub calls: Vec<ProviderCall>,
    /// Saved answers by hexadecimal dedupe key.
    pub answers: HashMap<String, SavedAnswer>,
}

type Place = (u32, u64);

/// Judge a history.
#[must_use]
pub fn check(history: &History) -> Report {
    let mut report = Report {
        records: history.inputs.len() as u64,
        terminals: history.feedback.iter().filter(|seen| seen.record.terminal).count() as u64,
        decisions: history.decisions.len() as u64,
        dead_letters: history.dead_letters.len() as u64,
        calls: history.calls.len() as u64,
        ..Report::default()
    };
    let inputs: BTreeMap<Place, &Option<SupportEvent>> =
        history.inputs.iter().map(|seen| ((seen.partition, seen.offset), &seen.record)).collect();
    let terminals = terminals(history, &inputs, &mut report);
    complete(history, &inputs, &terminals, &mut report);
    decisions(history, &inputs, &terminals, &mut report);
    dead_letters(history, &terminals, &mut report);
    order(history, &mut report);
    superseded(history, &inputs, &terminals, &mut report);
    paid_once(history, &mut report);
    report
}

fn origin(topic_partition: i32, offset: i64) -> Option<Place> {
    Some((u32::try_from(topic_partition).ok()?, u64::try_from(offset).ok()?))
}

fn terminals<'a>(
    history: &'a History,
    inputs: &BTreeMap<Place, &Option<SupportEvent>>,
    report: &mut Report,
) -> BTreeMap<Place, &'a EventFeedback> {
    let mut terminals = BTreeMap::new();
    for seen in history.feedback.iter().filter(|seen| seen.record.terminal) {
        let feedback = &seen.record;
        *report.by_code.entry((feedback.status, feedback.reason_code.clone())).or_default() += 1;
        let Some(place) = origin(feedback.origin.partition, feedback.origin.offset) else {
            report.find(Invariant::Complete, format!("feedback at {}@{} has no origin", seen.partition, seen.offset));
            continue;
        };
        if !inputs.contains_key(&place) {
            report.find(Invariant::Complete, format!("a terminal for {}@{}, which does not exist", place.0, place.1));
        }
        if seen.partition != place.0 {
            report.find(
                Invariant::Order,
                format!("the terminal of {}@{} went to partition {}", place.0, place.1, seen.partition),
            );
        }
        if terminals.insert(place, feedback).is_some() {
            report.twice += 1;
            report.find(Invariant::Unique, format!("two terminals for {}@{}", place.0, place.1));
        }
    }
    terminals
}

/// Every input that is finished has its terminal, and nothing else has one; what is not finished is open.
fn complete(
    history: &History,
    inputs: &BTreeMap<Place, &Option<SupportEvent>>,
    terminals: &BTreeMap<Place, &EventFeedback>,
    report: &mut Report,
) {
    let nothing = Committed::default();
    for place in inputs.keys() {
        let committed = history.committed.get(&place.0).unwrap_or(&nothing);
        let finished = place.1 < committed.base || committed.finished.contains(&place.1);
        match (finished, terminals.contains_key(place)) {
            (true, false) => {
                report.missing += 1;
                report.find(Invariant::Complete, format!("{}@{} is finished and has no terminal", place.0, place.1));
            }
            (false, false) => report.open += 1,
            (false, true) => report.find(
                Invariant::Metadata,
                format!("{}@{} has a terminal that its committed position does not know", place.0, place.1),
            ),
            (true, true) => {}
        }
    }
}

fn decisions(
    history: &History,
    inputs: &BTreeMap<Place, &Option<SupportEvent>>,
    terminals: &BTreeMap<Place, &EventFeedback>,
    report: &mut Report,
) {
    let mut by_key: HashMap<(DedupeKey, i32), Place> = HashMap::new();
    let mut by_place: BTreeMap<Place, &TriageDecision> = BTreeMap::new();
    for seen in &history.decisions {
        let decision = &seen.record;
        let Some(place) = origin(decision.origin.partition, decision.origin.offset) else {
            report.find(Invariant::Provenance, format!("decision {} has no origin", decision.decision_id));
            continue;
        };
        if by_key.insert((key_of(decision), decision.decision_version), place).is_some() {
            report.twice += 1;
            report.find(Invariant::Unique, format!("event {} was decided twice", decision.event_id));
        }
        by_place.insert(place, decision);
        let same = inputs.get(&place).and_then(|event| event.as_ref()).is_some_and(|event| {
            event.tenant_id == decision.tenant_id
                && event.ticket_id == decision.ticket_id
                && event.event_id == decision.event_id
        });
        if !same {
            report.find(
                Invariant::Provenance,
                format!("decision {} does not speak of the event at {}@{}", decision.decision_id, place.0, place.1),
            );
        }
    }
    for (place, feedback) in terminals {
        let decided = matches!(feedback.status, FeedbackStatus::Accepted | FeedbackStatus::Degraded);
        let decision = by_place.get(place);
        let matches = decision.map(|decision| Some(&decision.decision_id) == feedback.decision_id.as_ref());
        match (decided, matches) {
            (true, Some(true)) | (false, None) => {}
            (true, Some(false)) => report.find(
                Invariant::Complete,
                format!("feedback and decision of {}@{} name different ids", place.0, place.1),
            ),
            (true, None) => {
                report.missing += 1;
                report.find(Invariant::Complete, format!("{}@{} is decided but has no decision", place.0, place.1));
            }
            (false, Some(_)) => report.find(
                Invariant::Complete,
                format!("{}@{} is {:?} and has a decision", place.0, place.1, feedback.status),
            ),
        }
    }
    for place in by_place.keys().filter(|place| !terminals.contains_key(place)) {
        report.find(Invariant::Atomic, format!("a decision for {}@{} without a terminal", place.0, place.1));
    }
}

fn key_of(decision: &TriageDecision) -> DedupeKey {
    let (scope, id) = match &decision.idempotency_key {
        Some(key) => ("idempotency_key", key),
        None => ("event_id", &decision.event_id),
    };
    DedupeKey::of(RecordKind::Event, &decision.tenant_id, &decision.event_source, scope, id)
}

fn dead_letters(history: &History, terminals: &BTreeMap<Place, &EventFeedback>, report: &mut Report) {
    let mut letters: BTreeMap<Place, u32> = BTreeMap::new();
    for seen in &history.dead_letters {
        if let Some(place) = origin(seen.record.origin_partition, seen.record.origin_offset) {
            *letters.entry(place).or_default() += 1;
        }
    }
    for (place, feedback) in terminals {
        let expected = u32::from(feedback.status == FeedbackStatus::Rejected);
        let found = letters.remove(place).unwrap_or(0);
        if found != expected {
            report.find(
                Invariant::Complete,
                format!("{}@{} is {:?} and has {found} dead letters", place.0, place.1, feedback.status),
            );
        }
    }
    for place in letters.keys() {
        report.find(Invariant::Atomic, format!("a dead letter for {}@{} without a terminal", place.0, place.1));
    }
}

/// Per ticket, source positions of decisions strictly increase.
fn order(history: &History, report: &mut Report) {
    let mut last: HashMap<(u32, &str, &str), i64> = HashMap::new();
    for seen in &history.decisions {
        let decision = &seen.record;
        let lane = (seen.partition, decision.tenant_id.as_str(), decision.ticket_id.as_str());
        if let Some(before) = last.insert(lane, decision.origin.offset)
            && before >= decision.origin.offset
        {
            report.out_of_order += 1;
            report.find(
                Invariant::Order,
                format!(
                    "ticket {} of {}: offset {} was decided after {before}",
                    decision.ticket_id, decision.tenant_id, decision.origin.offset
                ),
            );
        }
    }
}

/// Who was superseded was superseded by an event that was decided.
fn superseded(
    history: &History,
    inputs: &BTreeMap<Place, &Option<SupportEvent>>,
    terminals: &BTreeMap<Place, &EventFeedback>,
    report: &mut Report,
) {
    let decided: BTreeSet<(&str, &str)> =
        history.decisions.iter().map(|seen| (seen.record.tenant_id.as_str(), seen.record.event_id.as_str())).collect();
    for (place, feedback) in terminals.iter().filter(|(_, f)| f.status == FeedbackStatus::Superseded) {
        let tenant = inputs.get(place).and_then(|event| event.as_ref()).map(|event| event.tenant_id.as_str());
        let by = feedback.superseded_by_event_id.as_deref();
        if !tenant.zip(by).is_some_and(|pair| decided.contains(&pair)) {
            report.find(
                Invariant::Complete,
                format!("{}@{} was superseded by an event that was not decided", place.0, place.1),
            );
        }
    }
}

/// No call starts after that event's answer was saved; answers that were sent and never saved were lost.
fn paid_once(history: &History, report: &mut Report) {
    for call in &history.calls {
        let Some(saved) = history.answers.get(&call.key) else {
            report.calls_lost += u64::from(call.answered.is_some());
            continue;
        };
        if call.started_at > saved.answered_at {
            report.paid_twice += 1;
            report.find(Invariant::PaidOnce, format!("event {} was paid for after its answer was saved", call.key));
        } else if call.answered.is_some() && call.answered != saved.response_id {
            report.calls_lost += 1;
        }
    }
}

#[cfg(test)]
mod tests;
