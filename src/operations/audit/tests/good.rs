//! Good histories by construction: events with a fate each, and what a processor that keeps its promises writes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::*;
use crate::domain::decision::Origin;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::identity::DedupeKey;
use crate::domain::samples;

const PARTITIONS: u32 = 3;
const TICKETS: u32 = 6;

/// How an event ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Decided,
    Degraded,
    Ignored,
    Rejected,
    /// No event can be read from it.
    Unreadable,
    /// A copy of the ticket's first event, if there is one before it; else decided.
    Copy,
    /// The same with another body.
    Conflict,
    /// By the ticket's next decided event, if there is one; else decided.
    Superseded,
    /// Not yet, and neither is any later one of its ticket.
    Open,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub ticket: u32,
    pub fate: Fate,
}

pub(super) fn steps() -> impl Strategy<Value = Step> {
    use Fate::{Conflict, Copy, Decided, Degraded, Ignored, Open, Rejected, Superseded, Unreadable};
    let fates = vec![Decided, Decided, Degraded, Ignored, Rejected, Unreadable, Copy, Conflict, Superseded, Open];
    (0..TICKETS, prop::sample::select(fates)).prop_map(|(ticket, fate)| Step { ticket, fate })
}

/// Every fate; ticket 0 and 3 share a partition, ticket 4's event is open behind another's that is finished.
pub(super) fn core() -> Vec<Step> {
    let step = |ticket, fate| Step { ticket, fate };
    vec![
        step(0, Fate::Decided),
        step(3, Fate::Degraded),
        step(0, Fate::Ignored),
        step(0, Fate::Copy),
        step(0, Fate::Conflict),
        step(3, Fate::Superseded),
        step(3, Fate::Decided),
        step(0, Fate::Decided),
        step(0, Fate::Rejected),
        step(4, Fate::Open),
        step(1, Fate::Unreadable),
        step(1, Fate::Decided),
    ]
}

struct Written {
    step: Step,
    partition: u32,
    offset: u64,
    event: SupportEvent,
    superseded_by: Option<String>,
    first_decision: Option<String>,
}

/// What is in the log after these steps.
pub(super) fn written(steps: &[Step]) -> History {
    let records = resolved(steps);
    let mut history = History::default();
    for record in &records {
        let event = (record.step.fate != Fate::Unreadable).then(|| record.event.clone());
        history.inputs.push(Seen {
            partition: record.partition,
            offset: record.offset,
            record: event.map(Input::from),
        });
    }
    for partition in 0..PARTITIONS {
        let of_partition = || records.iter().filter(move |record| record.partition == partition);
        let is_open = |record: &&Written| record.step.fate == Fate::Open;
        let end = of_partition().count() as u64;
        let base = of_partition().find(is_open).map_or(end, |record| record.offset);
        let above = of_partition().filter(|record| !is_open(record) && record.offset > base);
        let finished = above.map(|record| record.offset).collect();
        history.committed.insert(partition, Committed { base, finished });
    }
    // Tickets finish in any order, the events of one in their own.
    for ticket in (0..TICKETS).rev() {
        for record in records.iter().filter(|record| record.step.ticket == ticket && record.step.fate != Fate::Open) {
            publish(record, &mut history);
        }
    }
    history
}

fn resolved(steps: &[Step]) -> Vec<Written> {
    let mut next = BTreeMap::<u32, u64>::new();
    let mut open = BTreeSet::new();
    let mut records: Vec<Written> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let mut step = *step;
        if step.fate == Fate::Open {
            open.insert(step.ticket);
        }
        if open.contains(&step.ticket) {
            step.fate = Fate::Open;
        }
        let partition = step.ticket % PARTITIONS;
        let offset = next.entry(partition).or_default();
        let mut event = event(index, step.ticket);
        let mut first_decision = None;
        if matches!(step.fate, Fate::Copy | Fate::Conflict) {
            let is_decided = |record: &&Written| matches!(record.step.fate, Fate::Decided | Fate::Degraded);
            match records.iter().filter(|record| record.step.ticket == step.ticket).find(is_decided) {
                Some(first) => {
                    first_decision = Some(decision_id(first.partition, first.offset));
                    event = first.event.clone();
                }
                None => step.fate = Fate::Decided,
            }
        }
        records.push(Written { step, partition, offset: *offset, event, superseded_by: None, first_decision });
        *offset += 1;
    }
    for index in 0..records.len() {
        if records[index].step.fate == Fate::Superseded {
            let ticket = records[index].step.ticket;
            let is_newer =
                |record: &&Written| record.step.ticket == ticket && matches!(record.step.fate, Fate::Decided);
            let newer = records[index + 1..].iter().find(is_newer).map(|record| record.event.event_id.clone());
            records[index].superseded_by.clone_from(&newer);
            if newer.is_none() {
                records[index].step.fate = Fate::Decided;
            }
        }
    }
    records
}

