//! What a processor can do wrong, each as a change of a good history.
//!
//! Every one of them needs only what [`super::good::core`] brings, so each can be made in any history that begins with it.

use super::super::*;
use super::good::{letter_for, push};
use crate::domain::feedback::FeedbackStatus;

/// Which of several to take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick(pub usize);

impl Pick {
    fn index<T>(self, of: &[T], is_wanted: impl Fn(&T) -> bool) -> usize {
        let wanted: Vec<_> = of.iter().enumerate().filter(|(_, one)| is_wanted(one)).map(|(at, _)| at).collect();
        wanted[self.0 % wanted.len()]
    }

    fn feedback(self, history: &mut History, status: FeedbackStatus) -> &mut Seen<EventFeedback> {
        let index = self.index(&history.feedback, |seen| seen.record.status == status);
        &mut history.feedback[index]
    }

    fn decision(self, history: &mut History) -> &mut Seen<TriageDecision> {
        let index = self.index(&history.decisions, |_| true);
        &mut history.decisions[index]
    }

    fn letter(self, history: &mut History) -> &mut Seen<DeadLetter> {
        let index = self.index(&history.dead_letters, |_| true);
        &mut history.dead_letters[index]
    }

    /// An input that is not finished.
    fn open(self, history: &History) -> (u32, u64) {
        let index = self.index(&history.inputs, |seen| !history.committed[&seen.partition].covers(seen.offset));
        (history.inputs[index].partition, history.inputs[index].offset)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Anomaly {
    pub name: &'static str,
    pub breaks: Invariant,
    pub make: fn(&mut History, Pick),
    pub counter: fn(&Report) -> u64,
    pub counts: u64,
}

const fn anomaly(name: &'static str, breaks: Invariant, make: fn(&mut History, Pick)) -> Anomaly {
    Anomaly { name, breaks, make, counter: |_| 0, counts: 0 }
}

const fn counted(
    name: &'static str,
    breaks: Invariant,
    counter: fn(&Report) -> u64,
    make: fn(&mut History, Pick),
) -> Anomaly {
    Anomaly { name, breaks, make, counter, counts: 1 }
}

fn remove_feedback(history: &mut History, pick: Pick, status: FeedbackStatus) {
    let index = pick.index(&history.feedback, |seen| seen.record.status == status);
    history.feedback.remove(index);
}

fn other_partition<T>(seen: &mut Seen<T>) {
    seen.partition = (seen.partition + 1) % 3;
}

/// The partition's position as if this offset had not been finished.
pub(super) fn forget(history: &mut History, (partition, offset): (u32, u64)) {
    let committed = history.committed.get_mut(&partition).expect("every partition has a position");
    if offset < committed.base {
        committed.finished.extend(offset + 1..committed.base);
        committed.base = offset;
    }
    committed.finished.remove(&offset);
}

pub(super) fn place_of(feedback: &EventFeedback) -> (u32, u64) {
    let partition = u32::try_from(feedback.origin.partition).expect("a good history");
    (partition, u64::try_from(feedback.origin.offset).expect("a good history"))
}

use FeedbackStatus::{Accepted, Duplicate, Ignored, Rejected, Superseded};
use Invariant::{Atomic, Complete, Metadata, Order, PaidOnce, Provenance, Unique};

pub(super) const ANOMALIES: &[Anomaly] = &[
    counted(
        "an ignored event without its terminal",
        Complete,
        |report| report.missing,
        |history, pick| {
            remove_feedback(history, pick, Ignored);
        },
    ),
    counted(
        "a decided event without its terminal",
        Complete,
        |report| report.missing,
        |history, pick| {
            remove_feedback(history, pick, Accepted);
        },
    ),
    counted(
        "two terminals",
        Unique,
        |report| report.twice,
        |history, pick| {
            let again = pick.feedback(history, Ignored).clone();
            push(&mut history.feedback, again.partition, again.record);
        },
    ),
    counted(
        "two terminals that differ",
        Unique,
        |report| report.twice,
        |history, pick| {
            let mut again = pick.feedback(history, Ignored).clone();
            again.record.reason_code = "TICKET_CLOSED".to_owned();
            push(&mut history.feedback, again.partition, again.record);
        },
    ),
    counted(
        "two decisions under one version",
        Unique,
        |report| report.twice,
        |history, pick| {
            let mut again = pick.decision(history).clone();
            again.record.decision_id.push_str("-again");
            push(&mut history.decisions, again.partition, again.record);
        },
    ),
    counted(
        "a copy that was decided once more",
        Unique,
        |report| report.twice,
        |history, pick| {
            let copy = pick.feedback(history, Duplicate);
            (copy.record.status, copy.record.reason_code) = (Accepted, "DECIDED".to_owned());
            let copy = copy.clone();
            let first = copy.record.decision_id.clone();
            let is_first = |seen: &&Seen<TriageDecision>| Some(&seen.record.decision_id) == first.as_ref();
            let mut decision = history.decisions.iter().find(is_first).expect("copies name their first").record.clone();
            decision.origin = copy.record.origin.clone();
            push(&mut history.decisions, copy.partition, decision);
        },
    ),
    anomaly("a decision without a terminal", Atomic, |history, pick| remove_feedback(history, pick, Accepted)),
    anomaly("a decision of an event that is not finished", Atomic, |history, pick| {
        let (partition, offset) = pick.open(history);
        let mut decision = pick.decision(history).record.clone();
        decision.origin.partition = i32::try_from(partition).expect("a small number");
        decision.origin.offset = i64::try_from(offset).expect("a small number");
        push(&mut history.decisions, partition, decision);
    }),
    counted(
        "a terminal without its decision",
        Complete,
        |report| report.missing,
        |history, pick| {
            let index = pick.index(&history.decisions, |_| true);
            history.decisions.remove(index);
        },
    ),
    anomaly("an ignored event with a decision", Complete, |history, pick| {
        let origin = pick.feedback(history, Ignored).record.origin.clone();
        let mut decision = pick.decision(history).clone();
        decision.record.origin = origin;
        push(&mut history.decisions, decision.partition, decision.record);
    }),
    anomaly("a decision for another tenant's event", Provenance, |history, pick| {
        pick.decision(history).record.tenant_id = "tenant-of-somebody-else".to_owned();
    }),
    anomaly("a decision for another ticket", Provenance, |history, pick| {
        pick.decision(history).record.ticket_id = "ticket-1000".to_owned();
    }),
    anomaly("a decision of another source", Provenance, |history, pick| {
        pick.decision(history).record.event_source = "/jira/elsewhere".to_owned();
    }),
    anomaly("a decision under another key than its event's", Provenance, |history, pick| {
        pick.decision(history).record.idempotency_key = Some("another".to_owned());
    }),
    anomaly("a decision whose record does not exist", Provenance, |history, pick| {
        pick.decision(history).record.origin.offset = 10_000;
    }),
    anomaly("a decision from nowhere", Provenance, |history, pick| {
        pick.decision(history).record.origin.partition = -1;
    }),
    anomaly("feedback for another tenant", Provenance, |history, pick| {
        pick.feedback(history, Ignored).record.tenant_id = Some("tenant-of-somebody-else".to_owned());
    }),
    anomaly("feedback about another event", Provenance, |history, pick| {
        pick.feedback(history, Ignored).record.event_id = Some("event-1000".to_owned());
    }),
    anomaly("feedback about nothing for an event that was not rejected", Provenance, |history, pick| {
        pick.feedback(history, Ignored).record.event_id = None;
    }),
    anomaly("feedback from nowhere", Provenance, |history, pick| {
        pick.feedback(history, Ignored).record.origin.offset = -1;
    }),
    anomaly("a dead letter from nowhere", Provenance, |history, pick| {
        pick.letter(history).record.origin_offset = -1;
    }),
    counted(
        "a ticket's decisions out of order",
        Order,
        |report| report.out_of_order,
        |history, _| {
            // Tickets 0 and 3 have two decisions each in the core; ticket 0's are the last of partition 0.
            let of_ticket = |seen: &Seen<TriageDecision>| seen.record.ticket_id == "ticket-0";
            let first = history.decisions.iter().position(of_ticket).expect("ticket 0 is in the core");
            let last = history.decisions.iter().rposition(of_ticket).expect("ticket 0 is in the core");
            let moved = history.decisions.remove(first);
            history.decisions.insert(last, moved);
        },
    ),
    anomaly("a decision in another partition", Order, |history, pick| other_partition(pick.decision(history))),
    anomaly("a terminal in another partition", Order, |history, pick| {
        other_partition(pick.feedback(history, Ignored));
    }),
    anomaly("a dead letter in another partition", Order, |history, pick| other_partition(pick.letter(history))),
    anomaly("a rejected record without its dead letter", Complete, |history, pick| {
        let index = pick.index(&history.dead_letters, |_| true);
        history.dead_letters.remove(index);
    }),
    anomaly("a dead letter of an accepted event", Complete, |history, pick| {
        let (partition, offset) = place_of(&pick.feedback(history, Accepted).record);
        push(&mut history.dead_letters, partition, letter_for(partition, offset, "DECIDED"));
    }),
    anomaly("a dead letter of an event that is not finished", Atomic, |history, pick| {
        let (partition, offset) = pick.open(history);
        push(&mut history.dead_letters, partition, letter_for(partition, offset, "DECODE_FAILED"));
    }),
    anomaly("two dead letters", Complete, |history, pick| {
        let again = pick.letter(history).clone();
        push(&mut history.dead_letters, again.partition, again.record);
    }),
    anomaly("a dead letter with another reason than its feedback", Complete, |history, pick| {
        pick.letter(history).record.reason_code = "PAYLOAD_TOO_LARGE".to_owned();
    }),
    anomaly("superseded by an event that was not decided", Complete, |history, pick| {
        pick.feedback(history, Superseded).record.superseded_by_event_id = Some("event-1000".to_owned());
    }),
    anomaly("superseded by nothing", Complete, |history, pick| {
        pick.feedback(history, Superseded).record.superseded_by_event_id = None;
    }),
    anomaly("a copy of an event that is not there", Provenance, |history, pick| {
        let copy = pick.feedback(history, Duplicate);
        copy.record.event_id = Some("event-1000".to_owned());
        let place = place_of(&copy.record);
        let input = history.inputs.iter_mut().find(|seen| (seen.partition, seen.offset) == place);
        let event = input.and_then(|seen| seen.record.as_mut()).expect("copies can be read");
        (event.event_id, event.idempotency_key) = ("event-1000".to_owned(), None);
    }),
    anomaly("a copy of a decision that is not there", Provenance, |history, pick| {
        pick.feedback(history, Duplicate).record.decision_id = Some("decision-of-nothing".to_owned());
    }),
    anomaly("a terminal that the committed position does not know", Metadata, |history, pick| {
        let place = place_of(&pick.feedback(history, Ignored).record);
        forget(history, place);
    }),
    counted(
        "a finished offset without output",
        Complete,
        |report| report.missing,
        |history, pick| {
            let (partition, offset) = pick.open(history);
            history.committed.get_mut(&partition).expect("every partition has a position").finished.insert(offset);
        },
    ),
    counted(
        "a commit over a hole",
        Complete,
        |report| report.missing,
        |history, _| {
            // Partition 1 begins with the core's open event.
            history.committed.get_mut(&1).expect("every partition has a position").base = 1;
        },
    ),
    anomaly("feedback and decision with different ids", Complete, |history, pick| {
        pick.feedback(history, Accepted).record.decision_id = Some("decision-of-nothing".to_owned());
    }),
    anomaly("a terminal for a record that does not exist", Complete, |history, pick| {
        let mut feedback = pick.feedback(history, Ignored).clone();
        feedback.record.origin.offset = 10_000;
        push(&mut history.feedback, feedback.partition, feedback.record);
    }),
    anomaly("a code that its status does not have", Complete, |history, pick| {
        pick.feedback(history, Rejected).record.reason_code = "DECIDED".to_owned();
    }),
    anomaly("a terminal of an unknown status", Complete, |history, pick| {
        pick.feedback(history, Ignored).record.status = FeedbackStatus::Unknown;
    }),
    anomaly("a deferral as an end", Complete, |history, pick| {
        let seen = pick.feedback(history, Ignored);
        (seen.record.status, seen.record.reason_code) = (FeedbackStatus::Deferred, "BREAKER_OPEN".to_owned());
    }),
    counted(
        "a call after the answer was saved",
        PaidOnce,
        |report| report.paid_twice,
        |history, pick| {
            // Not the one whose answer that is: when it began is the provider's word.
            let of_another =
                |call: &ProviderCall| !matches!(&call.end, CallEnd::Answered(id) if id.starts_with("saved"));
            let index = pick.index(&history.calls, of_another);
            history.calls[index].started_at = 3_001;
        },
    ),
    counted(
        "a call after the answer was saved, that failed",
        PaidOnce,
        |report| report.paid_twice,
        |history, pick| {
            let index = pick.index(&history.calls, |_| true);
            let call = ProviderCall { started_at: 3_001, end: CallEnd::Failed, ..history.calls[index].clone() };
            history.calls[index] = call;
        },
    ),
];
