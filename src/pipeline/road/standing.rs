//! What the ledger knows of an item becomes a plan.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::calls::LOOK_AGAIN;
use super::item::{Content, EventItem, Item, ItemId, Plan};
use super::{Purpose, Road};
use crate::domain::feedback::FeedbackStatus;
use crate::domain::reason_code::ReasonCode;
use crate::domain::record::Record;
use crate::domain::redrive::Redrive;
use crate::domain::verdict::Verdict;
use crate::pipeline::dedupe::arrival::{Arrival, judge, may_yet_be_rejected};
use crate::pipeline::dedupe::ledger::{Entry, Outcome, Row};
use crate::pipeline::ingest::Rejection;
use crate::pipeline::lane::{Standing, ignore};
use crate::telemetry::happenings::AnswerReused;

/// A copy whose turn has come waits so long for the owner's end, which is known at once unless the owner stands in
/// another lane or at another instance; then it is answered as the row stands. As long as a decision may take by default,
/// and bounded: two lanes may wait for each other.
pub(super) const OWNER_PATIENCE: Duration = Duration::from_secs(60);

/// How often it looks.
pub(super) const LOOK_AT_OWNER: Duration = Duration::from_millis(100);

impl Road {
    /// The ledger has answered a claim.
    pub(super) fn claimed(&mut self, id: ItemId, outcome: &Outcome, now: Instant) {
        let Outcome::Row(row) = outcome else { return };
        let Some(item) = self.items.get(&id) else { return };
        let Content::Event(event) = &item.content else { return };
        let arrival = judge(&event.claim, row);
        if event.improves.is_some() {
            return self.improvement_claimed(id, arrival, now);
        }
        if let Arrival::TakeOver { from } = arrival {
            let entry = Entry::TakeOver { claim: event.claim.clone(), from };
            self.want(entry, Purpose::Claim(id));
            return;
        }
        let event = event.clone();
        let owns = matches!(arrival, Arrival::Go | Arrival::GoFrom(_) | Arrival::Publish(_));
        let of_another = matches!(arrival, Arrival::Duplicate { .. } | Arrival::Conflict { .. });
        let plan = if owns && let Some(carrier) = self.carrier_before(id, &event) {
            if carrier.goes_aside() || carrier.claim().is_some_and(|before| before.hop < event.claim.hop) {
                // This copy of it is in the log, and nobody knows yet that it is; or an earlier one was read again, and would
                // take the ledger's word for it that this one goes on, if it had to be read once more.
                self.held.insert((now + LOOK_AT_OWNER, id));
                return;
            }
            Plan::FinishSilently
        } else if of_another && may_yet_be_rejected(row) {
            match item.waits_for_owner {
                None => Plan::Confirm,
                Some(since) if now < since + OWNER_PATIENCE => {
                    self.held.insert((now + LOOK_AT_OWNER, id));
                    return;
                }
                Some(_) => self.plan(item, &event, arrival, row),
            }
        } else {
            self.plan(item, &event, arrival, row)
        };
        if owns && !matches!(plan, Plan::FinishSilently) {
            self.carriers.insert(event.claim.key, id);
        }
        self.is_here(id);
        if row.deferred_to.is_some() && row.owner == event.claim.position {
            self.is_back(id);
        }
        let Some(plan) = self.plan_behind_others(id, &event, row, plan) else {
            self.held.insert((now + LOOK_AGAIN, id));
            return;
        };
        let ticket = event.ticket;
        if let Some(item) = self.items.get_mut(&id) {
            let standing = standing(&plan, &item.record);
            item.plan = plan;
            self.lanes.know(&ticket, id, standing);
        }
        self.work(&ticket, now);
    }

    fn plan(&self, item: &Item, event: &EventItem, arrival: Arrival, row: &Row) -> Plan {
        match arrival {
            Arrival::Go => self.plan_of_new(item, event),
            // Its tenant may be gone since.
            Arrival::GoFrom(_) if event.tenant.is_none() => self.plan_of_new(item, event),
            Arrival::GoFrom(answer) => {
                AnswerReused { tenant_id: &event.claim.tenant_id, event_id: &event.claim.event_id }.record();
                Plan::Judge(answer)
            }
            Arrival::Publish(verdict) => Plan::Publish(verdict),
            Arrival::AlreadyPublished | Arrival::CarriedOn => Plan::FinishSilently,
            Arrival::Duplicate { first, first_seen_at, decision_id } => {
                let mut verdict = self.verdict(item, FeedbackStatus::Duplicate, ReasonCode::SameEvent);
                verdict.reason = Some(format!("the same event was first read at {first}"));
                verdict.first_decision_id = decision_id;
                verdict.first_seen_at = Some(first_seen_at);
                Plan::Publish(Arc::new(verdict))
            }
            Arrival::Conflict { first, first_seen_at } => {
                let mut verdict = self.verdict(item, FeedbackStatus::Rejected, ReasonCode::IdempotencyConflict);
                verdict.reason = Some(format!("the same key was first read at {first} with another body"));
                verdict.first_seen_at = Some(first_seen_at);
                Plan::Publish(Arc::new(verdict))
            }
            // Answered by `claimed`, which asks the ledger again.
            Arrival::TakeOver { .. } => {
                tracing::error!(key = %row.key, "a take-over reached the planner");
                Plan::Unknown
            }
        }
    }