fn event(index: usize, ticket: u32) -> SupportEvent {
    let mut event = samples::sparse_event();
    event.event_id = format!("event-{index}");
    event.tenant_id = format!("tenant-{}", ticket % 2);
    event.ticket_id = format!("ticket-{ticket}");
    event.idempotency_key = (index % 5 == 4).then(|| format!("key-{index}"));
    event
}

fn decision_id(partition: u32, offset: u64) -> String {
    format!("decision-{partition}-{offset}")
}

fn origin(partition: u32, offset: u64) -> Origin {
    let partition = i32::try_from(partition).expect("a small number");
    let offset = i64::try_from(offset).expect("a small number");
    Origin { topic: "support.events.v1".to_owned(), partition, offset, timestamp: samples::NOON }
}

fn publish(record: &Written, history: &mut History) {
    let (status, code) = match record.step.fate {
        Fate::Decided => (FeedbackStatus::Accepted, "DECIDED"),
        Fate::Degraded => (FeedbackStatus::Degraded, "BREAKER_OPEN"),
        Fate::Ignored => (FeedbackStatus::Ignored, "INTERNAL_NOTE"),
        Fate::Rejected => (FeedbackStatus::Rejected, "TENANT_UNKNOWN"),
        Fate::Unreadable => (FeedbackStatus::Rejected, "DECODE_FAILED"),
        Fate::Copy => (FeedbackStatus::Duplicate, "SAME_EVENT"),
        Fate::Conflict => (FeedbackStatus::Rejected, "IDEMPOTENCY_CONFLICT"),
        Fate::Superseded => (FeedbackStatus::Superseded, "NEWER_EVENT"),
        Fate::Open => return,
    };
    let decided = matches!(record.step.fate, Fate::Decided | Fate::Degraded);
    if decided {
        push(&mut history.decisions, record.partition, decision_for(record));
        pay(record, history);
    }
    let event = (record.step.fate != Fate::Unreadable).then_some(&record.event);
    let of_first = (record.step.fate == Fate::Copy).then(|| record.first_decision.clone()).flatten();
    let feedback = EventFeedback {
        event_id: event.map(|event| event.event_id.clone()),
        event_source: event.map(|event| event.source.clone()),
        idempotency_key: event.and_then(|event| event.idempotency_key.clone()),
        tenant_id: event.map(|event| event.tenant_id.clone()),
        ticket_id: event.map(|event| event.ticket_id.clone()),
        status,
        terminal: true,
        reason_code: code.to_owned(),
        decision_id: decided.then(|| decision_id(record.partition, record.offset)).or(of_first),
        decision_version: decided.then_some(1),
        superseded_by_event_id: record.superseded_by.clone(),
        origin: origin(record.partition, record.offset),
        ..samples::feedback()
    };
    push(&mut history.feedback, record.partition, feedback);
    if status == FeedbackStatus::Rejected {
        push(&mut history.dead_letters, record.partition, letter_for(record.partition, record.offset, code));
    }
}

fn decision_for(record: &Written) -> TriageDecision {
    TriageDecision {
        decision_id: decision_id(record.partition, record.offset),
        decision_version: 1,
        event_id: record.event.event_id.clone(),
        event_source: record.event.source.clone(),
        idempotency_key: record.event.idempotency_key.clone(),
        tenant_id: record.event.tenant_id.clone(),
        ticket_id: record.event.ticket_id.clone(),
        origin: origin(record.partition, record.offset),
        ..samples::decision()
    }
}

pub(super) fn letter_for(partition: u32, offset: u64, code: &str) -> DeadLetter {
    let origin = origin(partition, offset);
    DeadLetter {
        origin_partition: origin.partition,
        origin_offset: origin.offset,
        reason_code: code.to_owned(),
        ..samples::dead_letter()
    }
}

/// One call that was cut off, one that failed, one whose answer was lost in a crash, one whose answer was saved.
fn pay(record: &Written, history: &mut History) {
    let key = DedupeKey::of_event(&record.event).to_hex();
    let id = |answer: &str| format!("{answer}-{}-{}", record.partition, record.offset);
    let ends = [CallEnd::CutOff, CallEnd::Failed, CallEnd::Answered(id("lost")), CallEnd::Answered(id("saved"))];
    for (started_at, end) in (1_000..).step_by(500).zip(ends) {
        history.calls.push(ProviderCall { key: key.clone(), started_at, end });
    }
    history.answers.insert(key, SavedAnswer { answered_at: 3_000, response_id: Some(id("saved")) });
}

pub(super) fn push<T>(topic: &mut Vec<Seen<T>>, partition: u32, record: T) {
    let offset = topic.iter().filter(|seen| seen.partition == partition).count() as u64;
    topic.push(Seen { partition, offset, record });
}
