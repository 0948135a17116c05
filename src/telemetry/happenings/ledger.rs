//! What the ledger does.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tracing::{debug, error, info, warn};

use super::{count, millis};
use crate::telemetry::metric_names as names;

/// A batch of entries is in the ledger.
#[derive(Debug, Clone, Copy)]
pub struct LedgerBatchCommitted {
    /// How many.
    pub entries: usize,
    /// From asking to committed.
    pub duration: Duration,
}

impl LedgerBatchCommitted {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::LEDGER_BATCHES, "outcome" => "committed").increment(1);
        counter!(names::LEDGER_ENTRIES).increment(count(self.entries));
        histogram!(names::LEDGER_DURATION).record(self.duration.as_secs_f64());
        debug!(entries = self.entries, duration_ms = millis(self.duration), "ledger batch committed");
    }
}

/// A batch failed; the road holds and asks again.
#[derive(Debug, Clone, Copy)]
pub struct LedgerUnavailable<'a> {
    /// Why, in the adapter's words.
    pub error: &'a str,
    /// Since the first failure in a row.
    pub holding_for: Duration,
}

impl LedgerUnavailable<'_> {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::LEDGER_BATCHES, "outcome" => "failed").increment(1);
        gauge!(names::LEDGER_HOLDING).set(self.holding_for.as_secs_f64());
        warn!(
            error = self.error,
            holding_for_ms = millis(self.holding_for),
            "the ledger is away: the road holds, nothing is lost"
        );
    }
}

/// The ledger is there again.
#[derive(Debug, Clone, Copy)]
pub struct LedgerAvailable {
    /// How long the road held.
    pub held_for: Duration,
}

impl LedgerAvailable {
    /// Log and count it.
    pub fn record(&self) {
        gauge!(names::LEDGER_HOLDING).set(0.0);
        info!(held_for_ms = millis(self.held_for), "the ledger is available again");
    }
}

/// Old rows could not be dropped; they are looked at again after `ledger.retention_interval`.
#[derive(Debug, Clone, Copy)]
pub struct RetentionFailed<'a> {
    /// Rows, or decisions.
    pub what: &'static str,
    /// Why.
    pub error: &'a str,
}

impl RetentionFailed<'_> {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::RETENTION_FAILURES, "what" => self.what).increment(1);
        warn!(error = self.error, "old {} of the ledger stay for now", self.what);
    }
}

/// How slow a statement was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slowness {
    /// As it should be.
    None,
    /// Slower than `ledger.slow_warn`.
    Warn,
    /// Slower than `ledger.slow_error`.
    Error,
}

/// A statement of the ledger ended, well or not. Known by its name, never by its data.
#[derive(Debug, Clone, Copy)]
pub struct LedgerStatementRun {
    /// Which.
    pub statement: &'static str,
    /// How long it took.
    pub took: Duration,
    /// Whether that is worth a word.
    pub slowness: Slowness,
}

impl LedgerStatementRun {
    /// Log and count it.
    pub fn record(&self) {
        let Self { statement, took, slowness } = *self;
        histogram!(names::LEDGER_STATEMENT_DURATION, "statement" => statement).record(took.as_secs_f64());
        let slow =
            |mark| counter!(names::LEDGER_SLOW_STATEMENTS, "statement" => statement, "mark" => mark).increment(1);
        match slowness {
            Slowness::None => {}
            Slowness::Warn => {
                slow("warn");
                warn!(statement, took_ms = millis(took), "a ledger statement was slow");
            }
            Slowness::Error => {
                slow("error");
                error!(statement, took_ms = millis(took), "a ledger statement was very slow");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::happenings::tests::recorded;

    #[test]
    fn rows_that_cannot_be_dropped_are_counted() {
        let lines = recorded(|| RetentionFailed { what: "decisions", error: "it is away" }.record());
        assert!(
            lines.contains(&r#"gatekeeper_ledger_retention_failures_total{what="decisions"} 1"#.to_owned()),
            "{lines:#?}"
        );
    }
}
