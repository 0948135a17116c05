//! The attempts at one remote model for one event: slot, permit, lease, place, call, and what the result means.
//!
//! Order matters. The slot comes before the permit, because a probe must not wait in line; the permit before the lease,
//! because a breaker that is open must not cost the ledger a write (a place may be long in coming: whether the permit still
//! counts is asked again before the call); the lease before the call, because two instances must
//! not pay for one event; and before the place, which would stand empty while the ledger writes. The lease is kept when
//! there is an answer (saving it ends the lease) and released at every other end, also when this future is dropped.
//!
//! A call during which this process was away says nothing about the provider: its failure is held neither against the
//! breaker nor against the budget of retries, and it is made again while there is time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::answer::{self, Invalid};
use super::breaker::{Admit, BreakerState, Outcome, Permit};
use super::call_errors::meaning;
use super::failure::{Failure, breaker_open, deadline_passed, left_alone, no_money, silent, stopped, switched_off};
use super::guarded::Guarded;
use super::job::{Bill, Job, LeaseReply, Leases, NoPlace, Place, Triaged};
use super::lease::Lease;
use super::model::{CallError, Prompt, Question, Reply};
use super::patience;
use super::prompt::repair;
use super::retry::{RetryBudget, wait_before_next};
use super::spent::Spent;
use super::switch;
use super::throttle::{InLine, NotYet, Paced, Slot};
use crate::domain::answer::Predicted;
use crate::domain::flags::{Flag, FlagProvider};
use crate::domain::money::Money;
use crate::domain::reason_code::ReasonCode;
use crate::domain::silence::Mark;
use crate::failpoints;
use crate::settings::triage::Retry;
use crate::telemetry::happenings::{CallOutcome, ModelCalled};

/// What the completion of a triage takes, roughly; settled with what it really took.
pub(super) const COMPLETION_TOKENS: u32 = 300;

/// The lease outlives the call it covers by this much, so that a slow ledger does not eat into the call's own time.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// Calls that run now may leave some of the money that they speak for: asked about so often.
const NO_MONEY_YET: Duration = Duration::from_millis(250);

/// How the attempts ended.
pub(super) enum End {
    /// With a prediction.
    Answered(Box<Predicted>),
    /// Without: on to the next model.
    Failed(Failure),
    /// This event is not ours to ask about any more.
    Left(Box<Triaged>),
}

/// Why there is no lease.
enum Refused {
    /// This event is not ours to ask about any more.
    Left(Box<Triaged>),
    NoMoney,
    NoMoneyYet,
    /// Not in time.
    NoPlace,
}

/// What to do after one call.
enum Next {
    End(End),
    Again(Failure, Duration),
}

/// One event at one model.
pub(super) struct Attempts<'a> {
    pub guarded: &'a Guarded,
    pub job: &'a Job,
    pub leases: &'a dyn Leases,
    pub retry: &'a Retry,
    pub chance: &'a Mutex<ChaCha8Rng>,
    /// Wait for an open breaker: there is no other remote model left to ask.
    pub may_hold: bool,
    /// What is left of the event's time is the next remote model's.
    pub until: Instant,
    /// As they are now.
    pub flags: &'a dyn FlagProvider,
    pub prompt: Arc<Prompt>,
    /// For the first call.
    pub reserved: Option<Slot>,
    pub spent: &'a mut Spent,
    /// Calls made to this model.
    pub made: u32,
    /// Those among them that failed while this process was away.
    pub excused: u32,
    pub repaired: bool,
    pub last: Option<Failure>,
}

