//! Human feedback on the road: a claim, a decision found, a review saved, a burst.
//!
//! ```text
//! take_in -> [claim, recall]   one ledger batch: is it the first of its kind, and which decision does it judge
//!            claimed           published before, or a copy: finished silently; another body: a dead letter
//!            recalled          joined, or an orphan: the review is saved
//!            saved             what the ledger says is saved goes out with the next burst
//! ```
//!
//! Each record ends as exactly one review or one dead letter, in the burst that moves its offset; a copy of another record
//! ends as nothing, for its review is there. There is no terminal feedback about feedback. A review is a verdict like any
//! other: saved before it is published, so that a redelivery publishes the same bytes.

use std::sync::Arc;

use tokio::time::Instant;

use super::arrive::NotYet;
use super::item::{Content, FeedbackItem, Item, ItemId, Plan};
use super::source::source;
use super::standing::{LOOK_AT_OWNER, OWNER_PATIENCE};
use super::{Purpose, Road};
use crate::domain::decision::{DecidedBy, Origin};
use crate::domain::feedback::FeedbackStatus;
use crate::domain::past_decision::PastDecision;
use crate::domain::position::{Partition, Position, TopicRole};
use crate::domain::reason_code::ReasonCode;
use crate::domain::record::{OutRecord, Record};
use crate::domain::review::DecisionReview;
use crate::domain::verdict::Verdict;
use crate::pipeline::dedupe::arrival::{Arrival, judge, may_yet_be_rejected};
use crate::pipeline::dedupe::ledger::{Claim, Entry, Outcome};
use crate::pipeline::ingest::{FeedbackArrival, Ingested};
use crate::pipeline::review::implicit::IMPLICIT_OVERRIDE;
use crate::pipeline::review::{question, review};
use crate::telemetry::happenings::{FeedbackEnd, FeedbackJoined, FeedbackSettled, FieldJudged, Outcome as Judged};

impl Road {
    /// What a record of the topic of human feedback says.
    pub(super) fn feedback_item_of(
        &self,
        partition: Partition,
        position: Position,
        record: Record,
        now: Instant,
    ) -> Result<Item, NotYet> {
        let content = match self.fixtures.ingest.read_feedback(&record) {
            Ingested::NotYetKnown { schema_id } => return Err(NotYet { record, schema_id }),
            Ingested::Unreadable(rejection) => Content::Unreadable(rejection),
            Ingested::Feedback(arrival) => Content::Feedback(self.feedback_item(arrival, &position)),
            Ingested::Event(_) => unreachable!("this topic holds no events"),
        };
        Ok(Item {
            partition,
            position,
            record,
            origin: TopicRole::HumanFeedback,
            turn: None,
            had_its_end: false,
            read_at: now,
            content,
            plan: Plan::Unknown,
            waits_for_owner: None,
        })
    }

    fn feedback_item(&self, arrival: FeedbackArrival, position: &Position) -> FeedbackItem {
        let FeedbackArrival { feedback, key, body, rejection } = arrival;
        let claim = Claim {
            key,
            position: position.clone(),
            hop: 0,
            copy: None,
            ticket: format!("{}|{}", feedback.tenant_id, feedback.ticket_id).into(),
            body,
            tenant_id: feedback.tenant_id.as_str().into(),
            event_id: feedback.feedback_id.as_str().into(),
            at: self.fixtures.clock.now(),
        };
        FeedbackItem { feedback, claim, rejection: rejection.map(Arc::new) }
    }

    /// Whether it is the first of its kind, and which decision it judges.
    pub(super) fn ask_about_feedback(&mut self, id: ItemId) {
        let Some(claim) = self.items.get(&id).and_then(|item| item.feedback()).map(|item| item.claim.clone()) else {
            return;
        };
        self.claim_feedback(id, Entry::Claim(claim));
    }

    fn claim_feedback(&mut self, id: ItemId, claim: Entry) {
        let Some(item) = self.items.get_mut(&id) else { return };
        item.plan = Plan::Unknown;
        let Some(feedback) = item.feedback() else { return };
        let mut group = vec![(claim, Purpose::ClaimFeedback(id))];
        if feedback.rejection.is_none() {
            group.push((Entry::Recall(question(&feedback.feedback)), Purpose::Recall(id)));
        }
        self.pending.push_back(group);
    }

    /// The ledger has answered the claim; if it is ours, what it judges follows in the same breath.
    pub(super) fn feedback_claimed(&mut self, id: ItemId, outcome: &Outcome, now: Instant) {
        let Outcome::Row(row) = outcome else { return };
        let Some(item) = self.items.get(&id) else { return };
        let Some(feedback) = item.feedback() else { return };
        let arrival = judge(&feedback.claim, row);
        let of_another = matches!(arrival, Arrival::Duplicate { .. } | Arrival::Conflict { .. });
        if of_another && may_yet_be_rejected(row) {
            // Rejected, the other one would leave the review to this one.
            let Some(item) = self.items.get_mut(&id) else { return };
            let since = *item.waits_for_owner.get_or_insert(now);
            if now < since + OWNER_PATIENCE {
                self.held.insert((now + LOOK_AT_OWNER, id));
                return;
            }
        }
        let Some(item) = self.items.get(&id) else { return };
        let Some(feedback) = item.feedback() else { return };
        match arrival {
            Arrival::TakeOver { from } => {
                let entry = Entry::TakeOver { claim: feedback.claim.clone(), from };
                self.claim_feedback(id, entry);
            }
            // Nobody saves an answer for feedback.
            Arrival::Go | Arrival::GoFrom(_) => match feedback.rejection.clone() {
                Some(rejection) => {
                    let verdict = self.rejected(item, &rejection);
                    self.save_review(id, verdict, None);
                }
                None => self.set_plan(id, Plan::Ask),
            },
            Arrival::Publish(verdict) => self.release_review(id, &verdict),
            Arrival::AlreadyPublished | Arrival::CarriedOn => self.finish_silently(id, FeedbackEnd::ReadBefore),
            Arrival::Duplicate { .. } => self.finish_silently(id, FeedbackEnd::Duplicate),
            Arrival::Conflict { first, first_seen_at } => {
                let mut verdict = self.verdict(item, FeedbackStatus::Rejected, ReasonCode::IdempotencyConflict);
                verdict.reason = Some(format!("the same feedback id was first read at {first} with another body"));
                verdict.first_seen_at = Some(first_seen_at);
                self.release_review(id, &Arc::new(verdict));
            }
        }
    }

