//! The ledger remembers for the log who wrote where. Neither knows the other: this stands between them.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::adapters::kafka;
use crate::pipeline::dedupe::ledger::Ledger;

/// Asks the ledger, once there is one: the log is opened first.
pub struct LedgerWriters {
    runtime: Handle,
    ledger: OnceLock<Arc<dyn Ledger>>,
}

impl LedgerWriters {
    /// Knows nobody yet. Call it on the runtime that the ledger works on.
    pub fn new() -> Self {
        Self { runtime: Handle::current(), ledger: OnceLock::new() }
    }

    /// The ledger is open.
    pub fn ask(&self, ledger: Arc<dyn Ledger>) {
        // Whoever was told before is as good: there is one ledger.
        self.ledger.set(ledger).ok();
    }
}

impl kafka::Writers for LedgerWriters {
    fn last(&self, topic_id: &str, partition: u32, patience: Duration) -> Option<String> {
        let ledger = self.ledger.get()?;
        let asking = async { tokio::time::timeout(patience, ledger.writer(topic_id, partition)).await };
        match self.runtime.block_on(asking) {
            Ok(Ok(writer)) => writer,
            Ok(Err(error)) => {
                tracing::warn!(%error, topic_id, partition, "the ledger does not say who wrote to this partition last");
                None
            }
            Err(_) => {
                tracing::warn!(?patience, topic_id, partition, "the ledger did not say in time who wrote here last");
                None
            }
        }
    }
}
