//! The right to make one paid call for an event.

use std::time::Duration;

use tokio::time::Instant;

use super::job::{Job, Leases};
use crate::domain::money::Money;

/// The right to call for this event, given back unless an answer takes its place, and the money for it.
pub(super) struct Lease<'a> {
    pub leases: &'a dyn Leases,
    pub job: &'a Job,
    pub until: Instant,
    pub is_answered: bool,
    pub billed: Money,
}

impl Lease<'_> {
    /// Whether a call may begin under it.
    pub fn holds(&self) -> bool {
        Instant::now() < self.until
    }

    /// Whether a call of this length may begin under it.
    pub fn holds_for(&self, time: Duration) -> bool {
        self.until.saturating_duration_since(Instant::now()) >= time
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.leases.ended(self.job.key, &self.job.owner, self.billed, self.is_answered);
    }
}
