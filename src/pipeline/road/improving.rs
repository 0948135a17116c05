//! Better decisions: what a fallback decided is decided once more when the first model is back.
//!
//! ```text
//!  a fallback's burst --> an improve record in the shortest delay tier --> due: it joins its ticket's lane
//!
//!  Ask     --> too late? --> room that nobody else wants --> the first model --> its answer saved --> Judge
//!  Judge   --> too late? --> decided under the policy --> saved --> out, in the burst that finishes the record
//!          model away, or no room --> the next longer tier; after the last one it is dropped
//! ```
//!
//! An improve record is to the ledger an event with a key of its own, so claim, lease, saved answer and saved verdict make it
//! happen once, and paid once, as they do for events. To its lane it is what its event was, at the same place: nothing newer
//! of the ticket is decided between the last question whether it comes too late and its burst.
//!
//! It is the least important work there is. It asks when nobody else waits for a model, waits for that no longer than its
//! shortest tier, and gives way to a newer event of its ticket. Not here: what makes a fallback's cause pass
//! ([`passes`]), and what speaks against a better decision as far as the ledger knows ([`OvertakenQuestion`]).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::item::{Better, Check, Content, EventItem, Improves, Item, ItemId, Plan, PutOff};
use super::source::source;
use super::standing::LOOK_AT_OWNER;
use super::{Purpose, Road};
use crate::domain::answer::Answer;
use crate::domain::better::{self, Dropped, TRIES, passes};
use crate::domain::deferral::{Deferral, TIER_DELAYS};
use crate::domain::feedback::FeedbackStatus;
use crate::domain::identity::DedupeKey;
use crate::domain::past_decision::OvertakenQuestion;
use crate::domain::reason_code::ReasonCode;
use crate::domain::record::OutRecord;
use crate::domain::redrive::Redrive;
use crate::domain::tenant::Tenant;
use crate::domain::verdict::Verdict;
use crate::pipeline::dedupe::arrival::Arrival;
use crate::pipeline::dedupe::ledger::{Entry, Outcome};
use crate::pipeline::lane::TicketKey;
use crate::telemetry::happenings::{AnswerReused, BetterDecision, BetterStep};

/// So long it waits on the road for a model that nobody else wants.
const PATIENCE: Duration = TIER_DELAYS[0];

impl EventItem {
    /// The same as an improve record, if it is one.
    pub(super) fn improving(mut self, decision_id: Option<&str>) -> Self {
        if let Some(decision_id) = decision_id {
            let (event, decision_id) = (self.claim.key, decision_id.to_owned());
            self.claim.key = DedupeKey::of_better(event);
            self.improves = Some(Improves { event, decision_id, check: Check::Due });
        }
        self
    }

    /// The decision that this one's supersedes, if it is an improve record.
    pub(super) fn supersedes(&self) -> Option<&str> {
        self.improves.as_ref().map(|improves| improves.decision_id.as_str())
    }
}

impl Road {
    /// Whether this answer makes a better decision, or one that should be followed by a better one.
    pub(super) fn better_of(
        &self,
        item: &Item,
        event: &EventItem,
        tenant: &Tenant,
        answer: &Answer,
        owned_by_a_person: bool,
    ) -> Option<better::Better> {
        let wanted = self.fixtures.defers && tenant.improve_fallbacks && self.fixtures.guard.first_is_remote();
        let wanted = wanted && !owned_by_a_person && answer.degraded.is_some_and(passes);
        if event.improves.is_some() {
            return Some(better::Better::Given);
        }
        let has_room = self.may_be_copied(item);
        if wanted && !has_room {
            told(item, BetterStep::TooLarge);
        }
        (wanted && has_room).then_some(better::Better::Wanted)
    }

    /// What goes out beside a fallback's decision.
    pub(super) fn improve_record(&self, item: &Item, verdict: &Verdict) -> Option<OutRecord> {
        // What the verdict says may have been decided where delay tiers took more.
        let wanted = self.fixtures.defers && verdict.better == Some(better::Better::Wanted) && self.may_be_copied(item);
        let decision = verdict.decision.as_ref().filter(|_| wanted)?;
        told(item, BetterStep::Wanted);
        let deferral = self.deferral_to(item, 0, decision.id.clone())?;
        let topic = self.fixtures.topics.name(item.origin);
        Some(self.fixtures.publisher.copy(&source(item, &topic), 0, &deferral))
    }

