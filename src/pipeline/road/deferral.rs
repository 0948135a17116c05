//! Events that would wait too long for their tenant's limits are put off, and come back.
//!
//! ```text
//!  ask: too long a wait --> the lane from here on: PutOff --> the ledger remembers --> GoAside --> a burst: a copy to a
//!                                                             (nobody may pass it)                 delay tier, DEFERRED,
//!                                                                                                  the offset is finished
//!  a copy is read --> waits here until it may come (its partition is paused) --> arrives as the event it is a copy of
//! ```
//!
//! Order per ticket rests on three things. What stands behind a deferred event in its lane is put off with it. What is read
//! later asks the ledger, with its claim, how many deferred events of its ticket come before it: unless all of them are
//! back on this road, it follows. And a copy that comes back stands in its lane where its original stood. An event whose
//! decision was saved before one that comes before it was put off (by an owner that lost the partition in between) does
//! not follow: it waits in its lane until that one is back.
//!
//! What is too large for its delay tier, which may take less than the topic of its original, is not put off: it waits here.
//!
//! Put off as well: what its tenant has no money for until the next day, and what comes when enough events wait in memory for
//! a model whose breaker is open. Those book no turn: they come back to look whether what they wait for is there. And what
//! one tenant has too much of, where a model is only busy (`crowding`).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::item::{EventItem, Item, ItemId, Plan, PutOff};
use super::{Purpose, Road};
use crate::domain::deferral::{Deferral, TIER_DELAYS, delay_of, tier_for};
use crate::domain::feedback::LimitState;
use crate::domain::position::{Partition, TopicRole};
use crate::domain::reason_code::ReasonCode;
use crate::domain::record::Record;
use crate::domain::tenant::Limits;
use crate::pipeline::dedupe::ledger::{Entry, Outcome};
use crate::pipeline::lane::{Place, TicketKey};

/// A record of a deferred topic that may not come yet.
#[derive(Debug)]
pub(super) struct Early {
    pub due: Instant,
    pub waits_for_room: bool,
    pub record: Record,
}

impl Early {
    fn may_come(&self, now: Instant, model_waits: bool) -> bool {
        self.due <= now || (self.waits_for_room && model_waits)
    }
}

/// Why an event is put off, and for how long.
#[derive(Debug, Clone)]
pub(super) struct Why {
    pub code: ReasonCode,
    pub wait: Duration,
    returns: Returns,
    limit: Option<LimitState>,
}

/// What an event comes back for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Returns {
    /// Its tenant's rates are spoken for until then.
    ForItsTurn,
    /// To look whether what it waits for is there.
    ToLook,
    /// The same, and as soon as a model has room.
    ForRoom,
}

impl Why {
    pub fn rate_limited(turn: Duration, limit: Option<LimitState>) -> Self {
        Self { code: ReasonCode::TenantRateLimited, wait: turn, returns: Returns::ForItsTurn, limit }
    }

    pub fn budget_exhausted(wait: Duration, limit: Option<LimitState>) -> Self {
        Self { code: ReasonCode::BudgetExhausted, wait, returns: Returns::ToLook, limit }
    }

    pub fn model_is_busy(wait: Duration) -> Self {
        Self { code: ReasonCode::ProviderRateLimited, wait, returns: Returns::ForRoom, limit: None }
    }

    /// A short outage is over after the shortest tier. Whoever has been there waits longer each time: what came back every
    /// minute would keep the log and the ledger busy with nothing else, the more the longer the outage lasts. It need not
    /// look: once the model is well it is sent for.
    pub fn breaker_open(hop: u32) -> Self {
        let wait = match hop {
            0 => TIER_DELAYS[0],
            1 => TIER_DELAYS[1],
            _ => TIER_DELAYS[2],
        };
        Self { code: ReasonCode::BreakerOpen, wait, returns: Returns::ForRoom, limit: None }
    }

    /// Whatever the one before it waits for keeps that one before it in the tier, too.
    pub fn follows() -> Self {
        let code = ReasonCode::WaitingForEarlierEvent;
        Self { code, wait: Duration::ZERO, returns: Returns::ForRoom, limit: None }
    }
}

/// Where an item's event first stood, as lanes count it.
pub(super) fn place_of(item: &Item) -> Place {
    (item.position.partition, item.position.offset)
}

impl Road {
    /// Records of a deferred topic: each waits until it may come. They were written in the order in which they become due.
    pub(super) fn keep_early(&mut self, partition: Partition, records: Vec<Record>, now: Instant) {
        let clock = self.fixtures.clock.now();
        let Some(owned) = self.partitions.get_mut(&partition) else { return };
        owned.read_to = None;
        // A copy is written before it is read: one that seems to wait for longer was written by a clock that was ahead.
        let longest = if let TopicRole::Deferred(tier) = partition.topic { delay_of(tier) } else { Duration::ZERO };
        for record in records {
            let (wait, waits_for_room) = match Deferral::read(&record, partition.number) {
                Ok(deferral) => (deferral.not_before.millis_since(clock).unsigned_abs(), deferral.waits_for_room),
                Err(_) => (0, false),
            };
            let due = now + Duration::from_millis(wait).min(longest);
            owned.early.push_back(Early { due, waits_for_room, record });
        }
        self.take_in_due(partition, now);
    }

