//! `ledger.*`: what remembers events, answers and verdicts.

use std::time::Duration;

use serde::Deserialize;

use super::secret::Secret;

/// The ledger.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Without it there is no dedupe and no saved answer: a crash pays again and a resend is decided again.
    pub enabled: bool,
    /// `sqlite:PATH` or `postgres://USER@HOST/DATABASE`.
    pub url: String,
    /// How long a server that is away is waited for at the start.
    #[serde(with = "humantime_serde")]
    pub start_patience: Duration,
    /// How long a dedupe key is remembered after its verdict was published.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
    /// How long a rejected event's row lives: as long as the dead letters.
    #[serde(with = "humantime_serde")]
    pub rejected_window: Duration,
    /// How long a decision is kept so that feedback can be joined with it.
    #[serde(with = "humantime_serde")]
    pub decisions_window: Duration,
    /// How often old rows are dropped.
    #[serde(with = "humantime_serde")]
    pub retention_interval: Duration,
    /// Rows dropped at once.
    pub retention_batch: u32,
    /// Entries written in one transaction.
    pub batch_max_entries: usize,
    /// From the start of one transaction to the start of the next, unless it is full before.
    #[serde(with = "humantime_serde")]
    pub batch_interval: Duration,
    /// A statement slower than this is a warning.
    #[serde(with = "humantime_serde")]
    pub slow_warn: Duration,
    /// A statement slower than this is an error.
    #[serde(with = "humantime_serde")]
    pub slow_error: Duration,
    /// SQLite: how long to wait for another process's write lock.
    #[serde(with = "humantime_serde")]
    pub busy_timeout: Duration,
    /// What only a server needs.
    pub postgres: Postgres,
}

impl Ledger {
    /// From one batch to the next; without a ledger nothing is gained by waiting.
    #[must_use]
    pub fn interval(&self) -> Duration {
        if self.enabled { self.batch_interval } else { Duration::ZERO }
    }
}

/// The ledger on a Postgres server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// The user's password.
    pub password: Option<Secret>,
    /// Connections of this process.
    pub max_connections: u32,
    /// How long to wait for a free or a new connection.
    #[serde(with = "humantime_serde")]
    pub acquire_timeout: Duration,
    /// A statement that takes longer is cancelled.
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
    /// A statement that waits longer for a lock is cancelled.
    #[serde(with = "humantime_serde")]
    pub lock_timeout: Duration,
    /// A transaction in which nothing happens for so long is ended by the server.
    #[serde(with = "humantime_serde")]
    pub idle_in_transaction_timeout: Duration,
    /// A connection held longer is reported.
    #[serde(with = "humantime_serde")]
    pub leak_after: Duration,
    /// How often this process says that it is alive.
    #[serde(with = "humantime_serde")]
    pub heartbeat_interval: Duration,
    /// After how long without a word a process counts as dead.
    #[serde(with = "humantime_serde")]
    pub heartbeat_stale: Duration,
}