    /// Of the copy that goes to this tier.
    fn deferral_to(&self, item: &Item, tier: usize, decision_id: String) -> Option<Deferral> {
        let due = self.fixtures.clock.now().after(*TIER_DELAYS.get(tier)?);
        Some(Deferral {
            origin: item.position.clone(),
            timestamp: item.record.timestamp,
            hop: u32::try_from(tier).ok()?.saturating_add(1),
            not_before: due,
            turn: due,
            waits_for_room: false,
            improves: Some(decision_id),
        })
    }

    /// The ledger has answered an improve record's claim.
    pub(super) fn improvement_claimed(&mut self, id: ItemId, arrival: Arrival, now: Instant) {
        let Some(event) = self.items.get(&id).and_then(|item| item.event()).cloned() else { return };
        let carrier_goes_aside = self.carrier_before(id, &event).map(Item::goes_aside);
        let plan = match arrival {
            Arrival::TakeOver { from } => {
                self.want(Entry::TakeOver { claim: event.claim, from }, Purpose::Claim(id));
                return;
            }
            Arrival::Go | Arrival::GoFrom(_) | Arrival::Publish(_) if carrier_goes_aside == Some(true) => {
                self.held.insert((now + LOOK_AT_OWNER, id));
                return;
            }
            Arrival::Go | Arrival::GoFrom(_) | Arrival::Publish(_) if carrier_goes_aside.is_some() => {
                Plan::FinishSilently
            }
            Arrival::Go => Plan::Improve(Better::Ask),
            Arrival::GoFrom(answer) => {
                AnswerReused { tenant_id: &event.claim.tenant_id, event_id: &event.claim.event_id }.record();
                Plan::Improve(Better::Judge(answer))
            }
            Arrival::Publish(verdict) if verdict.decision.is_some() => Plan::Improve(Better::Publish(verdict)),
            Arrival::Publish(verdict) => Plan::Publish(verdict),
            // It was published or dropped, a later copy goes on for it, or an event that was sent again has one of its own.
            Arrival::AlreadyPublished | Arrival::CarriedOn | Arrival::Duplicate { .. } | Arrival::Conflict { .. } => {
                Plan::FinishSilently
            }
        };
        if !matches!(plan, Plan::FinishSilently) {
            self.carriers.insert(event.claim.key, id);
        }
        self.replan(id, plan);
        self.work(&event.ticket, now);
    }

    /// Its turn in its lane has come: first of all, whether it comes too late.
    pub(super) fn improve(&mut self, id: ItemId) {
        let Some(item) = self.items.get_mut(&id) else { return };
        let item: &mut Item = item;
        let Content::Event(EventItem { improves: Some(improves), event, claim, .. }) = &mut item.content else {
            return;
        };
        improves.check = Check::Asked;
        let place = (i32::try_from(item.position.partition), i64::try_from(item.position.offset));
        let question = OvertakenQuestion {
            tenant_id: claim.tenant_id.to_string(),
            ticket_id: event.ticket_id.clone(),
            key: improves.event.to_hex(),
            place: (place.0.unwrap_or(i32::MAX), place.1.unwrap_or(i64::MAX)),
        };
        self.want(Entry::Overtaken(question), Purpose::Overtaken(id));
    }

    /// The ledger has answered that.
    pub(super) fn overtaken(&mut self, id: ItemId, outcome: &Outcome, now: Instant) {
        let Outcome::Overtaken(against) = outcome else { return };
        let Some(item) = self.items.get_mut(&id) else { return };
        let item: &mut Item = item;
        let Content::Event(EventItem { improves: Some(improves), ticket, .. }) = &mut item.content else { return };
        let (Plan::Improve(better), Check::Asked) = (item.plan.clone(), improves.check) else { return };
        improves.check = Check::Passed;
        let ticket = ticket.clone();
        if let Some(why) = against.or_else(|| self.late_on_the_road(&ticket, id)) {
            return self.drop_better(id, why, now);
        }
        match better {
            Better::Ask => self.wait_for_room(&ticket, id, now),
            Better::Judge(answer) => {
                let Some(item) = self.items.get(&id) else { return };
                let Some(event) = item.event() else { return };
                let Some(tenant) = &event.tenant else { return };
                let tenant = self.asked_under(tenant, &answer.versions.policy);
                let (verdict, past) = self.decided(item, event, &tenant, &answer, false);
                self.replan(id, Plan::Save(Arc::new(verdict), Some(Arc::new(past))));
                self.proceed(&ticket, now);
            }
            Better::Publish(verdict) => {
                self.replan(id, Plan::Publish(verdict));
                self.proceed(&ticket, now);
            }
        }
    }

