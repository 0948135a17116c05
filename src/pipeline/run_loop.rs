//! The data plane's only loop: fetches what the road wants of the outside, and tells it what the outside did.
//!
//! One task owns the road; calls, ledger batches, look-ups of schemas and trips for shared limits run beside it as tasks of
//! their own, which end with it. All waiting is bounded by the road, and by the sign of life that tells a wait from an
//! absence: after an absence the road knows of it before anything is acted upon.

mod batches;
mod closing;
mod ending;
mod leases;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use self::batches::{Batches, Written};
pub use self::ending::{Ended, RunError, Stop};
use self::leases::RoadLeases;
use super::dedupe::ledger::Ledger;
use super::health::{DATABASE, HealthListener};
use super::log::{Happening, LogPort};
use super::log_health::LogHealth;
use super::lookups::Lookups;
use super::road::{Fixtures, LeaseRequest, Line, Road};
use super::schema_set::registry::Lookup;
use super::triage::guard::{Guard, Leases, Triaged};
use super::trips::{SharedLimits, Tripped, Trips};
use crate::domain::identity::DedupeKey;
use crate::domain::record::OutRecord;
use crate::domain::tenant::TenantBook;
use crate::telemetry::happenings::{Draining, LedgerAvailable, LedgerBatchCommitted, LedgerUnavailable, Stopped};

/// What the loop talks to.
pub struct Outside {
    /// Where records come from and go to.
    pub log: LogPort,
    /// What remembers.
    pub ledger: Arc<dyn Ledger>,
    /// What says what an unknown schema id means; none without a schema registry.
    pub lookup: Option<Lookup>,
    /// Where tenants' limits are shared with other instances; none: they are this instance's own.
    pub shared_limits: Option<SharedLimits>,
    /// Entries of one ledger transaction.
    pub ledger_batch_max_entries: usize,
    /// From the start of one ledger batch to the start of the next, unless it is full before.
    pub ledger_batch_interval: Duration,
    /// Records for operators, to be published with a burst.
    pub asides: mpsc::Receiver<OutRecord>,
    /// Told by signals.
    pub stop: watch::Receiver<Stop>,
    /// End when everything that was read has its terminal.
    pub until_idle: bool,
    /// Told when a dependency goes away and comes back.
    pub on_health: HealthListener,
}

/// Refresh interval of gauges, and of breakers that only wait for time to pass.
const GAUGES_EVERY: Duration = Duration::from_millis(250);

/// Signs of life within `pipeline.away_limit`.
const SIGNS_PER_LIMIT: u32 = 4;

/// What has come is told one after another, and after so many the loop looks again whether it is to end.
const TOLD_AT_ONCE: usize = 64;

/// What ended a wait.
#[expect(clippy::large_enum_variant, reason = "one at a time, and told at once")]
enum Woken {
    Stop,
    Ledger(Line, Result<Written, JoinError>),
    Call(Result<(DedupeKey, Triaged), JoinError>),
    /// An id, and whether the registry has answered.
    Schema((u32, bool)),
    Trip(Tripped),
    Lease(LeaseRequest),
    Aside(OutRecord),
    Tenants,
    Log(Option<Happening>),
    Time,
}

struct Loop {
    road: Road,
    outside: Outside,
    guard: Arc<Guard>,
    calls: JoinSet<(DedupeKey, Triaged)>,
    answers: Batches,
    others: Batches,
    lookups: Lookups,
    trips: Trips,
    away_since: Option<Instant>,
    lease_requests: mpsc::UnboundedReceiver<LeaseRequest>,
    leases: Arc<dyn Leases>,
    tenants: watch::Receiver<Arc<TenantBook>>,
    log_health: LogHealth,
    drain_deadline: Duration,
    drain_until: Option<Instant>,
    gauge_due: Instant,
    /// How often the loop turns at least, so that its own absence is told from a wait.
    sign_of_life: Duration,
}

/// Run until stopped, idle or broken. Dropping the future is a crash: nothing is lost, what was not committed is read
/// again.
///
/// On a worker of the runtime, whoever asks: the thread that waits for the program's end would be woken by the kernel for
/// each of the loop's turns, which costs more than the turn.
pub async fn run(fixtures: Fixtures, outside: Outside) -> Result<Ended, RunError> {
    let mut task = JoinSet::new();
    task.spawn(run_here(fixtures, outside));
    match task.join_next().await {
        Some(Ok(ended)) => ended,
        // A broken promise of our own ends whoever asked, as if it had been broken here.
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Some(Err(error)) => Err(RunError::Failed(format!("the loop broke down: {error}"))),
        None => Err(RunError::LogGone),
    }
}

