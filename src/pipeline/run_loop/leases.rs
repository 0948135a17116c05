//! A call asks the road for its lease.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::domain::identity::DedupeKey;
use crate::domain::money::Money;
use crate::domain::position::Position;
use crate::pipeline::road::{LeaseRequest, Wish};
use crate::pipeline::triage::guard::{LeaseReply, Leases};

/// Leases by way of the road, which writes them to the ledger with everything else.
pub(super) struct RoadLeases(pub(super) mpsc::UnboundedSender<LeaseRequest>);

impl Leases for RoadLeases {
    fn acquire(&self, key: DedupeKey, owner: &Position, lasts: Duration, expected: Money) -> BoxFuture<'_, LeaseReply> {
        let (reply, answer) = oneshot::channel();
        let wish = Wish::Begin { lasts, expected, reply };
        let sent = self.0.send(LeaseRequest { key, owner: owner.clone(), wish });
        Box::pin(async move {
            match sent {
                Ok(()) => answer.await.unwrap_or(LeaseReply::Gone),
                Err(_) => LeaseReply::Gone,
            }
        })
    }

    fn ended(&self, key: DedupeKey, owner: &Position, billed: Money, is_answered: bool) {
        let wish = Wish::End { billed, is_answered };
        // A road that is gone releases and settles nothing: the lease ends by itself, and the next life counts the call.
        self.0.send(LeaseRequest { key, owner: owner.clone(), wish }).ok();
    }
}
