//! How the process ends.

use std::time::Duration;

use metrics::gauge;
use tracing::{info, warn};

use crate::telemetry::metric_names as names;

/// No new work begins; running calls may end.
#[derive(Debug, Clone, Copy)]
pub struct Draining {
    /// Calls that run.
    pub in_flight: usize,
    /// How long they may take.
    pub deadline: Duration,
}

impl Draining {
    /// Log and count it.
    pub fn record(&self) {
        gauge!(names::DRAINING).set(1.0);
        info!(in_flight = self.in_flight, deadline_ms = self.deadline.as_millis(), "draining");
    }
}

/// The road has ended.
#[derive(Debug, Clone, Copy)]
pub struct Stopped {
    /// Records on the road that had no terminal by then; the next start reads them again.
    pub left_on_road: usize,
    /// Since draining began.
    pub drained_for: Duration,
}

impl Stopped {
    /// Log and count it.
    pub fn record(&self) {
        gauge!(names::DRAINING).set(0.0);
        let drained_for_ms = self.drained_for.as_millis();
        if self.left_on_road == 0 {
            info!(drained_for_ms, "stopped");
        } else {
            warn!(
                drained_for_ms,
                left_on_road = self.left_on_road,
                "stopped; what is left is read again at the next start"
            );
        }
    }
}
