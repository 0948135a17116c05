//! What becomes of human feedback.

use metrics::counter;
use tracing::{debug, info};

use crate::domain::position::Position;
use crate::domain::reason_code::ReasonCode;
use crate::domain::review::JoinStatus;
use crate::telemetry::{metric_names as names, tenant_labels};

/// How a record of human feedback ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedbackEnd {
    /// As a review.
    Reviewed,
    /// As a dead letter.
    Rejected(ReasonCode),
    /// As nothing: it is a copy of a record that has its review.
    Duplicate,
    /// As nothing: it was read and published before.
    ReadBefore,
}

/// A record of human feedback reached its end.
#[derive(Debug, Clone, Copy)]
pub struct FeedbackSettled<'a> {
    /// How.
    pub end: FeedbackEnd,
    /// `None`: the record could not be read that far.
    pub tenant_id: Option<&'a str>,
    /// `None`: the record could not be read that far.
    pub feedback_id: Option<&'a str>,
    /// Where it stands in the log.
    pub position: &'a Position,
}

impl FeedbackSettled<'_> {
    /// Log and count it.
    pub fn record(&self) {
        let (end, code) = match self.end {
            FeedbackEnd::Reviewed => ("reviewed", ""),
            FeedbackEnd::Rejected(code) => ("rejected", code.as_str()),
            FeedbackEnd::Duplicate => ("duplicate", ""),
            FeedbackEnd::ReadBefore => ("read_before", ""),
        };
        counter!(names::HUMAN_FEEDBACK_SETTLED, "end" => end, "code" => code).increment(1);
        // Somebody upstream has to mend what is rejected; everything else takes care of itself.
        macro_rules! log {
            ($level:ident) => {
                $level!(
                    feedback.id = self.feedback_id,
                    tenant.id = self.tenant_id,
                    position = %self.position,
                    end,
                    code,
                    "human feedback settled"
                )
            };
        }
        match self.end {
            FeedbackEnd::Rejected(_) => log!(info),
            _ => log!(debug),
        }
    }
}

/// A review was made.
#[derive(Debug, Clone, Copy)]
pub struct FeedbackJoined {
    /// Whether its decision was found, and how.
    pub status: JoinStatus,
}

impl FeedbackJoined {
    /// Count it.
    pub fn record(&self) {
        let status = match self.status {
            JoinStatus::JoinedById => "by_id",
            JoinStatus::JoinedByTicket => "by_ticket",
            JoinStatus::Orphan | JoinStatus::Unknown => "orphan",
        };
        counter!(names::REVIEWS, "joined" => status).increment(1);
    }
}

/// A person has judged a predicted field.
#[derive(Debug, Clone, Copy)]
pub struct FieldJudged<'a> {
    /// Whose.
    pub tenant_id: &'a str,
    /// Which field; those that a tenant made up itself share one label.
    pub field: &'a str,
    /// What they said of it.
    pub outcome: Outcome,
    /// What was said of it in the decision; none: it was not predicted.
    pub confidence: Option<f64>,
}

/// What people said of a prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was right.
    Agreed,
    /// It was wrong.
    Overridden,
    /// Nothing; an agent set the field otherwise. The same of what was right is never heard of, so it is in no rate.
    OverriddenByHand,
}

/// Fields of every decision. Others come from outside, and each label is a time series for ever.
const FIELDS: [&str; 9] =
    ["intent", "category", "sentiment", "language", "priority", "impact", "urgency", "ticket_type", "queue"];

impl FieldJudged<'_> {
    /// Count it.
    pub fn record(&self) {
        let field = FIELDS.into_iter().find(|field| *field == self.field).unwrap_or("custom");
        let outcome = match self.outcome {
            Outcome::Agreed => "agreed",
            Outcome::Overridden => "overridden",
            Outcome::OverriddenByHand => "overridden_by_hand",
        };
        let tenant = tenant_labels::label(self.tenant_id);
        counter!(names::FIELDS_JUDGED, "tenant" => tenant.clone(), "field" => field, "outcome" => outcome).increment(1);
        if let Some(confidence) = self.confidence.filter(|_| self.outcome != Outcome::OverriddenByHand) {
            let percent = (confidence.clamp(0.0, 1.0) * 100.0).round() as u64;
            counter!(names::JUDGED_CONFIDENCE, "tenant" => tenant, "field" => field).increment(percent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::happenings::tests::recorded;

    #[test]
    fn feedback_is_counted_by_its_end_its_join_and_what_it_says_of_each_field() {
        let position = Position { topic_id: "t".to_owned(), partition: 1, offset: 2 };
        let ends = [FeedbackEnd::Reviewed, FeedbackEnd::Rejected(ReasonCode::DecodeFailed), FeedbackEnd::Duplicate];
        let lines = recorded(|| {
            for end in ends {
                FeedbackSettled { end, tenant_id: None, feedback_id: None, position: &position }.record();
            }
            FeedbackJoined { status: JoinStatus::Orphan }.record();
            use Outcome::{Agreed, Overridden, OverriddenByHand};
            for (field, outcome, confidence) in [
                ("category", Agreed, Some(0.9)),
                ("category", Overridden, Some(0.75)),
                ("category", OverriddenByHand, Some(0.6)),
                ("made up", Overridden, None),
                ("by them", Overridden, None),
            ] {
                FieldJudged { tenant_id: "judging-tenant", field, outcome, confidence }.record();
            }
        });
        let has = |line: &str| assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
        has("gatekeeper_human_feedback_settled_total{end=\"reviewed\",code=\"\"} 1");
        has("gatekeeper_human_feedback_settled_total{end=\"rejected\",code=\"DECODE_FAILED\"} 1");
        has("gatekeeper_human_feedback_settled_total{end=\"duplicate\",code=\"\"} 1");
        has("gatekeeper_reviews_total{joined=\"orphan\"} 1");
        let judged = "gatekeeper_fields_judged_total{tenant=\"judging-tenant\"";
        has(&format!("{judged},field=\"category\",outcome=\"agreed\"}} 1"));
        has(&format!("{judged},field=\"category\",outcome=\"overridden\"}} 1"));
        has(&format!("{judged},field=\"category\",outcome=\"overridden_by_hand\"}} 1"));
        has(&format!("{judged},field=\"custom\",outcome=\"overridden\"}} 2"));
        let confidence = "gatekeeper_judged_confidence_percent_total{tenant=\"judging-tenant\"";
        has(&format!("{confidence},field=\"category\"}} 165"));
        assert!(!lines.iter().any(|line| line.starts_with(confidence) && line.contains("custom")), "{lines:#?}");
    }
}
