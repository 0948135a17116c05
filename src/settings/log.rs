//! `log.*`: where records are read and written.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// The log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Which engine.
    pub kind: LogKind,
    /// The consumer group; a ledger is bound to one.
    pub group_id: String,
    /// One SQLite file.
    pub embedded: EmbeddedLog,
}

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// One SQLite file.
    Embedded,
}

/// The embedded log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddedLog {
    /// The file.
    pub path: PathBuf,
    /// Partitions of topics that it creates.
    pub partitions: u32,
    /// How often an idle reader looks for new records.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
    /// Records handed over at once.
    pub batch_max_records: usize,
    /// Bytes of values handed over at once.
    pub batch_max_bytes: usize,
    /// Records older than this go, once every group is past them.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    /// Bytes a partition may hold before its oldest records go, once every group is past them; 0: no limit.
    pub retention_bytes: u64,
    /// How often retention looks.
    #[serde(with = "humantime_serde")]
    pub retention_interval: Duration,
    /// How long a writer waits for another process's write lock.
    #[serde(with = "humantime_serde")]
    pub busy_timeout: Duration,
}