impl<'a> Attempts<'a> {
    /// Until there is an answer or nothing more to try.
    pub async fn run(&mut self) -> End {
        loop {
            let (slot, permit) = match self.permit().await {
                Ok(permitted) => permitted,
                Err(failure) => return End::Failed(failure),
            };
            let present = self.job.presence.mark();
            let (lease, place) = match self.ready().await {
                Ok(ready) => ready,
                Err(refused) => {
                    permit.settle(Outcome::Neither);
                    drop(slot);
                    match refused {
                        Refused::Left(left) => return End::Left(left),
                        Refused::NoMoney => return End::Failed(self.without_money()),
                        Refused::NoPlace => continue,
                        Refused::NoMoneyYet => sleep_until(self.until.min(Instant::now() + NO_MONEY_YET)).await,
                    }
                    if Instant::now() >= self.until {
                        return End::Failed(self.without_money());
                    }
                    continue;
                }
            };
            let is_late = Instant::now() >= self.until || !lease.holds();
            if is_late || self.job.presence.was_away_since(present) || !permit.counts() {
                // Too late, nobody knows whether the event is still ours, or the breaker opened while a place was waited
                // for: all of it is asked anew, and then the road, which has heard of an absence by then.
                drop(place);
                permit.settle(Outcome::Neither);
                continue;
            }
            if switch::is_off(self.flags, &self.job.event) {
                permit.settle(Outcome::Neither);
                return End::Failed(switched_off());
            }
            match self.call(slot, permit, lease, place).await {
                Next::End(end) => return end,
                Next::Again(failure, wait) => {
                    self.last = Some(failure);
                    sleep(wait).await;
                }
            }
        }
    }

