//! The ledger's batches of one line: at most one is on its way, and while it is, the next one collects.
//!
//! A batch that failed is written again before any other, after a pause. The next one starts when it is full, or so long after
//! the start of the last one; an entry that comes after a quiet while starts one at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::Outside;
use crate::pipeline::dedupe::ledger::{Entry, Ledger, LedgerError, Outcome};
use crate::pipeline::road::{Batch, Line, Road};

/// What a batch was, what came of it, and how long that took.
pub(super) type Written = (Vec<Entry>, Batch, Result<Vec<Outcome>, LedgerError>, Duration);

pub(super) struct Batches {
    line: Line,
    ledger: Arc<dyn Ledger>,
    max_entries: usize,
    interval: Duration,
    retry_pause: Duration,
    running: JoinSet<Written>,
    /// When the next one starts, full or not.
    due: Instant,
    failed: bool,
    /// One that failed, and when to try it again.
    again: Option<(Instant, Vec<Entry>, Batch)>,
}

impl Batches {
    pub(super) fn new(line: Line, outside: &Outside, retry_pause: Duration) -> Self {
        // An answer keeps its call's place: it waits for nothing but the batch before.
        let interval = if line == Line::Answers { Duration::ZERO } else { outside.ledger_batch_interval };
        Self {
            line,
            ledger: outside.ledger.clone(),
            max_entries: outside.ledger_batch_max_entries,
            interval,
            retry_pause,
            running: JoinSet::new(),
            due: Instant::now(),
            failed: false,
            again: None,
        }
    }

    /// Start one, if it is time.
    pub(super) fn start(&mut self, road: &mut Road, now: Instant) {
        let is_full = self.again.is_none() && road.unwritten(self.line) >= self.max_entries;
        if !is_full && self.wake(road.unwritten(self.line)).is_none_or(|due| due > now) || !self.running.is_empty() {
            return;
        }
        let next = match self.again.take() {
            Some((_, entries, batch)) => Some(road.still_ours(entries, batch)),
            None => road.next_batch(self.line, self.max_entries),
        };
        if let Some((mut entries, batch)) = next {
            road.stamp(&mut entries);
            self.due = now + self.interval;
            let ledger = self.ledger.clone();
            self.running.spawn(async move {
                let outcomes = ledger.commit(entries.clone()).await;
                (entries, batch, outcomes, now.elapsed())
            });
        }
    }

    /// When one may be started, with so much to be written; none while one is on its way, or for nothing.
    pub(super) fn wake(&self, unwritten: usize) -> Option<Instant> {
        let failed = self.again.as_ref().map(|(due, ..)| *due);
        let next = failed.or((unwritten > 0).then_some(self.due));
        next.filter(|_| self.running.is_empty())
    }

    /// The one on its way has ended; `None`: there is none.
    pub(super) async fn next(&mut self) -> Option<Result<Written, JoinError>> {
        self.running.join_next().await
    }

    /// It failed.
    pub(super) fn try_again(&mut self, entries: Vec<Entry>, batch: Batch, now: Instant) {
        self.failed = true;
        self.again = Some((now + self.retry_pause, entries, batch));
    }

    /// The latest one failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// It was written.
    pub(super) fn written(&mut self) {
        self.failed = false;
    }

    /// None is on its way, and none has failed.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.again.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::HandClock;
    use crate::pipeline::dedupe::no_ledger::NoLedger;
    use crate::pipeline::road::testing::{EVENTS, TestRoad};

    const PAUSE: Duration = Duration::from_millis(200);

    fn batches(interval: Duration) -> Batches {
        Batches {
            line: Line::Others,
            ledger: Arc::new(NoLedger::new(Arc::new(HandClock::default()))),
            max_entries: 100,
            interval,
            retry_pause: PAUSE,
            running: JoinSet::new(),
            due: Instant::now(),
            failed: false,
            again: None,
        }
    }

    /// Whatever lies between them: a batch that fails is tried again after its pause, not before, and meanwhile nothing wakes
    /// the loop for the entries behind it.
    #[tokio::test(start_paused = true)]
    async fn what_waits_behind_a_failed_batch_wakes_nobody_before_its_time() {
        for interval in [Duration::ZERO, PAUSE / 20, PAUSE * 3] {
            let mut test = TestRoad::new(&[]);
            test.owns(EVENTS);
            test.hand_over_tickets(0..1);
            let (mut batches, begun) = (batches(interval), Instant::now());
            batches.start(&mut test.road, begun);
            assert_eq!(batches.wake(1), None, "one is on its way");
            let (entries, batch, ..) = batches.next().await.expect("it was started").expect("it does not panic");
            assert!(!batches.has_failed());
            batches.try_again(entries, batch, begun);
            test.hand_over_tickets(1..2);
            assert_eq!(batches.wake(test.road.unwritten(Line::Others)), Some(begun + PAUSE));
            batches.start(&mut test.road, begun + PAUSE / 2);
            assert!(batches.running.is_empty() && !batches.is_idle());
            batches.start(&mut test.road, begun + PAUSE);
            assert!(
                !batches.running.is_empty() && test.road.unwritten(Line::Others) > 0,
                "the same, and not the next one"
            );
            assert!(batches.has_failed(), "until it is written");
            batches.written();
            assert!(!batches.has_failed());
        }
    }
}