    /// What may come does, as long as there is room.
    pub(super) fn take_in_due(&mut self, partition: Partition, now: Instant) {
        while self.has_room_for_copies() {
            let model_waits = self.model_waits(now);
            let Some(owned) = self.partitions.get_mut(&partition) else { return };
            let Some(early) = owned.early.pop_front_if(|early| early.may_come(now, model_waits)) else { break };
            self.arrive_one(partition, early.record, now);
        }
        let read_to = self.partitions.get_mut(&partition).filter(|owned| owned.early.is_empty());
        if let Some(end) = read_to.and_then(|owned| owned.read_to.take()) {
            self.reached(partition, end, now);
        }
    }

    /// The moment at which the next copy may come, unless there is no room for it anyway.
    pub(super) fn next_early(&self, now: Instant) -> Option<Instant> {
        let model_waits = self.model_waits(now);
        let may_come = |early: &Early| if early.waits_for_room && model_waits { now } else { early.due };
        let first = self.partitions.values().filter_map(|owned| owned.early.front()).map(may_come).min();
        first.filter(|_| self.has_room_for_copies())
    }

    /// What waits for a copy to come back must not keep it out.
    pub(super) fn has_room_for_copies(&self) -> bool {
        let settings = &self.fixtures.settings;
        let has_room = !self.reading_stopped
            && self.items.len() < settings.max_on_road
            && self.on_road_bytes < settings.max_on_road_bytes;
        !self.draining && (has_room || !self.waiting_for_earlier.is_empty())
    }

    pub(super) fn take_in_all_due(&mut self, now: Instant) {
        let model_waits = self.model_waits(now);
        let may_come = |early: &Early| early.may_come(now, model_waits);
        let due = self.partitions.iter().filter(|(_, owned)| owned.early.front().is_some_and(may_come));
        for partition in due.map(|(partition, _)| *partition).collect::<Vec<_>>() {
            self.take_in_due(partition, now);
        }
    }

    /// Whether an event of this lane has its decision already: the model was asked about it for an earlier one as well, and
    /// then the lane was looked at anew. What comes before it may wait, but not go aside: it would be passed.
    pub(super) fn one_is_decided(&self, ticket: &TicketKey) -> bool {
        let is_decided = |id: ItemId| match self.items.get(&id).map(|item| &item.plan) {
            Some(Plan::Save(verdict, _) | Plan::Publish(verdict)) => verdict.decision.is_some(),
            _ => self.waiting_for_earlier.contains(&id),
        };
        self.lanes.any(ticket, is_decided)
    }

    /// Whether an event of this lane may be put off at all. One that is too large for its delay tier stays, and with it whatever
    /// is in its lane.
    pub(super) fn may_go_aside(&self, ticket: &TicketKey) -> bool {
        self.fixtures.defers
            && !self.one_is_decided(ticket)
            && !self.lanes.any(ticket, |id| self.items.get(&id).is_some_and(|item| !self.may_be_copied(item)))
    }

    pub(super) fn may_be_copied(&self, item: &Item) -> bool {
        self.fixtures.publisher.may_be_copied(&item.record)
    }

    /// Whether this event is put off because the breaker of its model is open and enough of them wait for it in memory.
    /// When it comes back it is asked about anew: the time in which it must be decided begins when its call does.
    pub(super) fn waits_for_the_breaker(&mut self, ticket: &TicketKey, id: ItemId, now: Instant) -> bool {
        let fills_up = |held| held >= self.fixtures.settings.max_held || self.is_heavy();
        if !self.held_by_breaker(now).is_some_and(fills_up) {
            return false;
        }
        let goes = self.may_go_aside(ticket);
        if goes {
            let hop = self.items.get(&id).and_then(|item| item.event()).map_or(0, |event| event.claim.hop);
            self.put_off(ticket, id, Why::breaker_open(hop));
        }
        goes
    }

    /// How many events wait in memory for a model whose breaker is open, if it is and nobody else is asked instead.
    pub(super) fn held_by_breaker(&self, now: Instant) -> Option<usize> {
        self.fixtures.guard.holds(now).then(|| self.asking + self.admission.waiting())
    }