    /// A slot and the breaker's word. What is not to be had is waited for as long as there is nobody else to ask and time
    /// is left (a slot also where there is somebody, unless the model is silent): for a slot in line, for the breaker until
    /// its time has passed or it changes, holding no slot.
    async fn permit(&mut self) -> Result<(Slot, Permit), Failure> {
        let Guarded { breaker, throttle, .. } = self.guarded;
        let until = self.until;
        let mut held = false;
        let mut line: Option<InLine> = None;
        loop {
            let changed = breaker.changed();
            let now = Instant::now();
            if switch::is_off(self.flags, &self.job.event) {
                return Err(switched_off());
            }
            if now >= until {
                return Err(self.last_or(if held { breaker_open } else { deadline_passed }));
            }
            // Both ways of waiting lead to the same question; in order, so that a seeded run takes the same one again.
            match self.slot(now, line.as_ref()) {
                Ok(slot) => {
                    let wake = match breaker.admit(now, self.may_probe(now)) {
                        Admit::Go(permit) => return Ok((slot, permit)),
                        Admit::Stopped(code) => return Err(stopped(code)),
                        Admit::OpenUntil(_) | Admit::Probing if !self.may_hold => {
                            return Err(self.last_or(breaker_open));
                        }
                        Admit::OpenUntil(at) => at.min(until),
                        Admit::Probing => until,
                    };
                    (held, line) = (true, None);
                    drop(slot);
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = sleep_until(wake) => {}
                    }
                }
                Err(refused) => {
                    let state = breaker.state(now);
                    held |= state != BreakerState::Closed;
                    match state {
                        BreakerState::Stopped(code) => return Err(stopped(code)),
                        BreakerState::Forced => return Err(stopped(ReasonCode::BreakerOpen)),
                        BreakerState::Open | BreakerState::HalfOpen if !self.may_hold => {
                            return Err(self.last_or(breaker_open));
                        }
                        // Who was told to leave it alone for so long asks the next one meanwhile.
                        _ if !self.may_hold && throttle.is_silent(now) => return Err(self.last_or(silent)),
                        _ if matches!(refused, NotYet::Until(at) if at >= until) => {
                            return Err(self.last_or(left_alone));
                        }
                        _ => {}
                    }
                    match &line {
                        // Ask once more, now that whoever frees a slot knows of us.
                        None => line = Some(throttle.line_up()),
                        Some(line) => tokio::select! {
                            biased;
                            () = changed => {}
                            () = line.turn(refused, until) => {}
                        },
                    }
                }
            }
        }
    }

    fn slot(&mut self, now: Instant, line: Option<&InLine>) -> Result<Slot, NotYet> {
        let tokens = self.prompt.estimated_tokens.saturating_add(COMPLETION_TOKENS);
        match (self.reserved.take(), line) {
            (Some(slot), _) => Ok(slot),
            (None, Some(line)) => line.take(now, tokens),
            (None, None) => self.guarded.throttle.take(now, tokens),
        }
    }

    fn may_probe(&self, now: Instant) -> bool {
        let left = self.until.saturating_duration_since(now);
        patience::may_probe(left, self.guarded.model.card().hard_deadline, self.job.tenant.decide_by)
    }

    fn last_or(&self, otherwise: fn() -> Failure) -> Failure {
        self.last.clone().unwrap_or_else(otherwise)
    }

    /// What its tenant wants then, it wants also after an attempt that failed, unless one was paid: that would be lost.
    fn without_money(&self) -> Failure {
        if self.spent.tokens() == 0 { no_money() } else { self.last_or(no_money) }
    }

    /// A lease, and then a place: while the ledger writes, the place is another call's.
    async fn ready(&self) -> Result<(Lease<'a>, Place<'a>), Refused> {
        let lease = self.lease().await?;
        let job: &'a Job = self.job;
        let place = job.turn.place(self.until).await.map_err(|why| match why {
            NoPlace::NotInTime => Refused::NoPlace,
            NoPlace::Closed => Refused::Left(Box::new(Triaged::Gone(self.spent.so_far()))),
        })?;
        let left = self.until.saturating_duration_since(Instant::now());
        if lease.holds_for(self.guarded.model.card().hard_deadline.min(left)) {
            return Ok((lease, place));
        }
        // After so long in line it would cut the call short.
        drop(lease);
        Ok((self.lease().await?, place))
    }

    async fn lease(&self) -> Result<Lease<'a>, Refused> {
        let lasts = self.guarded.model.card().hard_deadline + LEASE_MARGIN;
        // Measured from before the ledger was asked: by our clock the lease never ends later than by the ledger's.
        let until = Instant::now() + lasts;
        let input = u64::from(self.prompt.estimated_tokens);
        let expected = self.guarded.model.card().cost(input, u64::from(COMPLETION_TOKENS));
        let (leases, job) = (self.leases, self.job);
        let left = |how: fn(Bill) -> Triaged| Err(Refused::Left(Box::new(how(self.spent.so_far()))));
        match leases.acquire(job.key, &job.owner, lasts, expected).await {
            LeaseReply::Granted => Ok(Lease { leases, job, until, is_answered: false, billed: Money::default() }),
            LeaseReply::HeldElsewhere(remaining) => {
                Err(Refused::Left(Box::new(Triaged::HeldElsewhere(remaining, self.spent.so_far()))))
            }
            LeaseReply::Pointless => left(Triaged::Pointless),
            LeaseReply::Gone => left(Triaged::Gone),
            LeaseReply::NoMoney => Err(Refused::NoMoney),
            LeaseReply::NoMoneyYet => Err(Refused::NoMoneyYet),
        }
    }

    async fn call(&mut self, mut slot: Slot, permit: Permit, mut lease: Lease<'_>, place: Place<'_>) -> Next {
        self.made += 1;
        self.spent.calls += 1;
        if self.made == 1 {
            self.budget(RetryBudget::earn);
        }
        let card = self.guarded.model.card();
        let question = Question {
            call_id: format!("{}.{}", self.job.key, self.spent.calls),
            tenant: Arc::clone(&self.job.tenant),
            event: Arc::clone(&self.job.event),
            prompt: Some(Arc::clone(&self.prompt)),
        };
        let (begun, present) = (Instant::now(), self.job.presence.mark());
        let own_limit = (begun + card.hard_deadline).min(lease.until);
        slot.send();
        failpoints::hit("request_sent");
        let called = timeout_at(own_limit.min(self.until), self.guarded.model.ask(question)).await;
        let ran = begun.elapsed();
        let is_telling = patience::is_telling(ran, card.hard_deadline);
        let outcome = match &called {
            Ok(Ok(_)) => CallOutcome::Answered,
            Ok(Err(error)) => meaning(error).label,
            Err(_) if own_limit <= self.until || is_telling => CallOutcome::Timeout,
            Err(_) => CallOutcome::Cancelled,
        };
        ModelCalled { model: &card.name, outcome, duration: ran }.record();
        match called {
            Ok(Ok(reply)) => {
                place.paid();
                failpoints::hit("reply_received");
                self.spent.bill(card, &reply, self.made);
                lease.billed = card.cost(reply.input_tokens, reply.output_tokens);
                // Whatever it says, the provider works.
                permit.settle(Outcome::Success);
                let tokens = u32::try_from(reply.input_tokens.saturating_add(reply.output_tokens)).unwrap_or(u32::MAX);
                slot.end(Instant::now(), Paced::Answered { latency: ran, tokens, hints: reply.rate });
                let next = self.read(&reply);
                lease.is_answered = matches!(next, Next::End(End::Answered(_)));
                next
            }
            Ok(Err(error)) => self.failed(slot, permit, &error, present),
            Err(_) if own_limit <= self.until => {
                self.failed(slot, permit, &CallError::Timeout { phase: "total", after: card.hard_deadline }, present)
            }
            Err(_) => {
                if is_telling && !self.job.presence.was_away_since(present) {
                    permit.settle(Outcome::Failure);
                    slot.end(Instant::now(), Paced::TimedOut);
                } else {
                    permit.settle(Outcome::Neither);
                }
                Next::End(End::Failed(self.last_or(deadline_passed)))
            }
        }
    }

    fn read(&mut self, reply: &Reply) -> Next {
        let give_up = |code, detail: String| Next::End(End::Failed(Failure { code, detail }));
        if reply.finish_reason.as_deref() == Some("content_filter") {
            return give_up(ReasonCode::ContentFiltered, CallError::Filtered.to_string());
        }
        match answer::parse(&reply.content, reply.finish_reason.as_deref(), &self.job.tenant.taxonomy) {
            Ok(predicted) => {
                failpoints::hit("answer_checked");
                Next::End(End::Answered(Box::new(predicted)))
            }
            Err(Invalid::Refusal) => give_up(ReasonCode::ContentFiltered, Invalid::Refusal.to_string()),
            // A repair is a further call like any other: a model that always talks nonsense is not asked twice as often.
            Err(invalid)
                if self.repaired
                    || !self.job.flags.is_on(Flag::Repair)
                    || self.counted() >= self.retry.max_attempts
                    || !self.budget(RetryBudget::spend) =>
            {
                give_up(ReasonCode::OutputInvalid, format!("the answer is not usable: {invalid}"))
            }
            Err(invalid) => {
                self.repaired = true;
                let what = invalid.to_string();
                self.prompt = Arc::new(repair(&self.prompt, &what));
                Next::Again(Failure { code: ReasonCode::OutputInvalid, detail: what }, Duration::ZERO)
            }
        }
    }

    fn failed(&mut self, slot: Slot, permit: Permit, error: &CallError, present: Mark) -> Next {
        let meaning = meaning(error);
        let excused = meaning.health == Outcome::Failure && self.job.presence.was_away_since(present);
        self.excused += u32::from(excused);
        permit.settle(if excused { Outcome::Neither } else { meaning.health });
        if !excused {
            slot.end(Instant::now(), meaning.pace);
        }
        let failure = Failure { code: meaning.code, detail: error.to_string() };
        let wait = meaning.again.and_then(|retry_after| {
            let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
            wait_before_next(self.retry, self.counted(), retry_after, &mut *chance)
        });
        match wait.filter(|wait| Instant::now() + *wait < self.until) {
            Some(wait) if excused || self.budget(RetryBudget::spend) => Next::Again(failure, wait),
            _ => Next::End(End::Failed(failure)),
        }
    }

    /// Attempts that count towards their maximum.
    fn counted(&self) -> u32 {
        self.made - self.excused
    }

    fn budget<T>(&self, act: impl FnOnce(&mut RetryBudget) -> T) -> T {
        act(&mut self.guarded.budget.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
