//! Calls: admitted, leased, answered, saved.
//!
//! A call belongs to an event, not to the item that started it: when its partition is taken away the call goes on, its
//! answer is saved, and an item that comes back for the same event takes part in it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::deferral::Why;
use super::item::{Better, ItemId, Plan};
use super::lease::{LeaseRequest, Waiting, Wish};
use super::{Purpose, Road};
use crate::domain::answer::Answer;
use crate::domain::identity::DedupeKey;
use crate::domain::money::Money;
use crate::domain::position::Position;
use crate::domain::tenant::{LimitMode, Tenant, WhenSpent};
use crate::pipeline::admit::Next;
use crate::pipeline::dedupe::ledger::{Entry, Outcome};
use crate::pipeline::lane::TicketKey;
use crate::pipeline::triage::guard::{Bill, Job, LeaseReply, NotYet, Reserved, Triaged, Turn};
use crate::telemetry::happenings::{CallsReattached, LimitWouldHold};

/// Somebody else's call is looked at again after this long at most.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// From a granted lease to a saved answer is one ledger batch.
const UNPAID_LEASE: Duration = Duration::from_secs(10);

/// A call on its way, or an answer being saved.
#[derive(Debug)]
pub(super) struct Call {
    /// The item that waits for it; none after its partition was taken away.
    pub item: Option<ItemId>,
    owner: Position,
    pub tenant: Arc<str>,
    /// What its event was read under.
    pub read_under: Arc<Tenant>,
    /// Taken from its tenant's limits; none: it takes none of them, and none of the places of calls.
    reserved_tokens: Option<u32>,
    /// Its place, until its answer is saved.
    turn: Arc<Turn>,
    /// For a better decision: without the first model's answer there is none.
    pub improves: bool,
}

impl Road {
    /// The lane's chosen event wants a model. Says whether it waits for one: not, if it was put off.
    pub(super) fn ask(&mut self, ticket: &TicketKey, id: ItemId, now: Instant) -> bool {
        if self.reattach(id) {
            return true;
        }
        if self.stays_at_home(ticket, id) {
            return true;
        }
        let Some(event) = self.items.get(&id).and_then(|item| item.event()) else { return true };
        let Some(tenant) = &event.tenant else { return true };
        let tokens = self.fixtures.guard.estimated_tokens(tenant, &event.event);
        let tenant_id = event.claim.tenant_id.clone();
        let limits = self.limits_now(&tenant_id, tenant);
        self.company.meet(&tenant_id);
        if self.waits_for_money(ticket, id, &tenant_id, limits) || self.waits_for_the_breaker(ticket, id, now) {
            return false;
        }
        let is_watched = limits.mode == LimitMode::Shadow;
        let would_wait =
            if is_watched { self.admission.wait_of(now, &tenant_id, limits, tokens) } else { Duration::ZERO };
        if !is_watched
            && self.may_go_aside(ticket)
            && let Some(turn) = self.too_long(id, limits, tokens, now)
        {
            let limit = self.limit_state(id, limits, turn, now);
            self.put_off(ticket, id, Why::rate_limited(turn, limit));
            return false;
        }
        if self.admission.offer(now, &tenant_id, limits, ticket.clone(), tokens).is_err() {
            // Asked again at every turn.
            self.overflow.push_back(ticket.clone());
        } else if !would_wait.is_zero() {
            let is_deferral = self.fixtures.defers && would_wait > self.fixtures.settings.defer_after;
            LimitWouldHold { tenant_id: &tenant_id, wait: would_wait, is_deferral }.record();
        }
        true
    }

    /// A call for this very copy of the event may still be running from before its partition was taken away.
    pub(super) fn reattach(&mut self, id: ItemId) -> bool {
        let Some(item) = self.items.get(&id) else { return false };
        let partition = item.partition();
        let Some(event) = item.event() else { return false };
        match self.calls.get_mut(&event.claim.key) {
            Some(call) if call.owner == event.claim.position => {
                call.item = Some(id);
                CallsReattached { partition, calls: 1 }.record();
                true
            }
            _ => false,
        }
    }