    /// How long this event's turn is off, if that is too long to wait for in memory.
    pub(super) fn too_long(&mut self, id: ItemId, limits: Limits, tokens: u32, now: Instant) -> Option<Duration> {
        let limit = self.fixtures.settings.defer_after;
        let item = self.items.get(&id)?;
        let tenant = item.event()?.claim.tenant_id.clone();
        let clock = self.fixtures.clock.now();
        let turn = item.turn.map(|turn| Duration::from_millis(turn.millis_since(clock).unsigned_abs()));
        if let Some(turn) = turn {
            self.bookings.came_back(now, &tenant, turn);
        }
        let wait = self.admission.wait_of(now, &tenant, limits, tokens);
        // Room that nobody waits for is not left empty.
        if !self.fixtures.defers || wait.is_zero() {
            return None;
        }
        // A short wait behind very many is too long for the others: they would fill the road, and nothing more is read.
        let crowds = self.admission.fills_its_part(&tenant, self.room_over_limits());
        match turn {
            Some(turn) if turn > limit => Some(turn),
            Some(_) => (wait > limit).then_some(wait),
            None if !crowds && wait.max(self.bookings.booked(now, &tenant)) <= limit => None,
            None => {
                let pace = self.admission.pace_of(&tenant, limits);
                Some(self.bookings.book(now, &tenant, &pace, tokens, wait))
            }
        }
    }

    /// Put this event off, and with it whatever stands before or behind it in its lane and has no end yet.
    pub(super) fn put_off(&mut self, ticket: &TicketKey, id: ItemId, why: Why) {
        let head = self.lanes.head(ticket).unwrap_or(id);
        let tier = tier_for(why.wait);
        let follows = Why { code: ReasonCode::WaitingForEarlierEvent, limit: None, ..why.clone() };
        for id in self.lanes.put_aside(ticket, head, tier) {
            let is_open = |item: &&super::Tracked<Item>| matches!(item.plan, Plan::Ask | Plan::Judge(_));
            let Some(item) = self.items.get(&id).filter(is_open) else { continue };
            let why = if id == head { &why } else { &follows };
            let Some(put_off) = self.putting_off(item, tier, why) else { continue };
            self.replan(id, Plan::PutOff(Arc::new(put_off)));
        }
    }

    pub(super) fn putting_off(&self, item: &Item, tier: u8, why: &Why) -> Option<PutOff> {
        let delay = delay_of(tier);
        let claim = &item.event()?.claim;
        let clock = self.fixtures.clock.now();
        let turn = clock.after(why.wait.max(delay));
        let deferral = Deferral {
            origin: item.position.clone(),
            timestamp: item.record.timestamp,
            hop: claim.hop.saturating_add(1),
            not_before: clock.after(delay),
            turn: match why.returns {
                Returns::ForItsTurn => turn,
                Returns::ToLook => clock.after(delay),
                // Whoever is back because a model waits has its turn.
                Returns::ForRoom => clock,
            },
            waits_for_room: why.returns == Returns::ForRoom,
            improves: None,
        };
        Some(PutOff { tier, code: why.code, deferral, limit: why.limit.clone(), retry_at: turn })
    }

    /// The limit that has no room: the one that takes longer.
    pub(super) fn limit_state(&self, id: ItemId, limits: Limits, turn: Duration, now: Instant) -> Option<LimitState> {
        let tenant = &self.items.get(&id)?.event()?.claim.tenant_id;
        let (requests, tokens) = self.admission.levels_of(now, tenant, limits);
        let (unit, capacity, level) = match (limits.requests_per_minute, limits.tokens_per_minute) {
            (Some(capacity), None) => ("requests", capacity, requests),
            (None, Some(capacity)) => ("tokens", capacity, tokens),
            (Some(a), Some(b)) => {
                let share = |level: Option<f64>, capacity: u32| level.unwrap_or_default() / f64::from(capacity.max(1));
                if share(requests, a) <= share(tokens, b) { ("requests", a, requests) } else { ("tokens", b, tokens) }
            }
            (None, None) => return None,
        };
        #[expect(clippy::cast_possible_truncation, reason = "levels are within the range of a setting")]
        let remaining = level.unwrap_or_default().floor() as i64;
        Some(LimitState {
            scope: "tenant".to_owned(),
            unit: unit.to_owned(),
            capacity: i64::from(capacity),
            remaining,
            refills_at: self.fixtures.clock.now().after(turn),
        })
    }

    /// What came on the road before of this very position: that ends the event, unless it goes aside.
    pub(super) fn carrier_before(&self, id: ItemId, event: &EventItem) -> Option<&Item> {
        let before = self.carriers.get(&event.claim.key).filter(|before| **before != id)?;
        let is_the_same = |item: &&super::Tracked<Item>| {
            item.event().is_some_and(|before| before.claim.position == event.claim.position)
        };
        self.items.get(before).filter(is_the_same).map(|item| &**item)
    }

