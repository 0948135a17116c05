//! What the ledger knows of an item becomes a plan.

use std::sync::Arc;

use tokio::time::Instant;

use super::calls::LOOK_AGAIN;
use super::item::{Content, EventItem, Item, ItemId, Plan};
use super::{Purpose, Road};
use crate::domain::feedback::FeedbackStatus;
use crate::domain::reason_code::ReasonCode;
use crate::domain::verdict::Verdict;
use crate::pipeline::dedupe::arrival::{Arrival, judge};
use crate::pipeline::dedupe::ledger::{Entry, Outcome, Row};
use crate::pipeline::ingest::Rejection;
use crate::pipeline::lane::{Standing, ignore};
use crate::telemetry::happenings::AnswerReused;

impl Road {
    /// The ledger has answered a claim.
    pub(super) fn claimed(&mut self, id: ItemId, outcome: &Outcome, now: Instant) {
        let Outcome::Row(row) = outcome else { return };
        let Some(item) = self.items.get(&id) else { return };
        let Content::Event(event) = &item.content else { return };
        let arrival = judge(&event.claim, row);
        if let Arrival::TakeOver { from } = arrival {
            let entry = Entry::TakeOver { claim: event.claim.clone(), from };
            self.want(entry, Purpose::Claim(id));
            return;
        }
        let event = event.clone();
        let owns = matches!(arrival, Arrival::Go | Arrival::GoFrom(_) | Arrival::Publish(_));
        let plan = match arrival {
            _ if owns && self.is_carried_by_another(id, &event) => Plan::FinishSilently,
            arrival => self.plan(item, &event, arrival, row),
        };
        if owns && !matches!(plan, Plan::FinishSilently) {
            self.carriers.insert(event.claim.key, id);
        }
        if row.deferred_to.is_some() && row.owner == event.claim.position {
            self.is_back(id);
        }
        let Some(plan) = self.plan_behind_others(id, &event, row, plan) else {
            self.held.insert((now + LOOK_AGAIN, id));
            return;
        };
        let (ticket, standing) = (event.ticket, standing(&plan));
        if let Some(item) = self.items.get_mut(&id) {
            item.plan = plan;
        }
        self.lanes.know(&ticket, id, standing);
        self.work(&ticket, now);
    }

    fn plan(&self, item: &Item, event: &EventItem, arrival: Arrival, row: &Row) -> Plan {
        match arrival {
            Arrival::Go => self.plan_of_new(item, event),
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
            return Plan::Save(Arc::new(self.rejected(item, rejection)));
        }
        let Some(tenant) = &event.tenant else {
            tracing::error!(position = %item.position, "an event without a tenant was not rejected by ingest");
            return Plan::Unknown;
        };
        match ignore::ignore_reason(&event.event, tenant, &self.fixtures.our_source) {
            Some((code, reason)) => Plan::Save(Arc::new(self.ignored(item, code, reason))),
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
        let processed_at = self.fixtures.clock.now();
        Verdict {
            status,
            code,
            reason: None,
            violations: Vec::new(),
            decision: None,
            first_decision_id: None,
            first_seen_at: None,
            superseded_by_event_id: None,
            processed_at,
            latency_ms: processed_at.millis_since(item.record.timestamp),
        }
    }
}

/// How the lane sees a plan.
pub(super) fn standing(plan: &Plan) -> Standing {
    match plan {
        Plan::Unknown => Standing::Unknown,
        Plan::Ask => Standing::Decidable,
        Plan::Publish(verdict) => match &verdict.superseded_by_event_id {
            Some(event_id) => Standing::SupersededBy(event_id.clone()),
            None => Standing::Settled,
        },
        Plan::Judge(_) => Standing::Answered,
        Plan::Save(_) | Plan::FinishSilently | Plan::PutOff(_) | Plan::GoAside(_) => Standing::Settled,
    }
}