async fn run_here(mut fixtures: Fixtures, outside: Outside) -> Result<Ended, RunError> {
    fixtures.publisher.limit(outside.log.max_record_bytes);
    let (to_road, lease_requests) = mpsc::unbounded_channel();
    let (retry_pause, drain_deadline) = (fixtures.settings.retry_pause, fixtures.settings.drain_deadline);
    let sign_of_life = fixtures.settings.away_limit / SIGNS_PER_LIMIT;
    let (guard, tenants) = (fixtures.guard.clone(), fixtures.ingest.tenants().clone());
    let trips = Trips::new(outside.shared_limits.clone());
    let mut road = Road::new(fixtures, outside.log.errands.clone(), Instant::now());
    if let Some(every) = trips.every() {
        road.share_limits(every);
    }
    let of = |line| Batches::new(line, &outside, retry_pause);
    let (answers, others) = (of(Line::Answers), of(Line::Others));
    let mut this = Loop {
        lookups: Lookups::new(outside.lookup.clone(), outside.on_health.clone()),
        trips,
        road,
        outside,
        guard,
        calls: JoinSet::new(),
        answers,
        others,
        away_since: None,
        lease_requests,
        leases: Arc::new(RoadLeases(to_road)),
        tenants,
        log_health: LogHealth::default(),
        drain_deadline,
        drain_until: None,
        gauge_due: Instant::now(),
        sign_of_life,
    };
    let ended = this.turn().await;
    let unread = this.road.complaint();
    let left_on_road = this.road.on_road();
    // A drain that took too long hands over all the same.
    let hands_over = ended.is_ok() && *this.outside.stop.borrow() != Stop::Now;
    if hands_over {
        this.give_back_shares().await;
    }
    this.road.stop();
    if hands_over {
        closing::until_closed(&mut this.outside.log, &mut this.outside.stop).await;
    }
    let now = Instant::now() + drain_deadline;
    let drained_for = this.drain_until.map(|until| now.saturating_duration_since(until));
    Stopped { left_on_road, drained_for: drained_for.unwrap_or_default() }.record();
    match (ended?, unread) {
        (Ended::Idle, Some(unread)) => Err(RunError::Unread(unread)),
        (ended, _) => Ok(ended),
    }
}

/// However it ends, and before its calls are dropped: that they are cut off is not their provider's failure.
impl Drop for Loop {
    fn drop(&mut self) {
        self.guard.end();
    }
}

impl Loop {
    async fn turn(&mut self) -> Result<Ended, RunError> {
        loop {
            let now = Instant::now();
            self.road.woke(now);
            self.start_calls(now);
            self.answers.start(&mut self.road, now);
            self.others.start(&mut self.road, now);
            self.start_trip(now);
            self.lookups.start(&self.road.awaited_schemas(), now);
            if let Some(reason) = self.road.failure() {
                return Err(RunError::Failed(reason));
            }
            if self.log_health.stopped(self.road.complaint()) {
                self.tell_log_health(now);
            }
            if let Some(ended) = self.ending(now) {
                return Ok(ended);
            }
            self.gauge(now);
            let woken = self.wait(now).await;
            // First: what came may have come while nobody was here, and must not lead to a call before that is known.
            self.road.notice_absence(Instant::now());
            self.tell(woken)?;
            self.tell_more()?;
        }
    }

    /// What else has come by now: a turn costs the same for many as for one.
    fn tell_more(&mut self) -> Result<(), RunError> {
        for _ in 1..TOLD_AT_ONCE {
            let Some(more) = self.what_else() else { break };
            self.tell(more)?;
        }
        Ok(())
    }

    /// Of what comes most: what ends work comes before what brings more, here too.
    fn what_else(&mut self) -> Option<Woken> {
        let call = self.calls.try_join_next().map(Woken::Call);
        let lease = || self.lease_requests.try_recv().ok().map(Woken::Lease);
        call.or_else(lease).or_else(|| self.outside.log.happenings.try_recv().ok().map(|said| Woken::Log(Some(said))))
    }

    /// Wait for the next thing the outside does. What ends work comes before what brings more.
    async fn wait(&mut self, now: Instant) -> Woken {
        let answers = self.answers.wake(self.road.unwritten(Line::Answers));
        let others = self.others.wake(self.road.unwritten(Line::Others));
        // A wait may be long, but not without a sign of life.
        let trip = self.road.trip_due().filter(|_| self.trips.is_free());
        let wake = [self.road.next_wake(now), answers, others, trip, self.lookups.next_due(), self.drain_until];
        let wake = wake.into_iter().flatten().fold(now + self.sign_of_life, Instant::min);
        tokio::select! {
            biased;
            _ = self.outside.stop.changed() => Woken::Stop,
            Some(done) = self.answers.next() => Woken::Ledger(Line::Answers, done),
            Some(done) = self.others.next() => Woken::Ledger(Line::Others, done),
            Some(done) = self.calls.join_next() => Woken::Call(done),
            Some(looked_up) = self.lookups.next() => Woken::Schema(looked_up),
            Some(tripped) = self.trips.next() => Woken::Trip(tripped),
            Some(request) = self.lease_requests.recv() => Woken::Lease(request),
            // Calls are started at the next turn.
            () = self.guard.room_changed() => Woken::Time,
            Ok(()) = self.tenants.changed() => Woken::Tenants,
            Some(record) = self.outside.asides.recv() => Woken::Aside(record),
            happening = self.outside.log.happenings.recv() => Woken::Log(happening),
            () = sleep_until(wake) => Woken::Time,
        }
    }

