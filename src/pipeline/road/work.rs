//! The lane's next unit of work, from plan to results.
//!
//! ```text
//! Ask      -> admission -> call -> decision -> answer and verdict saved -> Publish
//! Judge    -> decision -> verdict saved   -> Publish    (an answer that was saved before, alone)
//! Recall   -> the decision it judges      -> Save       (an agent's changes: road::changes)
//! Save     -> verdict saved               -> Publish
//! Confirm  -> the row asked again -> one of the others
//! Publish  -> outputs; the unit leaves its lane and waits for the next burst
//! ```

use std::sync::Arc;

use tokio::time::Instant;

use super::item::{Check, Content, EventItem, Item, ItemId, Plan, PutOff};
use super::source::{settled, source};
use super::standing::standing;
use super::{Purpose, Road};
use crate::domain::answer::Answer;
use crate::domain::decision::{Mode, Origin};
use crate::domain::feedback::FeedbackStatus;
use crate::domain::past_decision::PastDecision;
use crate::domain::position::{Position, TopicRole};
use crate::domain::reason_code::ReasonCode;
use crate::domain::record::OutRecord;
use crate::domain::tenant::Tenant;
use crate::domain::verdict::{SavedDecision, Verdict};
use crate::pipeline::burst::Group;
use crate::pipeline::decide::{Case, decide_superseding};
use crate::pipeline::dedupe::ledger::{Entry, Outcome};
use crate::pipeline::lane::{Standing, TicketKey, Unit, ignore};
use crate::pipeline::publish::Deferred;

impl Road {
    /// Start whatever this lane can start.
    pub(super) fn work(&mut self, ticket: &TicketKey, now: Instant) {
        while let Some(unit) = self.lanes.start(ticket, self.waits_in_vain(ticket)) {
            let Some(&chosen) = unit.items.last() else { return };
            let Some(item) = self.items.get(&chosen) else { return };
            match item.plan.clone() {
                Plan::Ask => match self.expired(chosen) {
                    // It may supersede nobody now: the unit is formed anew.
                    Some(verdict) => {
                        self.replan(chosen, Plan::Save(verdict, None));
                        self.lanes.rewind(ticket);
                    }
                    None => {
                        if self.ask(ticket, chosen, now) {
                            return;
                        }
                    }
                },
                Plan::Judge(answer) => {
                    self.judge(ticket, chosen, &answer, now);
                    return;
                }
                Plan::Improve(_) => {
                    self.improve(chosen);
                    return;
                }
                Plan::Recall(_)
                | Plan::Save(..)
                | Plan::Publish(_)
                | Plan::Confirm
                | Plan::FinishSilently
                | Plan::PutOff(_)
                | Plan::GoAside(_)
                | Plan::Unknown => {
                    if !self.save_or_release(ticket, &unit, now) {
                        return;
                    }
                }
            }
        }
    }

    /// Whether a saved SUPERSEDED at the head of this lane waits for an event that does not come: all is read, or reading
    /// waits until something here is finished.
    fn waits_in_vain(&self, ticket: &TicketKey) -> bool {
        let head = self.lanes.head(ticket).and_then(|id| self.items.get(&id));
        let owned = head.and_then(|item| self.partitions.get(&item.partition()));
        self.everything_is_read() || owned.is_some_and(|owned| owned.paused.is_some())
    }

    /// Saved SUPERSEDED that waited for another event need not wait any longer.
    pub(super) fn work_what_waits_in_vain(&mut self, now: Instant) {
        for ticket in self.lanes.waiting_for_another() {
            self.work(&ticket, now);
        }
    }

    pub(super) fn everything_is_read(&self) -> bool {
        self.partitions.values().all(super::Owned::is_read)
    }

    pub(super) fn expired(&self, id: ItemId) -> Option<Arc<Verdict>> {
        let item = self.items.get(&id)?;
        let event = item.event()?;
        ignore::expired(&event.event, self.fixtures.clock.now())
            .map(|(code, reason)| Arc::new(self.ignored(item, code, reason)))
    }

    pub(super) fn replan(&mut self, id: ItemId, plan: Plan) {
        let Some(item) = self.items.get_mut(&id) else { return };
        let standing = standing(&plan, &item.record);
        item.plan = plan;
        if let Some(ticket) = item.ticket().cloned() {
            self.lanes.know(&ticket, id, standing);
        }
    }

    /// The answer is saved: code decides.
    pub(super) fn judge(&mut self, ticket: &TicketKey, id: ItemId, answer: &Answer, now: Instant) {
        let Some((verdict, past)) = self.verdict_of(id, answer) else { return };
        self.replan(id, Plan::Save(Arc::new(verdict), Some(Arc::new(past))));
        if let Some(unit) = self.lanes.unit(ticket)
            && self.save_or_release(ticket, &unit, now)
        {
            tracing::error!(%ticket, "a fresh decision was released without being saved");
        }
    }

