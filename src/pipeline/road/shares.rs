//! Shared limits, as far as the road has a part in them: admission says what to ask for, and is told what came of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Road;
use crate::pipeline::admit::shares::{Ask, Reply};

impl Road {
    /// Tenants' limits are shared among instances, by trips this far apart.
    pub fn share_limits(&mut self, every: Duration) {
        self.admission.share(every);
    }

    /// When there is something to ask for.
    #[must_use]
    pub fn trip_due(&self) -> Option<Instant> {
        self.admission.trip_due()
    }

    /// What is to be asked for now.
    pub fn trip(&mut self, now: Instant) -> Vec<Ask> {
        self.admission.trip(now)
    }

    /// What came of it; calls begin at the next turn.
    pub fn trip_answered(&mut self, replies: Vec<(Arc<str>, Reply)>, now: Instant) {
        for (tenant, reply) in replies {
            self.admission.trip_answered(now, &tenant, reply);
        }
    }

    /// Nothing came of it.
    pub fn trip_failed(&mut self, tenants: &[Arc<str>], now: Instant) {
        for tenant in tenants {
            self.admission.trip_failed(now, tenant);
        }
    }

    /// What is still held goes back.
    pub fn farewell(&mut self, now: Instant) -> Vec<Ask> {
        self.admission.farewell(now)
    }
}