    /// The ledger has answered which decision it is; only who owns its feedback makes a review of it.
    pub(super) fn recalled(&mut self, id: ItemId, outcome: &Outcome) {
        let Outcome::Recalled(decision) = outcome else { return };
        let Some(item) = self.items.get(&id).filter(|item| matches!(item.plan, Plan::Ask)) else { return };
        let Some(feedback) = item.feedback() else { return };
        let acted_on = decision.as_deref().and_then(acts_on);
        let review = self.joined(item, feedback, decision.as_deref());
        judged(&review);
        let mut verdict = self.verdict(item, FeedbackStatus::Accepted, ReasonCode::Decided);
        verdict.review = Some(self.fixtures.publisher.encode_review(&review));
        self.save_review(id, verdict, acted_on);
    }

    fn joined(&self, item: &Item, feedback: &FeedbackItem, decision: Option<&PastDecision>) -> DecisionReview {
        let origin = Origin {
            topic: self.fixtures.topics.human_feedback.clone(),
            partition: i32::try_from(item.position.partition).unwrap_or(i32::MAX),
            offset: i64::try_from(item.position.offset).unwrap_or(i64::MAX),
            timestamp: item.record.timestamp,
        };
        review(&feedback.feedback, decision, origin, self.fixtures.clock.now())
    }

    fn save_review(&mut self, id: ItemId, verdict: Verdict, acted_on: Option<Entry>) {
        let Some(claim) = self.items.get(&id).and_then(|item| item.claim()) else { return };
        let (key, owner, verdict) = (claim.key, claim.position.clone(), Arc::new(verdict));
        self.set_plan(id, Plan::Save(verdict.clone(), None));
        let save = (Entry::Verdict { key, owner, verdict, decision: None }, Purpose::Reviewed(id));
        let group = std::iter::once(save).chain(acted_on.map(|acted_on| (acted_on, Purpose::Background)));
        self.pending.push_back(group.collect());
    }

    /// What is saved is what goes out, whoever saved it.
    pub(super) fn review_saved(&mut self, id: ItemId, outcome: &Outcome) {
        match outcome {
            Outcome::Reached(verdict) => self.release_review(id, verdict),
            // Somebody took the claim over: what the row says now decides.
            _ => self.ask_about_feedback(id),
        }
    }

    fn release_review(&mut self, id: ItemId, verdict: &Arc<Verdict>) {
        let Some(item) = self.items.get(&id) else { return };
        let outputs = self.review_outputs(item, verdict);
        self.set_plan(id, Plan::Publish(verdict.clone()));
        self.queue_group(vec![(id, outputs)]);
    }

    fn finish_silently(&mut self, id: ItemId, end: FeedbackEnd) {
        let Some(item) = self.items.get(&id) else { return };
        settled(item, end);
        self.set_plan(id, Plan::FinishSilently);
        self.queue_group(vec![(id, Vec::new())]);
    }

    fn set_plan(&mut self, id: ItemId, plan: Plan) {
        if let Some(item) = self.items.get_mut(&id) {
            item.plan = plan;
        }
    }

    pub(super) fn review_outputs(&self, item: &Item, verdict: &Verdict) -> Vec<OutRecord> {
        let end = if verdict.review.is_some() { FeedbackEnd::Reviewed } else { FeedbackEnd::Rejected(verdict.code) };
        settled(item, end);
        self.fixtures.publisher.review(&source(item, &self.fixtures.topics.human_feedback), verdict)
    }
}

fn settled(item: &Item, end: FeedbackEnd) {
    let feedback = item.feedback().map(|item| &*item.feedback);
    FeedbackSettled {
        end,
        tenant_id: feedback.map(|feedback| feedback.tenant_id.as_str()),
        feedback_id: feedback.map(|feedback| feedback.feedback_id.as_str()),
        position: &item.position,
    }
    .record();
}

/// Whoever judges a fallback's decision has the ticket in hand: no better one follows.
fn acts_on(decision: &PastDecision) -> Option<Entry> {
    (decision.decided_by == DecidedBy::Fallback).then(|| Entry::ActedOn {
        tenant_id: decision.tenant_id.as_str().into(),
        ticket_id: decision.ticket_id.clone(),
        decision_id: Some(decision.decision_id.clone()),
    })
}

/// Counted when the review is made: made once more after a crash, it is counted once more.
pub(super) fn judged(review: &DecisionReview) {
    FeedbackJoined { status: review.join_status }.record();
    for field in &review.fields {
        let outcome = match field.agreed {
            _ if review.kind == IMPLICIT_OVERRIDE => Judged::OverriddenByHand,
            true => Judged::Agreed,
            false => Judged::Overridden,
        };
        let (tenant_id, confidence) = (review.tenant_id.as_str(), field.confidence);
        FieldJudged { tenant_id, field: &field.field, outcome, confidence }.record();
    }
}
