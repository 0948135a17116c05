//! How the process starts and ends.

use std::time::Duration;

use metrics::gauge;
use tracing::{info, warn};

use super::millis;
use crate::telemetry::metric_names as names;

/// Something the process stands on is not there at the start; it is asked for again and again.
#[derive(Debug, Clone, Copy)]
pub struct DependencyAwaited<'a> {
    /// What.
    pub dependency: &'static str,
    /// Why it is not there.
    pub error: &'a str,
    /// How long it is waited for.
    pub patience: Duration,
}

impl DependencyAwaited<'_> {
    /// Log and count it.
    pub fn record(&self) {
        gauge!(names::DEPENDENCIES_AWAITED, "dependency" => self.dependency).set(1.0);
        warn!(
            dependency = self.dependency,
            error = self.error,
            patience_s = self.patience.as_secs(),
            "the {} is away: waiting for it before anything starts",
            self.dependency
        );
    }
}

/// It is there now.
#[derive(Debug, Clone, Copy)]
pub struct DependencyThere {
    /// What.
    pub dependency: &'static str,
    /// How long it was waited for.
    pub waited: Duration,
}

impl DependencyThere {
    /// Log and count it.
    pub fn record(&self) {
        gauge!(names::DEPENDENCIES_AWAITED, "dependency" => self.dependency).set(0.0);
        info!(dependency = self.dependency, waited_ms = millis(self.waited), "it is there");
    }
}

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
        info!(in_flight = self.in_flight, deadline_ms = millis(self.deadline), "draining");
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
        let drained_for_ms = millis(self.drained_for);
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
