//! Puts a file of events on the log.
//!
//! ```text
//! file ---> rows (JSONL, CSV, Avro) ---> fill ---> SupportEvent ---> append
//!           one at a time, each good     ids, times, tenant          batches, each whole
//!           or a BadRow                  where there are none        or not at all
//! ```
//!
//! A broken row costs itself only, and so does one that is larger than the log takes: it is reported with file, line, field
//! and reason, and the rest goes on. Whether an event makes sense is judged where every event is judged, by ingest: what has the shape of an event is published.
//!
//! The promise: publishing the same file again publishes the same events (ids and times are made from the file, never
//! from chance or the clock), so the processor answers the second copy with DUPLICATE. An interrupted `publish` is
//! simply run again.

mod append;
mod avro;
mod columns;
mod csv_rows;
mod events;
mod fill;
mod jsonl;
mod lines;
mod shape;

use std::fmt;
use std::io;
use std::path::PathBuf;

pub use self::append::{Pace, Report, Summary, append};
pub use self::events::{Events, Row, open};
use crate::operations::log_browser::BrowseError;

/// What is read, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file; `-` is standard input.
    pub file: PathBuf,
    /// How to read it; guessed from the name otherwise.
    pub format: Option<Format>,
    /// The tenant of rows that name none.
    pub tenant: Option<String>,
    /// The source of rows that name none; the file's name otherwise.
    pub source: Option<String>,
    /// CSV: fields of an event and the columns they come from.
    pub maps: Vec<Mapping>,
}

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON event a line.
    Jsonl,
    /// A header line, then rows.
    Csv,
    /// An Avro object container.
    Avro,
}

/// A field of an event and the column it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Dotted path in the event's JSON shape, `message.body`.
    pub field: String,
    /// Name in the header.
    pub column: String,
}

impl std::str::FromStr for Mapping {
    type Err = PublishError;

    fn from_str(text: &str) -> Result<Self, PublishError> {
        match text.split_once('=').map(|(field, column)| (field.trim(), column.trim())) {
            Some((field, column)) if !field.is_empty() && !column.is_empty() => {
                Ok(Self { field: field.to_owned(), column: column.to_owned() })
            }
            _ => Err(PublishError::NoMapping(text.to_owned())),
        }
    }
}

/// A row that is not published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Its file.
    pub file: String,
    /// Its line, from 1 and with the header; in an Avro container its number among the records.
    pub line: u64,
    /// Where in it, as far as it can be told.
    pub field: Option<String>,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.why)
    }
}

/// What is wrong within a row, before anybody knows which row it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Flaw {
    field: Option<String>,
    why: String,
}

impl Flaw {
    fn of_row(why: impl Into<String>) -> Self {
        Self { field: None, why: why.into() }
    }

    fn at(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self { field: Some(field.into()), why: why.into() }
    }
}

/// Why nothing, or nothing more, was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The file cannot be read.
    #[error("{file}: {source}")]
    Read {
        /// Which.
        file: String,
        /// Why not.
        source: io::Error,
    },
    /// Its name does not say what it is.
    #[error("{0}: neither .jsonl, .ndjson, .csv nor .avro; say what it is with --format")]
    UnknownFormat(String),
    /// Written by a program that calls it "Unicode".
    #[error("{0}: this is UTF-16; save it as UTF-8")]
    Utf16(String),
    /// Not a container at all.
    #[error("{file}: not an Avro object container: {why}")]
    NoContainer {
        /// Which.
        file: String,
        /// What the library says.
        why: String,
    },
    /// Mapping a column only means something for a table.
    #[error("--map is for CSV files only")]
    MapWithoutColumns,
    /// Not `FIELD=COLUMN`.
    #[error("--map {0:?} is not FIELD=COLUMN, as in --map message.body=text")]
    NoMapping(String),
    /// An event has no such field, or one that a cell cannot fill.
    #[error("--map {field}: {why}")]
    Unmappable {
        /// Which.
        field: String,
        /// What is wrong with it.
        why: String,
    },
    /// Two columns for one field.
    #[error("--map {0}: mapped twice")]
    MappedTwice(String),
    /// A mapped column is not there.
    #[error("{file}: there is no column {column:?}; the columns are {found}")]
    MissingColumn {
        /// Which.
        file: String,
        /// The missing one.
        column: String,
        /// The ones that are there.
        found: String,
    },
    /// The header itself is broken.
    #[error("{file}:1: the header cannot be read: {why}")]
    Header {
        /// Which.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// No column is called like a field.
    #[error(
        "{file}: no column has an event's field as its name; say which is which, as in --map message.body=COLUMN \
             (the columns are {found})"
    )]
    NothingMapped {
        /// Which.
        file: String,
        /// The columns.
        found: String,
    },
    /// No row of the table can have one.
    #[error("{0}: whose tickets are these? Give --tenant, or --map tenant_id=COLUMN")]
    NoTenant(String),
    /// The log.
    #[error("{published} events were published before this: {source} (publish the file again: those become DUPLICATE)")]
    Append {
        /// How many are on the log for certain.
        published: u64,
        /// Why not more.
        source: BrowseError,
    },
    /// The log.
    #[error(transparent)]
    Log(#[from] BrowseError),
    /// There is nowhere to publish to.
    #[error("the events topic is missing and could not be created")]
    NoTopic,
    /// The reader's thread ended with a panic.
    #[error("{0}: reading broke down")]
    ReaderDied(String),
}
