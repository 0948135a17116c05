//! The data plane's only loop: fetches what the road wants of the outside, and tells it what the outside did.
//!
//! One task owns the road; calls and ledger batches run beside it as tasks of their own, which end with it. At most one
//! ledger batch is on its way: while it is, the next one collects. All waiting is bounded by the road.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::dedupe::ledger::{Entry, Ledger, LedgerError, Outcome};
use super::log::LogPort;
use super::road::{Batch, Fixtures, LeaseRequest, Road};
use super::triage::guard::{Guard, LeaseReply, Leases, Triaged};
use crate::domain::identity::DedupeKey;
use crate::domain::position::Position;
use crate::domain::record::OutRecord;
use crate::telemetry::happenings::{Draining, LedgerAvailable, LedgerBatchCommitted, LedgerUnavailable};

/// What the loop talks to.
pub struct Outside {
    /// Where records come from and go to.
    pub log: LogPort,
    /// What remembers.
    pub ledger: Arc<dyn Ledger>,
    /// Entries of one ledger transaction.
    pub ledger_batch_max_entries: usize,
    /// Records for operators, to be published with the next burst.
    pub asides: mpsc::UnboundedReceiver<OutRecord>,
    /// Told by signals.
    pub stop: watch::Receiver<Stop>,
    /// End when everything that was read has its terminal.
    pub until_idle: bool,
    /// Told when a dependency goes away and comes back.
    pub on_health: HealthListener,
}

/// Told of `("ledger", Err(why))` and the like.
pub type HealthListener = Arc<dyn Fn(&'static str, Result<(), String>) + Send + Sync>;

/// How far the process has been asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    No,
    /// Stop reading, let what runs end, publish it.
    Drain,
    /// Leave everything as it is.
    Now,
}

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to, and everything that ran was published.
    Drained,
    /// It was asked to, and left running calls behind; their events will be read again.
    CutShort,
    /// Everything there was has its terminal.
    Idle,
}

/// Why the loop could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The log or the ledger is broken in a way that waiting does not mend.
    #[error("{0}")]
    Failed(String),
    /// The log's side of the channels is gone.
    #[error("the log ended without a word")]
    LogGone,
}

/// Gauges are looked at every few seconds at most.
const GAUGES_EVERY: Duration = Duration::from_millis(250);

type LedgerTask = (Vec<Entry>, Batch, Result<Vec<Outcome>, LedgerError>, Duration);

struct Loop {
    road: Road,
    outside: Outside,
    guard: Arc<Guard>,
    calls: JoinSet<(DedupeKey, Triaged)>,
    ledger_tasks: JoinSet<LedgerTask>,
    /// A batch that failed, and when to try it again.
    again: Option<(Instant, Vec<Entry>, Batch)>,
    away_since: Option<Instant>,
    lease_requests: mpsc::UnboundedReceiver<LeaseRequest>,
    leases: Arc<dyn Leases>,
    retry_pause: Duration,
    drain_deadline: Duration,
    drain_until: Option<Instant>,
    gauge_due: Instant,
}

/// Run until stopped, idle or broken. Dropping the future is a crash: nothing is lost, what was not committed is read
/// again.
pub async fn run(fixtures: Fixtures, outside: Outside) -> Result<Ended, RunError> {
    let (to_road, lease_requests) = mpsc::unbounded_channel();
    let (retry_pause, drain_deadline) = (fixtures.settings.retry_pause, fixtures.settings.drain_deadline);
    let guard = fixtures.guard.clone();
    let road = Road::new(fixtures, outside.log.errands.clone(), Instant::now());
    let mut this = Loop {
        road,
        outside,
        guard,
        calls: JoinSet::new(),
        ledger_tasks: JoinSet::new(),
        again: None,
        away_since: None,
        lease_requests,
        leases: Arc::new(RoadLeases(to_road)),
        retry_pause,
        drain_deadline,
        drain_until: None,
        gauge_due: Instant::now(),
    };
    let ended = this.turn().await;
    this.road.stop();
    ended
}

impl Loop {
    async fn turn(&mut self) -> Result<Ended, RunError> {
        loop {
            let now = Instant::now();
            self.road.woke(now);
            self.start_calls(now);
            self.start_ledger_batch(now);
            if let Some(reason) = self.road.failure() {
                return Err(RunError::Failed(reason));
            }
            if let Some(complaint) = self.road.complaint() {
                (self.outside.on_health)("log", Err(complaint));
            }
            if let Some(ended) = self.ending(now) {
                return Ok(ended);
            }
            self.gauge(now);
            self.wait_and_tell(now).await?;
        }
    }

