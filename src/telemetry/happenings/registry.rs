//! What the schema registry is asked, and who waits for it.

use std::time::Duration;

use metrics::{counter, histogram};
use tracing::{debug, info, warn};

use super::millis;
use crate::domain::position::Partition;
use crate::telemetry::metric_names as names;

/// How a look-up of an id ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupOutcome {
    /// A schema that can be read as one of our records.
    Found,
    /// The registry is well and has no such id.
    Absent,
    /// A schema that can be read as none of our records.
    Unusable,
    /// No connection.
    Unreachable,
    /// Nothing in time.
    Timeout,
    /// 401 or 403.
    Credentials,
    /// 429 or from 500 on.
    Server,
    /// Not what a registry answers.
    Garbled,
    /// Longer than allowed.
    TooLarge,
    /// Any other refusal.
    Refused,
}

impl LookupOutcome {
    /// As a label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Absent => "absent",
            Self::Unusable => "unusable",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Credentials => "credentials",
            Self::Server => "server",
            Self::Garbled => "garbled",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
        }
    }
}

/// The registry was asked for an id.
#[derive(Debug, Clone, Copy)]
pub struct SchemaLookedUp<'a> {
    /// Which.
    pub id: u32,
    /// What came of it.
    pub outcome: LookupOutcome,
    /// How long it took.
    pub took: Duration,
    /// Why there is no answer.
    pub error: Option<&'a str>,
}

impl SchemaLookedUp<'_> {
    /// Log and count it.
    pub fn record(&self) {
        let (schema_id, outcome, took_ms) = (self.id, self.outcome.label(), millis(self.took));
        counter!(names::SCHEMA_LOOKUPS, "outcome" => outcome).increment(1);
        histogram!(names::SCHEMA_LOOKUP_DURATION).record(self.took.as_secs_f64());
        match (self.outcome, self.error) {
            (LookupOutcome::Found, _) => debug!(schema_id, took_ms, "schema looked up"),
            (_, None) => info!(schema_id, outcome, took_ms, "a schema id that no value of ours can be read with"),
            (_, Some(error)) => {
                warn!(
                    schema_id,
                    outcome, took_ms, error, "a schema could not be looked up: whoever waits for it goes on waiting"
                );
            }
        }
    }
}

/// The process cannot start before the registry answers: it does not know under which ids it writes.
#[derive(Debug, Clone, Copy)]
pub struct StartHeldByRegistry<'a> {
    /// Why there is no answer.
    pub error: &'a str,
    /// When it is asked again.
    pub again_in: Duration,
}

impl StartHeldByRegistry<'_> {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::SCHEMA_STARTS_HELD).increment(1);
        warn!(
            error = self.error,
            again_in_ms = millis(self.again_in),
            "the schema registry is away: nothing is read before the ids of our outputs are known"
        );
    }
}

/// A record with an id that is not known yet keeps everything behind it waiting.
#[derive(Debug, Clone, Copy)]
pub struct PartitionHeld {
    /// Where.
    pub partition: Partition,
    /// The record.
    pub offset: u64,
    /// What it waits for.
    pub schema_id: u32,
}

impl PartitionHeld {
    /// Log and count it.
    pub fn record(&self) {
        let Self { partition, offset, schema_id } = *self;
        counter!(names::PARTITIONS_HELD).increment(1);
        debug!(%partition, offset, schema_id, "a record waits for its schema, and its partition with it");
    }
}

/// The id is known now, one way or the other.
#[derive(Debug, Clone, Copy)]
pub struct PartitionReleased {
    /// Where.
    pub partition: Partition,
    /// What it waited for.
    pub schema_id: u32,
    /// How long.
    pub held_for: Duration,
}

impl PartitionReleased {
    /// Log and count it.
    pub fn record(&self) {
        let Self { partition, schema_id, held_for } = *self;
        histogram!(names::PARTITION_HOLD_DURATION).record(held_for.as_secs_f64());
        // A first look-up takes milliseconds; longer means that the registry was away.
        if held_for < Duration::from_secs(1) {
            debug!(%partition, schema_id, held_for_ms = millis(held_for), "a partition goes on");
        } else {
            info!(%partition, schema_id, held_for_ms = millis(held_for), "a partition goes on after waiting for a schema");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::TopicRole;
    use crate::telemetry::happenings::tests::recorded;

    #[test]
    fn lookups_are_counted_by_outcome_and_holds_by_their_length() {
        let partition = Partition { topic: TopicRole::Events, number: 3 };
        let lines = recorded(|| {
            let took = Duration::from_millis(3);
            SchemaLookedUp { id: 7, outcome: LookupOutcome::Server, took, error: Some("status 500") }.record();
            SchemaLookedUp { id: 7, outcome: LookupOutcome::Found, took, error: None }.record();
            PartitionHeld { partition, offset: 4, schema_id: 7 }.record();
            PartitionReleased { partition, schema_id: 7, held_for: Duration::from_secs(2) }.record();
        });
        for line in [
            "gatekeeper_schema_lookups_total{outcome=\"server\"} 1",
            "gatekeeper_schema_lookups_total{outcome=\"found\"} 1",
            "gatekeeper_schema_lookup_duration_seconds_count 2",
            "gatekeeper_partitions_held_total 1",
            "gatekeeper_partition_hold_duration_seconds_count 1",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line} is not in {lines:#?}");
        }
    }
}