    fn plan_of_new(&self, item: &Item, event: &EventItem) -> Plan {
        if let Some(rejection) = &event.rejection {
            return Plan::Save(Arc::new(self.rejected(item, rejection)), None);
        }
        let Some(tenant) = &event.tenant else {
            tracing::error!(position = %item.position, "an event without a tenant was not rejected by ingest");
            return Plan::Unknown;
        };
        match ignore::ignore_reason(&event.event, tenant, &self.fixtures.our_source) {
            Some((code, reason)) => {
                let verdict = Arc::new(self.ignored(item, code, reason));
                if self.may_judge(&event.event) { Plan::Recall(verdict) } else { Plan::Save(verdict, None) }
            }
            None => Plan::Ask,
        }
    }

    pub(super) fn ignored(&self, item: &Item, code: ReasonCode, reason: String) -> Verdict {
        let mut verdict = self.verdict(item, FeedbackStatus::Ignored, code);
        verdict.reason = Some(reason);
        verdict
    }

    pub(super) fn rejected(&self, item: &Item, rejection: &Rejection) -> Verdict {
        let mut verdict = self.verdict(item, FeedbackStatus::Rejected, rejection.code);
        verdict.reason = Some(rejection.reason.clone());
        verdict.violations = rejection.violations.clone();
        verdict
    }

    /// A verdict of now, without anything particular.
    pub(super) fn verdict(&self, item: &Item, status: FeedbackStatus, code: ReasonCode) -> Verdict {
        Verdict::of(status, code, item.record.timestamp, self.fixtures.clock.now())
    }
}

