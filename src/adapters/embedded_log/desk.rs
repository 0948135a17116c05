//! Where errands arrive. Pause and resume take effect at once, also while a burst is being committed.

use std::collections::BTreeSet;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::domain::position::Partition;
use crate::pipeline::log::{Burst, Errand};

/// What the reader has to know.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// Not to be read now.
    pub(super) paused: BTreeSet<Partition>,
    /// How many of our own bursts wrote into what we read: something new is there without waiting for the next look.
    pub(super) own_news: u64,
}

/// Hand errands on until the road stops or is gone, or somebody else ended.
pub(super) async fn attend(
    mut errands: mpsc::UnboundedReceiver<Errand>,
    orders: &watch::Sender<Orders>,
    bursts: mpsc::Sender<Burst>,
    ended: &CancellationToken,
) {
    while let Some(Some(errand)) = ended.run_until_cancelled(errands.recv()).await {
        match errand {
            Errand::Pause(partitions) => orders.send_modify(|orders| orders.paused.extend(partitions)),
            Errand::Resume(partitions) => orders.send_modify(|orders| {
                orders.paused.retain(|paused| !partitions.contains(paused));
            }),
            Errand::Publish(burst) => {
                if bursts.send(burst).await.is_err() {
                    break;
                }
            }
            // Nothing is ever revoked here.
            Errand::LetGo(_) => {}
            Errand::Stop => break,
        }
    }
}
