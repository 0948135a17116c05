//! What is to be triaged, how it can end, and who may call for it meanwhile.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::throttle::Slot;
use super::way::Way;
use crate::domain::answer::{Answer, FirstLook};
use crate::domain::event::SupportEvent;
use crate::domain::flags::Flags;
use crate::domain::identity::DedupeKey;
use crate::domain::money::Money;
use crate::domain::position::Position;
use crate::domain::silence::Presence;
use crate::domain::tenant::{Tenant, WhenSpent};

/// One event to triage.
#[derive(Debug)]
pub struct Job {
    /// The event.
    pub event: Arc<SupportEvent>,
    /// Under whose policy.
    pub tenant: Arc<Tenant>,
    /// Which event it is.
    pub key: DedupeKey,
    /// Which copy of it owns the claim.
    pub owner: Position,
    /// Remote models may be asked, and waited for, until then.
    pub decide_by: Instant,
    /// Whether this process was there all the while.
    pub presence: Arc<Presence>,
    /// For a place among the calls that are under way.
    pub turn: Arc<Turn>,
    /// Room at the model that will be asked first.
    pub reserved: Reserved,
    /// Which capabilities it has.
    pub flags: Flags,
    /// Who is asked.
    pub way: Way,
    /// Its tenant's money for today.
    pub budget: Budget,
}

/// Whether there is money for an event, as far as that is known when it begins; by default there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// It is known to be spent: no model is asked that costs any.
    pub is_spent: bool,
    /// What becomes of the event then.
    pub when_spent: WhenSpent,
}

/// So many calls are under way at once: from their beginning to their answer's end in the ledger, because until then a crash
/// would cost them once more. Whoever finds no place waits in line. Clones are the same places.
#[derive(Debug, Clone)]
pub struct Places {
    all: usize,
    free: Arc<Semaphore>,
}

impl Places {
    /// All of them free.
    #[must_use]
    pub fn new(all: usize) -> Self {
        Self { all, free: Arc::new(Semaphore::new(all)) }
    }

    /// A turn for one event.
    #[must_use]
    pub fn turn(&self) -> Arc<Turn> {
        Arc::new(Turn { places: self.clone(), held: Mutex::default() })
    }

    /// How many are under way.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.all - self.free.available_permits()
    }

    /// From now on no call begins; those that run may end.
    pub fn close(&self) {
        self.free.close();
    }
}

/// One event's place, or its wait for one. The place is free again when everybody has dropped this: the road, which waits for
/// the answer to be saved, is the last.
#[derive(Debug)]
pub struct Turn {
    places: Places,
    held: Mutex<Option<OwnedSemaphorePermit>>,
}

/// Why a call has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    NotInTime,
    /// No call begins any more.
    Closed,
}

impl Turn {
    /// Wait for a place, unless the event has one.
    pub(super) async fn place(&self, until: Instant) -> Result<Place<'_>, NoPlace> {
        let is_paid = self.held().is_some();
        if !is_paid {
            let free = Arc::clone(&self.places.free);
            let permit = timeout_at(until, free.acquire_owned()).await.map_err(|_| NoPlace::NotInTime)?;
            *self.held() = Some(permit.map_err(|_| NoPlace::Closed)?);
        }
        Ok(Place { turn: self, is_paid })
    }

    /// Whether it has its place.
    pub fn has_place(&self) -> bool {
        self.held().is_some()
    }

    fn held(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place for one call; given back with it, unless the call was paid.
pub(super) struct Place<'a> {
    turn: &'a Turn,
    is_paid: bool,
}

impl Place<'_> {
    /// What was paid is under way until it is saved.
    pub(super) fn paid(mut self) {
        self.is_paid = true;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.is_paid {
            self.turn.held().take();
        }
    }
}

/// Room for one event at a model, taken before the event begins; by default none.
#[derive(Debug, Default)]
pub struct Reserved(Option<(usize, Slot)>);

impl Reserved {
    pub(super) fn at(place: usize, slot: Slot) -> Self {
        Self(Some((place, slot)))
    }

    /// If it is at this place of the chain.
    pub(super) fn take(&mut self, place: usize) -> Option<Slot> {
        self.0.take_if(|(reserved, _)| *reserved == place).map(|(_, slot)| slot)
    }
}

/// Who may call for an event. The road answers from the ledger.
pub trait Leases: Send + Sync {
    /// Before each attempt at a remote model: nobody else calls for this event while it lasts.
    /// `expected`: what the attempt will cost, roughly.
    fn acquire(&self, key: DedupeKey, owner: &Position, lasts: Duration, expected: Money) -> BoxFuture<'_, LeaseReply>;

    /// An attempt has ended and was billed so much. Without an answer its lease ends as well; saving an answer ends it.
    fn ended(&self, key: DedupeKey, owner: &Position, billed: Money, is_answered: bool);
}

/// What the ledger says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseReply {
    /// Call.
    Granted,
    /// Somebody else is calling, for this much longer at most.
    HeldElsewhere(Duration),
    /// There is an answer, a verdict or another owner: nothing to call for.
    Pointless,
    /// The road is going away: give up without an answer.
    Gone,
    /// The tenant's money for the day is spent.
    NoMoney,
    /// What is left of it is spoken for by calls that run now: ask again.
    NoMoneyYet,
}

/// What an event's calls came to, however it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bill {
    /// Made to remote models.
    pub calls: u32,
    /// Of all replies.
    pub tokens: u64,
}

/// How triage ended, and what was billed on the way.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "an answer is the rule; the others are rare and short-lived")]
pub enum Triaged {
    /// With an answer, maybe nobody's.
    Answered(Answer, Bill),
    /// The local model was to look first, and is in doubt: the chain is to be asked. Nothing was billed.
    InDoubt(FirstLook),
    /// Somebody else is calling for this event, for this much longer at most.
    HeldElsewhere(Duration, Bill),
    /// The ledger knows more than we do: read the row again.
    Pointless(Bill),
    /// The road is going away.
    Gone(Bill),
    /// There is no money for it, no tokens were billed, and its tenant wants such events put off.
    Unpaid(Bill),
}

impl Triaged {
    /// What its calls came to.
    #[must_use]
    pub fn bill(&self) -> Bill {
        match self {
            Self::InDoubt(_) => Bill::default(),
            Self::Answered(_, bill)
            | Self::HeldElsewhere(_, bill)
            | Self::Pointless(bill)
            | Self::Gone(bill)
            | Self::Unpaid(bill) => *bill,
        }
    }
}
