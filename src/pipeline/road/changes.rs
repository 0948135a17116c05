//! What an agent changed by hand, on the road: a decision found, and the review saved with the event's own end.
//!
//! Its turn in its lane has come, so every earlier event of the ticket that was decided has its decision in the ledger. The
//! event ends as it would have ended, and the review goes out in the same burst: it is a part of the verdict, so that a
//! redelivery publishes the same bytes, and a copy of the event none.

use std::sync::Arc;

use tokio::time::Instant;

use super::item::{ItemId, Plan};
use super::reviewing::judged;
use super::{Purpose, Road};
use crate::domain::decision::Origin;
use crate::domain::event::SupportEvent;
use crate::domain::review::DecisionReview;
use crate::domain::verdict::Verdict;
use crate::pipeline::dedupe::ledger::{Entry, Outcome};
use crate::pipeline::lane::{TicketKey, Unit, ignore};
use crate::pipeline::review::implicit;

impl Road {
    /// Whether an agent changed something that one of our decisions may have said otherwise.
    pub(super) fn may_judge(&self, event: &SupportEvent) -> bool {
        implicit::judged_by(event).is_some() && !ignore::is_our_echo(event, &self.fixtures.our_source)
    }

    /// Ask which decisions the changes of this unit judge, where that is not known yet. Says whether anything was asked.
    pub(super) fn recall_changes(&mut self, ticket: &TicketKey, unit: &Unit<ItemId>) -> bool {
        let is_open = |id: &&ItemId| self.items.get(id).is_some_and(|item| matches!(item.plan, Plan::Recall(_)));
        let Some(last) = unit.items.iter().rfind(is_open).copied() else { return false };
        let open = unit.items.iter().filter(is_open).filter_map(|&item| {
            let question = implicit::judged_by(&self.items.get(&item)?.event()?.event)?;
            let concludes = (item == last).then(|| ticket.clone());
            Some((Entry::Recall(question), Purpose::Changed { item, concludes }))
        });
        let group: Vec<_> = open.collect();
        self.pending.push_back(group);
        true
    }

    /// The ledger has answered which decision it is, if any.
    pub(super) fn changes_recalled(
        &mut self,
        id: ItemId,
        outcome: &Outcome,
        concludes: Option<TicketKey>,
        now: Instant,
    ) {
        let Some(Plan::Recall(verdict)) = self.items.get(&id).map(|item| item.plan.clone()) else { return };
        let review = self.review_of_changes(id, outcome);
        let verdict = match review {
            Some(review) => {
                judged(&review);
                let review = Some(self.fixtures.publisher.encode_review(&review));
                Arc::new(Verdict { review, ..Verdict::clone(&verdict) })
            }
            None => verdict,
        };
        self.replan(id, Plan::Save(verdict, None));
        self.conclude(id, concludes, now);
    }

    fn review_of_changes(&self, id: ItemId, outcome: &Outcome) -> Option<DecisionReview> {
        let Outcome::Recalled(Some(decision)) = outcome else { return None };
        let item = self.items.get(&id)?;
        let event = item.event()?;
        let origin = Origin {
            topic: self.fixtures.topics.name(item.origin),
            partition: i32::try_from(item.position.partition).unwrap_or(i32::MAX),
            offset: i64::try_from(item.position.offset).unwrap_or(i64::MAX),
            timestamp: item.record.timestamp,
        };
        implicit::review(&event.event, event.claim.key, decision, origin, self.fixtures.clock.now())
    }
}