/// How the lane sees a plan for this record.
pub(super) fn standing(plan: &Plan, record: &Record) -> Standing {
    match plan {
        Plan::Unknown => Standing::Unknown,
        Plan::Ask if Redrive::of(record).is_some() => Standing::Belated,
        Plan::Ask => Standing::Decidable,
        Plan::Publish(verdict) => match &verdict.superseded_by_event_id {
            Some(event_id) => Standing::SupersededBy(event_id.clone()),
            None => Standing::Settled,
        },
        // An improve record supersedes nobody, and what supersedes it drops it.
        Plan::Judge(_) | Plan::Improve(_) => Standing::Answered,
        Plan::Recall(_)
        | Plan::Save(..)
        | Plan::Confirm
        | Plan::FinishSilently
        | Plan::PutOff(_)
        | Plan::GoAside(_) => Standing::Settled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::Timestamp;
    use crate::domain::event::SupportEvent;
    use crate::domain::position::Position;
    use crate::domain::record::Payload;
    use crate::pipeline::log::{Epoch, Happening};
    use crate::pipeline::road::testing::{EVENTS, TestRoad, answer, decidable_event};

    #[test]
    fn who_was_sent_again_supersedes_nobody() {
        let record = |headers| Record { offset: 1, timestamp: Timestamp(0), key: None, value: None, headers };
        let redrive = Redrive { dead_letter_id: "events-0-0".to_owned(), count: 1, first_failed_at: Timestamp(0) };
        assert_eq!(standing(&Plan::Ask, &record(Vec::new())), Standing::Decidable);
        assert_eq!(standing(&Plan::Ask, &record(redrive.headers([]))), Standing::Belated);
        assert_eq!(standing(&Plan::Confirm, &record(redrive.headers([]))), Standing::Settled);
    }

    /// A ledger with one row.
    #[derive(Default)]
    struct OneRow(Option<Row>);

    impl OneRow {
        fn row(&self) -> Outcome {
            Outcome::Row(Arc::new(self.0.clone().expect("it was claimed")))
        }

        fn apply(&mut self, entry: &Entry) -> Outcome {
            match entry {
                Entry::Claim(claim) => {
                    self.0.get_or_insert_with(|| Row::left_by(claim));
                    self.row()
                }
                Entry::TakeOver { claim, from } => {
                    let rejected =
                        |row: &Row| row.verdict.as_ref().is_some_and(|v| v.status == FeedbackStatus::Rejected);
                    if self.0.as_ref().is_some_and(|row| row.owner == *from && rejected(row)) {
                        self.0 = Some(Row { rejected: true, ..Row::left_by(claim) });
                    }
                    self.row()
                }
                Entry::Verdict { owner, verdict, .. } => match self.0.as_mut().filter(|row| row.owner == *owner) {
                    Some(row) => Outcome::Reached(row.verdict.get_or_insert_with(|| verdict.clone()).clone()),
                    None => Outcome::NotOwner,
                },
                _ => Outcome::Changed(0),
            }
        }

        /// Everything that the road wants of it, one batch after the other.
        fn serve(&mut self, test: &mut TestRoad) {
            while let Some((entries, batch)) = test.next_batch(10) {
                let outcomes = entries.iter().map(|entry| self.apply(entry)).collect();
                test.road.ledger_said(batch, outcomes, Instant::now());
            }
        }
    }

    fn road() -> TestRoad {
        let mut test = TestRoad::new(&[]);
        test.owns(EVENTS);
        test
    }

    fn event(tenant_id: &str) -> SupportEvent {
        SupportEvent { tenant_id: tenant_id.to_owned(), ..decidable_event(1) }
    }

    fn read(test: &mut TestRoad, events: &[SupportEvent]) {
        let record = |(offset, event): (u64, &SupportEvent)| Record {
            offset,
            timestamp: Timestamp(0),
            key: None,
            value: Some(Payload::from(serde_json::to_vec(event).expect("an event can be written"))),
            headers: Vec::new(),
        };
        let records = (0..).zip(events).map(record).collect();
        test.road.happened(Happening::Records { epoch: Epoch(1), partition: EVENTS, records }, Instant::now());
    }

    /// Status and code of everything that waits to be published.
    fn ends(test: &TestRoad) -> Vec<(FeedbackStatus, ReasonCode)> {
        let results = test.road.ready.iter().flat_map(|group| &group.results);
        let ends = results.map(|(id, _)| match &test.road.items[id].plan {
            Plan::Publish(verdict) => (verdict.status, verdict.code),
            other => panic!("{other:?}"),
        });
        ends.collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_read_before_its_owners_rejection_is_saved_takes_the_claim_over() {
        let mut test = road();
        read(&mut test, &[event("nobody"), event("nobody")]);
        OneRow::default().serve(&mut test);
        assert_eq!(ends(&test), [(FeedbackStatus::Rejected, ReasonCode::TenantUnknown); 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_mended_event_read_before_the_rejection_is_saved_is_no_conflict() {
        let mut test = road();
        let mut bad = event("acme");
        bad.occurred_at = Timestamp(0);
        read(&mut test, &[bad, event("acme")]);
        OneRow::default().serve(&mut test);
        assert_eq!(ends(&test), [(FeedbackStatus::Rejected, ReasonCode::ValidationFailed)]);
        let job = test.road.next_job(Instant::now()).expect("the mended one is decided");
        assert_eq!(job.owner.offset, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_whose_owner_stands_elsewhere_and_finds_no_end_is_answered_in_bounded_time() {
        let mut test = road();
        read(&mut test, &[event("acme")]);
        let mut ledger = OneRow::default();
        let (entries, batch) = test.next_batch(10).expect("it is claimed");
        let Some(Entry::Claim(claim)) = entries.iter().find(|entry| matches!(entry, Entry::Claim(_))) else {
            panic!("{entries:?}")
        };
        let elsewhere = Position { topic_id: "t".to_owned(), partition: 3, offset: 7 };
        ledger.0 = Some(Row { owner: elsewhere, ..Row::left_by(claim) });
        let outcomes = entries.iter().map(|entry| ledger.apply(entry)).collect();
        test.road.ledger_said(batch, outcomes, Instant::now());
        let begun = Instant::now();
        while test.road.ready.is_empty() {
            ledger.serve(&mut test);
            if let Some((due, item)) = test.road.held.pop_first() {
                tokio::time::sleep_until(due).await;
                test.road.claim_again(item);
            }
            assert!(begun.elapsed() < OWNER_PATIENCE * 2, "it waits for ever");
        }
        assert_eq!(ends(&test), [(FeedbackStatus::Duplicate, ReasonCode::SameEvent)]);
        assert!(begun.elapsed() >= OWNER_PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_with_a_saved_answer_whose_tenant_is_gone_is_rejected() {
        let mut test = road();
        read(&mut test, &[event("nobody")]);
        let mut ledger = OneRow::default();
        let (entries, batch) = test.next_batch(10).expect("it is claimed");
        let Some(Entry::Claim(claim)) = entries.iter().find(|entry| matches!(entry, Entry::Claim(_))) else {
            panic!("{entries:?}")
        };
        ledger.0 = Some(Row { answer: Some(Arc::new(answer(None))), ..Row::left_by(claim) });
        let outcomes = entries.iter().map(|entry| ledger.apply(entry)).collect();
        test.road.ledger_said(batch, outcomes, Instant::now());
        ledger.serve(&mut test);
        assert_eq!(ends(&test), [(FeedbackStatus::Rejected, ReasonCode::TenantUnknown)]);
    }
}
