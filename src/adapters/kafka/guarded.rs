//! A thread that does not end without a word. The others would go on, and a process would look well that reads nothing, or
//! publishes nothing, while its partitions are nobody else's.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::Builder;

use tokio::sync::mpsc::WeakSender;

use super::orders::Orders;
use crate::pipeline::log::Happening;

/// Does this work on a thread of its own. If it breaks down, the road is told, and everything ends.
///
/// # Errors
/// When there is no thread.
pub fn spawn(
    name: &'static str,
    to_road: &WeakSender<Happening>,
    orders: &Arc<Orders>,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let (to_road, orders) = (to_road.clone(), orders.clone());
    let guarded = move || {
        // What it worked with is gone with it, or behind locks that do not mind.
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            let reason = format!("the log's thread {name} broke down, the error is told above; this is a bug");
            tracing::error!(reason, "the log cannot go on");
            // Where nobody is left to tell anything the channel is closed, which says enough; and so is a road that is gone.
            to_road.upgrade().map(|to_road| to_road.blocking_send(Happening::Failed { reason }));
            orders.stop();
        }
    };
    Builder::new().name(name.to_owned()).spawn(guarded).map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pipeline::log::channels;

    #[test]
    fn a_thread_that_breaks_down_tells_the_road_while_others_keep_the_channel_open_and_ends_them() {
        let (mut port, end) = channels(1);
        let orders = Arc::new(Orders::default());
        spawn("kafka-test", &end.happenings.downgrade(), &orders, || panic!("as in a bug")).expect("a thread");
        match port.happenings.blocking_recv() {
            Some(Happening::Failed { reason }) => assert!(reason.contains("kafka-test"), "{reason}"),
            other => panic!("{other:?}"),
        }
        assert!(orders.pause(Duration::from_secs(10)), "the other threads go on");
    }

    #[test]
    fn a_thread_that_ends_says_nothing() {
        let (mut port, end) = channels(1);
        let orders = Arc::new(Orders::default());
        spawn("kafka-test", &end.happenings.downgrade(), &orders, move || drop(end)).expect("a thread");
        assert!(port.happenings.blocking_recv().is_none());
        assert!(!orders.stopped());
    }
}
