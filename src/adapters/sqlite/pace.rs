//! Reports statements that are slow: by name, never with their data.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// From when on a statement is worth a word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) warn: Duration,
    pub(super) error: Duration,
}

impl Pace {
    /// Run it, and say so if it took long.
    pub(super) async fn watch<T>(self, statement: &'static str, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let result = work.await;
        let took = started.elapsed();
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if took >= self.error {
            tracing::error!(statement, took_ms, "a ledger statement was very slow");
        } else if took >= self.warn {
            tracing::warn!(statement, took_ms, "a ledger statement was slow");
        }
        result
    }
}
