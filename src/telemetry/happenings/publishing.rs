//! How results get into the log.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tracing::{debug, warn};

use super::{count, gauge, millis};
use crate::domain::position::Partition;
use crate::telemetry::metric_names as names;

/// A burst is in the log.
#[derive(Debug, Clone, Copy)]
pub struct BurstCommitted {
    /// Terminals in it.
    pub results: usize,
    /// From the errand to the confirmed commit.
    pub duration: Duration,
}

impl BurstCommitted {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::BURSTS, "outcome" => "committed").increment(1);
        counter!(names::BURST_RESULTS).increment(count(self.results));
        histogram!(names::BURST_DURATION).record(self.duration.as_secs_f64());
        debug!(results = self.results, duration_ms = millis(self.duration), "burst committed");
    }
}

/// How a burst failed. Either way nothing of it is in the log, and its results are in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BurstFailure<'a> {
    /// Ownership changed while it was made.
    Refused,
    /// It is tried again.
    NotCommitted {
        /// Why, in the adapter's words.
        reason: &'a str,
    },
}

/// A burst is not in the log.
#[derive(Debug, Clone, Copy)]
pub struct BurstFailed<'a> {
    /// Terminals in it.
    pub results: usize,
    /// How.
    pub failure: BurstFailure<'a>,
}

impl BurstFailed<'_> {
    /// Log and count it.
    pub fn record(&self) {
        match self.failure {
            BurstFailure::Refused => {
                counter!(names::BURSTS, "outcome" => "refused").increment(1);
                // Part of every rebalance.
                debug!(results = self.results, "burst refused: ownership changed");
            }
            BurstFailure::NotCommitted { reason } => {
                counter!(names::BURSTS, "outcome" => "not_committed").increment(1);
                warn!(results = self.results, reason, "burst not committed: it is tried again");
            }
        }
    }
}

/// Operators are not told something on the log: too much of it waits for a burst that can go.
#[derive(Debug, Clone, Copy)]
pub struct OpsEventDropped {
    /// How many wait.
    pub waiting: usize,
}

impl OpsEventDropped {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::OPS_EVENTS_DROPPED).increment(1);
        warn!(waiting = self.waiting, "a record for operators is dropped: no burst takes them");
    }
}

/// How far a partition's finished records lie apart; said with every burst.
#[derive(Debug, Clone, Copy)]
pub struct FrontierWidened {
    /// Which.
    pub partition: Partition,
    /// Finished records above the lowest unfinished one.
    pub width: usize,
    /// Length of the metadata.
    pub metadata_chars: usize,
    /// Most it may have.
    pub metadata_max_chars: usize,
}

impl FrontierWidened {
    /// Count it; too frequent to log.
    pub fn record(&self) {
        let partition = self.partition.to_string();
        gauge!(names::FRONTIER_WIDTH, "partition" => partition.clone()).set(gauge(self.width));
        gauge!(names::FRONTIER_METADATA, "partition" => partition).set(gauge(self.metadata_chars));
        gauge!(names::FRONTIER_METADATA_MAX).set(gauge(self.metadata_max_chars));
    }
}

/// A partition is not ours any more.
#[derive(Debug, Clone, Copy)]
pub struct FrontierLeft {
    /// Which partition.
    pub partition: Partition,
}

impl FrontierLeft {
    /// What was measured last is true no more.
    pub fn record(&self) {
        let partition = self.partition.to_string();
        gauge!(names::FRONTIER_WIDTH, "partition" => partition.clone()).set(0.0);
        gauge!(names::FRONTIER_METADATA, "partition" => partition).set(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::TopicRole;
    use crate::telemetry::happenings::tests::recorded;

    #[test]
    fn every_end_of_a_burst_is_told_apart() {
        let lines = recorded(|| {
            BurstCommitted { results: 7, duration: Duration::from_millis(4) }.record();
            BurstFailed { results: 1, failure: BurstFailure::Refused }.record();
            BurstFailed { results: 1, failure: BurstFailure::NotCommitted { reason: "timed out" } }.record();
            let partition = Partition { topic: TopicRole::Events, number: 3 };
            FrontierWidened { partition, width: 12, metadata_chars: 90, metadata_max_chars: 4_096 }.record();
        });
        for line in [
            "gatekeeper_bursts_total{outcome=\"committed\"} 1",
            "gatekeeper_bursts_total{outcome=\"refused\"} 1",
            "gatekeeper_bursts_total{outcome=\"not_committed\"} 1",
            "gatekeeper_burst_results_total 7",
            "gatekeeper_frontier_width{partition=\"events/3\"} 12",
            "gatekeeper_frontier_metadata_chars_max 4096",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
        }
    }
}