    /// The ledger knows everything of this event again: what it was put off for before is no reason any longer to put it,
    /// or what stands behind it, off.
    pub(super) fn is_here(&mut self, id: ItemId) {
        let Some((place, ticket)) = self.place_and_ticket(id) else { return };
        let goes_aside = |id: ItemId| {
            let plan = self.items.get(&id).map(|item| &item.plan);
            matches!(plan, Some(Plan::PutOff(_) | Plan::GoAside(_)))
        };
        self.lanes.is_back(&ticket, place, goes_aside);
    }

    /// It was put off once, and is on the road until it is committed.
    pub(super) fn is_back(&mut self, id: ItemId) {
        let Some((place, ticket)) = self.place_and_ticket(id) else { return };
        self.back_on_road.entry(ticket).or_default().insert(place);
    }

    pub(super) fn is_back_no_longer(&mut self, item: &Item) {
        let Some(ticket) = item.ticket().filter(|_| item.improves().is_none()) else { return };
        if let Some(places) = self.back_on_road.get_mut(ticket) {
            places.remove(&place_of(item));
            if places.is_empty() {
                self.back_on_road.remove(ticket);
            }
        }
    }

    pub(super) fn leaves_again(&mut self, id: ItemId) {
        let Some((place, ticket)) = self.place_and_ticket(id) else { return };
        if let Some(places) = self.back_on_road.get_mut(&ticket) {
            places.remove(&place);
        }
    }

    fn place_and_ticket(&self, id: ItemId) -> Option<(Place, TicketKey)> {
        // An improve record stands where its event stood, and nobody waits for it to come back.
        let item = self.items.get(&id).filter(|item| item.improves().is_none())?;
        Some((place_of(item), item.ticket()?.clone()))
    }

    /// The ledger has remembered that this event is put off.
    pub(super) fn put_off_remembered(
        &mut self,
        id: ItemId,
        outcome: &Outcome,
        concludes: Option<TicketKey>,
        now: Instant,
    ) {
        match (outcome, self.items.get(&id).map(|item| item.plan.clone())) {
            (Outcome::Done, Some(Plan::PutOff(put_off))) => self.replan(id, Plan::GoAside(put_off)),
            _ => self.claim_again(id),
        }
        self.conclude(id, concludes, now);
    }

