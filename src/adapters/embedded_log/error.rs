//! What can go wrong with a log that is a file, and which of it is worth another try.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::domain::position::Partition;
use crate::operations::log_browser::BrowseError;

/// Why the log could not be opened, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing to read.
    #[error("there is no log at {path}: start `serve` or `publish` first, or set log.embedded.path")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A path that SQLite takes for something else than a file.
    #[error("log.embedded.path = {path}: this must be a file, or nothing survives a restart")]
    NotAFile {
        /// The setting.
        path: PathBuf,
    },
    /// It is there, or might be.
    #[error("{path}, or a file beside it, cannot be opened: {source}; check the rights of the file and of its folder")]
    CannotOpen {
        /// The file.
        path: PathBuf,
        /// In SQLite's words.
        source: sqlx::Error,
    },
    /// The file that is open is not the one at its path any more: what is written into it, nobody finds.
    #[error(
        "{path} was removed, or another file was put in its place, while this processor worked on it: nothing more is read or \
         written. Put the log that is meant there, without the -wal and -shm of another, and start again"
    )]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// A file, but another one.
    #[error("{path} is not a log: {found}; set log.embedded.path to another file")]
    NotALog {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// Made by a build whose layout this one does not know, or not completely.
    #[error(
        "{path} has layout {found}, this build reads {expected}: use the matching build, or let `serve` migrate it"
    )]
    Layout {
        /// The file.
        path: PathBuf,
        /// Newest migration in the file.
        found: i64,
        /// Newest migration in this build.
        expected: i64,
    },
    /// The layout could not be brought up to date.
    #[error("the log's layout could not be brought up to date: {0}")]
    Migration(Box<sqlx::migrate::MigrateError>),
    /// One processor a time.
    #[error("another processor works on this log (it holds {lock}): stop it, or set another log.embedded.path")]
    SecondProcessor {
        /// The lock file.
        lock: PathBuf,
    },
    /// The lock file, or the folder for it, could not be made.
    #[error("{path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// More partitions than a place has room for, or none.
    #[error("log.embedded.partitions = {partitions}: 1 to {limit} are possible", limit = super::place::MAX_PARTITIONS)]
    PartitionCount {
        /// The setting.
        partitions: u32,
    },
    /// Two roles, one name.
    #[error("topics.*: two roles share the name {name}")]
    SharedName {
        /// The name.
        name: String,
    },
    /// More topics were ever created than a place has room for.
    #[error("the log cannot number another topic ({name}): start a new file")]
    TooManyTopics {
        /// The one too many.
        name: String,
    },
    /// Order per ticket stands on equal counts.
    #[error("topic {name} has {found} partitions, {other} has {expected}: all topics need the same number")]
    UnequalPartitions {
        /// A topic.
        name: String,
        /// Its count.
        found: u32,
        /// Another topic.
        other: String,
        /// Its count.
        expected: u32,
    },
    /// A topic or partition that is not, or no longer, there.
    #[error("{partition} is not in the log: its topic was deleted or created anew, or was never created")]
    Gone {
        /// Which.
        partition: Partition,
    },
    /// A position that the partition does not hold. Going on anywhere else would lose or repeat records.
    #[error(
        "{partition}: the position {position} lies outside {log_start} to {end}; \
         the file was replaced or records were removed. Restore the file, or read it with a new log.group_id"
    )]
    OutOfRange {
        /// Which.
        partition: Partition,
        /// The position.
        position: u64,
        /// First offset there is.
        log_start: u64,
        /// Next offset there will be.
        end: u64,
    },
    /// A burst whose positions lie outside their partitions, or behind what was committed before.
    #[error("burst {burst} moves a position backwards or out of its partition; nothing of it was written")]
    PositionsRefused {
        /// Its number.
        burst: u64,
    },
    /// A partition is full for good.
    #[error("{partition} has no offsets left: start a new file")]
    OffsetsUsedUp {
        /// Which.
        partition: Partition,
    },
    /// The file says something that this code never wrote.
    #[error("{partition} is damaged at offset {offset}: {found}; restore the file")]
    Damaged {
        /// Where.
        partition: Partition,
        /// Where in it.
        offset: u64,
        /// What.
        found: &'static str,
    },
    /// Whether a commit happened could not be found out.
    #[error("burst {burst} may or may not be committed ({commit}), and the log cannot be asked ({source}); restart")]
    OutcomeUnknown {
        /// Its number.
        burst: u64,
        /// What the commit said.
        commit: Box<Error>,
        /// What asking said.
        source: Box<Error>,
    },
    /// SQLite's own word.
    #[error("{trouble}: {source}")]
    Storage {
        /// What kind.
        trouble: Trouble,
        /// In its words.
        source: sqlx::Error,
    },
}

/// SQLite's errors by what helps against them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Somebody else holds the write lock.
    Busy,
    /// No room on the disk.
    Full,
    /// Reading, writing or syncing failed.
    Io,
    /// The file, or one beside it, does not open.
    CannotOpen,
    /// The file may only be read.
    ReadOnly,
    /// The file is damaged.
    Corrupt,
    /// The file is something else.
    NotADatabase,
    /// Anything else: a bug, or a broken connection.
    Other,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "another process holds the log's write lock for too long",
            Self::Full => "the log's disk is full",
            Self::Io => "the log's disk does not work",
            Self::CannotOpen => "the log, or a file beside it, cannot be opened",
            Self::ReadOnly => "the log may only be read: check the rights of the file and its folder",
            Self::Corrupt => "the log is damaged: restore it from a copy",
            Self::NotADatabase => "the log was replaced by something else: restore it from a copy",
            Self::Other => "the log refused a statement",
        })
    }
}

impl Trouble {
    /// Extended result codes keep the primary code in the low byte (<https://www.sqlite.org/rescode.html>).
    fn of(error: &sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::PoolTimedOut) {
            return Self::CannotOpen;
        }
        let code = error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<i32>().ok());
        match code.map(|code| code & 0xff) {
            Some(5 | 6) => Self::Busy,
            Some(13) => Self::Full,
            Some(10) => Self::Io,
            Some(14) => Self::CannotOpen,
            Some(8) => Self::ReadOnly,
            Some(11) => Self::Corrupt,
            Some(26) => Self::NotADatabase,
            _ => Self::Other,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(source: sqlx::Error) -> Self {
        Self::Storage { trouble: Trouble::of(&source), source }
    }
}

impl Error {
    /// Whether the same thing may work later without anybody mending the file.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Storage { trouble: Trouble::Busy | Trouble::Full | Trouble::Io | Trouble::CannotOpen, .. }
                | Self::CannotOpen { .. }
        )
    }
}

impl From<Error> for BrowseError {
    fn from(error: Error) -> Self {
        match error {
            Error::Missing { .. } => Self::Missing(error.to_string()),
            Error::Gone { partition } => Self::NoSuchPartition { partition },
            Error::Storage { trouble: Trouble::ReadOnly, .. } => Self::ReadOnly,
            error if error.is_retryable() => Self::Unavailable(error.to_string()),
            error => Self::Unusable(error.to_string()),
        }
    }
}
