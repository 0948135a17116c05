//! Re-prove the promises from outside: the log, the ledger's rows and the provider's own call ledger are all it looks
//! at; it trusts no counter, and shares no code with the stages that keep the promises.
//!
//! ```text
//!  reading.rs   log + ledger + calls -> History        (I/O)
//!  case.rs      History, looked up by place            (pure)
//!  rules/       one file a promise: Case -> findings
//!  report.rs    what was counted, what is wrong
//! ```
//!
//! [`check`] is pure, so the simulation and the `audit` command judge by the same rules. Its own tests are bad histories,
//! one an anomaly: a checker that cannot find them proves nothing.

mod case;
mod finding;
pub mod reading;
mod report;
mod rules;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use self::case::{Case, Place};
pub use self::finding::{Finding, Invariant};
pub use self::report::Report;
use crate::domain::clock::Timestamp;
use crate::domain::dead_letter::DeadLetter;
use crate::domain::decision::TriageDecision;
use crate::domain::event::SupportEvent;
use crate::domain::feedback::EventFeedback;
use crate::domain::human_feedback::HumanFeedback;
use crate::domain::position::TopicRole;
use crate::domain::review::DecisionReview;

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
    /// What came of it.
    pub end: CallEnd,
}

/// How a call ended, as the provider remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallEnd {
    /// No reply was handed over whole: the caller hung up (a crash, a timeout) or the provider died; or it goes on yet.
    CutOff,
    /// With a reply that is not an answer.
    Failed,
    /// A good answer was sent, under this id.
    Answered(String),
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

impl Committed {
    /// Whether this one is finished.
    pub(crate) fn covers(&self, offset: u64) -> bool {
        offset < self.base || self.finished.contains(&offset)
    }
}

/// What the rules ask of an event. The rest of it is not kept: a history holds every event of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the event's own words")]
pub struct Input {
    pub tenant_id: String,
    pub source: String,
    pub ticket_id: String,
    pub event_id: String,
    pub idempotency_key: Option<String>,
}

impl From<SupportEvent> for Input {
    fn from(event: SupportEvent) -> Self {
        let SupportEvent { tenant_id, source, ticket_id, event_id, idempotency_key, .. } = event;
        Self { tenant_id, source, ticket_id, event_id, idempotency_key }
    }
}

/// Everything there is to see.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The events topic: every record, decoded if it can be.
    pub inputs: Vec<Seen<Option<Input>>>,
    /// Live decisions, in log order within each partition.
    pub decisions: Vec<Seen<TriageDecision>>,
    /// Feedback, likewise.
    pub feedback: Vec<Seen<EventFeedback>>,
    /// Dead letters, likewise.
    pub dead_letters: Vec<Seen<DeadLetter>>,
    /// Committed positions by partition of the events topic, before the outputs were read: they cover all of these.
    pub committed: BTreeMap<u32, Committed>,
    /// The same after the outputs were read: no output goes beyond. None if nobody was writing meanwhile.
    pub committed_after: Option<BTreeMap<u32, Committed>>,
    /// Where partitions of the events topic begin now, if not at 0. What was below is gone and cannot be judged.
    pub log_start: BTreeMap<u32, u64>,
    /// Outputs of events that are gone.
    pub taken: Taken,
    /// What people made of decisions.
    pub reviewed: Reviewed,
    /// Reviews of what agents changed: outputs of events, in log order within each partition.
    pub changes_reviewed: Vec<Seen<DecisionReview>>,
    /// The provider's own ledger, if it is there to see.
    pub calls: Vec<ProviderCall>,
    /// Saved answers by hexadecimal dedupe key.
    pub answers: HashMap<String, SavedAnswer>,
    /// How long the ledger remembers what was published: the same sent again after that is new. None: for ever.
    pub window: Option<Duration>,
}

impl History {
    /// Whether the later of two results for the same came while the earlier had to be remembered: the window begins when
    /// that was published, which is after these times.
    fn are_too_close(&self, one: Timestamp, other: Timestamp) -> bool {
        self.window.is_none_or(|window| one.max(other) < one.min(other).after(window))
    }
}

/// The topic of human feedback, and what came of it.
#[derive(Debug, Clone, Default)]
pub struct Reviewed {
    /// Every record of it, decoded if it can be.
    pub inputs: Vec<Seen<Option<HumanFeedback>>>,
    /// The reviews, in log order within each partition.
    pub reviews: Vec<Seen<DecisionReview>>,
    /// Its dead letters, likewise.
    pub dead_letters: Vec<Seen<DeadLetter>>,
    /// As for events, by partition of its own topic.
    pub committed: BTreeMap<u32, Committed>,
    /// As for events.
    pub committed_after: Option<BTreeMap<u32, Committed>>,
    /// As for events.
    pub log_start: BTreeMap<u32, u64>,
    /// As for events.
    pub taken: Taken,
}

/// What retention took of the outputs: by topic and partition that lost its beginning, the first input of that partition
/// whose outputs there are too young to be gone. That an earlier one has none says nothing.
#[derive(Debug, Clone, Default)]
pub struct Taken(pub BTreeMap<(TopicRole, u32), u64>);

impl Taken {
    fn may_have(&self, topic: TopicRole, (number, offset): Place) -> bool {
        self.0.get(&(topic, number)).is_some_and(|safe| offset < *safe)
    }
}

/// Judge a history.
#[must_use]
pub fn check(history: &History) -> Report {
    let mut report = Report {
        records: history.inputs.len() as u64,
        terminals: history.feedback.iter().filter(|seen| seen.record.terminal).count() as u64,
        decisions: history.decisions.len() as u64,
        dead_letters: history.dead_letters.len() as u64,
        calls: history.calls.len() as u64,
        human_feedback: history.reviewed.inputs.len() as u64,
        reviews: history.reviewed.reviews.len() as u64,
        changes_reviewed: history.changes_reviewed.len() as u64,
        ..Report::default()
    };
    let case = Case::new(history);
    rules::terminals(&case, &mut report);
    rules::decisions(&case, &mut report);
    rules::better(&case, &mut report);
    rules::dead_letters(&case, &mut report);
    rules::order(&case, &mut report);
    rules::others(&case, &mut report);
    rules::paid_once(&case, &mut report);
    rules::reviews(history, &mut report);
    rules::changes(&case, &mut report);
    report
}

#[cfg(test)]
mod tests;
