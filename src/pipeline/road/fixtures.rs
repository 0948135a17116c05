//! What the road is given once and for all: its settings, and the stages that it asks.

use std::sync::Arc;

use crate::domain::clock::Clock;
use crate::pipeline::ingest::Ingest;
use crate::pipeline::publish::Publisher;
use crate::pipeline::triage::guard::Guard;
use crate::settings::pipeline::Pipeline;
use crate::settings::topics::Topics;

/// Given at the start.
pub struct Fixtures {
    /// Bounds and intervals.
    pub settings: Pipeline,
    /// Reads records.
    pub ingest: Ingest,
    /// Writes records.
    pub publisher: Publisher,
    /// Estimates and fingerprints; it is asked itself by the run loop.
    pub guard: Arc<Guard>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Names this instance in commit metadata.
    pub writer: String,
    /// Names this process in commit metadata.
    pub incarnation: u64,
    /// Names of topics, for origins.
    pub topics: Topics,
    /// Whether events may be put off: there is a ledger to remember it, and the delay tiers are read.
    pub defers: bool,
    /// `ce_source` of our own outputs, to recognise our echo.
    pub our_source: String,
}