    /// What code decides on this answer.
    pub(super) fn verdict_of(&self, id: ItemId, answer: &Answer) -> Option<(Verdict, PastDecision)> {
        let item = self.items.get(&id)?;
        let event = item.event()?;
        let tenant = event.tenant.as_ref()?;
        let owned_by_a_person = event.event.ticket.human_owned || self.became_owned(&event.ticket);
        let tenant = self.asked_under(tenant, &answer.versions.policy);
        Some(self.decided(item, event, &tenant, answer, owned_by_a_person))
    }

    /// A person took the ticket while we decided: an event that says so waits behind this one.
    fn became_owned(&self, ticket: &TicketKey) -> bool {
        self.lanes.any_behind(ticket, |id| {
            let event = self.items.get(&id).and_then(|item| item.event().map(|event| event.event.clone()));
            event.is_some_and(|event| event.ticket.human_owned)
        })
    }

    pub(super) fn decided(
        &self,
        item: &Item,
        event: &EventItem,
        tenant: &Tenant,
        answer: &Answer,
        owned_by_a_person: bool,
    ) -> (Verdict, PastDecision) {
        let (status, code) = match answer.degraded {
            None => (FeedbackStatus::Accepted, ReasonCode::Decided),
            Some(code) => (FeedbackStatus::Degraded, code),
        };
        let mut verdict = self.verdict(item, status, code);
        let key = event.improves.as_ref().map_or(event.claim.key, |improves| improves.event);
        let case = Case {
            event: &event.event,
            tenant,
            answer,
            key,
            origin: Origin {
                topic: self.fixtures.topics.events.clone(),
                partition: i32::try_from(item.position.partition).unwrap_or(i32::MAX),
                offset: i64::try_from(item.position.offset).unwrap_or(i64::MAX),
                timestamp: item.record.timestamp,
            },
            decided_at: answer.answered_at,
            mode: Mode::Live,
            owned_by_a_person,
        };
        let decision = decide_superseding(&case, event.supersedes());
        verdict.better = self.better_of(item, event, tenant, answer, owned_by_a_person);
        let bytes = self.fixtures.publisher.encode_decision(&decision);
        verdict.decision =
            Some(SavedDecision { id: decision.decision_id.clone(), version: decision.decision_version, bytes });
        let past = PastDecision::of(&decision, key);
        (verdict, past)
    }

    /// Save what of the unit is not saved; if everything is, release it. Says whether it was released.
    ///
    /// The newest event's verdict comes first: only a decision that is saved supersedes older events. If another verdict
    /// of it was saved before (the first writer wins), the unit is formed anew, and the older ones are decided.
    pub(super) fn save_or_release(&mut self, ticket: &TicketKey, unit: &Unit<ItemId>, now: Instant) -> bool {
        if self.superseded_are_open(unit) {
            match unit.items.last().and_then(|id| self.items.get(id)).map(|item| &item.plan) {
                Some(Plan::Publish(verdict)) if verdict.decision.is_some() => self.supersede_older(unit),
                Some(Plan::Save(..)) => {}
                _ => {
                    self.lanes.rewind(ticket);
                    return false;
                }
            }
        }
        if self.recall_changes(ticket, unit) {
            return false;
        }
        let is_unsaved = |id: &&ItemId| {
            let plan = self.items.get(id).map(|item| &item.plan);
            matches!(plan, Some(Plan::Save(..) | Plan::PutOff(_)))
        };
        let Some(final_save) = unit.items.iter().rfind(is_unsaved).copied() else {
            return !self.confirm(unit, now) && self.release(ticket, unit);
        };
        let acted_on =
            unit.items.iter().filter_map(|id| self.a_person_acts(*id)).map(|acts| (acts, Purpose::Background));
        let saved = unit.items.iter().filter_map(|&id| {
            let concludes = (id == final_save).then(|| ticket.clone());
            let item = self.items.get(&id)?;
            let event = item.event()?;
            match &item.plan {
                Plan::Save(verdict, decision) => {
                    let (key, owner) = (event.claim.key, event.claim.position.clone());
                    let (verdict, decision) = (verdict.clone(), decision.clone());
                    Some((Entry::Verdict { key, owner, verdict, decision }, Purpose::Verdict { item: id, concludes }))
                }
                Plan::PutOff(put_off) => Some(Self::remember_put_off(id, event, put_off, concludes)),
                _ => None,
            }
        });
        let group = saved.chain(acted_on).collect();
        self.pending.push_back(group);
        false
    }

    fn superseded_are_open(&self, unit: &Unit<ItemId>) -> bool {
        let Some((_, older)) = unit.items.split_last() else { return false };
        older.iter().any(|id| self.items.get(id).is_some_and(|item| matches!(item.plan, Plan::Ask)))
    }

