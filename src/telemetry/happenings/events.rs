//! What becomes of events.

use std::time::Duration;

use metrics::{counter, histogram};
use tracing::{debug, error, info, warn};

use super::count;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::position::{Partition, Position};
use crate::domain::reason_code::ReasonCode;
use crate::telemetry::{metric_names as names, tenant_labels};

/// A record reached its terminal.
#[derive(Debug, Clone, Copy)]
pub struct EventSettled<'a> {
    /// Which of the six ways.
    pub status: FeedbackStatus,
    /// Why.
    pub code: ReasonCode,
    /// `None`: the record could not be read that far.
    pub tenant_id: Option<&'a str>,
    /// `None`: the record could not be read that far.
    pub ticket_id: Option<&'a str>,
    /// `None`: the record could not be read that far.
    pub event_id: Option<&'a str>,
    /// As sent.
    pub correlation_id: Option<&'a str>,
    /// Where it stands in the log.
    pub position: &'a Position,
    /// From the record's timestamp to now.
    pub latency: Duration,
}

impl EventSettled<'_> {
    /// Log and count it.
    pub fn record(&self) {
        let status = status_label(self.status);
        counter!(names::EVENTS_SETTLED, "status" => status, "code" => self.code.as_str()).increment(1);
        histogram!(names::EVENT_LATENCY, "status" => status).record(self.latency.as_secs_f64());
        if let Some(tenant) = self.tenant_id {
            let tenant = tenant_labels::label(tenant);
            counter!(names::TENANT_EVENTS_SETTLED, "tenant" => tenant, "status" => status).increment(1);
        }
        // Somebody upstream has to mend a rejected event; everything else takes care of itself.
        macro_rules! log {
            ($level:ident) => {
                $level!(
                    event.id = self.event_id,
                    tenant.id = self.tenant_id,
                    ticket.id = self.ticket_id,
                    correlation.id = self.correlation_id,
                    position = %self.position,
                    status,
                    code = self.code.as_str(),
                    latency_ms = self.latency.as_millis(),
                    "event settled"
                )
            };
        }
        if self.status == FeedbackStatus::Rejected { log!(info) } else { log!(debug) }
    }
}

fn status_label(status: FeedbackStatus) -> &'static str {
    match status {
        FeedbackStatus::Accepted => "accepted",
        FeedbackStatus::Duplicate => "duplicate",
        FeedbackStatus::Rejected => "rejected",
        FeedbackStatus::Deferred => "deferred",
        FeedbackStatus::Degraded => "degraded",
        FeedbackStatus::Ignored => "ignored",
        FeedbackStatus::Superseded => "superseded",
        FeedbackStatus::Unknown => "unknown",
    }
}

/// A saved answer was used again: a paid call less.
#[derive(Debug, Clone, Copy)]
pub struct AnswerReused<'a> {
    /// Whose.
    pub tenant_id: &'a str,
    /// Which event.
    pub event_id: &'a str,
}

impl AnswerReused<'_> {
/// An event goes on though its record's key is not `tenant|ticket`.
#[derive(Debug, Clone, Copy)]
pub struct ForeignKeyRead<'a> {
    /// Whose.
    pub tenant_id: &'a str,
    /// Who wrote it.
    pub source: &'a str,
    /// Where it stands in the log.
    pub position: &'a Position,
    /// A warning was given a short while ago.
    pub again: bool,
}

impl ForeignKeyRead<'_> {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::FOREIGN_KEYS).increment(1);
        macro_rules! log {
            ($level:ident) => {
                $level!(
                    tenant.id = self.tenant_id,
                    event.source = self.source,
                    position = %self.position,
                    "an event's record has another key than tenant|ticket: its order among the ticket's other events is \
                     not promised (schemas.reject_foreign_keys)"
                )
            };
        }
        if self.again { log!(debug) } else { log!(warn) }
    }
}

    /// Log and count it.
    pub fn record(&self) {
        counter!(names::ANSWERS_REUSED).increment(1);
        debug!(event.id = self.event_id, tenant.id = self.tenant_id, "saved answer reused");
    }
}

/// Calls that went on while their partition was away belong to its records again.
#[derive(Debug, Clone, Copy)]
pub struct CallsReattached {
    /// Which partition came back.
    pub partition: Partition,
    /// How many calls.
    pub calls: usize,
}

impl CallsReattached {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::CALLS_REATTACHED).increment(count(self.calls));
        info!(partition = %self.partition, calls = self.calls, "running calls picked up again");
    }
}

/// A record was dropped without a terminal. A defect: its offset stays unfinished, and a restart reads it again.
#[derive(Debug, Clone, Copy)]
pub struct RecordDroppedUnsettled {
    /// Which partition.
    pub partition: Partition,
    /// Which record.
    pub offset: u64,
}

impl RecordDroppedUnsettled {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::DROPPED_UNSETTLED).increment(1);
        error!(
            partition = %self.partition,
            offset = self.offset,
            "a record was dropped without a terminal; its offset stays uncommitted: restart to read it again, and report this"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::happenings::tests::recorded;

    #[test]
    fn a_settled_event_is_counted_by_status_code_and_tenant_and_an_unreadable_one_without_tenant() {
        let position = Position { topic_id: "t".to_owned(), partition: 1, offset: 2 };
        let accepted = EventSettled {
            status: FeedbackStatus::Accepted,
            code: ReasonCode::Decided,
            tenant_id: Some("settled-tenant"),
            ticket_id: Some("1"),
            event_id: Some("e"),
            correlation_id: None,
            position: &position,
            latency: Duration::from_millis(30),
        };
        let (status, code) = (FeedbackStatus::Rejected, ReasonCode::DecodeFailed);
        let lines = recorded(|| {
            accepted.record();
            EventSettled { status, code, tenant_id: None, ticket_id: None, event_id: None, ..accepted }.record();
        });
        let has = |line: &str| assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
        has("gatekeeper_events_settled_total{status=\"accepted\",code=\"DECIDED\"} 1");
        has("gatekeeper_events_settled_total{status=\"rejected\",code=\"DECODE_FAILED\"} 1");
        has("gatekeeper_tenant_events_settled_total{tenant=\"settled-tenant\",status=\"accepted\"} 1");
        has("gatekeeper_event_latency_seconds_bucket{status=\"accepted\",le=\"0.05\"} 1");
        assert_eq!(lines.iter().filter(|line| line.starts_with("gatekeeper_tenant_events")).count(), 1);
    }
}
