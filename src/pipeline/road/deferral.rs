//! Events that would wait too long for their tenant's limits are put off, and come back.
//!
//! ```text
//!  ask: too long a wait --> the lane from here on: PutOff --> the ledger remembers --> GoAside --> a burst: a copy to a
//!                                                             (nobody may pass it)                 delay tier, DEFERRED,
//!                                                                                                  the offset is finished
//!  a copy is read --> waits here until it is due (its partition is paused) --> arrives as the event it is a copy of
//! ```
//!
//! Order per ticket rests on three things. What stands behind a deferred event in its lane is put off with it. What is read
//! later asks the ledger, with its claim, how many deferred events of its ticket come before it: unless all of them are
//! back on this road, it follows. And a copy that comes back stands in its lane where its original stood.
//!
//! What waits for a model, and not for its tenant's limits, is not put off: reading stops, and the log keeps it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::item::{EventItem, Item, ItemId, Plan, PutOff};
use super::{Purpose, Road};
use crate::domain::deferral::{Deferral, TIER_DELAYS, tier_for};
use crate::domain::feedback::LimitState;
use crate::domain::position::Partition;
use crate::domain::reason_code::ReasonCode;
use crate::domain::record::Record;
use crate::domain::tenant::Limits;
use crate::pipeline::dedupe::ledger::{Ahead, Entry, Outcome, Row};
use crate::pipeline::lane::{Place, TicketKey};

/// A record of a deferred topic that is not due yet.
#[derive(Debug)]
pub(super) struct Early {
    pub due: Instant,
    pub record: Record,
}

/// Where an item's event first stood, as lanes count it.
pub(super) fn place_of(item: &Item) -> Place {
    (item.position.partition, item.position.offset)
}

impl Road {
    /// Records of a deferred topic: each waits until it is due. They were written in the order in which they become due.
    pub(super) fn keep_early(&mut self, partition: Partition, records: Vec<Record>, now: Instant) {
        let clock = self.fixtures.clock.now();
        let Some(owned) = self.partitions.get_mut(&partition) else { return };
        owned.read_to = None;
        for record in records {
            let due = match Deferral::read(&record, partition.number) {
                Ok(deferral) => now + Duration::from_millis(deferral.not_before.millis_since(clock).unsigned_abs()),
                Err(_) => now,
            };
            owned.early.push_back(Early { due, record });
        }
        self.take_in_due(partition, now);
    }

    /// What is due comes on the road, as long as there is room.
    pub(super) fn take_in_due(&mut self, partition: Partition, now: Instant) {
        while self.has_room_for_copies() {
            let Some(owned) = self.partitions.get_mut(&partition) else { return };
            let Some(early) = owned.early.pop_front_if(|early| early.due <= now) else { break };
            self.arrive_one(partition, early.record, now);
        }
        let read_to = self.partitions.get_mut(&partition).filter(|owned| owned.early.is_empty());
        if let Some(end) = read_to.and_then(|owned| owned.read_to.take()) {
            self.reached(partition, end, now);
        }
    }

    /// The moment at which the next copy is due, unless there is no room for it anyway.
    pub(super) fn next_early(&self) -> Option<Instant> {
        let held = self.partitions.values().filter_map(|owned| owned.early.front()).map(|early| early.due).min();
        held.filter(|_| self.has_room_for_copies())
    }

    /// What waits for a copy to come back must not keep it out.
    pub(super) fn has_room_for_copies(&self) -> bool {
        !self.draining && (!self.reading_stopped || !self.waiting_for_earlier.is_empty())
    }

    pub(super) fn take_in_all_due(&mut self, now: Instant) {
        let is_due = |early: &Early| early.due <= now;
        let due = self.partitions.iter().filter(|(_, owned)| owned.early.front().is_some_and(is_due));
        for partition in due.map(|(partition, _)| *partition).collect::<Vec<_>>() {
            self.take_in_due(partition, now);
        }
    }

    /// Whether an event that waits behind this lane's unit at work has its decision already: the model was asked about it for
    /// both, and then the lane was looked at anew. What comes before it may wait, but not go aside: it would be passed.
    pub(super) fn a_later_one_is_decided(&self, ticket: &TicketKey) -> bool {
        self.lanes.any_behind(ticket, |id| match self.items.get(&id).map(|item| &item.plan) {
            Some(Plan::Save(verdict, _) | Plan::Publish(verdict)) => verdict.decision.is_some(),
            _ => false,
        })
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
        match turn {
            Some(turn) if turn > limit => Some(turn),
            Some(_) => (wait > limit).then_some(wait),
            None if wait.max(self.bookings.booked(now, &tenant)) <= limit => None,
            None => {
                let pace = self.admission.pace_of(&tenant, limits);
                Some(self.bookings.book(now, &tenant, &pace, tokens, wait))
            }
        }
    }