    /// Older events of the unit that still wanted a model are superseded by its newest one.
    fn supersede_older(&mut self, unit: &Unit<ItemId>) {
        let Some((&newest, older)) = unit.items.split_last() else { return };
        let newest_id = self.items.get(&newest).and_then(|item| item.event().map(|event| event.event.event_id.clone()));
        for &id in older {
            let Some(item) = self.items.get(&id).filter(|item| matches!(item.plan, Plan::Ask)) else { continue };
            let mut verdict = self.verdict(item, FeedbackStatus::Superseded, ReasonCode::NewerEvent);
            verdict.superseded_by_event_id = newest_id.clone();
            self.replan(id, Plan::Save(Arc::new(verdict), None));
        }
    }

    /// The ledger has answered a verdict.
    pub(super) fn verdict_saved(&mut self, id: ItemId, outcome: &Outcome, concludes: Option<TicketKey>, now: Instant) {
        match outcome {
            Outcome::Reached(verdict) if self.is_dropped_here_only(id, verdict) => {
                self.claim_again(id);
            }
            Outcome::Reached(verdict) => self.replan(id, Plan::Publish(verdict.clone())),
            // Somebody took the claim over: what the row says now decides.
            _ => self.claim_again(id),
        }
        self.conclude(id, concludes, now);
    }

    /// Everything of the unit with this event is saved, if it is the one that concludes it.
    pub(super) fn conclude(&mut self, id: ItemId, concludes: Option<TicketKey>, now: Instant) {
        let Some(ticket) = concludes else { return };
        let Some(unit) = self.lanes.unit(&ticket).filter(|unit| unit.items.contains(&id)) else { return };
        self.save_or_release(&ticket, &unit, now);
        self.work(&ticket, now);
    }

    /// The turn of copies of others' events has come: whether they are still that is asked again. Says whether there are
    /// any.
    fn confirm(&mut self, unit: &Unit<ItemId>, now: Instant) -> bool {
        let is_open = |id: &ItemId| self.items.get(id).is_some_and(|item| matches!(item.plan, Plan::Confirm));
        let open: Vec<_> = unit.items.iter().copied().filter(is_open).collect();
        for &id in &open {
            if let Some(item) = self.items.get_mut(&id) {
                item.waits_for_owner = Some(now);
            }
            self.claim_again(id);
        }
        !open.is_empty()
    }

    /// Every event of the unit has its outputs: it leaves the lane and waits for a burst.
    fn release(&mut self, ticket: &TicketKey, unit: &Unit<ItemId>) -> bool {
        let mut results = Vec::with_capacity(unit.items.len());
        for &id in &unit.items {
            let Some(item) = self.items.get(&id) else { return false };
            let outputs = match &item.plan {
                Plan::Publish(verdict) => self.outputs(item, verdict),
                Plan::FinishSilently => Vec::new(),
                Plan::GoAside(put_off) => self.outputs_aside(item, put_off),
                Plan::PutOff(_)
                | Plan::Ask
                | Plan::Judge(_)
                | Plan::Improve(_)
                | Plan::Recall(_)
                | Plan::Save(..)
                | Plan::Confirm
                | Plan::Unknown => return false,
            };
            results.push((id, outputs));
        }
        for id in &unit.items {
            if self.items.get(id).is_some_and(|item| matches!(item.plan, Plan::GoAside(_))) {
                // It is away again: what is read from now on must not take it for one that comes first.
                self.leaves_again(*id);
            }
        }
        self.lanes.finish(ticket);
        self.queue_group(results);
        true
    }

    /// A record without an identity is rejected at once: no row, no lane.
    pub(super) fn reject_unreadable(&mut self, id: ItemId) {
        let Some(item) = self.items.get(&id) else { return };
        let Content::Unreadable(rejection) = &item.content else { return };
        let verdict = self.rejected(item, rejection);
        let outputs = match item.origin {
            TopicRole::HumanFeedback => self.review_outputs(item, &verdict),
            // Nobody waits for what would have been better.
            _ if item.had_its_end => Vec::new(),
            _ => self.outputs(item, &verdict),
        };
        // A copy that could be read when it was put off: its row is nobody's now, and must not keep others waiting.
        let is_copy = matches!(item.partition.topic, TopicRole::Deferred(_)) && item.origin == TopicRole::Events;
        if is_copy && !item.had_its_end {
            let Position { topic_id, partition, offset } = item.position.clone();
            self.want(Entry::Vanished { topic_id, partition, from: offset, to: offset + 1 }, Purpose::Background);
        }
        self.queue_group(vec![(id, outputs)]);
    }

