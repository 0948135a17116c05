//! How a record ends, saved before it may be published.
//!
//! Its terminal feedback is rebuilt from event and verdict, and the decision is kept as the bytes that go out: a
//! redelivery publishes the same bytes.

use serde::{Deserialize, Serialize};

use super::better::Better;
use super::bytes::Bytes;
use super::clock::Timestamp;
use super::feedback::{FeedbackStatus, Violation};
use super::reason_code::ReasonCode;

/// A terminal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Which of the six ways.
    pub status: FeedbackStatus,
    /// Why.
    pub code: ReasonCode,
    /// The same in words, with what is needed to act.
    pub reason: Option<String>,
    /// What is wrong with the event, for REJECTED.
    #[serde(default)]
    pub violations: Vec<Violation>,
    /// For ACCEPTED and DEGRADED.
    pub decision: Option<SavedDecision>,
    /// For human feedback that is reviewed, and for events in which an agent overrode us: the review's value, byte for byte.
    #[serde(default)]
    pub review: Option<Bytes>,
    /// For DUPLICATE: the first one's decision id.
    pub first_decision_id: Option<String>,
    /// For DUPLICATE: when the first one was claimed.
    pub first_seen_at: Option<Timestamp>,
    /// For SUPERSEDED: the event that was decided instead.
    pub superseded_by_event_id: Option<String>,
    /// Whether a better decision follows, or what came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub better: Option<Better>,
    /// When the verdict was reached.
    pub processed_at: Timestamp,
    /// From the record's timestamp to the verdict; 0 where the log does not know when the record was written.
    pub latency_ms: i64,
}

impl Verdict {
    /// Reached now about a record of that time, without anything particular.
    #[must_use]
    pub fn of(status: FeedbackStatus, code: ReasonCode, record: Timestamp, now: Timestamp) -> Self {
        Self {
            status,
            code,
            reason: None,
            violations: Vec::new(),
            decision: None,
            review: None,
            first_decision_id: None,
            first_seen_at: None,
            superseded_by_event_id: None,
            better: None,
            processed_at: now,
            latency_ms: if record.is_known() { now.millis_since(record) } else { 0 },
        }
    }
}

/// A decision as it goes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedDecision {
    /// UUIDv5.
    pub id: String,
    /// 1, or more for a better decision.
    pub version: i32,
    /// The record's value, byte for byte.
    pub bytes: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_was_written_nobody_knows_when_has_not_waited_since_1970() {
        let latency = |record, now| Verdict::of(FeedbackStatus::Accepted, ReasonCode::Decided, record, now).latency_ms;
        let now = Timestamp(1_790_000_000_000);
        assert_eq!(latency(Timestamp(now.0 - 7), now), 7);
        assert_eq!(latency(Timestamp(now.0 + 7), now), 0, "clocks differ");
        for unknown in [Timestamp(0), Timestamp(-1)] {
            assert_eq!(latency(unknown, now), 0);
        }
    }
}