    /// Wait for the next thing the outside does, and tell the road. What ends work comes before what brings more.
    async fn wait_and_tell(&mut self, now: Instant) -> Result<(), RunError> {
        let again = self.again.as_ref().map(|(due, ..)| *due);
        let wake = [self.road.next_wake(now), again, self.drain_until].into_iter().flatten().min();
        tokio::select! {
            biased;
            _ = self.outside.stop.changed() => self.asked_to_stop(),
            Some(done) = self.ledger_tasks.join_next() => self.ledger_answered(done),
            Some(done) = self.calls.join_next() => match done {
                Ok((key, triaged)) => self.road.triaged(key, triaged, Instant::now()),
                Err(error) => return Err(RunError::Failed(format!("a call broke down: {error}"))),
            },
            Some(request) = self.lease_requests.recv() => self.road.lease_wanted(request),
            Some(record) = self.outside.asides.recv() => self.road.aside(record),
            happening = self.outside.log.happenings.recv() => {
                self.road.happened(happening.ok_or(RunError::LogGone)?, Instant::now());
            }
            () = sleep_until(wake.unwrap_or(now)), if wake.is_some() => {}
        }
        Ok(())
    }

    fn start_calls(&mut self, now: Instant) {
        while let Some(job) = self.road.next_job(now) {
            let (guard, leases, key) = (self.guard.clone(), self.leases.clone(), job.key);
            self.calls.spawn(async move { (key, guard.triage(job, &*leases).await) });
        }
    }

    fn start_ledger_batch(&mut self, now: Instant) {
        if !self.ledger_tasks.is_empty() {
            return;
        }
        let due = match self.again.take() {
            Some((due, entries, batch)) if due <= now => Some((entries, batch)),
            Some(later) => {
                self.again = Some(later);
                None
            }
            None => self.road.next_batch(self.outside.ledger_batch_max_entries),
        };
        if let Some((mut entries, batch)) = due {
            self.road.stamp(&mut entries);
            let ledger = self.outside.ledger.clone();
            self.ledger_tasks.spawn(async move {
                let outcomes = ledger.commit(entries.clone()).await;
                (entries, batch, outcomes, now.elapsed())
            });
        }
    }

    fn ledger_answered(&mut self, done: Result<LedgerTask, tokio::task::JoinError>) {
        let now = Instant::now();
        let Ok((entries, batch, outcomes, duration)) = done else {
            self.road.ledger_failed(&LedgerError::Damaged("a ledger batch broke down".to_owned()));
            return;
        };
        match outcomes {
            Ok(outcomes) => {
                LedgerBatchCommitted { entries: entries.len(), duration }.record();
                if let Some(since) = self.away_since.take() {
                    LedgerAvailable { held_for: now - since }.record();
                    (self.outside.on_health)("ledger", Ok(()));
                }
                self.road.ledger_said(batch, outcomes, now);
            }
            Err(error) => {
                let since = *self.away_since.get_or_insert(now);
                LedgerUnavailable { error: &error.to_string(), holding_for: now - since }.record();
                (self.outside.on_health)("ledger", Err(error.to_string()));
                self.road.ledger_failed(&error);
                self.again = Some((now + self.retry_pause, entries, batch));
            }
        }
    }

    fn asked_to_stop(&mut self) {
        if *self.outside.stop.borrow() == Stop::Drain && self.drain_until.is_none() {
            crate::failpoints::hit("drain_begun");
            Draining { in_flight: self.calls.len(), deadline: self.drain_deadline }.record();
            self.drain_until = Some(Instant::now() + self.drain_deadline);
            self.road.drain();
        }
    }

    fn ending(&mut self, now: Instant) -> Option<Ended> {
        if *self.outside.stop.borrow() == Stop::Now {
            return Some(Ended::CutShort);
        }
        let nothing_runs = self.calls.is_empty() && self.ledger_tasks.is_empty() && self.again.is_none();
        if let Some(until) = self.drain_until {
            if nothing_runs && self.road.is_drained() {
                return Some(Ended::Drained);
            }
            return (until <= now).then_some(Ended::CutShort);
        }
        (self.outside.until_idle && nothing_runs && self.road.is_idle()).then_some(Ended::Idle)
    }

    fn gauge(&mut self, now: Instant) {
        if self.gauge_due <= now {
            self.gauge_due = now + GAUGES_EVERY;
            self.road.gauges().record();
        }
    }
}

/// Leases by way of the road, which writes them to the ledger with everything else.
struct RoadLeases(mpsc::UnboundedSender<LeaseRequest>);

impl Leases for RoadLeases {
    fn acquire(
        &self,
        key: DedupeKey,
        owner: &Position,
        lasts: Duration,
    ) -> futures_util::future::BoxFuture<'_, LeaseReply> {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.send(LeaseRequest { key, owner: owner.clone(), lasts, reply: Some(reply) });
        Box::pin(async move {
            match sent {
                Ok(()) => answer.await.unwrap_or(LeaseReply::Gone),
                Err(_) => LeaseReply::Gone,
            }
        })
    }

    fn release(&self, key: DedupeKey, owner: &Position) {
        // A road that is gone releases nothing; the lease ends by itself.
        self.0.send(LeaseRequest { key, owner: owner.clone(), lasts: Duration::ZERO, reply: None }).ok();
    }
}