    pub(super) fn queue_group(&mut self, results: Vec<(ItemId, Vec<OutRecord>)>) {
        self.ready_results += results.len();
        self.ready.push_back(Group { results });
    }

    fn outputs(&self, item: &Item, verdict: &Verdict) -> Vec<OutRecord> {
        if item.improves().is_some() {
            return self.better_outputs(item, verdict);
        }
        settled(item, verdict.status, verdict.code, verdict.latency_ms);
        let topic = self.fixtures.topics.name(item.origin);
        let mut outputs = self.fixtures.publisher.terminal(&source(item, &topic), verdict);
        outputs.extend(self.improve_record(item, verdict));
        outputs
    }

    fn outputs_aside(&self, item: &Item, put_off: &PutOff) -> Vec<OutRecord> {
        if item.improves().is_some() {
            let topic = self.fixtures.topics.name(item.origin);
            return vec![self.fixtures.publisher.copy(&source(item, &topic), put_off.tier, &put_off.deferral)];
        }
        let now = self.fixtures.clock.now();
        settled(item, FeedbackStatus::Deferred, put_off.code, now.millis_since(item.record.timestamp));
        let topic = self.fixtures.topics.name(item.origin);
        let deferred = Deferred {
            tier: put_off.tier,
            code: put_off.code,
            deferral: &put_off.deferral,
            limit: put_off.limit.clone(),
            retry_at: put_off.retry_at,
        };
        self.fixtures.publisher.deferred(&source(item, &topic), &deferred, now)
    }

    /// Ask the ledger about this item once more, and plan it anew.
    pub(super) fn claim_again(&mut self, id: ItemId) {
        let Some(item) = self.items.get_mut(&id) else { return };
        item.plan = Plan::Unknown;
        let Content::Event(event) = &mut item.content else { return self.ask_about_feedback(id) };
        if let Some(improves) = &mut event.improves {
            improves.check = Check::Due;
        }
        let event = event.clone();
        self.lanes.know(&event.ticket, id, Standing::Unknown);
        self.lanes.rewind(&event.ticket);
        self.want(Entry::Claim(event.claim), Purpose::Claim(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::Timestamp;
    use crate::domain::feedback::FeedbackStatus;
    use crate::domain::reason_code::ReasonCode;
    use crate::domain::record::{Payload, Record};
    use crate::domain::samples;
    use crate::pipeline::dedupe::ledger::Row;
    use crate::pipeline::log::{Epoch, Happening};
    use crate::pipeline::road::testing::{EVENTS, TestRoad};

    fn superseded_by(event_id: &str) -> Verdict {
        Verdict {
            superseded_by_event_id: Some(event_id.to_owned()),
            ..Verdict::of(FeedbackStatus::Superseded, ReasonCode::NewerEvent, Timestamp(0), Timestamp(0))
        }
    }

    /// One event, of which the ledger says that it was superseded by one that was not read yet.
    fn waiting_for_another(sets: &[&str]) -> TestRoad {
        let mut test = TestRoad::new(sets);
        test.owns(EVENTS);
        let mut event = samples::sparse_event();
        event.tenant_id = "acme".to_owned();
        let record = Record {
            offset: 0,
            timestamp: Timestamp(0),
            key: None,
            value: Some(Payload::from(serde_json::to_vec(&event).expect("an event can be written"))),
            headers: Vec::new(),
        };
        let now = Instant::now();
        test.road.happened(Happening::Records { epoch: Epoch(1), partition: EVENTS, records: vec![record] }, now);
        let (entries, batch) = test.next_batch(10).expect("it is claimed");
        let outcome = |entry: &Entry| match entry {
            Entry::Claim(claim) => {
                let verdict = Some(Arc::new(superseded_by("a newer one")));
                Outcome::Row(Arc::new(Row { verdict, ..Row::left_by(claim) }))
            }
            _ => Outcome::Changed(0),
        };
        assert!(entries.iter().any(|entry| matches!(entry, Entry::Claim(_))), "{entries:?}");
        let outcomes = entries.iter().map(outcome).collect();
        test.road.ledger_said(batch, outcomes, now);
        test
    }

    #[tokio::test(start_paused = true)]
    async fn a_saved_superseded_waits_for_the_event_that_superseded_it_while_that_may_come() {
        let mut test = waiting_for_another(&[]);
        test.wake();
        test.wake();
        assert!(test.bursts().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_saved_superseded_does_not_wait_for_an_event_that_a_full_road_keeps_back() {
        let mut test = waiting_for_another(&["pipeline.max_in_flight=1", "pipeline.max_on_road=1"]);
        // Reading stops, then what waited is published.
        test.wake();
        test.wake();
        assert_eq!(test.bursts().iter().map(|burst| burst.positions[0].base).collect::<Vec<_>>(), [1]);
    }
}
