//! What happens between us and a Kafka cluster.

use std::time::Duration;

use metrics::{counter, gauge};
use tracing::{info, warn};

use super::{gauge, listed, millis};
use crate::domain::position::Partition;
use crate::telemetry::metric_names as names;

/// A client of the cluster met an error; librdkafka goes on by itself unless something else is said.
#[derive(Debug, Clone, Copy)]
pub struct ClientTroubled<'a> {
    /// Which client.
    pub client: &'static str,
    /// librdkafka's code.
    pub code: &'a str,
    /// librdkafka's words.
    pub reason: &'a str,
}

impl ClientTroubled<'_> {
    /// Log and count it.
    pub fn record(&self) {
        let code = self.code.to_owned();
        counter!(names::KAFKA_TROUBLES, "client" => self.client, "code" => code).increment(1);
        warn!(client = self.client, code = self.code, "{}", self.reason);
    }
}

/// The producer of bursts is dropped: a delayed request of it must not end a later transaction.
#[derive(Debug, Clone, Copy)]
pub struct ProducerReplaced<'a> {
    /// Why.
    pub reason: &'a str,
    /// Somebody else initialised a producer under our transactional id.
    pub fenced: bool,
}

impl ProducerReplaced<'_> {
    /// Log and count it.
    pub fn record(&self) {
        let fenced = if self.fenced { "true" } else { "false" };
        counter!(names::PRODUCERS_REPLACED, "fenced" => fenced).increment(1);
        if self.fenced {
            warn!(
                reason = self.reason,
                "fenced: another instance took our partitions for orphaned, or runs with our log.kafka.transactional_id"
            );
        } else {
            info!(reason = self.reason, "the producer of bursts is replaced");
        }
    }
}

/// A commit got no answer; the committed positions said what became of it.
#[derive(Debug, Clone, Copy)]
pub struct CommitLookedUp<'a> {
    /// Whether it stands.
    pub committed: bool,
    /// How long it took to know.
    pub took: Duration,
    /// Why there was no answer.
    pub reason: &'a str,
}

impl CommitLookedUp<'_> {
    /// Log and count it.
    pub fn record(&self) {
        let committed = if self.committed { "true" } else { "false" };
        counter!(names::COMMITS_LOOKED_UP, "committed" => committed).increment(1);
        warn!(
            committed = self.committed,
            took_ms = millis(self.took),
            reason = self.reason,
            "a commit of unknown outcome was looked up"
        );
    }
}

/// A dead writer's open transaction was ended, so that its partitions can be read.
#[derive(Debug, Clone, Copy)]
pub struct OrphanFenced<'a> {
    /// The writer's transactional id.
    pub writer: &'a str,
    /// What it kept unreadable.
    pub partitions: &'a [Partition],
    /// How long it took.
    pub took: Duration,
}

impl OrphanFenced<'_> {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::ORPHANS_FENCED).increment(1);
        warn!(
            writer = self.writer,
            partitions = listed(self.partitions),
            took_ms = millis(self.took),
            "the last writer of partitions that are ours now left a transaction open: it was fenced"
        );
    }
}

/// Partitions that were added to a topic are ours, and wait until the old ones are worked off.
#[derive(Debug, Clone, Copy)]
pub struct PartitionsHeld<'a> {
    /// Which; none: not any more.
    pub partitions: &'a [Partition],
    /// What they wait for.
    pub why: Option<&'a str>,
}

impl PartitionsHeld<'_> {
    /// Log and count it.
    pub fn record(&self) {
        gauge!(names::PARTITIONS_ADDED).set(gauge(self.partitions.len()));
        match self.why {
            Some(why) => warn!(partitions = listed(self.partitions), why, "added partitions are not read yet"),
            None => info!("added partitions are read from now on"),
        }
    }
}

/// The cluster does not say where partitions of ours stand: they wait, and the others go on.
#[derive(Debug, Clone, Copy)]
pub struct PartitionsUnknown<'a> {
    /// Which; none: not any more.
    pub partitions: &'a [Partition],
    /// What was heard instead of an answer.
    pub why: Option<&'a str>,
    /// For how long.
    pub waited: Duration,
}

impl PartitionsUnknown<'_> {
    /// Log and count it.
    pub fn record(&self) {
        gauge!(names::PARTITIONS_UNKNOWN).set(gauge(self.partitions.len()));
        let (partitions, waited_ms) = (listed(self.partitions), millis(self.waited));
        match self.why {
            Some(why) => warn!(partitions, waited_ms, why, "the cluster does not say where partitions of ours stand"),
            None => info!("where all partitions of ours stand is known"),
        }
    }
}

/// How much is read ahead of the road; said every turn of the polling thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadAheadFill {
    /// Records.
    pub records: usize,
    /// Most there may be.
    pub max: usize,
}

impl ReadAheadFill {
    /// Count it; too frequent to log.
    pub fn record(&self) {
        gauge!(names::READ_AHEAD).set(gauge(self.records));
        gauge!(names::READ_AHEAD_MAX).set(gauge(self.max));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::TopicRole;
    use crate::telemetry::happenings::tests::recorded;

    #[test]
    fn trouble_with_the_cluster_is_counted_by_kind() {
        let lines = recorded(|| {
            ClientTroubled { client: "producer", code: "AllBrokersDown", reason: "no broker" }.record();
            ProducerReplaced { reason: "a commit took 3s", fenced: false }.record();
            CommitLookedUp { committed: true, took: Duration::from_secs(1), reason: "timed out" }.record();
            OrphanFenced { writer: "gatekeeper-2", partitions: &[], took: Duration::from_secs(1) }.record();
            ReadAheadFill { records: 7, max: 4_000 }.record();
            let added = [Partition { topic: TopicRole::Events, number: 4 }];
            PartitionsUnknown { partitions: &added, why: Some("no leader"), waited: Duration::from_secs(5) }.record();
            PartitionsHeld { partitions: &added, why: Some("events/1 is not worked off") }.record();
        });
        for line in [
            "gatekeeper_kafka_troubles_total{client=\"producer\",code=\"AllBrokersDown\"} 1",
            "gatekeeper_producers_replaced_total{fenced=\"false\"} 1",
            "gatekeeper_commits_looked_up_total{committed=\"true\"} 1",
            "gatekeeper_orphans_fenced_total 1",
            "gatekeeper_read_ahead_records 7",
            "gatekeeper_partitions_added 1",
            "gatekeeper_partitions_unknown 1",
            "gatekeeper_read_ahead_records_max 4000",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
        }
    }
}
