//! Why something was said to the ledger: its outcome finds its way by that.

use std::sync::Arc;

use super::item::ItemId;
use super::lease::Waiting;
use crate::domain::answer::Answer;
use crate::domain::identity::DedupeKey;
use crate::domain::money::Money;
use crate::domain::position::Partition;
use crate::pipeline::dedupe::ledger::places::Mark;
use crate::pipeline::dedupe::ledger::purses::Reservation;
use crate::pipeline::lane::TicketKey;
use crate::pipeline::log::Epoch;

/// Why a ledger entry was written, so that its outcome finds its way.
pub(super) enum Purpose {
    /// The claim (or take-over) of this item.
    Claim(ItemId),
    /// The claim (or take-over) of this human feedback.
    ClaimFeedback(ItemId),
    /// The decision that this human feedback judges.
    Recall(ItemId),
    /// The verdict on this human feedback.
    Reviewed(ItemId),
    /// The decision that an agent's changes judge; the last of a unit concludes it.
    Changed { item: ItemId, concludes: Option<TicketKey> },
    /// The answer to this event's call.
    Answer(DedupeKey),
    /// The lease under which an unpaid answer is saved.
    UnpaidAnswer(DedupeKey, Arc<Answer>),
    /// The verdict of this item; the last of a unit concludes it.
    Verdict { item: ItemId, concludes: Option<TicketKey> },
    /// That this item is put off; the last of a unit concludes it.
    PutOff { item: ItemId, concludes: Option<TicketKey> },
    /// A lease for a running call.
    Lease(Waiting),
    /// Money for a running call.
    Reserve { key: DedupeKey, call: Reservation, budget: Money },
    /// A call was paid, or was not made.
    Settle(Reservation),
    /// The partition is ours, as of this epoch.
    Enter(Partition, Epoch),
    /// A gap's rows are marked before this partition, as of this epoch, is committed past it.
    Vanished(Partition, Epoch),
    /// Whether the better decision of this improve record would come too late.
    Overtaken(ItemId),
    /// How far the ledger has come: commits carry it.
    Mark {
        /// The latest that was known when its batch was begun.
        after: Mark,
    },
    /// Nobody waits for it.
    Background,
}
