//! The end: the log gives back what is ours.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::{LogPort, Stop};

/// Longer than any log takes that can be reached.
pub(super) const LOG_CLOSES_WITHIN: Duration = Duration::from_secs(15);

/// Others wait for our partitions: a process that ended before they are given back would keep them until its session is over.
pub(super) async fn until_closed(log: &mut LogPort, stop: &mut watch::Receiver<Stop>) {
    let closed = async { while log.happenings.recv().await.is_some() {} };
    tokio::select! {
        biased;
        () = closed => {}
        Ok(_) = stop.wait_for(|stop| *stop == Stop::Now) => {}
        () = sleep(LOG_CLOSES_WITHIN) => {
            tracing::warn!("the log did not give back in time what was ours; others have it when our session ends");
        }
    }
}
