//! Connections that came back a moment ago, kept for whoever is next.
//!
//! The library's pool asks each connection that comes back whether it lives. After every batch that would be a round trip
//! for nothing: the batch before has just been answered.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::pool::PoolConnection;
use sqlx::postgres::Postgres;
use tokio::time::{Instant, timeout_at};

/// A connection that lay idle for longer is asked whether it is alive before it is used: one that was used a moment ago
/// need not pay a round trip for that.
pub(super) const FRESH: Duration = Duration::from_secs(1);

/// After a failover, or when an address changes, old connections go within this time.
pub(super) const MAX_LIFETIME: Duration = Duration::from_secs(30 * 60);

/// As many batches are on their way at a time; what is beyond goes back to the library's pool.
const KEPT: usize = 2;

/// A connection, and since when it is out of the library's pool.
pub(super) struct Lent {
    pub(super) connection: PoolConnection<Postgres>,
    pub(super) since: Instant,
}

/// Those that are kept, and since when each has been idle.
#[derive(Default)]
pub(super) struct Parked(Mutex<Vec<(Lent, Instant)>>);

impl Parked {
    /// Keep it, unless there are enough, or it is so old that the pool has to look at it.
    pub(super) fn keep(&self, lent: Lent) {
        let now = Instant::now();
        let mut kept = self.kept();
        if kept.len() < KEPT && now - lent.since < MAX_LIFETIME {
            kept.push((lent, now));
        }
    }

    /// One that is alive, if there is one: who was idle for a while is asked first, all of them together until the deadline.
    pub(super) async fn take(&self, deadline: Instant) -> Option<Lent> {
        loop {
            let (mut lent, idle_since) = self.kept().pop()?;
            if idle_since.elapsed() <= FRESH || matches!(timeout_at(deadline, lent.connection.ping()).await, Ok(Ok(())))
            {
                return Some(lent);
            }
            lent.connection.close_on_drop();
        }
    }

    /// Nothing is left half-done under the lock.
    fn kept(&self) -> MutexGuard<'_, Vec<(Lent, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Parked {
    /// Whoever drops the ledger may stand outside the runtime, which the way back into the pool would need.
    fn drop(&mut self) {
        for (lent, _) in self.kept().drain(..) {
            drop(lent.connection.detach());
        }
    }
}
