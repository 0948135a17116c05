//! Counters that stand at 0 from the start.
//!
//! Prometheus sees no increase in what was not there before: an alarm on the first event of its kind would stay silent.
//! So every counter without labels is there at once, and those whose labels can be listed. Labels that name tenants,
//! models, clients or statements come with their first event.

use metrics::counter;

use super::happenings::{PauseReason, status_label};
use super::metric_names as names;
use crate::domain::reason_code::STATUS_AND_CODES;

/// Without labels.
const PLAIN: [&str; 17] = [
    names::FOREIGN_KEYS,
    names::ANSWERS_REUSED,
    names::CALLS_REATTACHED,
    names::DROPPED_UNSETTLED,
    names::BURST_RESULTS,
    names::OPS_EVENTS_DROPPED,
    names::ORPHANS_FENCED,
    names::LEDGER_ENTRIES,
    names::LEDGER_POOL_EXHAUSTED,
    names::LEDGER_LEAKS_SUSPECTED,
    names::SCHEMA_STARTS_HELD,
    names::PARTITIONS_HELD,
    names::LOG_LINES_DROPPED,
    names::CHANGES_UNREAD,
    names::TENANT_CHANGES,
    names::FLAGS_REFUSED,
    names::AWAY,
];

/// With one label, and what that may say.
const BY_ONE_LABEL: [(&str, &str, &[&str]); 12] = [
    (names::BURSTS, "outcome", &["committed", "refused", "not_committed"]),
    (names::KAFKA_TOKENS, "outcome", &["renewed", "failed"]),
    (names::PRODUCERS_REPLACED, "fenced", &["true", "false"]),
    (names::COMMITS_LOOKED_UP, "committed", &["true", "false"]),
    (names::LEDGER_BATCHES, "outcome", &["committed", "failed"]),
    (names::RETENTION_FAILURES, "what", &["rows", "decisions"]),
    (names::LEDGER_POOL_MARKS, "mark", &["70", "90"]),
    (names::LIMIT_TRIPS, "outcome", &["answered", "failed"]),
    (names::REVIEWS, "joined", &["by_id", "by_ticket", "orphan"]),
    (names::TENANTS_REFUSED, "from", &["database", "files"]),
    (names::PARTITION_CHANGES, "change", &["assigned", "revoked", "lost", "stopped"]),
    (
        names::SCHEMA_LOOKUPS,
        "outcome",
        &[
            "found",
            "absent",
            "unusable",
            "unreachable",
            "timeout",
            "credentials",
            "server",
            "garbled",
            "too_large",
            "refused",
        ],
    ),
];

/// Tell the recorder of all of them.
pub fn begin() {
    for name in PLAIN {
        counter!(name).increment(0);
    }
    for (name, label, values) in BY_ONE_LABEL {
        for value in values {
            counter!(name, label => *value).increment(0);
        }
    }
    for reason in PauseReason::ALL {
        counter!(names::READING_PAUSES, "reason" => reason.label()).increment(0);
    }
    for (status, codes) in STATUS_AND_CODES {
        for code in *codes {
            counter!(names::EVENTS_SETTLED, "status" => status_label(*status), "code" => code.as_str()).increment(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metric_names::{ALL, Kind};
    use crate::telemetry::recorder;

    /// Those whose labels cannot be listed here.
    const OPEN: [&str; 24] = [
        names::RECORDS_READ,
        names::RECORDS_READ_BYTES,
        names::TENANT_EVENTS_SETTLED,
        names::HUMAN_FEEDBACK_SETTLED,
        names::BETTER_DECISIONS,
        names::FIELDS_JUDGED,
        names::JUDGED_CONFIDENCE,
        names::KAFKA_TROUBLES,
        names::KAFKA_REFUSALS,
        names::LEDGER_SLOW_STATEMENTS,
        names::LIMIT_SHADOWED,
        names::BUDGETS_EXHAUSTED,
        names::BUDGET_SHADOWED,
        names::MODEL_CALLS,
        names::MODEL_TOKENS,
        names::MODEL_COST,
        names::TENANT_TOKENS,
        names::TENANT_COST,
        names::MODEL_SLOWED,
        names::MODEL_PAUSES,
        names::FLAG_EVALUATIONS,
        names::FLAG_CHANGES,
        names::LOCAL_FIRST,
        // By model: they are at 0 once breakers are seen.
        names::BREAKER_CHANGES,
    ];

    #[test]
    fn every_counter_without_labels_is_there_before_its_first_event_and_so_are_the_labels_that_can_be_listed() {
        let (_recorder, metrics) = recorder::local();
        let text = metrics.render();
        let (mut there, mut open) = (0, Vec::new());
        for &(_, name, ..) in ALL.iter().filter(|(kind, ..)| *kind == Kind::Counter) {
            let lines: Vec<_> = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name)).collect();
            assert!(lines.iter().all(|line| line.ends_with(" 0")), "{lines:?}");
            there += usize::from(!lines.is_empty());
            if lines.is_empty() {
                open.push(name);
            }
        }
        open.retain(|name| !OPEN.contains(name));
        assert_eq!(open, [""; 0], "not there at the start: list them above, or among those whose labels are open");
        assert_eq!(there, PLAIN.len() + BY_ONE_LABEL.len() + 2);
        for line in [
            "gatekeeper_away_total 0",
            "gatekeeper_partition_changes_total{change=\"stopped\"} 0",
            "gatekeeper_events_settled_total{status=\"rejected\",code=\"VALIDATION_FAILED\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
        }
    }
}