    /// Put this event off, and with it whatever stands behind it in its lane and has no end yet.
    pub(super) fn put_off(&mut self, ticket: &TicketKey, head: ItemId, turn: Duration, limits: Limits, now: Instant) {
        let limit = self.limit_state(head, limits, turn, now);
        let tier = tier_for(turn);
        for id in self.lanes.put_aside(ticket, head, tier) {
            let is_open = |item: &&super::Tracked<Item>| matches!(item.plan, Plan::Ask | Plan::Judge(_));
            let Some(item) = self.items.get(&id).filter(is_open) else { continue };
            let (code, limit) = if id == head {
                (ReasonCode::TenantRateLimited, limit.clone())
            } else {
                (ReasonCode::WaitingForEarlierEvent, None)
            };
            let Some(put_off) = self.putting_off(item, tier, turn, code, limit) else { continue };
            self.replan(id, Plan::PutOff(Arc::new(put_off)));
        }
    }

    fn putting_off(
        &self,
        item: &Item,
        tier: u8,
        turn: Duration,
        code: ReasonCode,
        limit: Option<LimitState>,
    ) -> Option<PutOff> {
        let delay = TIER_DELAYS.get(usize::from(tier)).or(TIER_DELAYS.last()).copied()?;
        let claim = &item.event()?.claim;
        let clock = self.fixtures.clock.now();
        let deferral = Deferral {
            origin: item.position.clone(),
            timestamp: item.record.timestamp,
            hop: claim.hop.saturating_add(1),
            not_before: clock.after(delay),
            turn: clock.after(turn.max(delay)),
        };
        Some(PutOff { tier, code, deferral, limit })
    }

    /// The limit that has no room: the one that takes longer.
    fn limit_state(&self, id: ItemId, limits: Limits, turn: Duration, now: Instant) -> Option<LimitState> {
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

    /// What an event is to do behind others of its ticket that were put off: one without an end follows them; one whose
    /// decision is saved already waits for them, for theirs was saved before it, and they must be about to come back.
    pub(super) fn plan_behind_others(&mut self, id: ItemId, event: &EventItem, row: &Row, plan: Plan) -> Option<Plan> {
        self.waiting_for_earlier.remove(&id);
        let Some(item) = self.items.get(&id) else { return Some(plan) };
        let place = place_of(item);
        let missing = row.ahead.filter(|ahead| ahead.count > self.put_off_before(&event.ticket, place));
        match &plan {
            Plan::Ask | Plan::Judge(_) => Some(self.follow_them(id, event, place, missing, plan)),
            Plan::Publish(verdict) if verdict.decision.is_some() && missing.is_some() => {
                self.waiting_for_earlier.insert(id);
                None
            }
            _ => Some(plan),
        }
    }

    fn follow_them(&mut self, id: ItemId, event: &EventItem, place: Place, missing: Option<Ahead>, plan: Plan) -> Plan {
        let tier = self.lanes.aside(&event.ticket, place).or(missing.map(|ahead| ahead.tier));
        let (Some(tier), Some(item)) = (tier, self.items.get(&id)) else { return plan };
        match self.putting_off(item, tier, Duration::ZERO, ReasonCode::WaitingForEarlierEvent, None) {
            Some(put_off) => {
                self.lanes.put_aside(&event.ticket, id, tier);
                Plan::PutOff(Arc::new(put_off))
            }
            None => plan,
        }
    }

    /// Whether a copy of this very position came on the road before: that one ends the event.
    pub(super) fn is_carried_by_another(&self, id: ItemId, event: &EventItem) -> bool {
        let before = self.carriers.get(&event.claim.key).filter(|before| **before != id);
        let before = before.and_then(|before| self.items.get(before)?.event());
        before.is_some_and(|before| before.claim.position == event.claim.position)
    }

    /// How many events of this ticket that were put off and come before this place are on the road.
    fn put_off_before(&self, ticket: &TicketKey, (partition, offset): Place) -> u64 {
        let back = self.back_on_road.get(ticket);
        back.map_or(0, |places| places.range((partition, 0)..(partition, offset)).count() as u64)
    }

    /// It was put off once, and is on the road until it is committed.
    pub(super) fn is_back(&mut self, id: ItemId) {
        let Some((place, ticket)) = self.place_and_ticket(id) else { return };
        self.back_on_road.entry(ticket).or_default().insert(place);
    }

    pub(super) fn is_back_no_longer(&mut self, item: &Item) {
        let Some(ticket) = item.ticket() else { return };
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
        let item = self.items.get(&id)?;
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