    pub(super) fn remember_put_off(
        item: ItemId,
        event: &EventItem,
        put_off: &PutOff,
        concludes: Option<TicketKey>,
    ) -> (Entry, Purpose) {
        let entry = Entry::Defer {
            key: event.claim.key,
            owner: event.claim.position.clone(),
            ticket: event.ticket.clone(),
            tier: put_off.tier,
        };
        (entry, Purpose::PutOff { item, concludes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::bytes::Bytes;
    use crate::domain::clock::{Clock as _, SystemClock, Timestamp};
    use crate::domain::feedback::FeedbackStatus;
    use crate::domain::position::Position;
    use crate::domain::record::{OutRecord, Payload};
    use crate::domain::verdict::{SavedDecision, Verdict};
    use crate::pipeline::dedupe::ledger::{Ahead, Claim, Row};
    use crate::pipeline::log::{Burst, Epoch, Happening, PublishOutcome};
    use crate::pipeline::road::testing::{EVENTS, TestRoad, decidable_event, fixtures};
    use crate::pipeline::triage::guard::Job;
    use crate::pipeline::triage::model::CallError;
    use crate::pipeline::triage::testing::{Act, FakeLeases, Scripted, card};

    const TIER: Partition = Partition { topic: TopicRole::Deferred(0), number: 0 };

    /// A road whose tenant has no requests left for a quarter of a minute.
    fn spent() -> TestRoad {
        spent_of(4, &[])
    }

    /// The tenant's requests of a minute are spent.
    fn spent_of(requests_per_minute: u32, sets: &[&str]) -> TestRoad {
        let limits = Limits { requests_per_minute: Some(requests_per_minute), ..Limits::NONE };
        let mut test = TestRoad::limited_with(limits, sets);
        for partition in [EVENTS, TIER] {
            test.owns(partition);
        }
        test.read_tickets(0..u64::from(requests_per_minute));
        for _ in 0..requests_per_minute {
            test.road.next_job(Instant::now()).expect("there is room for them");
        }
        test
    }

    /// The n-th event of ticket t-9.
    fn read(test: &mut TestRoad, offset: u64) {
        read_of(test, "t-9", offset);
    }

    fn read_of(test: &mut TestRoad, ticket: &str, offset: u64) {
        arrives(test, EVENTS, event_of(ticket, offset));
    }

    fn event_of(ticket: &str, offset: u64) -> Record {
        let mut event = decidable_event(offset);
        (event.ticket_id, event.occurred_at) = (ticket.to_owned(), SystemClock.now());
        let value = Some(Payload::from(serde_json::to_vec(&event).expect("an event can be written")));
        Record { offset, timestamp: Timestamp(0), key: None, value, headers: Vec::new() }
    }

    /// Its first copy, which is due.
    fn copy_of(original: Record, improves: Option<String>) -> Record {
        let (due, hop) = (Timestamp(0), 1);
        let origin = Position { topic_id: "t".to_owned(), partition: 0, offset: original.offset };
        let deferral =
            Deferral { origin, timestamp: due, hop, not_before: due, turn: due, waits_for_room: false, improves };
        Record { offset: 0, headers: deferral.headers(&original), ..original }
    }

    fn arrives(test: &mut TestRoad, partition: Partition, record: Record) {
        let records = vec![record];
        test.road.happened(Happening::Records { epoch: Epoch(1), partition, records }, Instant::now());
    }

    /// One batch, in which claims are answered like this.
    fn ledger_says(test: &mut TestRoad, row: impl Fn(&Claim) -> Row) {
        let Some((entries, batch)) = test.next_batch(100) else { return };
        let outcome = |entry: &Entry| match entry {
            Entry::Claim(claim) => Outcome::Row(Arc::new(row(claim))),
            Entry::TakeOver { claim, .. } => Outcome::Row(Arc::new(Row::left_by(claim))),
            Entry::Defer { .. } => Outcome::Done,
            _ => Outcome::Changed(0),
        };
        test.road.ledger_said(batch, entries.iter().map(outcome).collect(), Instant::now());
    }

    /// Another copy of this event was rejected: this one takes its place.
    fn rejected_before(claim: &Claim) -> Row {
        let rejected = Verdict::of(FeedbackStatus::Rejected, ReasonCode::TenantUnknown, Timestamp(0), Timestamp(0));
        let owner = Position { offset: 1, ..claim.position.clone() };
        Row { owner, verdict: Some(Arc::new(rejected)), rejected: true, ..Row::left_by(claim) }
    }

    fn decided(claim: &Claim) -> Row {
        let decision = SavedDecision { id: "d".to_owned(), version: 1, bytes: Bytes(b"d".to_vec()) };
        let accepted = Verdict::of(FeedbackStatus::Accepted, ReasonCode::Decided, Timestamp(0), Timestamp(0));
        Row { verdict: Some(Arc::new(Verdict { decision: Some(decision), ..accepted })), ..Row::left_by(claim) }
    }

    /// What goes out next, and is committed.
    fn published(test: &mut TestRoad) -> Vec<OutRecord> {
        test.wake();
        let bursts: Vec<Burst> = test.bursts();
        for burst in &bursts {
            let outcome = PublishOutcome::Committed;
            test.road.happened(Happening::Published { burst: burst.number, outcome }, Instant::now());
        }
        bursts.into_iter().flat_map(|burst| burst.records).collect()
    }

    fn topics(records: &[OutRecord]) -> Vec<TopicRole> {
        records.iter().map(|record| record.topic).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_saved_decision_waits_for_an_earlier_event_that_was_put_off_before_the_ledger_told_of_it() {
        let mut test = spent();
        read(&mut test, 10);
        let (claims, batch) = test.next_batch(100).expect("the first is claimed");
        read(&mut test, 11);
        let rows = claims.iter().map(|entry| match entry {
            Entry::Claim(claim) => Outcome::Row(Arc::new(Row::left_by(claim))),
            _ => Outcome::Changed(0),
        });
        test.road.ledger_said(batch, rows.collect(), Instant::now());
        // The second is claimed before the ledger knows that the first is put off; whoever had its partition before us has
        // decided it.
        ledger_says(&mut test, decided);
        let out = published(&mut test);
        assert_eq!(topics(&out), [TIER.topic, TopicRole::Feedback], "the first has gone aside, alone");

        // It comes back when it is due, and now it is not put off again: a later one is decided.
        let copy = out.into_iter().find(|record| record.topic == TIER.topic).expect("it went aside");
        let OutRecord { key, value, headers, .. } = copy;
        arrives(&mut test, TIER, Record { offset: 0, timestamp: SystemClock.now(), key, value, headers });
        tokio::time::advance(TIER_DELAYS[0]).await;
        test.wake();
        let now_known = |claim: &Claim| match claim.position.offset {
            10 => Row { deferred_to: Some(0), ..Row::left_by(claim) },
            _ => Row { ahead: Some(Ahead { count: 1, tier: 0 }), ..decided(claim) },
        };
        for _ in 0..3 {
            ledger_says(&mut test, now_known);
        }
        tokio::time::advance(TIER_DELAYS[0]).await;
        let first = test.road.next_job(Instant::now()).expect("the first waits for its turn here");
        assert_eq!(first.owner.offset, 10);
        assert_eq!(topics(&published(&mut test)), [], "the second waits behind it");
    }

    /// No copy of these events has room in its tier.
    fn of_small_tiers(test: &mut TestRoad) {
        test.road.fixtures.publisher.limit(event_of("t-9", 10).bytes());
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_whose_copy_has_no_room_is_not_put_off_and_waits_here_for_its_turn() {
        let mut test = spent();
        of_small_tiers(&mut test);
        read(&mut test, 10);
        ledger_says(&mut test, Row::left_by);
        assert_eq!(topics(&published(&mut test)), []);
        assert!(test.road.next_job(Instant::now()).is_none(), "its tenant's requests are spent");
        tokio::time::advance(TIER_DELAYS[1]).await;
        test.wake();
        assert_eq!(test.road.next_job(Instant::now()).expect("it is its turn").owner.offset, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_whose_copy_has_no_room_waits_for_an_earlier_one_that_was_put_off() {
        let mut test = spent();
        read(&mut test, 10);
        ledger_says(&mut test, Row::left_by);
        of_small_tiers(&mut test);
        read(&mut test, 11);
        for _ in 0..2 {
            ledger_says(&mut test, Row::left_by);
        }
        assert_eq!(topics(&published(&mut test)), [TIER.topic, TopicRole::Feedback], "the first has gone aside, alone");
        assert_eq!(test.road.waiting_for_earlier.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_that_is_read_before_its_burst_is_confirmed_goes_on_when_it_is() {
        let mut test = spent();
        read(&mut test, 10);
        for _ in 0..2 {
            ledger_says(&mut test, Row::left_by);
        }
        test.wake();
        let bursts = test.bursts();
        let copy = bursts.iter().flat_map(|burst| &burst.records).find(|record| record.topic == TIER.topic);
        let OutRecord { key, value, headers, .. } = copy.expect("it went aside").clone();
        arrives(&mut test, TIER, Record { offset: 0, timestamp: SystemClock.now(), key, value, headers });
        tokio::time::advance(TIER_DELAYS[0]).await;
        test.wake();
        let known = |claim: &Claim| Row { deferred_to: Some(0), ..Row::left_by(claim) };
        ledger_says(&mut test, known);
        for burst in bursts {
            let committed = Happening::Published { burst: burst.number, outcome: PublishOutcome::Committed };
            test.road.happened(committed, Instant::now());
        }
        tokio::time::advance(TIER_DELAYS[0]).await;
        test.wake();
        ledger_says(&mut test, known);
        tokio::time::advance(TIER_DELAYS[1]).await;
        assert_eq!(test.road.next_job(Instant::now()).expect("it is here").owner.offset, 10);
    }

    /// What would be written of the ledger's rows by their owners' places.
    fn vanished(test: &mut TestRoad) -> Vec<(u64, u64)> {
        let entries = std::iter::from_fn(|| test.next_batch(100)).flat_map(|(entries, _)| entries);
        let gone = entries.filter_map(|entry| match entry {
            Entry::Vanished { from, to, .. } => Some((from, to)),
            _ => None,
        });
        gone.collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_that_cannot_be_read_any_more_is_rejected_and_keeps_nobody_waiting() {
        for (improves, ends) in
            [(None, vec![TopicRole::Feedback, TopicRole::DeadLetters]), (Some("d".to_owned()), vec![])]
        {
            let mut test = spent();
            ledger_says(&mut test, Row::left_by);
            let is_event = improves.is_none();
            let value = Some(Payload::from_static(b"?"));
            let original = Record { offset: 3, timestamp: Timestamp(0), key: None, value, headers: Vec::new() };
            arrives(&mut test, TIER, copy_of(original, improves));
            test.wake();
            let bursts = test.bursts();
            let out: Vec<_> = bursts.iter().flat_map(|burst| &burst.records).map(|record| record.topic).collect();
            assert_eq!(out, ends);
            assert_eq!(vanished(&mut test), if is_event { vec![(3, 4)] } else { vec![] });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_waits_for_its_original_that_was_read_again() {
        let mut test = spent();
        read(&mut test, 10);
        // A burst of the one who put it off is committed; then a person has set the position back.
        ledger_says(&mut test, decided);
        arrives(&mut test, TIER, copy_of(event_of("t-9", 10), None));
        ledger_says(&mut test, |claim| Row { hop: 1, ..decided(claim) });
        let finishing = |test: &TestRoad| test.road.ready.iter().flat_map(|group| &group.results).count();
        assert_eq!(finishing(&test), 1, "the original, and not the copy");
        assert_eq!(topics(&published(&mut test)), [TopicRole::Decisions, TopicRole::Feedback]);
        let (_, copy) = test.road.held.pop_first().expect("the copy waits");
        test.road.claim_again(copy);
        ledger_says(&mut test, |claim| Row { hop: 1, published_at: Some(Timestamp(1)), ..decided(claim) });
        tokio::time::advance(TIER_DELAYS[0]).await;
        assert_eq!(topics(&published(&mut test)), [], "it ends without a word");
        assert!(test.road.items.values().all(|item| item.partition() == EVENTS), "and its offset is committed");
    }

    #[tokio::test(start_paused = true)]
    async fn who_loses_a_partition_does_not_say_of_its_events_that_they_are_put_off() {
        let mut test = spent();
        read(&mut test, 10);
        ledger_says(&mut test, Row::left_by);
        test.road.lost(&[EVENTS], Instant::now());
        let entries: Vec<_> = std::iter::from_fn(|| test.next_batch(100)).flat_map(|(entries, _)| entries).collect();
        assert!(!entries.iter().any(|entry| matches!(entry, Entry::Defer { .. })), "{entries:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn nor_in_a_batch_that_is_tried_again() {
        let mut test = spent();
        read(&mut test, 10);
        ledger_says(&mut test, Row::left_by);
        let puts_off = |entries: &[Entry]| entries.iter().any(|entry| matches!(entry, Entry::Defer { .. }));
        let (entries, batch) = test.next_batch(100).expect("it is put off");
        let (entries, batch) = test.road.still_ours(entries, batch);
        assert!(puts_off(&entries), "it is ours: {entries:?}");
        let all = entries.len();
        test.road.lost(&[EVENTS], Instant::now());
        let (entries, batch) = test.road.still_ours(entries, batch);
        assert!(!puts_off(&entries), "{entries:?}");
        assert_eq!((entries.len(), batch.0.len()), (all - 1, all - 1), "everything else is said");
    }

    /// Said after the next owner has said the same, it would make a living one's producer be fenced for ours.
    #[tokio::test(start_paused = true)]
    async fn that_a_partition_is_ours_is_not_said_any_more_when_it_went() {
        let enters = |entries: &[Entry]| entries.iter().any(|entry| matches!(entry, Entry::Enter { .. }));
        let mut test = spent();
        test.road.enter((EVENTS, Epoch(1)), "events", None, None);
        let (entries, batch) = test.next_batch(100).expect("it is said");
        let (entries, batch) = test.road.still_ours(entries, batch);
        assert!(enters(&entries), "it is ours: {entries:?}");
        test.road.enter((EVENTS, Epoch(1)), "events", None, None);
        test.road.lost(&[EVENTS], Instant::now());
        let (entries, _) = test.road.still_ours(entries, batch);
        assert!(!enters(&entries), "{entries:?}");
        let left: Vec<_> = std::iter::from_fn(|| test.next_batch(100)).flat_map(|(entries, _)| entries).collect();
        assert!(!enters(&left), "{left:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_unit_of_a_lane_with_a_saved_decision_in_it_waits_here_for_its_tenants_limits() {
        let mut test = spent();
        (10..13).for_each(|offset| read(&mut test, offset));
        // The first one is known last: all three are one unit, whose newest event is to be asked about.
        ledger_says(&mut test, |claim| match claim.position.offset {
            10 => rejected_before(claim),
            11 => decided(claim),
            _ => Row::left_by(claim),
        });
        for _ in 0..2 {
            ledger_says(&mut test, Row::left_by);
        }
        assert_eq!(topics(&published(&mut test)), [], "nothing goes aside");
        tokio::time::advance(TIER_DELAYS[1]).await;
        assert_eq!(test.road.next_job(Instant::now()).expect("a minute has passed").owner.offset, 12);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_needs_more_than_the_bucket_holds_goes_when_it_is_full_and_leaves_a_debt() {
        let limits = Limits { tokens_per_minute: Some(100), ..Limits::NONE };
        let mut test = TestRoad::limited(limits);
        for partition in [EVENTS, TIER] {
            test.owns(partition);
        }
        read(&mut test, 10);
        ledger_says(&mut test, Row::left_by);
        test.road.next_job(Instant::now()).expect("the bucket is full");
        let (_, level) = test.road.admission.levels_of(Instant::now(), "acme", limits);
        assert!(level.is_some_and(|level| level < -100.0), "{level:?}");
        read_of(&mut test, "t-11", 11);
        for _ in 0..2 {
            ledger_says(&mut test, Row::left_by);
        }
        let gone = topics(&published(&mut test));
        assert!(
            matches!(gone[..], [TopicRole::Deferred(_), TopicRole::Feedback]),
            "the next waits for the debt: {gone:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn short_waits_are_put_off_too_where_many_wait_already() {
        // A request a second: the tenth would wait no longer than is allowed.
        let mut test = spent_of(60, &["pipeline.max_over_limits=3"]);
        (60..70).for_each(|offset| read_of(&mut test, &format!("t-{offset}"), offset));
        for _ in 0..2 {
            ledger_says(&mut test, Row::left_by);
        }
        let gone = published(&mut test).into_iter().filter(|record| record.topic == TIER.topic).count();
        assert_eq!((gone, test.road.admission.waiting(), test.road.gauges().over_limits.now), (7, 3, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_road_that_is_half_full_of_bytes_has_no_room_for_more_that_wait_for_limits() {
        let mut test = spent_of(60, &[]);
        test.road.fixtures.settings.max_on_road_bytes = test.road.on_road_bytes;
        (60..70).for_each(|offset| read_of(&mut test, &format!("t-{offset}"), offset));
        for _ in 0..2 {
            ledger_says(&mut test, Row::left_by);
        }
        let gone = published(&mut test).into_iter().filter(|record| record.topic == TIER.topic).count();
        assert_eq!((gone, test.road.admission.waiting()), (9, 1));
    }

    /// Five calls have failed, one after the other.
    async fn under_an_open_breaker() -> TestRoad {
        let mut test = TestRoad::new(&[]);
        [EVENTS, TIER].into_iter().for_each(|partition| test.owns(partition));
        let failing = Scripted::new(
            card("gpt", true),
            (0..5).map(|_| Act::Say(Err(CallError::Server { status: 503, retry_after: None }))),
        );
        test.road.fixtures.guard = fixtures(&[], Arc::new(failing)).0.guard;
        test.read_tickets(0..5);
        while let Some(job) = test.road.next_job(Instant::now()) {
            let decide_by = Instant::now() + Duration::from_millis(1);
            test.road.fixtures.guard.clone().triage(Job { decide_by, ..job }, &FakeLeases::default()).await;
        }
        test
    }

    /// A long outage must not have everything that waits come back every minute for nothing.
    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_breaker_waits_longer_each_time_and_can_be_sent_for() {
        for (hop, tier) in [(0, 0), (1, 1), (2, 2), (9, 2)] {
            let mut test = under_an_open_breaker().await;
            if hop == 0 {
                read(&mut test, 10);
            } else {
                let original = event_of("t-9", 10);
                let origin = Position { topic_id: "t".to_owned(), partition: 0, offset: 10 };
                let (timestamp, now) = (Timestamp(0), Timestamp(0));
                let deferral = Deferral {
                    origin,
                    timestamp,
                    hop,
                    not_before: now,
                    turn: now,
                    waits_for_room: true,
                    improves: None,
                };
                arrives(&mut test, TIER, Record { offset: 0, headers: deferral.headers(&original), ..original });
            }
            test.road.fixtures.settings.max_on_road_bytes = 2;
            for _ in 0..3 {
                ledger_says(&mut test, |claim| Row { deferred_to: (hop > 0).then_some(0), ..Row::left_by(claim) });
            }
            let mut out = published(&mut test).into_iter();
            let copy = out.find(|record| matches!(record.topic, TopicRole::Deferred(_))).expect("it is put off");
            assert_eq!(copy.topic, TopicRole::Deferred(tier), "hop {hop}");
            let OutRecord { key, value, headers, .. } = copy;
            let copy = Record { offset: 1, timestamp: SystemClock.now(), key, value, headers };
            let deferral = Deferral::read(&copy, 0).expect("a copy");
            assert_eq!((deferral.hop, deferral.waits_for_room), (hop + 1, true));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nor_for_more_that_wait_for_a_model_whose_breaker_is_open() {
        for (half, gone) in [(1_000_000, vec![]), (1, vec![TIER.topic, TopicRole::Feedback])] {
            let mut test = under_an_open_breaker().await;
            test.road.fixtures.settings.max_on_road_bytes = 2 * half;
            read(&mut test, 10);
            for _ in 0..2 {
                ledger_says(&mut test, Row::left_by);
            }
            assert_eq!(topics(&published(&mut test)), gone);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_waits_no_longer_than_its_tier_whatever_clock_it_was_written_by() {
        let mut test = spent();
        let hour = Timestamp(SystemClock.now().0 + 3_600_000);
        let copy = |offset: u64| {
            let original = event_of(&format!("t-{offset}"), offset);
            let origin = Position { topic_id: "t".to_owned(), partition: 0, offset };
            let deferral = Deferral {
                origin,
                timestamp: Timestamp(0),
                hop: 1,
                not_before: hour,
                turn: Timestamp(0),
                waits_for_room: false,
                improves: None,
            };
            Record { offset: offset - 10, headers: deferral.headers(&original), ..original }
        };
        let before = test.road.items.len();
        let records = vec![copy(10), copy(11)];
        test.road.happened(Happening::Records { epoch: Epoch(1), partition: TIER, records }, Instant::now());
        assert_eq!(test.road.items.len(), before);
        tokio::time::advance(TIER_DELAYS[0]).await;
        test.wake();
        assert_eq!(test.road.items.len(), before + 2);
    }
}
