//! Trips for shared limits: what is to be said of which tenants, and what comes back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::shares::share::Queue;
use super::shares::{Ask, Reply};
use super::{Admission, Tenant};

/// Tenants of one trip; more have the next one, which follows at once.
const MAX_ASKS: usize = 500;

impl<T> Admission<T> {
    /// Limits are shared among instances from now on, by trips this far apart. Before anything is offered.
    pub fn share(&mut self, every: Duration) {
        self.share_every = Some(every);
    }

    /// When the next trip is due.
    #[must_use]
    pub fn trip_due(&self) -> Option<Instant> {
        self.trips.first().map(|(due, _)| due)
    }

    /// What is to be said now, in the order of tenants. All of it must be answered, or fail.
    pub fn trip(&mut self, now: Instant) -> Vec<Ask> {
        let mut asks = Vec::new();
        while let Some((_, number)) = self.trips.first().filter(|(due, _)| *due <= now && asks.len() < MAX_ASKS) {
            let state = self.tenant_mut(number);
            let (queue, id) = (queue_of(state), Arc::clone(&state.id));
            asks.extend(state.allowance.share().map(|share| share.ask(now, &id, queue)));
            self.place(now, number);
        }
        asks.sort_unstable_by(|one, other| one.tenant.cmp(&other.tenant));
        asks
    }

    /// All that is held goes back: this instance ends.
    pub fn farewell(&mut self, now: Instant) -> Vec<Ask> {
        let shares = self.tenants.iter_mut().flatten().filter_map(|state| {
            let id = Arc::clone(&state.id);
            state.allowance.share().filter(|share| share.trip_due(0).is_some()).map(|share| share.farewell(now, &id))
        });
        let mut asks: Vec<_> = shares.collect();
        asks.sort_unstable_by(|one, other| one.tenant.cmp(&other.tenant));
        asks
    }

    /// A trip's answer for this tenant.
    pub fn trip_answered(&mut self, now: Instant, tenant: &str, reply: Reply) {
        self.with_share(now, tenant, |share| share.answered(now, reply));
    }

    /// The trip with this tenant failed.
    pub fn trip_failed(&mut self, now: Instant, tenant: &str) {
        self.with_share(now, tenant, |share| share.failed(now));
    }

    fn with_share(&mut self, now: Instant, tenant: &str, act: impl FnOnce(&mut super::shares::share::Share)) {
        let Some(&number) = self.numbers.get(tenant) else { return };
        if let Some(share) = self.tenant_mut(number).allowance.share() {
            act(share);
        }
        self.place(now, number);
    }
}

fn queue_of<T>(state: &Tenant<T>) -> Queue {
    Queue {
        waiting: state.queue.len(),
        first_tokens: state.queue.front().map_or(0, |first| first.tokens),
        tokens: state.queued_tokens,
    }
}