    /// What speaks against it that the ledger does not know yet.
    pub(super) fn late_on_the_road(&self, ticket: &TicketKey, id: ItemId) -> Option<Dropped> {
        let item = self.items.get(&id)?;
        let event = item.event()?;
        let takes_over = |id| self.items.get(&id).is_some_and(|item| says_that_a_person_has_it(item));
        // What was sent again long after its time is older.
        let wants_a_model = |id| {
            self.items.get(&id).is_some_and(|item| match item.plan {
                Plan::Ask => Redrive::of(&item.record).is_none(),
                Plan::Judge(_) => true,
                _ => false,
            })
        };
        if self.lanes.any_behind(ticket, takes_over) {
            return Some(Dropped::PersonActed);
        }
        let Some(tenant) = event.tenant.as_ref().filter(|_| event.rejection.is_none()) else {
            return Some(Dropped::NotWanted);
        };
        if !matches!(item.plan, Plan::Improve(Better::Ask)) {
            return None;
        }
        // Nothing is paid yet.
        if self.lanes.any_behind(ticket, wants_a_model) {
            Some(Dropped::NewerEvent)
        } else if !tenant.improve_fallbacks || !self.fixtures.guard.first_is_remote() {
            Some(Dropped::NotWanted)
        } else {
            self.expired(id).map(|_| Dropped::Expired)
        }
    }

    /// Until nobody else wants a model; more of them than could be asked at once do not wait.
    fn wait_for_room(&mut self, ticket: &TicketKey, id: ItemId, now: Instant) {
        if self.reattach(id) {
            return;
        }
        if self.improving.len() >= self.fixtures.settings.max_in_flight {
            self.improve_later(id, ReasonCode::DeadlineExceeded, now);
        } else if self.improves_at_work(ticket) {
            self.improving.push_back((now, id));
        }
    }

    /// When the one that waits longest has waited long enough.
    pub(super) fn improving_due(&self) -> Option<Instant> {
        self.improving.front().map(|(since, _)| *since + PATIENCE)
    }

    pub(super) fn improve_later_what_waits_too_long(&mut self, now: Instant) {
        while let Some((_, id)) = self.improving.pop_front_if(|(since, _)| *since + PATIENCE <= now) {
            if self.still_waits(id) {
                self.improve_later(id, ReasonCode::DeadlineExceeded, now);
            }
        }
    }

    /// Nobody waits for a model: one improve record may, if its tenant's limits have room. Says whether one does now.
    pub(super) fn let_one_improve(&mut self, now: Instant) -> bool {
        // Until a model that was away has answered one, the others would use up their tries in vain.
        if !self.fixtures.guard.first_is_well(now) && self.calls.values().any(|call| call.improves) {
            return false;
        }
        while let Some((_, id)) = self.improving.pop_front() {
            let Some(event) = self.items.get(&id).and_then(|item| item.event()).filter(|_| self.still_waits(id)) else {
                continue;
            };
            let Some(tenant) = &event.tenant else { continue };
            let tokens = self.fixtures.guard.estimated_tokens(tenant, &event.event);
            let (tenant_id, ticket) = (event.claim.tenant_id.clone(), event.ticket.clone());
            let limits = self.limits_now(&tenant_id, tenant);
            let free = self.admission.wait_of(now, &tenant_id, limits, tokens).is_zero();
            if free && self.admission.offer(now, &tenant_id, limits, ticket, tokens).is_ok() {
                return true;
            }
            self.improve_later(id, ReasonCode::DeadlineExceeded, now);
        }
        false
    }

    fn still_waits(&self, id: ItemId) -> bool {
        let item = self.items.get(&id).filter(|item| matches!(item.plan, Plan::Improve(Better::Ask)));
        let passed = item.and_then(|item| item.improves()).is_some_and(|improves| improves.check == Check::Passed);
        passed && item.and_then(|item| item.ticket()).is_some_and(|ticket| self.improves_at_work(ticket))
    }

    /// Whether what this lane works on is an improve record.
    pub(super) fn improves_at_work(&self, ticket: &TicketKey) -> bool {
        let unit = self.lanes.unit(ticket);
        let head = unit.and_then(|unit| self.items.get(unit.items.first()?));
        head.is_some_and(|item| item.improves().is_some())
    }