    /// The next call to start, if one may start now.
    pub fn next_job(&mut self, now: Instant) -> Option<Job> {
        while !self.draining && self.away.is_none() {
            if let Some(job) = self.next_at_home(now) {
                return Some(job);
            }
            let settings = &self.fixtures.settings;
            if self.asking >= settings.max_in_flight + settings.prepared(self.pace.per_second(now)) {
                return None;
            }
            self.refill_admission(now);
            let guard = &self.fixtures.guard;
            let mut room = Ok(Reserved::default());
            let next = self.admission.next(now, |tokens| {
                room = guard.room(now, tokens);
                room.is_ok()
            });
            match next {
                Next::Go { item: ticket, tenant, reserved_tokens } => {
                    match self.start_call(&ticket, Some(reserved_tokens), now) {
                        Some(job) => return Some(Job { reserved: room.unwrap_or_default(), ..job }),
                        None => self.admission.give_back(now, &tenant, reserved_tokens),
                    }
                }
                // Who waits for its own limits keeps no other tenant's better decision back.
                Next::WaitUntil(_) | Next::Empty if self.let_one_improve(now) => {}
                Next::WaitUntil(due) => {
                    self.admission_due = Some(due);
                    return None;
                }
                Next::NoRoom => {
                    // Without a time the guard says when it has room again.
                    if let Err(NotYet::Until(due)) = room {
                        self.admission_due = Some(due);
                    }
                    return None;
                }
                Next::Empty => return None,
            }
        }
        None
    }

    /// Events whose calls take one of the places, and have none.
    pub(super) fn prepared(&self) -> usize {
        let waits = |call: &&Call| call.reserved_tokens.is_some() && !call.turn.has_place();
        self.calls.values().filter(waits).count()
    }

    fn refill_admission(&mut self, now: Instant) {
        for ticket in std::mem::take(&mut self.overflow) {
            if let Some(&id) = self.lanes.unit(&ticket).and_then(|unit| unit.items.last().copied()).as_ref()
                && !self.ask(&ticket, id, now)
            {
                self.work(&ticket, now);
            }
        }
    }

    /// `reserved_tokens`: what was taken from its tenant's limits; none for one at home.
    pub(super) fn start_call(&mut self, ticket: &TicketKey, reserved_tokens: Option<u32>, now: Instant) -> Option<Job> {
        let improves = self.improves_at_work(ticket);
        let unit = if improves { self.lanes.unit(ticket)? } else { self.lanes.grow(ticket)? };
        let id = *unit.items.last()?;
        if improves && let Some(why) = self.late_on_the_road(ticket, id) {
            self.drop_better(id, why, now);
            return None;
        }
        if let Some(verdict) = self.expired(id).filter(|_| !improves) {
            self.replan(id, Plan::Save(verdict, None));
            self.lanes.rewind(ticket);
            self.work(ticket, now);
            return None;
        }
        let item = self.items.get(&id)?;
        let event = item.event()?;
        if !matches!(item.plan, Plan::Ask | Plan::Improve(Better::Ask)) {
            return None;
        }
        if self.calls.contains_key(&event.claim.key) {
            // A call of an owner that was taken over meanwhile; what it comes to stands in the row.
            self.held.insert((now + LOOK_AGAIN, id));
            return None;
        }
        let tenant = event.tenant.clone()?;
        let (flags, way) = self.way_of(event);
        if way.is_paid() != reserved_tokens.is_some() {
            self.ask_again(ticket, id, now);
            return None;
        }
        let tenant_id = event.claim.tenant_id.clone();
        let mut limits = self.limits_now(&tenant_id, &tenant);
        if improves {
            // Without money there is no better decision: one that was made is not put off.
            limits.when_budget_is_spent = WhenSpent::Degrade;
        }
        let job = Job {
            event: event.event.clone(),
            decide_by: now + tenant.decide_by,
            tenant,
            key: event.claim.key,
            owner: event.claim.position.clone(),
            presence: self.presence.clone(),
            turn: self.places.turn(),
            reserved: Reserved::default(),
            budget: self.budget_of(ticket, &tenant_id, limits),
            flags,
            way,
        };
        let (owner, read_under, turn) = (job.owner.clone(), job.tenant.clone(), job.turn.clone());
        let call = Call { item: Some(id), owner, tenant: tenant_id, read_under, reserved_tokens, improves, turn };
        self.calls.insert(job.key, call);
        self.asking += usize::from(reserved_tokens.is_some());
        crate::failpoints::hit("admitted");
        Some(job)
    }

