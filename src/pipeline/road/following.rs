//! What stands behind events of its ticket that were put off: it follows them, or waits for them to come back (`deferral.rs`).

use std::sync::Arc;

use super::Road;
use super::deferral::{Why, place_of};
use super::item::{EventItem, ItemId, Plan};
use crate::pipeline::dedupe::ledger::{Ahead, Row};
use crate::pipeline::lane::{Place, TicketKey};

impl Road {
    /// What an event is to do behind others of its ticket that were put off: one without an end follows them; one whose
    /// decision is saved already waits for them to come back, here or on their way to a delay tier.
    pub(super) fn plan_behind_others(&mut self, id: ItemId, event: &EventItem, row: &Row, plan: Plan) -> Option<Plan> {
        self.waiting_for_earlier.remove(&id);
        let Some(item) = self.items.get(&id) else { return Some(plan) };
        let place = place_of(item);
        let missing = row.ahead.filter(|ahead| ahead.count > self.put_off_before(&event.ticket, place));
        match &plan {
            Plan::Ask | Plan::Judge(_) => self.follow_them(id, event, place, missing, plan),
            Plan::Publish(verdict) if verdict.decision.is_some() => {
                let waits = missing.is_some() || self.lanes.aside(&event.ticket, place).is_some();
                if waits {
                    self.waiting_for_earlier.insert(id);
                }
                (!waits).then_some(plan)
            }
            _ => Some(plan),
        }
    }

    /// One that is too large for their tier waits for them to come back, too.
    fn follow_them(
        &mut self,
        id: ItemId,
        event: &EventItem,
        place: Place,
        missing: Option<Ahead>,
        plan: Plan,
    ) -> Option<Plan> {
        let tier = self.lanes.aside(&event.ticket, place).or(missing.map(|ahead| ahead.tier));
        let (Some(tier), Some(item)) = (tier, self.items.get(&id)) else { return Some(plan) };
        if !self.may_be_copied(item) {
            self.waiting_for_earlier.insert(id);
            return None;
        }
        Some(match self.putting_off(item, tier, &Why::follows()) {
            Some(put_off) => {
                self.lanes.put_aside(&event.ticket, id, tier);
                Plan::PutOff(Arc::new(put_off))
            }
            None => plan,
        })
    }

    /// How many events of this ticket that were put off and come before this place are on the road.
    fn put_off_before(&self, ticket: &TicketKey, (partition, offset): Place) -> u64 {
        let back = self.back_on_road.get(ticket);
        back.map_or(0, |places| places.range((partition, 0)..(partition, offset)).count() as u64)
    }
}