    /// The model was not to be had: once more when the next longer tier is over, unless this was the last, or it would not
    /// help.
    pub(super) fn improve_later(&mut self, id: ItemId, code: ReasonCode, now: Instant) {
        let Some(item) = self.items.get(&id) else { return };
        let Some(event) = item.event() else { return };
        let Some(improves) = &event.improves else { return };
        let (tier, ticket) = (usize::try_from(event.claim.hop).unwrap_or(TRIES), event.ticket.clone());
        if !passes(code) {
            return self.drop_better(id, Dropped::NoAnswer, now);
        }
        let Some(deferral) = self.deferral_to(item, tier, improves.decision_id.clone()) else {
            return self.drop_better(id, Dropped::ModelAway, now);
        };
        told(item, BetterStep::Later(code));
        let tier = u8::try_from(tier).unwrap_or(u8::MAX);
        let retry_at = deferral.not_before;
        self.replan(id, Plan::GoAside(Arc::new(PutOff { tier, code, deferral, limit: None, retry_at })));
        self.proceed(&ticket, now);
    }

    /// There will be none, which is saved like any end.
    pub(super) fn drop_better(&mut self, id: ItemId, why: Dropped, now: Instant) {
        let Some(item) = self.items.get(&id) else { return };
        let Some(ticket) = item.ticket().cloned() else { return };
        let plan = match &item.plan {
            // What is saved already cannot be taken back; nobody has seen it.
            Plan::Improve(Better::Publish(_)) => {
                told(item, BetterStep::Dropped(why));
                Plan::FinishSilently
            }
            _ => {
                let mut verdict = self.verdict(item, FeedbackStatus::Superseded, ReasonCode::NewerEvent);
                verdict.better = Some(better::Better::Dropped(why));
                Plan::Save(Arc::new(verdict), None)
            }
        };
        self.replan(id, plan);
        self.proceed(&ticket, now);
    }

    /// Whether a better decision that is too late was saved before that was known: it must not go out for all that.
    pub(super) fn is_dropped_here_only(&self, id: ItemId, saved: &Verdict) -> bool {
        let item = self.items.get(&id).filter(|item| item.improves().is_some());
        let here = item.is_some_and(|item| matches!(&item.plan, Plan::Save(verdict, _) if verdict.decision.is_none()));
        here && saved.decision.is_some()
    }

    /// The model has answered, and that is saved.
    pub(super) fn better_answered(&mut self, id: ItemId, answer: &Arc<Answer>, now: Instant) {
        let Some(item) = self.items.get_mut(&id) else { return };
        let Content::Event(event) = &mut item.content else { return };
        if let Some(improves) = &mut event.improves {
            improves.check = Check::Due;
        }
        let ticket = event.ticket.clone();
        self.replan(id, Plan::Improve(Better::Judge(Arc::clone(answer))));
        self.lanes.rewind(&ticket);
        self.work(&ticket, now);
    }

    fn proceed(&mut self, ticket: &TicketKey, now: Instant) {
        if let Some(unit) = self.lanes.unit(ticket) {
            self.save_or_release(ticket, &unit, now);
        }
        self.work(ticket, now);
    }

    /// A better decision, or nothing.
    pub(super) fn better_outputs(&self, item: &Item, verdict: &Verdict) -> Vec<OutRecord> {
        told(
            item,
            match verdict.better {
                Some(better::Better::Dropped(why)) => BetterStep::Dropped(why),
                _ => BetterStep::Given,
            },
        );
        let topic = self.fixtures.topics.name(item.origin);
        self.fixtures.publisher.better(&source(item, &topic), verdict).into_iter().collect()
    }

    /// An event that ends without a decision and says that a person has its ticket: what goes into the ledger beside its end.
    pub(super) fn a_person_acts(&self, id: ItemId) -> Option<Entry> {
        let item = self.items.get(&id).filter(|item| matches!(item.plan, Plan::Save(..)))?;
        let event = item.event()?;
        let improves = self.fixtures.defers && event.tenant.as_ref().is_some_and(|tenant| tenant.improve_fallbacks);
        (improves && says_that_a_person_has_it(item)).then(|| Entry::ActedOn {
            tenant_id: event.claim.tenant_id.clone(),
            ticket_id: event.event.ticket_id.clone(),
            decision_id: None,
        })
    }
}

/// Or that it is closed, and nobody needs a decision about it; or that an agent changed what was decided.
fn says_that_a_person_has_it(item: &Item) -> bool {
    let says = |event: &&EventItem| event.improves.is_none() && event.rejection.is_none();
    let settles = |verdict: &Verdict| verdict.code == ReasonCode::TicketClosed || verdict.review.is_some();
    item.event().filter(says).is_some_and(|event| {
        event.event.ticket.human_owned
            || matches!(&item.plan, Plan::Save(verdict, _) | Plan::Publish(verdict) if settles(verdict))
    })
}

fn told(item: &Item, step: BetterStep) {
    let Some(event) = item.event() else { return };
    BetterDecision { step, tenant_id: &event.claim.tenant_id, event_id: &event.claim.event_id }.record();
}

#[cfg(test)]
mod tests;
