//! What the ledger does.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tracing::{debug, info, warn};

use super::count;
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
        debug!(entries = self.entries, duration_ms = self.duration.as_millis(), "ledger batch committed");
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
            holding_for_ms = self.holding_for.as_millis(),
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
        info!(held_for_ms = self.held_for.as_millis(), "the ledger is there again");
    }
}
