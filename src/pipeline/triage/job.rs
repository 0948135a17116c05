//! What is to be triaged, how it can end, and who may call for it meanwhile.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, SemaphorePermit};
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
    /// Where its calls take their turn.
    pub places: Places,
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

/// So many calls run at once; whoever finds no place waits in line. Clones are the same places.
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

    /// For one call, until it is dropped; `None`: not in time.
    pub(super) async fn one(&self, until: Instant) -> Option<SemaphorePermit<'_>> {
        timeout_at(until, self.free.acquire()).await.ok().map(|place| place.expect("nobody closes it"))
    }

    /// How many calls run.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.all - self.free.available_permits()
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

/// How triage ended.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "an answer is the rule; the others are rare and short-lived")]
pub enum Triaged {
    /// With an answer (maybe nobody's), and all tokens that were billed on the way.
    Answered(Answer, u64),
    /// The local model was to look first, and is in doubt: the chain is to be asked. Nothing was billed.
    InDoubt(FirstLook),
    /// Somebody else is calling for this event, for this much longer at most.
    HeldElsewhere(Duration),
    /// The ledger knows more than we do: read the row again.
    Pointless,
    /// The road is going away.
    Gone,
    /// There is no money for it, nothing was billed, and its tenant wants such events put off.
    Unpaid,
}
