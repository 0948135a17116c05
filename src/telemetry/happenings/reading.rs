//! What is read, by whom, and when reading stops.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tracing::{debug, error, info, warn};

use super::{count, gauge, listed, millis};
use crate::domain::position::Partition;
use crate::telemetry::metric_names as names;

/// Records of one partition arrived.
#[derive(Debug, Clone, Copy)]
pub struct RecordsRead {
    /// Which.
    pub partition: Partition,
    /// How many.
    pub records: usize,
    /// Bytes of their values.
    pub bytes: usize,
}

impl RecordsRead {
    /// Log and count it.
    pub fn record(&self) {
        let topic = self.partition.topic.key();
        counter!(names::RECORDS_READ, "topic" => topic).increment(count(self.records));
        counter!(names::RECORDS_READ_BYTES, "topic" => topic).increment(count(self.bytes));
        debug!(partition = %self.partition, records = self.records, bytes = self.bytes, "records read");
    }
}

/// Why reading stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PauseReason {
    /// `pipeline.max_on_road`.
    RoadFull,
    /// `pipeline.max_waiting_per_tenant`.
    TenantQueueFull,
    /// `pipeline.metadata_pause_percent`.
    FrontierWide,
    /// Deferred events that are not due yet.
    NotDue,
    /// The ledger does not answer.
    LedgerAway,
    /// A record waits until the registry says what its schema id means.
    SchemaUnknown,
    /// The process ends.
    Draining,
}

impl PauseReason {
    /// All there are.
    pub(in crate::telemetry) const ALL: [Self; 7] = [
        Self::RoadFull,
        Self::TenantQueueFull,
        Self::FrontierWide,
        Self::NotDue,
        Self::LedgerAway,
        Self::SchemaUnknown,
        Self::Draining,
    ];

    /// As a label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::RoadFull => "road_full",
            Self::TenantQueueFull => "tenant_queue_full",
            Self::FrontierWide => "frontier_wide",
            Self::NotDue => "not_due",
            Self::LedgerAway => "ledger_away",
            Self::SchemaUnknown => "schema_unknown",
            Self::Draining => "draining",
        }
    }
}

/// Reading of these stopped.
#[derive(Debug, Clone, Copy)]
pub struct ReadingPaused<'a> {
    /// Which.
    pub partitions: &'a [Partition],
    /// Why.
    pub reason: PauseReason,
    /// All that are paused for this reason now.
    pub paused_now: usize,
}

impl ReadingPaused<'_> {
    /// Log and count it.
    pub fn record(&self) {
        let reason = self.reason.label();
        counter!(names::READING_PAUSES, "reason" => reason).increment(1);
        gauge!(names::PARTITIONS_PAUSED, "reason" => reason).set(gauge(self.paused_now));
        debug!(partitions = listed(self.partitions), reason, "reading paused");
    }
}

/// Reading of these goes on.
#[derive(Debug, Clone, Copy)]
pub struct ReadingResumed<'a> {
    /// Which.
    pub partitions: &'a [Partition],
    /// Why they were paused.
    pub reason: PauseReason,
    /// All that are still paused for this reason.
    pub paused_now: usize,
}

impl ReadingResumed<'_> {
    /// Log and count it.
    pub fn record(&self) {
        let reason = self.reason.label();
        gauge!(names::PARTITIONS_PAUSED, "reason" => reason).set(gauge(self.paused_now));
        debug!(partitions = listed(self.partitions), reason, "reading resumed");
    }
}

/// A partition whose reading was paused is not ours any more, or is paused for another reason now.
#[derive(Debug, Clone, Copy)]
pub struct PausedFor {
    /// Why it was paused, or is.
    pub reason: PauseReason,
    /// All that are paused for this reason now.
    pub paused_now: usize,
}

impl PausedFor {
    /// Count them.
    pub fn record(&self) {
        gauge!(names::PARTITIONS_PAUSED, "reason" => self.reason.label()).set(gauge(self.paused_now));
    }
}

macro_rules! ownership_changed {
    ($(#[$doc:meta])* $name:ident, $change:literal, $level:ident, $message:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name<'a> {
            /// Which.
            pub partitions: &'a [Partition],
            /// All that are ours from now on.
            pub owned_now: usize,
        }

        impl $name<'_> {
            /// Log and count it.
            pub fn record(&self) {
                counter!(names::PARTITION_CHANGES, "change" => $change).increment(count(self.partitions.len()));
                gauge!(names::PARTITIONS_OWNED).set(gauge(self.owned_now));
                $level!(partitions = listed(self.partitions), owned = self.owned_now, $message);
            }
        }
    };
}

ownership_changed! {
    /// These are ours from now on.
    PartitionsAssigned, "assigned", info, "partitions assigned"
}
ownership_changed! {
    /// These were given back after a last burst.
    PartitionsRevoked, "revoked", info, "partitions revoked"
}
ownership_changed! {
    /// These went without a last burst: their results belong to the new owner, who decides from the saved answers.
    PartitionsLost, "lost", warn, "partitions lost"
}

/// A partition cannot be resumed from its committed position: it is not read until a person has looked.
#[derive(Debug, Clone, Copy)]
pub struct PartitionStopped<'a> {
    /// Which.
    pub partition: Partition,
    /// Why, and what to do.
    pub reason: &'a str,
}

impl PartitionStopped<'_> {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::PARTITION_CHANGES, "change" => "stopped").increment(1);
        error!(partition = %self.partition, reason = self.reason, "partition stopped: cannot resume from its committed position");
    }
}

/// Nobody listened to the log, or the whole process was away, for too long: paid calls wait for a sign that the
/// partitions are still ours.
#[derive(Debug, Clone, Copy)]
pub struct AwayNoticed {
    /// How long.
    pub silent: Duration,
}

impl AwayNoticed {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::AWAY).increment(1);
        histogram!(names::AWAY_DURATION).record(self.silent.as_secs_f64());
        warn!(
            silent_ms = millis(self.silent),
            "process or consumer stalled: paid calls on hold until ownership is confirmed"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::TopicRole;
    use crate::telemetry::happenings::tests::recorded;

    #[test]
    fn reading_pausing_and_ownership_are_counted() {
        let partition = |number| Partition { topic: TopicRole::Events, number };
        let both = [partition(0), partition(1)];
        let lines = recorded(|| {
            RecordsRead { partition: partition(0), records: 3, bytes: 500 }.record();
            PartitionsAssigned { partitions: &both, owned_now: 2 }.record();
            PartitionsLost { partitions: &both[..1], owned_now: 1 }.record();
            ReadingPaused { partitions: &both, reason: PauseReason::RoadFull, paused_now: 2 }.record();
            ReadingResumed { partitions: &both[..1], reason: PauseReason::RoadFull, paused_now: 1 }.record();
            AwayNoticed { silent: Duration::from_secs(3) }.record();
            PartitionStopped { partition: partition(1), reason: "its position is lost" }.record();
        });
        for line in [
            "gatekeeper_records_read_total{topic=\"events\"} 3",
            "gatekeeper_records_read_bytes_total{topic=\"events\"} 500",
            "gatekeeper_partition_changes_total{change=\"assigned\"} 2",
            "gatekeeper_partition_changes_total{change=\"lost\"} 1",
            "gatekeeper_partitions_owned 1",
            "gatekeeper_reading_pauses_total{reason=\"road_full\"} 1",
            "gatekeeper_partitions_paused{reason=\"road_full\"} 1",
            "gatekeeper_away_total 1",
            "gatekeeper_partition_changes_total{change=\"stopped\"} 1",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
        }
    }
}
