//! One record on its way.

use std::sync::Arc;

use tokio::time::Instant;

use crate::domain::answer::{Answer, FirstLook};
use crate::domain::clock::Timestamp;
use crate::domain::deferral::Deferral;
use crate::domain::event::SupportEvent;
use crate::domain::feedback::LimitState;
use crate::domain::human_feedback::HumanFeedback;
use crate::domain::identity::DedupeKey;
use crate::domain::past_decision::PastDecision;
use crate::domain::position::{Partition, Position, TopicRole};
use crate::domain::reason_code::ReasonCode;
use crate::domain::record::Record;
use crate::domain::tenant::Tenant;
use crate::domain::verdict::Verdict;
use crate::pipeline::dedupe::ledger::Claim;
use crate::pipeline::ingest::Rejection;
use crate::pipeline::lane::TicketKey;

/// Names an item within this process; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemId(pub u64);

/// A record between being read and being committed.
#[derive(Debug)]
pub struct Item {
    /// Where it was read.
    pub partition: Partition,
    /// Which copy of its event it is.
    pub position: Position,
    /// The record itself, for dead letters and envelopes; of a copy that came back, as it first stood.
    pub record: Record,
    /// Whose position it has: that of an event or of feedback, or, for a record on a deferred topic that is no copy of
    /// ours, its own.
    pub origin: TopicRole,
    /// When its tenant's limits were to have room for it, if it was put off before; past, if they had.
    pub turn: Option<Timestamp>,
    /// It is an improve record, whether it can be read or not: its event had its end before.
    pub had_its_end: bool,
    /// When it was read.
    pub read_at: Instant,
    /// What could be understood of it.
    pub content: Content,
    /// What is to be done with it.
    pub plan: Plan,
    /// Since when nothing but another copy's open end keeps it from its own.
    pub waits_for_owner: Option<Instant>,
}

/// What could be understood of a record.
#[derive(Debug)]
pub enum Content {
    /// Nothing that has an identity.
    Unreadable(Rejection),
    /// An event.
    Event(EventItem),
    /// Human feedback.
    Feedback(FeedbackItem),
}

/// Human feedback with its identity. It has no lane: it waits for no model, and its reviews stand in no order.
#[derive(Debug, Clone)]
pub struct FeedbackItem {
    /// What somebody made of a decision.
    pub feedback: Arc<HumanFeedback>,
    /// Its claim on its dedupe key.
    pub claim: Claim,
    /// Why it is rejected, if it is, unless it is a duplicate.
    pub rejection: Option<Arc<Rejection>>,
}

/// An event with its identity.
#[derive(Debug, Clone)]
pub struct EventItem {
    /// What happened.
    pub event: Arc<SupportEvent>,
    /// Under whose policy; none for an unknown tenant, which is rejected.
    pub tenant: Option<Arc<Tenant>>,
    /// Its lane.
    pub ticket: TicketKey,
    /// Its claim on its dedupe key.
    pub claim: Claim,
    /// Why it is rejected, if it is, unless it is a duplicate.
    pub rejection: Option<Arc<Rejection>>,
    /// Schema id it was written with.
    pub schema_id: Option<u32>,
    /// What the local model said, if it was asked first and was in doubt.
    pub first_look: Option<FirstLook>,
    /// It is an improve record: then it has an identity of its own, and its event had its end before.
    pub improves: Option<Improves>,
}

/// What an improve record stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Improves {
    /// The event's own key.
    pub event: DedupeKey,
    /// The fallback's decision.
    pub decision_id: String,
    /// Whether it would come too late: asked of the ledger each time before it goes on.
    pub check: Check,
}

/// How far that question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Not asked since it last went on.
    Due,
    /// On its way.
    Asked,
    /// Nothing spoke against it, and its ticket waits for it.
    Passed,
}

/// How far a better decision is.
#[derive(Debug, Clone)]
pub enum Better {
    /// The model is to be asked.
    Ask,
    /// It has answered, and that is saved.
    Judge(Arc<Answer>),
    /// It is saved.
    Publish(Arc<Verdict>),
}

/// What is to be done with an item when its turn comes.
#[derive(Debug, Clone)]
pub enum Plan {
    /// The ledger has not answered yet.
    Unknown,
    /// A model is asked.
    Ask,
    /// An answer was saved before: it is judged, nothing is paid.
    Judge(Arc<Answer>),
    /// Its end is known; an agent changed something, and which decision that judges is asked before it is saved.
    Recall(Arc<Verdict>),
    /// It is an improve record, and goes on so if that is not too late.
    Improve(Better),
    /// Its end is known and must be saved before it is published, with what is kept of the decision in it.
    Save(Arc<Verdict>, Option<Arc<PastDecision>>),
    /// Its end is saved, or is about another event's row: it is published.
    Publish(Arc<Verdict>),
    /// Another copy owns its event and may yet be rejected, which would make the event its own: the ledger is asked again
    /// when its turn comes.
    Confirm,
    /// It was published before, or another copy of it will be: its offset is finished, nothing goes out.
    FinishSilently,
    /// It is put off, which must be remembered before its copy goes out.
    PutOff(Arc<PutOff>),
    /// It is put off, and that is remembered.
    GoAside(Arc<PutOff>),
}

/// An event on its way to a delay tier.
#[derive(Debug, Clone, PartialEq)]
pub struct PutOff {
    /// Which.
    pub tier: u8,
    /// Why.
    pub code: ReasonCode,
    /// What stands on the copy.
    pub deferral: Deferral,
    /// The limit that has no room for it.
    pub limit: Option<LimitState>,
    /// When it may have.
    pub retry_at: Timestamp,
}

impl Item {
    /// Whether a copy of it goes on for it, or will.
    pub fn goes_aside(&self) -> bool {
        matches!(self.plan, Plan::PutOff(_) | Plan::GoAside(_))
    }

    /// The event, if it is one.
    pub fn event(&self) -> Option<&EventItem> {
        match &self.content {
            Content::Event(event) => Some(event),
            Content::Unreadable(_) | Content::Feedback(_) => None,
        }
    }

    /// The same, to note something about it.
    pub fn event_mut(&mut self) -> Option<&mut EventItem> {
        match &mut self.content {
            Content::Event(event) => Some(event),
            Content::Unreadable(_) | Content::Feedback(_) => None,
        }
    }

    /// What it improves, if it is an improve record.
    pub fn improves(&self) -> Option<&Improves> {
        self.event()?.improves.as_ref()
    }

    /// The feedback, if it is that.
    pub fn feedback(&self) -> Option<&FeedbackItem> {
        match &self.content {
            Content::Feedback(feedback) => Some(feedback),
            Content::Unreadable(_) | Content::Event(_) => None,
        }
    }

    /// Its claim, if it has an identity.
    pub fn claim(&self) -> Option<&Claim> {
        match &self.content {
            Content::Event(event) => Some(&event.claim),
            Content::Feedback(feedback) => Some(&feedback.claim),
            Content::Unreadable(_) => None,
        }
    }

    /// Its lane, if it is an event.
    pub fn ticket(&self) -> Option<&TicketKey> {
        self.event().map(|event| &event.ticket)
    }
}
