//! `log.*`: where records are read and written.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::kafka::Kafka;

/// The log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Which engine.
    pub kind: LogKind,
    /// One SQLite file.
    pub embedded: EmbeddedLog,
    /// A Kafka cluster.
    pub kafka: Kafka,
}

impl Log {
    /// The consumer group whose position is committed; a ledger is bound to one.
    #[must_use]
    pub fn group_id(&self) -> &str {
        match self.kind {
            LogKind::Embedded => &self.embedded.group_id,
            LogKind::Kafka => &self.kafka.group_id,
        }
    }
}

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// One SQLite file.
    Embedded,
    /// A Kafka cluster.
    Kafka,
}

/// The embedded log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddedLog {
    /// The file.
    pub path: PathBuf,
    /// The consumer group whose position is committed.
    pub group_id: String,
    /// Partitions of topics that it creates.
    pub partitions: u32,
    /// How often an idle reader looks for new records.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
    /// Records handed over at once.
    pub batch_max_records: usize,
    /// Bytes of values handed over at once.
    pub batch_max_bytes: usize,
    /// The largest record that is published, with its envelope.
    pub max_message_bytes: usize,
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
