//! PORT: the log as operators' commands see it.
//!
//! `publish` appends, `watch`, `replay`, `audit`, `explain` and `redrive` read; all of it beside a running processor and
//! without taking part in its group. What a browser cannot do: move a group's positions. That is the processor's alone,
//! because positions and results commit together ([`crate::pipeline::log`]); and an operator's, while no processor runs
//! ([`super::positions`]).

use futures_util::future::BoxFuture;

use crate::domain::position::{Partition, Position, TopicRole};
use crate::domain::record::{OutRecord, Record};

/// The port. Implemented by the embedded log and by Kafka.
pub trait LogBrowser: Send + Sync + 'static {
    /// The topics of our roles that exist.
    fn topics(&self) -> BoxFuture<'_, Result<Vec<TopicInfo>, BrowseError>>;

    /// Where a partition begins and ends now.
    fn watermarks(&self, partition: Partition) -> BoxFuture<'_, Result<Watermarks, BrowseError>>;

    /// Committed records from `from` on, in order; none if there is none before the end. Offsets may have gaps, also
    /// right before the end, where a log keeps marks of its own.
    fn read(
        &self,
        partition: Partition,
        from: u64,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<Vec<Record>, BrowseError>>;

    /// Append all of these, or none; answered with their positions in the same order. After an error of the kind
    /// [`BrowseError::Unavailable`] they may or may not be in the log.
    fn append(&self, records: Vec<OutRecord>) -> BoxFuture<'_, Result<Vec<Position>, BrowseError>>;

    /// What a group committed, ordered by partition.
    fn positions<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<Vec<CommittedPosition>, BrowseError>>;

    /// Create the topics of our roles that are missing; answered with those.
    fn create_topics(&self) -> BoxFuture<'_, Result<Vec<TopicRole>, BrowseError>>;
}

/// A topic that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// What it is for.
    pub role: TopicRole,
    /// Its name.
    pub name: String,
    /// The id that positions carry.
    pub topic_id: String,
    /// How many partitions.
    pub partitions: u32,
}

/// The offsets that can be read: `log_start..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// The first.
    pub log_start: u64,
    /// The next there will be.
    pub end: u64,
}

/// How much to read at once; the first record comes whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimit {
    /// Records.
    pub max_records: usize,
    /// Bytes of keys, values and headers.
    pub max_bytes: usize,
}

/// A committed position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedPosition {
    /// Which.
    pub partition: Partition,
    /// The lowest unfinished offset.
    pub offset: u64,
    /// The finished set above it, encoded.
    pub metadata: String,
}

/// Why the log could not be browsed.
#[derive(Debug, thiserror::Error)]
pub enum BrowseError {
    /// There is no log yet.
    #[error("{0}")]
    Missing(String),
    /// The log is away, busy or full; later it may work.
    #[error("the log is not available: {0}")]
    Unavailable(String),
    /// No such topic or partition.
    #[error("there is no {partition} in the log")]
    NoSuchPartition {
        /// What was asked for.
        partition: Partition,
    },
    /// That offset is gone, or not there yet.
    #[error("{partition} holds offsets {} to {}, not {from}", watermarks.log_start, watermarks.end)]
    OutOfRange {
        /// Where.
        partition: Partition,
        /// What was asked for.
        from: u64,
        /// What there is.
        watermarks: Watermarks,
    },
    /// Opened for reading only.
    #[error("the log was opened for reading only")]
    ReadOnly,
    /// One of the records is larger than the log takes; which one, the log may not know.
    #[error("{0}")]
    TooLarge(String),
    /// Asking again does not help.
    #[error("{0}")]
    Unusable(String),
}

#[cfg(test)]
pub(crate) mod testing;
