//! The row of a better decision, told from the decision itself: no feedback speaks of one.

use std::sync::Arc;

use super::told::{identity, place};
use crate::domain::better::Better;
use crate::domain::bytes::Bytes;
use crate::domain::decision::TriageDecision;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::identity::DedupeKey;
use crate::domain::past_decision::PastDecision;
use crate::domain::position::Position;
use crate::domain::reason_code::ReasonCode;
use crate::domain::record::Record;
use crate::domain::verdict::{SavedDecision, Verdict};
use crate::operations::log_browser::TopicInfo;
use crate::pipeline::dedupe::ledger::Claim;
use crate::pipeline::dedupe::ledger::restored::Restored;

/// As its improve record left it.
pub(super) fn row(record: &Record, decision: &TriageDecision, events: &TopicInfo) -> Option<Restored> {
    let (event, body) = identity(record)?;
    let (partition, offset) = place(&decision.origin)?;
    let claim = Claim {
        key: DedupeKey::of_better(event),
        position: Position { topic_id: events.topic_id.clone(), partition, offset },
        hop: 0,
        copy: None,
        ticket: format!("{}|{}", decision.tenant_id, decision.ticket_id).into(),
        body,
        tenant_id: decision.tenant_id.as_str().into(),
        event_id: decision.event_id.as_str().into(),
        at: decision.decided_at,
    };
    let bytes = Bytes(record.value.as_deref().unwrap_or_default().to_vec());
    let saved = SavedDecision { id: decision.decision_id.clone(), version: decision.decision_version, bytes };
    let at = decision.decided_at;
    let verdict = Verdict {
        decision: Some(saved),
        better: Some(Better::Given),
        ..Verdict::of(FeedbackStatus::Accepted, ReasonCode::Decided, at, at)
    };
    let past = Some(Arc::new(PastDecision::of(decision, event)));
    Some(Restored { claim, verdict: Arc::new(verdict), published_at: record.timestamp, decision: past })
}
