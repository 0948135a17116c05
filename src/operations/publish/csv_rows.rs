//! Rows of a CSV file (RFC 4180), where a broken one costs itself only.
//!
//! A CSV reader that meets a quote which is never closed makes one cell of the rest of the file. So records are put
//! together here from physical lines, which are read again one by one when their quotes turn out not to fit; splitting
//! a sound record into cells is the library's.

use std::collections::VecDeque;
use std::io;

use csv::{ByteRecord, ReaderBuilder};
use serde_json::Value;

use super::columns::Columns;
use super::lines::{Line, Lines, MAX_LINE_BYTES};
use super::{Flaw, Mapping, PublishError};

/// No record is longer; by then an open quote is a forgotten one.
const MAX_RECORD_BYTES: usize = 1 << 20;

/// Rows as JSON in the event's shape.
pub(super) struct CsvRows {
    records: Records,
    header: Vec<String>,
    columns: Columns,
}

impl CsvRows {
    /// Reads the header and finds the columns.
    pub(super) fn new(file: &str, lines: Lines, maps: &[Mapping]) -> Result<Self, PublishError> {
        let mut records = Records { lines, again: VecDeque::new() };
        let broken = |why: &str| PublishError::Header { file: file.to_owned(), why: why.to_owned() };
        let first = records.next().map_err(|source| PublishError::Read { file: file.to_owned(), source })?;
        let (_, bytes) = first.ok_or_else(|| broken("the file is empty"))?;
        let cells = bytes.and_then(|bytes| split(&bytes)).map_err(|flaw| broken(&flaw.why))?;
        let mut header = Vec::with_capacity(cells.len());
        for name in &cells {
            header.push(std::str::from_utf8(name).map_err(|_| broken("not UTF-8"))?.trim().to_owned());
        }
        let columns = Columns::new(file, &header, maps)?;
        Ok(Self { records, header, columns })
    }

    /// Whether rows may have something of their own at this path.
    pub(super) fn fill(&self, path: &str) -> bool {
        self.columns.fill(path)
    }

    /// The next row and its first line.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Result<Value, Flaw>)>> {
        let Some((line, bytes)) = self.records.next()? else { return Ok(None) };
        Ok(Some((line, bytes.and_then(|bytes| self.row(&bytes)))))
    }

    fn row(&self, bytes: &[u8]) -> Result<Value, Flaw> {
        let cells = split(bytes)?;
        let (found, expected) = (cells.len(), self.columns.count);
        if found != expected {
            let why = format!("{found} cells, but the header has {expected}; is a comma or a quote missing?");
            return Err(Flaw::of_row(why));
        }
        self.columns.row(&self.header, &cells.iter().collect::<Vec<_>>())
    }
}

fn split(record: &[u8]) -> Result<ByteRecord, Flaw> {
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(record.len() + 1).from_reader(record);
    let mut cells = ByteRecord::new();
    let mut read =
        |cells: &mut ByteRecord| reader.read_byte_record(cells).map_err(|error| Flaw::of_row(error.to_string()));
    read(&mut cells)?;
    if read(&mut ByteRecord::new())? {
        return Err(Flaw::of_row("another row follows in the same line"));
    }
    Ok(cells)
}

/// Where in its quoting a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quoting {
    /// Before the first byte of a cell: only here a quote opens.
    Start,
    /// In a cell without quotes; a quote in it is itself.
    Bare,
    /// Between quotes.
    Open,
    /// After a closing quote, unless the next byte makes it an escaped one.
    Closed,
}

impl Quoting {
    /// After these bytes; `None`: something follows a closing quote that may not.
    fn after(self, bytes: &[u8]) -> Option<Self> {
        bytes.iter().try_fold(self, |state, byte| match (state, byte) {
            (Self::Start | Self::Closed, b'"') | (Self::Open, 0..b'"' | b'#'..) => Some(Self::Open),
            (Self::Open, b'"') => Some(Self::Closed),
            (Self::Start | Self::Bare | Self::Closed, b',') => Some(Self::Start),
            (Self::Start | Self::Bare, _) => Some(Self::Bare),
            (Self::Closed, _) => None,
        })
    }
}

/// A record's first line, and the record or what is wrong with it.
type Numbered = (u64, Result<Vec<u8>, Flaw>);

/// Lines put together to records.
struct Records {
    lines: Lines,
    /// Lines that were taken into a record which turned out to be none.
    again: VecDeque<Line>,
}

impl Records {
    /// The next record and its first line.
    fn next(&mut self) -> io::Result<Option<Numbered>> {
        let first = loop {
            match self.line()? {
                None => return Ok(None),
                Some(line) if line.bytes.as_ref().is_some_and(Vec::is_empty) => {}
                Some(line) => break line,
            }
        };
        let number = first.number;
        let Some(mut record) = first.bytes else {
            return Ok(Some((number, Err(Flaw::of_row(format!("longer than {MAX_LINE_BYTES} bytes"))))));
        };
        let mut end = first.end;
        let mut quoting = Quoting::Start.after(&record);
        let mut taken = Vec::new();
        while quoting == Some(Quoting::Open) && record.len() <= MAX_RECORD_BYTES {
            let Some(next) = self.line()? else { break };
            if let Some(bytes) = &next.bytes {
                record.push(end);
                record.extend_from_slice(bytes);
                end = next.end;
                quoting = Quoting::Open.after(bytes);
            }
            let too_long = next.bytes.is_none();
            taken.push(next);
            if too_long {
                break;
            }
        }
        let flaw = match quoting {
            Some(Quoting::Open) => "a quote is opened here and never closed",
            None => "text follows a closing quote; is a quote inside the text not doubled?",
            Some(_) => return Ok(Some((number, Ok(record)))),
        };
        taken.into_iter().rev().for_each(|line| self.again.push_front(line));
        Ok(Some((number, Err(Flaw::of_row(flaw)))))
    }

