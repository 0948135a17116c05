//! What a record of feedback says of the ledger's rows.

use std::sync::Arc;

use super::Window;
use crate::domain::clock::Timestamp;
use crate::domain::decision::Origin;
use crate::domain::feedback::{EventFeedback, FeedbackStatus};
use crate::domain::identity::{BodyHash, DedupeKey};
use crate::domain::position::{Partition, Position};
use crate::domain::reason_code::ReasonCode;
use crate::domain::record::Record;
use crate::domain::verdict::Verdict;
use crate::operations::audit::reading::{ReadError, decode};
use crate::operations::log_browser::TopicInfo;
use crate::pipeline::dedupe::ledger::Claim;
use crate::pipeline::dedupe::ledger::restored::Restored;
use crate::pipeline::schema_set::SchemaSet;

/// What it says.
pub(super) enum Told {
    /// A published verdict, and the id and version of its decision.
    Published(Box<Restored>, Option<(String, i32)>),
    /// An event that was put off, however long ago.
    PutOff(Box<Claim>),
    /// A terminal from which no row stems, by the offset of its event: of a copy, of a conflict, or of what could not be read.
    Ended(u64),
    /// One that is out of the window. A row that still waits for it has not heard of it.
    EndedLongAgo {
        /// Of which event.
        key: DedupeKey,
        /// Its offset.
        offset: u64,
        /// When.
        at: Timestamp,
    },
    /// Something that cannot be ascribed to an event of this topic; which one it ends, if that is known.
    Skipped(Option<u64>),
    /// It is not about this topic.
    Nothing,
}

pub(super) fn told(
    record: &Record,
    at: Partition,
    events: &TopicInfo,
    schemas: &SchemaSet,
    window: Window,
    was_rejected: impl Fn(DedupeKey) -> bool,
) -> Result<Told, ReadError> {
    let feedback: EventFeedback = decode(schemas, at, record, "EventFeedback")?;
    let code = serde_json::from_value::<ReasonCode>(feedback.reason_code.clone().into()).ok();
    let speaks_of_another =
        feedback.status == FeedbackStatus::Duplicate || code == Some(ReasonCode::IdempotencyConflict);
    let rejected = feedback.status == FeedbackStatus::Rejected;
    // Without its later end an event that was rejected, and sent again, would be one that may be decided.
    let was_rejected = identity(record).is_some_and(|(key, _)| was_rejected(key));
    let since = if rejected || was_rejected { window.rejected_since } else { window.since };
    let origin = &feedback.origin;
    let place = place(origin).filter(|_| origin.topic == events.name);
    let ends = place.filter(|_| feedback.terminal).map(|(_, offset)| offset);
    let is_long_ago = feedback.terminal && record.timestamp < since;
    if is_long_ago
        && !speaks_of_another
        && let (Some(offset), Some((key, _))) = (ends, identity(record))
    {
        return Ok(Told::EndedLongAgo { key, offset, at: record.timestamp });
    }
    if speaks_of_another || is_long_ago {
        return Ok(ends.map_or(Told::Nothing, Told::Ended));
    }
    let (Some((key, body)), Some(code)) = (identity(record), code) else {
        // What could not be read has no row.
        let is_unreadable = feedback.event_id.is_none();
        return Ok(if is_unreadable { ends.map_or(Told::Nothing, Told::Ended) } else { Told::Skipped(ends) });
    };
    let Some((partition, offset)) = place else { return Ok(Told::Skipped(None)) };
    let decision = match feedback.status {
        FeedbackStatus::Accepted | FeedbackStatus::Degraded => feedback.decision_id.zip(feedback.decision_version),
        _ => None,
    };
    let claim = Claim {
        key,
        position: Position { topic_id: events.topic_id.clone(), partition, offset },
        hop: 0,
        copy: None,
        ticket: format!(
            "{}|{}",
            feedback.tenant_id.as_deref().unwrap_or_default(),
            feedback.ticket_id.as_deref().unwrap_or_default()
        )
        .into(),
        body,
        tenant_id: feedback.tenant_id.unwrap_or_default().into(),
        event_id: feedback.event_id.unwrap_or_default().into(),
        at: feedback.processed_at,
    };
    if !feedback.terminal {
        return Ok(Told::PutOff(Box::new(claim)));
    }
    let verdict = Verdict {
        reason: feedback.reason,
        violations: feedback.violations,
        superseded_by_event_id: feedback.superseded_by_event_id,
        latency_ms: feedback.latency_ms,
        ..Verdict::of(feedback.status, code, feedback.processed_at, feedback.processed_at)
    };
    let published_at = record.timestamp;
    Ok(Told::Published(
        Box::new(Restored { claim, verdict: Arc::new(verdict), published_at, decision: None }),
        decision,
    ))
}

/// Which event, and what it said, off an output's headers.
pub(super) fn identity(record: &Record) -> Option<(DedupeKey, BodyHash)> {
    let header = |name: &str| record.header(name).and_then(|value| std::str::from_utf8(value).ok());
    Some((header("gk-dedupe-key")?.parse().ok()?, header("gk-body-hash")?.parse().ok()?))
}

pub(super) fn place(origin: &Origin) -> Option<(u32, u64)> {
    Some((u32::try_from(origin.partition).ok()?, u64::try_from(origin.offset).ok()?))
}
