//! What becomes of events.

use std::time::Duration;

use metrics::{counter, histogram};
use tracing::{debug, error, info, warn};

use super::{count, millis};
use crate::domain::feedback::FeedbackStatus;
use crate::domain::position::{Partition, Position};
use crate::domain::reason_code::ReasonCode;
use crate::telemetry::{metric_names as names, tenant_labels};

/// No id that passes ingest is longer.
const MAX_ID_BYTES: usize = 256;

/// A record reached its terminal.
#[derive(Debug, Clone, Copy)]
pub struct EventSettled<'a> {
    /// Which of the six ways.
    pub status: FeedbackStatus,
    /// Why.
    pub code: ReasonCode,
    /// `None`: the record could not be read that far.
    pub tenant_id: Option<&'a str>,
    /// There is a policy for this tenant: whoever made it up gets no label.
    pub tenant_is_known: bool,
    /// `None`: the record could not be read that far.
    pub ticket_id: Option<&'a str>,
    /// `None`: the record could not be read that far.
    pub event_id: Option<&'a str>,
    /// As sent.
    pub correlation_id: Option<&'a str>,
    /// Where it stands in the log.
    pub position: &'a Position,
    /// From the record's timestamp to now; `None`: the log does not know when it was written.
    pub latency: Option<Duration>,
}

impl EventSettled<'_> {
    /// Log and count it.
    pub fn record(&self) {
        let status = status_label(self.status);
        counter!(names::EVENTS_SETTLED, "status" => status, "code" => self.code.as_str()).increment(1);
        if let Some(latency) = self.latency {
            histogram!(names::EVENT_LATENCY, "status" => status).record(latency.as_secs_f64());
        }
        if let Some(tenant) = self.tenant_id {
            let tenant = if self.tenant_is_known { tenant_labels::label(tenant) } else { tenant_labels::other() };
            counter!(names::TENANT_EVENTS_SETTLED, "tenant" => tenant, "status" => status).increment(1);
        }
        // Of a rejected event it may be anything.
        let is_an_id = |id: &&str| id.len() <= MAX_ID_BYTES && !id.chars().any(char::is_control);
        let correlation_id = self.correlation_id.filter(is_an_id);
        // Somebody upstream has to mend a rejected event; everything else takes care of itself.
        macro_rules! log {
            ($level:ident) => {
                $level!(
                    event.id = self.event_id,
                    tenant.id = self.tenant_id,
                    ticket.id = self.ticket_id,
                    correlation.id = correlation_id,
                    position = %self.position,
                    status,
                    code = self.code.as_str(),
                    latency_ms = self.latency.map(millis),
                    "event settled"
                )
            };
        }
        if self.status == FeedbackStatus::Rejected { log!(info) } else { log!(debug) }
    }
}

/// A status as a label.
pub(in crate::telemetry) fn status_label(status: FeedbackStatus) -> &'static str {
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

/// A saved answer was used again: a paid call less.
#[derive(Debug, Clone, Copy)]
pub struct AnswerReused<'a> {
    /// Whose.
    pub tenant_id: &'a str,
    /// Which event.
    pub event_id: &'a str,
}

impl AnswerReused<'_> {
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
    use crate::settings::telemetry::LogFormat;
    use crate::telemetry::happenings::tests::recorded;
    use crate::telemetry::logging::tests::lines;

    fn settled(position: &Position) -> EventSettled<'_> {
        EventSettled {
            status: FeedbackStatus::Accepted,
            code: ReasonCode::Decided,
            tenant_id: Some("settled-tenant"),
            tenant_is_known: true,
            ticket_id: Some("1"),
            event_id: Some("e"),
            correlation_id: None,
            position,
            latency: Some(Duration::from_millis(30)),
        }
    }

    #[test]
    fn a_settled_event_is_counted_by_status_code_and_tenant_and_an_unreadable_one_without_tenant() {
        let position = Position { topic_id: "t".to_owned(), partition: 1, offset: 2 };
        let accepted = settled(&position);
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

    #[test]
    fn tenants_that_somebody_made_up_take_no_labels() {
        let position = Position { topic_id: "t".to_owned(), partition: 1, offset: 2 };
        let status = FeedbackStatus::Rejected;
        let lines = recorded(|| {
            for number in 0..tenant_labels::MAX {
                let stranger = format!("stranger-{number}");
                let tenant_id = Some(stranger.as_str());
                EventSettled { status, tenant_id, tenant_is_known: false, ..settled(&position) }.record();
            }
        });
        let counted: Vec<_> = lines.iter().filter(|line| line.starts_with("gatekeeper_tenant_events")).collect();
        assert_eq!(counted, ["gatekeeper_tenant_events_settled_total{tenant=\"other\",status=\"rejected\"} 100"]);
        assert_eq!(&*tenant_labels::label("who-comes-later"), "who-comes-later");
    }

    #[test]
    fn a_rejected_event_leaves_a_short_line_whatever_its_correlation_id() {
        let position = Position { topic_id: "t".to_owned(), partition: 1, offset: 2 };
        let line_of = |correlation_id: &str| {
            let (status, correlation_id) = (FeedbackStatus::Rejected, Some(correlation_id));
            let act = || EventSettled { status, correlation_id, ..settled(&position) }.record();
            lines("info", LogFormat::Json, act).remove(0)
        };
        assert!(line_of("corr-1").contains("corr-1"));
        for strange in ["c".repeat(100_000), "corr-1\nforged".to_owned()] {
            let line = line_of(&strange);
            assert!(line.len() < 2_000 && !line.contains("corr"), "{line}");
        }
    }

    #[test]
    fn a_record_that_was_written_nobody_knows_when_adds_to_no_latency() {
        let position = Position { topic_id: "t".to_owned(), partition: 1, offset: 2 };
        let lines = recorded(|| EventSettled { latency: None, ..settled(&position) }.record());
        assert!(!lines.iter().any(|line| line.starts_with("gatekeeper_event_latency")), "{lines:#?}");
    }
}
