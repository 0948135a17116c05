//! Why an event ended as it did: everything the log and the ledger still know about it, gathered and put in order.
//!
//! [`gather()`] reads, [`stages()`] tells the story and is pure. There is no index: topics are read through, which takes as
//! long as they are.

mod caps;
mod gather;
mod page;
mod stages;
mod tables;

use serde::Serialize;

pub use self::caps::capped_by;
pub use self::gather::{Question, gather};
pub use self::page::page;
pub use self::stages::{Stage, stages};
pub use self::tables::tables;
use crate::domain::answer::Answer;
use crate::domain::better::Better;
use crate::domain::calibration::Calibration;
use crate::domain::clock::Timestamp;
use crate::domain::dead_letter::DeadLetter;
use crate::domain::decision::{Prediction, TriageDecision};
use crate::domain::event::{EventType, SupportEvent};
use crate::domain::feedback::{EventFeedback, FeedbackStatus};
use crate::domain::identity::{DedupeKey, RecordKind};
use crate::operations::audit::reading::ReadError;

/// All that is known of one event.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// Which event; `None`: the record could not be read.
    pub event: Option<Identity>,
    /// Its records on the events topic, in the order of the log.
    pub copies: Vec<Copy>,
    /// What was decided.
    pub decision: Option<TriageDecision>,
    /// The tables by which its confidences were weighed, as far as its policy is known.
    pub tables: Vec<Calibration>,
    /// What the ledger remembers.
    pub ledger: Option<LedgerRow>,
    /// And of a better decision after a fallback's.
    pub better: Option<LedgerRow>,
}

/// Which event it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Identity {
    /// Whose.
    pub tenant_id: String,
    /// `ce_source`.
    pub source: String,
    /// Unique within the source.
    pub event_id: String,
    /// Takes the place of the id where there is one.
    pub idempotency_key: Option<String>,
    /// About which ticket.
    pub ticket_id: String,
}

impl Identity {
    /// The ledger's key of it.
    #[must_use]
    pub fn key(&self) -> DedupeKey {
        let (scope, id) = match &self.idempotency_key {
            Some(key) => ("idempotency_key", key),
            None => ("event_id", &self.event_id),
        };
        DedupeKey::of(RecordKind::Event, &self.tenant_id, &self.source, scope, id)
    }

    fn of_event(event: &SupportEvent) -> Self {
        Self {
            tenant_id: event.tenant_id.clone(),
            source: event.source.clone(),
            event_id: event.event_id.clone(),
            idempotency_key: event.idempotency_key.clone(),
            ticket_id: event.ticket_id.clone(),
        }
    }

    fn of_feedback(feedback: &EventFeedback) -> Option<Self> {
        Some(Self {
            tenant_id: feedback.tenant_id.clone()?,
            source: feedback.event_source.clone()?,
            event_id: feedback.event_id.clone()?,
            idempotency_key: feedback.idempotency_key.clone(),
            ticket_id: feedback.ticket_id.clone()?,
        })
    }

    fn of_decision(decision: &TriageDecision) -> Self {
        Self {
            tenant_id: decision.tenant_id.clone(),
            source: decision.event_source.clone(),
            event_id: decision.event_id.clone(),
            idempotency_key: decision.idempotency_key.clone(),
            ticket_id: decision.ticket_id.clone(),
        }
    }
}

/// One record of the event.
#[derive(Debug, Clone, Serialize)]
pub struct Copy {
    /// `topic-partition-offset`.
    pub origin: String,
    /// The record itself; `None`: retention has taken it.
    pub record: Option<Input>,
    /// Why it had to wait, each time.
    pub deferrals: Vec<EventFeedback>,
    /// How it ended; `None`: not yet.
    pub terminal: Option<EventFeedback>,
    /// What was kept of it, if it was rejected.
    pub dead_letter: Option<DeadLetter>,
}

/// A record as it stands on the events topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Input {
    /// When it was written.
    pub timestamp: Timestamp,
    /// Of its value.
    pub bytes: usize,
    /// In the frame of its value; `None`: JSON.
    pub schema_id: Option<u32>,
    /// `None`: it cannot be read as an event.
    pub event_type: Option<EventType>,
}

/// The ledger's row of the event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LedgerRow {
    /// Hexadecimal dedupe key.
    pub key: String,
    /// The copy that owns it, `topic-partition-offset`.
    pub owner: String,
    /// How many delay tiers it came through.
    pub hop: u32,
    /// When it was claimed first.
    pub first_seen_at: Timestamp,
    /// The saved answer.
    pub answer: Option<Answer>,
    /// When it was saved.
    pub answered_at: Option<Timestamp>,
    /// The saved verdict.
    pub verdict: Option<(FeedbackStatus, String)>,
    /// Whether a better decision is wanted; in the row of that one, what came of it.
    pub better: Option<Better>,
    /// When its burst was known to be committed.
    pub published_at: Option<Timestamp>,
    /// The owner can never come again.
    pub vanished: bool,
    /// Whether it was ever rejected.
    pub rejected: bool,
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// Neither log nor ledger can be asked.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Nobody knows it.
    #[error("nothing on the log is event, decision or origin {asked:?}{}", of_tenant(tenant.as_deref()))]
    Unknown {
        /// What was asked for.
        asked: String,
        /// And of whom.
        tenant: Option<String>,
    },
    /// Several events have this id.
    #[error("{asked:?} is several events; name one by --tenant or by its origin:{}", candidates(found))]
    Ambiguous {
        /// What was asked for.
        asked: String,
        /// Which there are, each with its first origin.
        found: Vec<(Identity, String)>,
    },
}

fn of_tenant(tenant: Option<&str>) -> String {
    tenant.map(|tenant| format!(" of tenant {tenant:?}")).unwrap_or_default()
}

fn candidates(found: &[(Identity, String)]) -> String {
    let line = |(event, origin): &(Identity, String)| {
        format!("\n  tenant {}, source {}, ticket {}, at {origin}", event.tenant_id, event.source, event.ticket_id)
    };
    found.iter().map(line).collect()
}

/// A decision's predictions by name, in the order in which people ask for them.
#[must_use]
pub fn fields(decision: &TriageDecision) -> Vec<(String, &Prediction)> {
    let fixed = [
        ("category", decision.category.as_ref()),
        ("intent", decision.intent.as_ref()),
        ("priority", decision.priority.as_ref()),
        ("impact", decision.impact.as_ref()),
        ("urgency", decision.urgency.as_ref()),
        ("queue", decision.routing.as_ref().map(|routing| &routing.queue)),
        ("sentiment", decision.sentiment.as_ref()),
        ("language", decision.language.as_ref()),
        ("ticket_type", decision.ticket_type.as_ref()),
    ];
    let fixed = fixed.into_iter().filter_map(|(name, field)| Some((name.to_owned(), field?)));
    fixed.chain(decision.custom_fields.iter().map(|(name, field)| (format!("custom_fields.{name}"), field))).collect()
}
