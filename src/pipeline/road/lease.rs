//! What a call asks for before it may be paid.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::domain::identity::DedupeKey;
use crate::domain::position::Position;
use crate::pipeline::triage::guard::LeaseReply;

/// A triage that is about to make a paid attempt asks for this.
#[derive(Debug)]
pub struct LeaseRequest {
    /// For which event.
    pub key: DedupeKey,
    /// Whose claim it is.
    pub owner: Position,
    /// How long the attempt may last.
    pub lasts: Duration,
    /// Where the answer goes; none for a release.
    pub reply: Option<oneshot::Sender<LeaseReply>>,
}

impl LeaseRequest {
    pub(super) fn answer(self, reply: LeaseReply) {
        if let Some(to) = self.reply
            && to.send(reply).is_err()
        {
            tracing::debug!(key = %self.key, "the call that wanted a lease is gone");
        }
    }
}
