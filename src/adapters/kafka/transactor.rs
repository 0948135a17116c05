//! A producer on a thread of its own: nobody waits for it longer than a transaction may last.
//!
//! librdkafka does not keep to the time-out it is given for sending offsets, and may wait for ever for a coordinator that
//! metadata does not name any more (confluentinc/librdkafka issues 5456 and 5511). A thread that hangs is left behind with its
//! producer, and ends when librdkafka comes back, if it does; what it still sends is fenced by the next producer of the same
//! name.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::Builder;
use std::time::Duration;

use super::producer::Trouble;
use super::raw::GroupMetadata;
use super::transaction::{Attempt, Failure};
use crate::pipeline::log::Burst;

/// What an attempt needs.
struct Task {
    burst: Arc<Burst>,
    membership: Arc<GroupMetadata>,
}

/// An attempt, or what its thread panicked with.
type End = Result<Attempt, Box<dyn Any + Send>>;

/// Attempts bursts, one after the other.
pub struct Transactor {
    trouble: Trouble,
    tasks: Sender<Task>,
    ends: Receiver<End>,
}

impl Transactor {
    /// `attempt` has the producer; `trouble` is that producer's.
    ///
    /// # Errors
    /// When there is no thread.
    pub fn start(
        trouble: Trouble,
        attempt: impl Fn(&Burst, &GroupMetadata) -> Attempt + Send + 'static,
    ) -> io::Result<Self> {
        let ((tasks, to_do), (tell, ends)) = (mpsc::channel(), mpsc::channel());
        let work = move || {
            while let Ok(Task { burst, membership }) = to_do.recv() {
                // Whoever waits for it breaks down in our place.
                let end: End = catch_unwind(AssertUnwindSafe(|| attempt(&burst, &membership)));
                if tell.send(end).is_err() {
                    return;
                }
            }
        };
        Builder::new().name("kafka-burst".to_owned()).spawn(work)?;
        Ok(Self { trouble, tasks, ends })
    }

    /// One burst, once. After anything but a commit this is not to be used again.
    pub fn attempt(&self, burst: &Arc<Burst>, membership: &Arc<GroupMetadata>, limit: Duration) -> Attempt {
        let task = Task { burst: Arc::clone(burst), membership: Arc::clone(membership) };
        // A thread that is gone gives no answer either.
        self.tasks.send(task).ok();
        match self.ends.recv_timeout(limit) {
            Ok(Ok(attempt)) => attempt,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Attempt::Unknown(Failure::NoAnswer(limit)),
        }
    }

    /// What went wrong since the producer was initialised.
    pub fn trouble(&self) -> &Trouble {
        &self.trouble
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn burst(number: u64) -> Arc<Burst> {
        let epoch = crate::pipeline::log::Epoch(1);
        Arc::new(Burst { number, epoch, records: Vec::new(), positions: Vec::new() })
    }

    fn member() -> Arc<GroupMetadata> {
        Arc::new(GroupMetadata::of_a_stranger("a group"))
    }

    fn committed(millis: u64) -> Attempt {
        Attempt::Committed { commit: Duration::from_millis(millis) }
    }

    #[test]
    fn each_burst_has_its_own_end() {
        let attempt = |burst: &Burst, _: &GroupMetadata| committed(burst.number);
        let transactor = Transactor::start(Trouble::default(), attempt).expect("a thread");
        for number in 1..4 {
            assert_eq!(transactor.attempt(&burst(number), &member(), LONG), committed(number));
        }
    }

    #[test]
    fn what_hangs_is_not_waited_for_and_goes_once_it_comes_back() {
        let (come_back, hangs) = mpsc::channel::<()>();
        let (goes, gone) = mpsc::channel::<()>();
        let attempt = move |_: &Burst, _: &GroupMetadata| {
            let _producer = &goes;
            hangs.recv().ok();
            committed(0)
        };
        let transactor = Transactor::start(Trouble::default(), attempt).expect("a thread");
        let limit = Duration::from_millis(20);
        let unknown = Attempt::Unknown(Failure::NoAnswer(limit));
        assert_eq!(transactor.attempt(&burst(1), &member(), limit), unknown);
        drop(transactor);
        assert_eq!(gone.try_recv(), Err(mpsc::TryRecvError::Empty), "its producer is with it");
        drop(come_back);
        assert_eq!(gone.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));
    }

    #[test]
    #[should_panic(expected = "as in a bug")]
    fn a_panic_is_of_whoever_waits() {
        let attempt = |_: &Burst, _: &GroupMetadata| panic!("as in a bug");
        let transactor = Transactor::start(Trouble::default(), attempt).expect("a thread");
        transactor.attempt(&burst(1), &member(), LONG);
    }
}