    /// A call has ended.
    pub fn triaged(&mut self, key: DedupeKey, triaged: Triaged, now: Instant) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let bill = triaged.bill();
        // Taken out, for the call stays until its answer is saved: nothing is settled twice.
        if let Some(reserved_tokens) = call.reserved_tokens.take() {
            self.asking -= 1;
            self.pace.ended(now);
            if bill.calls == 0 && self.fixtures.guard.first_is_remote() {
                self.admission.give_back(now, &call.tenant, reserved_tokens);
            } else {
                let used = u32::try_from(bill.tokens).unwrap_or(u32::MAX);
                self.admission.settle(now, &call.tenant, bill.calls, reserved_tokens, used);
            }
        }
        match triaged {
            Triaged::InDoubt(look) => self.in_doubt(key, look, now),
            Triaged::Answered(Answer { degraded: Some(code), .. }, _) if call.improves => {
                if let Some(id) = self.calls.remove(&key).and_then(|call| call.item) {
                    self.improve_later(id, code, now);
                }
            }
            Triaged::Answered(answer, Bill { tokens: 0, .. }) if self.fixtures.guard.first_is_remote() => {
                self.save_unpaid(key, Arc::new(answer));
            }
            Triaged::Answered(answer, _) => self.save_answer(key, Arc::new(answer)),
            Triaged::HeldElsewhere(remaining, _) => self.look_again(key, remaining, now),
            Triaged::Unpaid(_) => {
                if let Some(id) = self.calls.remove(&key).and_then(|call| call.item) {
                    self.put_off_unpaid(id, now);
                }
            }
            Triaged::Pointless(_) | Triaged::Gone(_) => {
                if let Some(id) = self.calls.remove(&key).and_then(|call| call.item) {
                    self.claim_again(id);
                }
            }
        }
    }

    /// Together with the verdict that it leads to, if an event still waits for it, and for itself alone: a verdict that
    /// others are to be superseded by comes into being in the lane only, where it is known that they are. If this process
    /// lost the partition with such a verdict saved and theirs not, it would have to wait until they are decided.
    fn save_answer(&mut self, key: DedupeKey, answer: Arc<Answer>) {
        let Some(call) = self.calls.get(&key) else { return };
        let (owner, at) = (call.owner.clone(), self.fixtures.clock.now());
        // A better decision may come too late by now: that is asked once its answer is saved.
        let alone = call.item.filter(|id| !call.improves && self.is_alone(*id));
        let entry = match alone.and_then(|id| self.verdict_of(id, &answer)) {
            Some((verdict, past)) => {
                Entry::Decide { key, owner, answer, at, verdict: Arc::new(verdict), decision: Some(Arc::new(past)) }
            }
            None => Entry::Answer { key, owner, answer, at },
        };
        self.answers.push_back(vec![(entry, Purpose::Answer(key))]);
    }

    /// Whether this is the only event that its lane works on.
    fn is_alone(&self, id: ItemId) -> bool {
        let ticket = self.items.get(&id).and_then(|item| item.ticket());
        ticket.and_then(|ticket| self.lanes.unit(ticket)).is_some_and(|unit| unit.items == [id])
    }

    /// A fallback that cost nothing must not end a call that somebody else is paying for at this moment: it takes the
    /// lease before it is saved. Without an item that waits for it, it is worth nothing.
    fn save_unpaid(&mut self, key: DedupeKey, answer: Arc<Answer>) {
        let Some(call) = self.calls.get(&key) else { return };
        if call.item.is_none() {
            self.calls.remove(&key);
            return;
        }
        let entry = Entry::Lease { key, owner: call.owner.clone(), lasts: UNPAID_LEASE };
        self.want(entry, Purpose::UnpaidAnswer(key, answer));
    }

    /// The ledger has answered the lease of an unpaid answer.
    pub(super) fn unpaid_leased(&mut self, key: DedupeKey, answer: Arc<Answer>, outcome: &Outcome, now: Instant) {
        match outcome {
            Outcome::LeaseGranted => self.save_answer(key, answer),
            Outcome::LeaseHeld { remaining } => self.look_again(key, *remaining, now),
            _ => {
                if let Some(id) = self.calls.remove(&key).and_then(|call| call.item) {
                    self.claim_again(id);
                }
            }
        }
    }

    /// Somebody else is calling: see later what it came to.
    fn look_again(&mut self, key: DedupeKey, remaining: Duration, now: Instant) {
        if let Some(id) = self.calls.remove(&key).and_then(|call| call.item) {
            self.held.insert((now + remaining.min(LOOK_AGAIN), id));
        }
    }

    /// The ledger has answered an answer: what is saved is what is judged.
    pub(super) fn answer_saved(&mut self, key: DedupeKey, outcome: &Outcome, now: Instant) {
        let Some(id) = self.calls.remove(&key).and_then(|call| call.item) else { return };
        match outcome {
            Outcome::Reached(verdict) => {
                let Some(ticket) = self.items.get(&id).and_then(|item| item.ticket().cloned()) else { return };
                self.replan(id, Plan::Publish(verdict.clone()));
                if let Some(unit) = self.lanes.unit(&ticket) {
                    self.save_or_release(&ticket, &unit, now);
                }
                self.work(&ticket, now);
            }
            Outcome::Saved(answer) if self.items.get(&id).is_some_and(|item| item.improves().is_some()) => {
                self.better_answered(id, answer, now);
            }
            Outcome::Saved(answer) => {
                let Some(ticket) = self.items.get(&id).and_then(|item| item.ticket().cloned()) else { return };
                self.judge(&ticket, id, answer, now);
                self.work(&ticket, now);
            }
            _ => self.claim_again(id),
        }
    }

    /// A running call wants to make a paid attempt, or is done with one.
    pub fn lease_wanted(&mut self, request: LeaseRequest) {
        if matches!(request.wish, Wish::Begin { .. }) && self.away.is_some() {
            self.leases_waiting.push(request);
        } else {
            self.want_lease(request);
        }
    }

    pub(super) fn want_lease(&mut self, request: LeaseRequest) {
        let LeaseRequest { key, owner, wish } = request;
        match wish {
            Wish::Begin { lasts, expected, reply } => {
                let waiting = Waiting { key, owner: owner.clone(), reply };
                let orphaned = self.calls.get(&key).is_none_or(|call| call.item.is_none());
                if orphaned || self.draining {
                    // Whoever owns the partition now makes the attempt; one that runs already may end.
                    return waiting.answer(LeaseReply::Gone);
                }
                let mut group: Vec<_> = self.reserving(key, expected).into_iter().collect();
                group.push((Entry::Lease { key, owner, lasts }, Purpose::Lease(waiting)));
                self.pending.push_back(group);
            }
            Wish::End { billed, is_answered } => {
                let release = (!is_answered).then_some((Entry::Release { key, owner }, Purpose::Background));
                let group: Vec<_> = self.settling(key, billed).into_iter().chain(release).collect();
                self.pending.extend((!group.is_empty()).then_some(group));
            }
        }
    }

    pub(super) fn lease_answered(&mut self, waiting: Waiting, outcome: &Outcome) {
        let refused = self.till.refused(&waiting.key);
        let reply = match (outcome, refused) {
            (Outcome::LeaseGranted, None) => LeaseReply::Granted,
            (Outcome::LeaseGranted, Some(reply)) => {
                let (key, owner) = (waiting.key, waiting.owner.clone());
                self.want(Entry::Release { key, owner }, Purpose::Background);
                reply
            }
            (outcome, _) => {
                let settling = self.settling(waiting.key, Money::default());
                self.pending.extend(settling.map(|line| vec![line]));
                match outcome {
                    Outcome::LeaseHeld { remaining } => LeaseReply::HeldElsewhere(*remaining),
                    _ => LeaseReply::Pointless,
                }
            }
        };
        waiting.answer(reply);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;
    use tokio::time::advance;

    use super::*;
    use crate::domain::tenant::Limits;
    use crate::pipeline::road::testing::{EVENTS, TestRoad};
    use crate::pipeline::triage::model::{CallLimits, ModelCard, Range};
    use crate::pipeline::triage::testing::{FakeLeases, card};
    use crate::telemetry::recorder;

    /// Three events wait for a model of these limits.
    fn three_wait(limits: CallLimits) -> TestRoad {
        let mut test = TestRoad::asking(ModelCard { limits, ..card("gpt", true) }, &[]);
        test.owns(EVENTS);
        test.read_tickets(0..3);
        assert_eq!(test.road.admission.waiting(), 3);
        test
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_at_the_model_waits_where_tenants_take_turns_and_holds_nothing() {
        let at_once = Range { min: 1, initial: 1, max: 1 };
        let mut test = three_wait(CallLimits { at_once, ..CallLimits::default() });
        let now = Instant::now();
        let job = test.road.next_job(now).expect("one place");
        assert!(test.road.next_job(now).is_none() && test.road.next_wake(now).is_none());
        let running: Vec<_> = test.road.admission.levels(now).map(|level| (level.running, level.waiting)).collect();
        assert_eq!((running, test.road.asking), (vec![(1, 2)], 1));
        let guard = test.road.fixtures.guard.clone();
        assert!(guard.room_changed().now_or_never().is_none());
        drop(job);
        guard.room_changed().now_or_never().expect("whoever waits for room is told");
        test.road.next_job(now).expect("the place is free again");
    }

    /// One event of a tenant with these limits is at its model.
    fn one_is_asked(limits: Limits) -> (TestRoad, Job) {
        let mut test = TestRoad::limited(limits);
        test.owns(EVENTS);
        test.read_tickets(0..1);
        let job = test.road.next_job(Instant::now()).expect("there is room");
        (test, job)
    }

    /// Else the same answer would be paid for twice.
    #[tokio::test(start_paused = true)]
    async fn whoever_finds_that_somebody_else_is_calling_is_told_so_and_looks_again() {
        let (mut test, job) = one_is_asked(Limits::NONE);
        let (reply, mut told) = oneshot::channel();
        let wish = Wish::Begin { lasts: Duration::from_secs(30), expected: Money::default(), reply };
        test.road.lease_wanted(LeaseRequest { key: job.key, owner: job.owner.clone(), wish });
        let (entries, batch) = test.next_batch(100).expect("it asks");
        assert!(matches!(entries[..], [Entry::Lease { .. }]), "{entries:?}");
        let remaining = Duration::from_secs(7);
        test.road.ledger_said(batch, vec![Outcome::LeaseHeld { remaining }], Instant::now());
        assert_eq!(told.try_recv(), Ok(LeaseReply::HeldElsewhere(remaining)));
        test.road.triaged(job.key, Triaged::HeldElsewhere(remaining, Bill::default()), Instant::now());
        advance(LOOK_AGAIN).await;
        test.road.woke(Instant::now());
        let (entries, _) = test.next_batch(100).expect("it asks what came of it");
        assert!(matches!(entries[..], [Entry::Claim(_), ..]), "{entries:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_billed_before_an_event_left_is_charged_to_its_tenant_once() {
        let limits = Limits { requests_per_minute: Some(60), tokens_per_minute: Some(100_000), ..Limits::NONE };
        let bill = Bill { calls: 1, tokens: 40_000 };
        for left in
            [Triaged::Gone(bill), Triaged::Pointless(bill), Triaged::HeldElsewhere(Duration::from_secs(9), bill)]
        {
            let (mut test, job) = one_is_asked(limits);
            for _ in 0..2 {
                test.road.triaged(job.key, left.clone(), Instant::now());
            }
            let levels = test.road.admission.levels_of(Instant::now(), "acme", limits);
            assert_eq!(levels, (Some(59.0), Some(60_000.0)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_comes_back_if_no_call_was_made_and_each_that_was_made_is_taken() {
        let limits = Limits { requests_per_minute: Some(60), tokens_per_minute: Some(100_000), ..Limits::NONE };
        for (calls, requests) in [(0, 60.0), (1, 59.0), (2, 58.0)] {
            let bill = Bill { calls, tokens: 0 };
            for left in [
                Triaged::HeldElsewhere(Duration::from_secs(9), bill),
                Triaged::Pointless(bill),
                Triaged::Gone(bill),
                Triaged::Unpaid(bill),
            ] {
                let (mut test, job) = one_is_asked(limits);
                test.road.triaged(job.key, left, Instant::now());
                let levels = test.road.admission.levels_of(Instant::now(), "acme", limits);
                assert_eq!(levels, (Some(requests), Some(100_000.0)));
            }
        }
        // Under an open breaker the event is decided by nobody, and nobody was called.
        let (mut test, job) = one_is_asked(limits);
        let (key, guard) = (job.key, test.road.fixtures.guard.clone());
        guard.open_breaker("gpt", None);
        let triaged = guard.triage(job, &FakeLeases::default()).await;
        assert!(matches!(triaged, Triaged::Answered(..)));
        test.road.triaged(key, triaged, Instant::now());
        assert_eq!(test.road.admission.levels_of(Instant::now(), "acme", limits).0, Some(60.0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_turns_out_to_need_no_call_when_its_turn_comes_takes_nothing_of_its_tenants_limits() {
        let limits = Limits { requests_per_minute: Some(60), ..Limits::NONE };
        let mut test = TestRoad::limited(limits);
        test.owns(EVENTS);
        test.read_tickets(0..1);
        // Somebody else's call for the same event is on its way.
        let key = test.road.items.values().find_map(|item| item.claim()).expect("it is here").key;
        let (_, other) = one_is_asked(limits);
        let call = Call {
            item: None,
            owner: other.owner,
            tenant: Arc::from("acme"),
            read_under: other.tenant,
            reserved_tokens: None,
            improves: false,
            turn: other.turn,
        };
        test.road.calls.insert(key, call);
        assert!(test.road.next_job(Instant::now()).is_none());
        assert_eq!(test.road.admission.levels_of(Instant::now(), "acme", limits).0, Some(60.0));
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_are_made_ready_beyond_those_whose_calls_run() {
        // More than a quarter of the places would keep others waiting, whose turn comes later.
        for (set, prepared) in [(0, 0), (2, 2), (3, 2)] {
            let set = format!("pipeline.max_prepared={set}");
            let mut test = TestRoad::new(&["pipeline.max_in_flight=5", &set]);
            test.owns(EVENTS);
            test.read_tickets(0..9);
            let jobs: Vec<_> = std::iter::from_fn(|| test.road.next_job(Instant::now())).collect();
            assert_eq!(jobs.len(), 5 + prepared);
            let gauges = test.road.gauges();
            assert_eq!((gauges.in_flight.now, gauges.prepared.now), (0, jobs.len()), "no call has begun");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_ready_when_the_process_ends_does_not_call() {
        let mut test = TestRoad::new(&[]);
        test.owns(EVENTS);
        test.read_tickets(0..1);
        let job = test.road.next_job(Instant::now()).expect("one is there");
        let guard = test.road.fixtures.guard.clone();
        test.road.drain();
        assert_eq!(guard.triage(job, &FakeLeases::default()).await, Triaged::Gone(Bill::default()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_bucket_of_the_model_wakes_the_road_when_there_is_a_request_again() {
        let mut test = three_wait(CallLimits { requests_per_minute: Some(1), ..CallLimits::default() });
        let now = Instant::now();
        let _running = test.road.next_job(now).expect("one request");
        assert!(test.road.next_job(now).is_none());
        let minute = Duration::from_secs(60);
        assert_eq!(test.road.next_wake(now), Some(now + minute));
        tokio::time::advance(minute).await;
        test.road.woke(now + minute);
        test.road.next_job(now + minute).expect("a minute has passed");
    }

    /// What becomes of ten events under a limit of four requests a minute: how many begin, and what is counted.
    fn ten_events_under(mode: LimitMode) -> (usize, String) {
        let (recorder, metrics) = recorder::local();
        let begun = metrics::with_local_recorder(&recorder, || {
            let mut test = TestRoad::limited(Limits { requests_per_minute: Some(4), mode, ..Limits::NONE });
            test.owns(EVENTS);
            test.read_tickets(0..10);
            std::iter::from_fn(|| test.road.next_job(Instant::now())).count()
        });
        (begun, metrics.render())
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_in_shadow_mode_holds_nothing_and_counts_what_it_would_have_held() {
        let (begun, metrics) = ten_events_under(LimitMode::Shadow);
        assert_eq!(begun, 10);
        // The fifth would have waited for fifteen seconds.
        assert!(metrics.contains("gatekeeper_limit_shadowed_total{tenant=\"acme\",would=\"defer\"} 6\n"), "{metrics}");
    }

    /// What finds its tenant's queue full is asked about again at every turn.
    #[tokio::test(start_paused = true)]
    async fn a_limit_in_shadow_mode_counts_an_event_once_however_often_it_is_asked_about() {
        let (recorder, metrics) = recorder::local();
        let begun = metrics::with_local_recorder(&recorder, || {
            let limits = Limits { requests_per_minute: Some(1), mode: LimitMode::Shadow, ..Limits::NONE };
            let sets = ["pipeline.max_waiting_per_tenant=1", "pipeline.max_in_flight=2", "pipeline.max_prepared=0"];
            let mut test = TestRoad::limited_with(limits, &sets);
            test.owns(EVENTS);
            test.read_tickets(0..5);
            (0..20).filter_map(|_| test.road.next_job(Instant::now())).count()
        });
        assert_eq!(begun, 2, "no place for more");
        let counted = "gatekeeper_limit_shadowed_total{tenant=\"acme\",would=\"defer\"} 1\n";
        assert!(
            metrics.render().contains(counted),
            "the first had no wait, the second stood in the queue: {}",
            metrics.render()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_off_holds_and_counts_nothing() {
        let (begun, metrics) = ten_events_under(LimitMode::Off);
        assert_eq!(begun, 10);
        assert!(!metrics.contains("gatekeeper_limit_shadowed_total{"), "{metrics}");
    }
}
