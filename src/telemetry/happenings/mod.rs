//! One struct per happening: `record()` logs and counts it, at the one place where both are said.
//!
//! What an operator has to see is `info` and above; what happens per event is `debug`, or a busy hour fills a disk.

mod better;
mod changes;
mod cluster;
mod events;
mod flags;
mod ledger;
mod ledger_pool;
mod limits;
mod login;
mod models;
mod pacing;
mod process;
mod publishing;
mod reading;
mod registry;
mod reviews;
mod road;

use std::time::Duration;

pub use better::{BetterDecision, BetterStep};
pub use changes::{ChangesTaken, ChangesUnread, RefusedFrom, TenantSwitched, TenantsRefused, TenantsReloaded};
pub use cluster::{
    ClientTroubled, CommitLookedUp, OrphanFenced, PartitionsHeld, PartitionsUnknown, ProducerReplaced, ReadAheadFill,
};
pub(in crate::telemetry) use events::status_label;
pub use events::{AnswerReused, CallsReattached, EventSettled, ForeignKeyRead, RecordDroppedUnsettled};
pub use flags::{FlagRefused, FlagShare, FlagSwitched, FlagsRead, LookedFirst};
pub use ledger::{
    LedgerAvailable, LedgerBatchCommitted, LedgerStatementRun, LedgerUnavailable, RetentionFailed, Slowness,
};
pub use ledger_pool::{LedgerLeakSuspected, LedgerPoolExhausted, LedgerPoolFilled, LedgerPoolUsed, PoolMark};
pub use limits::{
    BudgetExhausted, BudgetGone, BudgetLevel, BudgetNearlySpent, BudgetRenewed, BudgetWouldBite, LimitWouldHold,
    SharesAvailable, SharesAway, SharesTripMade,
};
pub use login::{ClientNotLetIn, TokenNotRenewed, TokenRenewed};
pub use models::{BreakerChanged, BreakerSeen, BreakerState, CallOutcome, ModelAnswered, ModelCalled};
pub use pacing::{ModelPace, ModelPaused, ModelSlowed, Slowed};
pub use process::{DependencyAwaited, DependencyThere, Draining, Stopped};
pub use publishing::{BurstCommitted, BurstFailed, BurstFailure, FrontierLeft, FrontierWidened, OpsEventDropped};
pub use reading::{
    AwayNoticed, PartitionStopped, PartitionsAssigned, PartitionsLost, PartitionsRevoked, PauseReason, PausedFor,
    ReadingPaused, ReadingResumed, RecordsRead,
};
pub use registry::{LookupOutcome, PartitionHeld, PartitionReleased, SchemaLookedUp, StartHeldByRegistry};
pub use reviews::{FeedbackEnd, FeedbackJoined, FeedbackSettled, FieldJudged, Outcome};
pub use road::{Fill, RoadGauges};

/// Whole numbers as Prometheus has them: exact up to 2^53, which no gauge of ours reaches.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn gauge(value: usize) -> f64 {
    value as f64
}

fn count(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// Whole milliseconds as log lines have them: a number of 128 bits would be written as a text.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Partitions as one field of a log line.
fn listed(partitions: &[crate::domain::position::Partition]) -> String {
    partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::telemetry::LogFormat;
    use crate::telemetry::logging::tests::lines;
    use crate::telemetry::recorder;

    #[test]
    fn a_time_is_a_number_and_a_tenant_has_one_name() {
        let said = lines("debug", LogFormat::Json, || {
            let wait = Duration::from_millis(163);
            LimitWouldHold { tenant_id: "acme", wait, is_deferral: false }.record();
        });
        let said: serde_json::Value = serde_json::from_str(&said[0]).expect("JSON");
        assert_eq!((said["wait_ms"].as_u64(), said["tenant.id"].as_str()), (Some(163), Some("acme")), "{said}");
    }

    /// What these happenings recorded, without help and types.
    pub(super) fn recorded(act: impl FnOnce()) -> Vec<String> {
        let (recorder, handle) = recorder::local();
        metrics::with_local_recorder(&recorder, act);
        handle.render().lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect()
    }
}
