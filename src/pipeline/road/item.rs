//! One record on its way.

use std::sync::Arc;

use tokio::time::Instant;

use crate::domain::answer::Answer;
use crate::domain::event::SupportEvent;
use crate::domain::position::{Partition, Position};
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
    /// The record itself, for dead letters and envelopes.
    pub record: Record,
    /// When it was read.
    pub read_at: Instant,
    /// What could be understood of it.
    pub content: Content,
    /// What is to be done with it.
    pub plan: Plan,
}

/// What could be understood of a record.
#[derive(Debug)]
pub enum Content {
    /// Nothing that has an identity.
    Unreadable(Rejection),
    /// An event.
    Event(EventItem),
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
    /// Its end is known and must be saved before it is published.
    Save(Arc<Verdict>),
    /// Its end is saved, or is about another event's row: it is published.
    Publish(Arc<Verdict>),
    /// It was published before: its offset is finished, nothing goes out.
    FinishSilently,
}

impl Item {
    /// The event, if it is one.
    pub fn event(&self) -> Option<&EventItem> {
        match &self.content {
            Content::Event(event) => Some(event),
            Content::Unreadable(_) => None,
        }
    }

    /// Its lane, if it is an event.
    pub fn ticket(&self) -> Option<&TicketKey> {
        self.event().map(|event| &event.ticket)
    }
}
