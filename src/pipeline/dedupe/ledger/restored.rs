//! A row as the log tells it, for a ledger that has lost it.

use std::sync::Arc;

use super::{Claim, Row};
use crate::domain::clock::Timestamp;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::past_decision::PastDecision;
use crate::domain::verdict::Verdict;

/// The published verdict of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Restored {
    /// The claim of the record it stems from.
    pub claim: Claim,
    /// How it ended.
    pub verdict: Arc<Verdict>,
    /// When its burst was written.
    pub published_at: Timestamp,
    /// What is kept of its decision, if it has one.
    pub decision: Option<Arc<PastDecision>>,
}

/// How the ledger stands to what the log says of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It knows, or it knows better.
    Known,
    /// It has no row.
    Missing,
    /// It does not know that this was published.
    Unpublished,
    /// It takes another record for the owner.
    Elsewhere,
}

/// Grows with every publication of an event. What was rejected may be sent again and decided later, never the other way
/// round, so between those two no clock is asked.
#[must_use]
pub fn rank(verdict: Option<&Verdict>, published_at: Timestamp) -> (bool, Timestamp) {
    (verdict.is_none_or(|verdict| verdict.status != FeedbackStatus::Rejected), published_at)
}

impl Restored {
    /// By the row of its event.
    #[must_use]
    pub fn fate(&self, row: Option<&Row>) -> Fate {
        let Some(row) = row else { return Fate::Missing };
        if row.owner == self.claim.position {
            return if row.published_at.is_some() { Fate::Known } else { Fate::Unpublished };
        }
        match row.published_at {
            // Events that were sent again after a rejection are published more than once; the last time counts.
            Some(at) if rank(row.verdict.as_deref(), at) >= rank(Some(&self.verdict), self.published_at) => Fate::Known,
            // Another record took the rejected event over and is under way.
            None if self.verdict.status == FeedbackStatus::Rejected => Fate::Known,
            _ => Fate::Elsewhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::identity::{BodyHash, DedupeKey};
    use crate::domain::position::Position;
    use crate::domain::reason_code::ReasonCode;

    fn claim(offset: u64) -> Claim {
        Claim {
            key: DedupeKey([1; 32]),
            position: Position { topic_id: "events".into(), partition: 0, offset },
            hop: 0,
            copy: None,
            ticket: "acme|1".into(),
            body: BodyHash { form: 1, sha256: [1; 32] },
            tenant_id: "acme".into(),
            event_id: "e".into(),
            at: Timestamp(1),
        }
    }

    fn restored(status: FeedbackStatus) -> Restored {
        let verdict = Verdict::of(status, ReasonCode::Decided, Timestamp(1), Timestamp(2));
        Restored { claim: claim(10), verdict: Arc::new(verdict), published_at: Timestamp(100), decision: None }
    }

    #[test]
    fn a_row_is_restored_unless_the_ledger_knows_as_much_or_more() {
        let (accepted, rejected) = (restored(FeedbackStatus::Accepted), restored(FeedbackStatus::Rejected));
        let row = |offset, published: Option<i64>| Row {
            published_at: published.map(Timestamp),
            ..Row::left_by(&claim(offset))
        };
        assert_eq!(accepted.fate(None), Fate::Missing);
        assert_eq!(accepted.fate(Some(&row(10, None))), Fate::Unpublished);
        assert_eq!(accepted.fate(Some(&row(10, Some(50)))), Fate::Known);
        assert_eq!(accepted.fate(Some(&row(20, None))), Fate::Elsewhere, "a resend was taken for the first");
        assert_eq!(rejected.fate(Some(&row(20, None))), Fate::Known, "a resend of what was rejected is under way");
        assert_eq!(accepted.fate(Some(&row(5, Some(50)))), Fate::Elsewhere, "rejected first, then sent again");
        assert_eq!(rejected.fate(Some(&row(20, Some(150)))), Fate::Known, "sent again, and published later");
        // Whatever the clocks say.
        let before = Row { verdict: Some(Arc::clone(&rejected.verdict)), ..row(5, Some(150)) };
        let after = Row { verdict: Some(Arc::clone(&accepted.verdict)), ..row(20, Some(50)) };
        assert_eq!(accepted.fate(Some(&before)), Fate::Elsewhere, "rejected first, then sent again");
        assert_eq!(rejected.fate(Some(&after)), Fate::Known, "sent again, and published later");
    }
}