    /// Tell the road.
    fn tell(&mut self, woken: Woken) -> Result<(), RunError> {
        match woken {
            Woken::Stop => self.asked_to_stop(),
            Woken::Ledger(line, Ok(written)) => self.ledger_answered(line, written),
            Woken::Ledger(_, Err(error)) => return Err(RunError::Failed(format!("a ledger batch panicked: {error}"))),
            Woken::Call(Ok((key, triaged))) => self.road.triaged(key, triaged, Instant::now()),
            Woken::Call(Err(error)) => return Err(RunError::Failed(format!("a triage task panicked: {error}"))),
            Woken::Schema((id, true)) => self.road.schema_answered(id, Instant::now()),
            Woken::Schema((_, false)) => {}
            Woken::Trip(tripped) => self.trip_ended(tripped),
            Woken::Lease(request) => self.road.lease_wanted(request),
            Woken::Aside(record) => self.road.aside(record),
            Woken::Tenants => self.road.tenants_changed(Instant::now()),
            Woken::Log(Some(Happening::Heard { answer })) => {
                self.log_health.heard(answer);
                self.tell_log_health(Instant::now());
            }
            Woken::Log(Some(Happening::Unread { why, waiting })) => {
                self.log_health.unread(why, waiting);
                self.tell_log_health(Instant::now());
            }
            Woken::Log(happening) => self.road.happened(happening.ok_or(RunError::LogGone)?, Instant::now()),
            Woken::Time => {}
        }
        Ok(())
    }

    fn start_calls(&mut self, now: Instant) {
        while let Some(job) = self.road.next_job(now) {
            let (guard, leases, key) = (self.guard.clone(), self.leases.clone(), job.key);
            self.calls.spawn(async move { (key, guard.triage(job, &*leases).await) });
        }
    }

    fn start_trip(&mut self, now: Instant) {
        if self.trips.is_free() && self.road.trip_due().is_some_and(|due| due <= now) {
            self.trips.start(self.road.trip(now));
        }
    }

    /// What is held of shared limits is the others' when this instance ends.
    async fn give_back_shares(&mut self) {
        if let Some(tripped) = self.trips.next().await {
            self.trip_ended(tripped);
        }
        let held = self.road.farewell(Instant::now());
        self.trips.farewell(held).await;
    }

    fn trip_ended(&mut self, tripped: Tripped) {
        match tripped {
            Tripped::Answered(replies) => self.road.trip_answered(replies, Instant::now()),
            Tripped::Failed(tenants) => self.road.trip_failed(&tenants, Instant::now()),
        }
    }

    fn ledger_answered(&mut self, line: Line, (entries, batch, outcomes, duration): Written) {
        let now = Instant::now();
        match outcomes {
            Ok(outcomes) => {
                LedgerBatchCommitted { entries: entries.len(), duration }.record();
                self.batches(line).written();
                self.road.ledger_said(batch, outcomes, now);
                // What holds back one line only is no less away.
                if self.answers.has_failed() || self.others.has_failed() {
                    return;
                }
                if let Some(since) = self.away_since.take() {
                    LedgerAvailable { held_for: now - since }.record();
                }
                self.road.ledger_is_back();
                (self.outside.on_health)(DATABASE, Ok(Some(duration)));
            }
            Err(error) => {
                let since = *self.away_since.get_or_insert(now);
                LedgerUnavailable { error: &error.to_string(), holding_for: now - since }.record();
                (self.outside.on_health)(DATABASE, Err(error.to_string()));
                self.road.ledger_failed(&error);
                self.batches(line).try_again(entries, batch, now);
            }
        }
    }

    fn batches(&mut self, line: Line) -> &mut Batches {
        match line {
            Line::Answers => &mut self.answers,
            Line::Others => &mut self.others,
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
        let nothing_runs = self.calls.is_empty() && self.answers.is_idle() && self.others.is_idle();
        if let Some(until) = self.drain_until {
            if nothing_runs && self.road.is_drained() {
                return Some(Ended::Drained);
            }
            return (until <= now).then_some(Ended::CutShort);
        }
        let everything_is_read = self.road.is_idle(now) && !self.log_health.is_unread();
        (self.outside.until_idle && nothing_runs && everything_is_read).then_some(Ended::Idle)
    }

    fn gauge(&mut self, now: Instant) {
        if self.gauge_due <= now {
            self.gauge_due = now + GAUGES_EVERY;
            self.road.gauges().record();
            self.tell_log_health(now);
            self.guard.let_time_pass(now);
            self.guard.paces(now).for_each(|pace| pace.record());
        }
    }

    fn tell_log_health(&self, now: Instant) {
        (self.outside.on_health)("log", self.log_health.state(self.road.unpublished(), now));
    }
}

#[cfg(test)]
mod tests;
