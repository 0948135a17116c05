//! Times statements of a database, and reports the slow ones: by name, never with their data.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::happenings::{LedgerStatementRun, Slowness};

/// From when on a statement is worth a word.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// A warning.
    pub warn: Duration,
    /// An error.
    pub error: Duration,
}

impl Pace {
    /// Run it, and say how long it took.
    pub async fn watch<T>(self, statement: &'static str, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let result = work.await;
        let took = started.elapsed();
        LedgerStatementRun { statement, took, slowness: self.of(took) }.record();
        result
    }

    fn of(self, took: Duration) -> Slowness {
        if took >= self.error {
            Slowness::Error
        } else if took >= self.warn {
            Slowness::Warn
        } else {
            Slowness::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::recorder;

    #[tokio::test(start_paused = true)]
    async fn a_statement_is_marked_at_one_second_and_at_five() {
        let pace = Pace { warn: Duration::from_secs(1), error: Duration::from_secs(5) };
        let (recorder, handle) = recorder::local();
        let _here = metrics::set_default_local_recorder(&recorder);
        for millis in [0, 999, 1_000, 4_999, 5_000] {
            pace.watch("claim", tokio::time::sleep(Duration::from_millis(millis))).await;
        }
        let text = handle.render();
        for (mark, times) in [("warn", 2), ("error", 1)] {
            let line = format!("slow_statements_total{{statement=\"claim\",mark=\"{mark}\"}} {times}");
            assert!(text.contains(&line), "{text}");
        }
        assert!(text.contains("gatekeeper_ledger_statement_duration_seconds_count{statement=\"claim\"} 5"), "{text}");
    }
}
