//! A file as a stream of events.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::avro::AvroRows;
use super::csv_rows::CsvRows;
use super::fill::Fill;
use super::jsonl;
use super::lines::{Lines, MAX_LINE_BYTES};
use super::{BadRow, Flaw, Format, Options, PublishError};
use crate::domain::event::SupportEvent;
use crate::domain::identity::hex;

const BUFFER_BYTES: usize = 64 << 10;

/// A row that is an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Where it stands, as in [`BadRow::line`].
    pub line: u64,
    /// What it says.
    pub event: SupportEvent,
}

/// Events of a file in their order; no more than one row of it is held.
pub struct Events {
    file: String,
    rows: Rows,
    fill: Fill,
    /// Hash of the file; `None`: it cannot be read twice, then a row's id comes from the row alone.
    content: Option<String>,
    row: u64,
    broken: bool,
    read: Arc<AtomicU64>,
    total: Option<u64>,
}

enum Rows {
    Jsonl(Lines),
    Csv(CsvRows),
    Avro(Box<AvroRows>),
}

/// Opens a file and checks everything that can be checked before its first row.
///
/// # Errors
/// When nothing of it can be published.
pub fn open(options: &Options) -> Result<Events, PublishError> {
    let file = options.file.display().to_string();
    let format = format_of(options)?;
    if format != Format::Csv && !options.maps.is_empty() {
        return Err(PublishError::MapWithoutColumns);
    }
    let unreadable = |source| PublishError::Read { file: file.clone(), source };
    let Input { input, name, content, total, read } = Input::open(&options.file).map_err(unreadable)?;
    let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
    let start = input.fill_buf().map_err(unreadable)?;
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        return Err(PublishError::Utf16(file));
    }
    let rows = match format {
        Format::Jsonl => Rows::Jsonl(Lines::new(Box::new(input))),
        Format::Csv => Rows::Csv(CsvRows::new(&file, Lines::new(Box::new(input)), &options.maps)?),
        Format::Avro => Rows::Avro(Box::new(AvroRows::new(&file, Box::new(input))?)),
    };
    if let Rows::Csv(rows) = &rows
        && options.tenant.is_none()
        && !rows.fill("tenant_id")
    {
        return Err(PublishError::NoTenant(file));
    }
    let fill = Fill { tenant: options.tenant.clone(), source: options.source.clone().unwrap_or(name) };
    Ok(Events { file, rows, fill, content, row: 0, broken: false, read, total })
}

fn format_of(options: &Options) -> Result<Format, PublishError> {
    let extension = options.file.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    match (options.format, extension.as_deref()) {
        (Some(format), _) => Ok(format),
        (None, Some("jsonl" | "ndjson")) => Ok(Format::Jsonl),
        (None, Some("csv")) => Ok(Format::Csv),
        (None, Some("avro")) => Ok(Format::Avro),
        (None, _) if is_stdin(&options.file) => Ok(Format::Jsonl),
        (None, _) => Err(PublishError::UnknownFormat(options.file.display().to_string())),
    }
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

struct Input {
    input: Box<dyn Read + Send>,
    /// Without its folders: the same file is the same source wherever it lies.
    name: String,
    content: Option<String>,
    total: Option<u64>,
    read: Arc<AtomicU64>,
}

impl Input {
    fn open(file: &Path) -> io::Result<Self> {
        let read = Arc::new(AtomicU64::new(0));
        let counted = |inner| Box::new(Counted { inner, read: read.clone() });
        if is_stdin(file) {
            let input = counted(Box::new(io::stdin()));
            return Ok(Self { input, name: "stdin".to_owned(), content: None, total: None, read });
        }
        let handle = File::open(file)?;
        let about = handle.metadata()?;
        // A pipe has its content once.
        let (content, total) =
            if about.is_file() { (Some(hash(File::open(file)?)?), Some(about.len())) } else { (None, None) };
        let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { input: counted(Box::new(handle)), name, content, total, read })
    }
}

fn hash(mut file: File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut file, &mut hasher)?;
    Ok(hex(&hasher.finalize()))
}

/// Counts what was read, for the progress bar.
struct Counted {
    inner: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl Events {
    /// Bytes read so far, counted on while the stream is elsewhere.
    #[must_use]
    pub fn bytes_read(&self) -> Arc<AtomicU64> {
        self.read.clone()
    }

    /// Bytes there are; unknown for a pipe.
    #[must_use]
    pub fn bytes_total(&self) -> Option<u64> {
        self.total
    }

    /// What it is called in reports.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    fn event(&mut self, value: Value) -> Result<SupportEvent, Flaw> {
        let of_row = || hex(&Sha256::digest(value.to_string()));
        let content = self.content.clone().unwrap_or_else(of_row);
        self.fill.event(self.row, &content, value)
    }
}

impl Iterator for Events {
    type Item = Result<Row, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.broken {
            return None;
        }
        let (line, value) = match self.rows.next() {
            Ok(next) => next?,
            Err(error) => {
                self.broken = true;
                let why = format!("reading ends after row {}: {error}", self.row);
                return Some(Err(BadRow { file: self.file.clone(), line: 0, field: None, why }));
            }
        };
        self.row += 1;
        Some(match value.and_then(|value| self.event(value)) {
            Ok(event) => Ok(Row { line, event }),
            Err(Flaw { field, why }) => Err(BadRow { file: self.file.clone(), line, field, why }),
        })
    }
}

impl Rows {
    fn next(&mut self) -> io::Result<Option<(u64, Result<Value, Flaw>)>> {
        match self {
            Self::Csv(rows) => rows.next(),
            Self::Avro(rows) => Ok(rows.next()),
            Self::Jsonl(lines) => {
                while let Some(line) = lines.next()? {
                    let too_long = || Flaw::of_row(format!("longer than {MAX_LINE_BYTES} bytes"));
                    let value = line.bytes.ok_or_else(too_long).and_then(|bytes| jsonl::read(&bytes));
                    if let Some(value) = value.transpose() {
                        return Ok(Some((line.number, value)));
                    }
                }
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests;
