//! One call under a breaker, from its leave to its end.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Outcome, Shared};

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
            self.breaker.settle(self.generation, self.probe, Outcome::Failure, Instant::now());
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permit({}, generation {}, probe: {})", self.breaker.model, self.generation, self.probe)
    }
}
