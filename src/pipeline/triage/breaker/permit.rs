//! One call under a breaker, from its leave to its end.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::{Breaker, Outcome, Shared};

/// The right to make one call.
pub struct Permit {
    pub(super) breaker: Arc<Shared>,
    pub(super) generation: u64,
    pub(super) probe: bool,
    pub(super) settled: bool,
}

impl Permit {
    /// Whether a call may still begin under it: the breaker has not changed since.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.breaker.lock().generation == self.generation
    }

    /// Say what became of the call.
    pub fn settle(mut self, outcome: Outcome) {
        self.settled = true;
        self.breaker.settle(self.generation, self.probe, outcome, Instant::now());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.settled {
            let cut_off = self.breaker.ended.load(Ordering::Relaxed);
            let outcome = if cut_off { Outcome::Neither } else { Outcome::Failure };
            self.breaker.settle(self.generation, self.probe, outcome, Instant::now());
        }
    }
}

impl Breaker {
    /// The process ends: calls that it drops from now on say nothing about their provider.
    pub fn end(&self) {
        self.0.ended.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permit({}, generation {}, probe: {})", self.breaker.model, self.generation, self.probe)
    }
}
