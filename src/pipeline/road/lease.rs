//! What a call asks for before it may be paid.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::domain::identity::DedupeKey;
use crate::domain::money::Money;
use crate::domain::position::Position;
use crate::pipeline::triage::guard::LeaseReply;

/// What a triage wants before, and says after, an attempt that may cost money.
#[derive(Debug)]
pub struct LeaseRequest {
    /// For which event.
    pub key: DedupeKey,
    /// Whose claim it is.
    pub owner: Position,
    /// What it wants.
    pub wish: Wish,
}

/// What a triage wants.
#[derive(Debug)]
pub enum Wish {
    /// To make an attempt.
    Begin {
        /// How long it may last.
        lasts: Duration,
        /// What it is expected to cost.
        expected: Money,
        /// Where the answer goes.
        reply: oneshot::Sender<LeaseReply>,
    },
    /// To be done with one.
    End {
        /// What it cost.
        billed: Money,
        /// Its lease ends when the answer is saved; else now.
        is_answered: bool,
    },
}

/// Who waits for a lease.
#[derive(Debug)]
pub struct Waiting {
    /// For which event.
    pub key: DedupeKey,
    /// Whose claim it is.
    pub owner: Position,
    /// Where the answer goes.
    pub reply: oneshot::Sender<LeaseReply>,
}

impl Waiting {
    pub(super) fn answer(self, reply: LeaseReply) {
        if self.reply.send(reply).is_err() {
            tracing::debug!(key = %self.key, "the call that wanted a lease is gone");
        }
    }
}