    fn line(&mut self) -> io::Result<Option<Line>> {
        self.again.pop_front().map_or_else(|| self.lines.next(), |line| Ok(Some(line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(bytes: &'static [u8]) -> Vec<(u64, Result<String, String>)> {
        let mut rows = CsvRows::new("f.csv", Lines::new(Box::new(bytes)), &[]).expect("a header");
        let mut all = Vec::new();
        while let Some((line, row)) = rows.next().expect("memory can be read") {
            let body = |row: Value| row["message"]["body"].as_str().expect("it has a text").to_owned();
            all.push((line, row.map(body).map_err(|flaw| flaw.why)));
        }
        all
    }

    fn good(line: u64, text: &str) -> (u64, Result<String, String>) {
        (line, Ok(text.to_owned()))
    }

    fn bad_lines(rows: &[(u64, Result<String, String>)]) -> Vec<u64> {
        rows.iter().filter(|(_, row)| row.is_err()).map(|(line, _)| *line).collect()
    }

    #[test]
    fn quotes_commas_and_line_ends_within_a_cell_belong_to_it() {
        let rows = rows(b"text,x\r\n\"a, \"\"b\"\"\r\nc\",1\r\n\r\n5\" screen,2\r\n\"\",3\n");
        assert_eq!(rows, [good(2, "a, \"b\"\nc"), good(5, "5\" screen"), good(6, "")]);
    }

    #[test]
    fn a_carriage_return_alone_ends_a_row_as_well() {
        let macintosh = rows(b"text,x\ra,1\r\"two\rlines\",2\rb,3\r");
        assert_eq!(macintosh, [good(2, "a"), good(3, "two\rlines"), good(5, "b")]);
        assert_eq!(rows(b"text,x\na,1\rb,2\nc,3\r"), [good(2, "a"), good(3, "b"), good(4, "c")]);
    }

    #[test]
    fn a_row_that_would_be_lost_behind_another_is_a_flaw() {
        assert_eq!(split(b"a,1\rb,2"), Err(Flaw::of_row("another row follows in the same line")));
        assert_eq!(split(b"\"a\rb\",1").map(|cells| cells.len()), Ok(2));
    }

    #[test]
    fn an_open_quote_costs_its_own_line_only() {
        let at_the_end = rows(b"text,x\na,1\n\"open,2\nb,3\n");
        assert_eq!((bad_lines(&at_the_end), at_the_end.last()), (vec![3], Some(&good(4, "b"))));
        assert!(at_the_end[1].1.as_ref().is_err_and(|why| why.contains("never closed")));
        let before_another = rows(b"text,x\n\"open,2\nb,3\n\"c, d\",4\ne,5\n");
        assert_eq!(bad_lines(&before_another), [2]);
        assert_eq!(before_another[1..], [good(3, "b"), good(4, "c, d"), good(5, "e")]);
    }

    #[test]
    fn an_open_quote_before_a_long_rest_is_found_without_reading_all_of_it() {
        let mut bytes = b"text,x\n\"open,1\n".to_vec();
        let line = format!("{},2\n", "y".repeat(1_000));
        bytes.extend(line.repeat(3_000).bytes());
        let rows = rows(bytes.leak());
        assert_eq!((rows.len(), bad_lines(&rows)), (3_001, vec![2]));
    }

    #[test]
    fn rows_with_other_numbers_of_cells_are_told_apart_from_good_ones() {
        let rows = rows(b"text,x\na\na,1,2\nb,1\n");
        assert_eq!(bad_lines(&rows), [2, 3]);
        assert_eq!(rows[1].1, Err("3 cells, but the header has 2; is a comma or a quote missing?".to_owned()));
        assert_eq!(rows[2], good(4, "b"));
    }

    #[test]
    fn a_header_that_cannot_be_one_is_an_error_at_once() {
        let complaint = |bytes: &'static [u8]| {
            CsvRows::new("f.csv", Lines::new(Box::new(bytes)), &[]).map(|_| ()).expect_err("refused").to_string()
        };
        assert_eq!(complaint(b""), "f.csv:1: the header cannot be read: the file is empty");
        assert_eq!(complaint(b"te\xe4xt\n"), "f.csv:1: the header cannot be read: not UTF-8");
        assert!(complaint(b"\"text\nx\n").contains("never closed"));
    }

    #[test]
    fn every_record_that_a_writer_wrote_is_read_back() {
        let cells = ["", "plain", "with \"quotes\"", "with, comma", "two\nlines", "\"", "\"\"", " spaced ", "nul\0"];
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["message.body", "x"]).expect("memory");
        for cell in cells {
            writer.write_record([cell, "1"]).expect("memory");
        }
        let bytes = writer.into_inner().expect("memory").leak();
        let read: Vec<_> = rows(bytes).into_iter().map(|(_, row)| row.expect("it is sound")).collect();
        assert_eq!(read, cells);
    }
}
