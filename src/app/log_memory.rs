//! The ledger remembers for the log who wrote where, and how many partitions are read. Neither knows the other: this stands
//! between them.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::adapters::kafka;
use crate::pipeline::dedupe::ledger::places::{Counted, Growth};
use crate::pipeline::dedupe::ledger::{Ledger, LedgerError};

/// Asks the ledger, once there is one: the log is opened first.
pub struct LogMemory {
    runtime: Handle,
    ledger: OnceLock<Arc<dyn Ledger>>,
}

impl LogMemory {
    /// Knows nothing yet. Call it on the runtime that the ledger works on.
    pub fn new() -> Self {
        Self { runtime: Handle::current(), ledger: OnceLock::new() }
    }

    /// The ledger is open.
    pub fn ask(&self, ledger: Arc<dyn Ledger>) {
        // Whoever was told before is as good: there is one ledger.
        self.ledger.set(ledger).ok();
    }

    fn wait<'a, T, F>(&'a self, patience: Duration, question: impl FnOnce(&'a dyn Ledger) -> F) -> Result<T, String>
    where
        F: Future<Output = Result<T, LedgerError>>,
    {
        let ledger = self.ledger.get().ok_or("the ledger is not open yet")?;
        let asking = async { tokio::time::timeout(patience, question(&**ledger)).await };
        match self.runtime.block_on(asking) {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("the ledger said nothing within {patience:?}")),
        }
    }
}

impl kafka::Writers for LogMemory {
    fn last(&self, topic_id: &str, partition: u32, patience: Duration) -> Option<String> {
        self.wait(patience, |ledger| ledger.writer(topic_id, partition)).unwrap_or_else(|why| {
            tracing::warn!(topic_id, partition, why, "who wrote here last is not known yet");
            None
        })
    }
}

impl kafka::Counts for LogMemory {
    fn counted(&self, topic_id: &str, patience: Duration) -> Result<Option<kafka::Counted>, String> {
        Ok(self.wait(patience, |ledger| ledger.counted(topic_id))?.map(told))
    }

    fn count(
        &self,
        topic_id: &str,
        from: Option<&kafka::Counted>,
        to: &kafka::Counted,
        patience: Duration,
    ) -> Result<kafka::Counted, String> {
        let (from, to) = (from.map(asked), asked(to));
        self.wait(patience, |ledger| ledger.count(topic_id, from.as_ref(), &to)).map(told)
    }
}

fn told(Counted { settled, growth }: Counted) -> kafka::Counted {
    kafka::Counted { settled, growth: growth.map(|Growth { to, ends }| (to, ends)) }
}

fn asked(kafka::Counted { settled, growth }: &kafka::Counted) -> Counted {
    let growth = growth.clone().map(|(to, ends)| Growth { to, ends });
    Counted { settled: *settled, growth }
}
