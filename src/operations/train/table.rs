//! Reads labelled rows from a CSV file that somebody exported from somewhere.
//!
//! Every complaint names the file, the line and the field, because the file has 40,000 lines. Rows without a text or a
//! label are normal in a history and only counted. Bounded: the file by [`MAX_FILE_BYTES`] (an unclosed quote makes one
//! field of the rest of the file), the rows by [`MAX_ROWS`].

use std::fs::File;
use std::io;
use std::path::Path;

use csv::{ByteRecord, ErrorKind, Reader, StringRecord};

use super::{Part, Progress, Row, Step, TrainError};

const MAX_FILE_BYTES: u64 = 512 << 20;
const MAX_ROWS: usize = 500_000;
const SPLIT: &str = "split";
/// Often enough for a smooth bar, seldom enough to cost nothing.
const ROWS_PER_PROGRESS: usize = 1_000;

/// What a file held.
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    /// Rows without a text or a label.
    pub(super) skipped: usize,
}

struct Columns {
    text: usize,
    label: usize,
    split: Option<usize>,
}

/// Reads it all.
pub(super) fn read(
    file: &Path,
    text_column: &str,
    label_column: &str,
    progress: &mut dyn FnMut(Progress),
) -> Result<Table, TrainError> {
    let (mut reader, total) = open(file)?;
    let header = reader.byte_headers().map_err(|error| broken(file, error))?.clone();
    let header = StringRecord::from_byte_record_lossy(header);
    let columns = Columns {
        text: find(file, &header, text_column)?,
        label: find(file, &header, label_column)?,
        split: header.iter().position(|name| name.trim() == SPLIT),
    };
    let mut table = Table { rows: Vec::new(), skipped: 0 };
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(|error| broken(file, error))? {
        match row(file, &record, &header, &columns)? {
            Some(row) if table.rows.len() < MAX_ROWS => table.rows.push(row),
            Some(_) => return Err(too_big(file, MAX_ROWS as u64 + 1, MAX_ROWS as u64, "rows")),
            None => table.skipped += 1,
        }
        if table.rows.len().is_multiple_of(ROWS_PER_PROGRESS) {
            progress(Progress { step: Step::Reading, done: reader.position().byte(), total });
        }
    }
    progress(Progress { step: Step::Reading, done: total, total });
    Ok(table)
}

fn open(file: &Path) -> Result<(Reader<File>, u64), TrainError> {
    let unreadable = |source: io::Error| TrainError::Read { file: file.to_owned(), source };
    let handle = File::open(file).map_err(unreadable)?;
    let size = handle.metadata().map_err(unreadable)?.len();
    if size > MAX_FILE_BYTES {
        return Err(too_big(file, size, MAX_FILE_BYTES, "bytes"));
    }
    Ok((Reader::from_reader(handle), size))
}

fn find(file: &Path, header: &StringRecord, column: &str) -> Result<usize, TrainError> {
    header.iter().position(|name| name.trim() == column).ok_or_else(|| TrainError::MissingColumn {
        file: file.to_owned(),
        column: column.to_owned(),
        found: header.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "),
    })
}

fn row(file: &Path, record: &ByteRecord, header: &StringRecord, columns: &Columns) -> Result<Option<Row>, TrainError> {
    let line = record.position().map_or(0, csv::Position::line);
    let field = |column: usize| match std::str::from_utf8(&record[column]) {
        Ok(value) => Ok(value.trim()),
        Err(_) => Err(TrainError::NotUtf8 { file: file.to_owned(), line, field: header[column].to_owned() }),
    };
    let (text, label) = (field(columns.text)?, field(columns.label)?);
    if text.is_empty() || label.is_empty() {
        return Ok(None);
    }
    let part = match columns.split.map(field).transpose()? {
        None => None,
        Some("train") => Some(Part::Train),
        Some("test" | "validation" | "valid" | "val" | "dev" | "held_out") => Some(Part::HeldOut),
        Some(value) => {
            return Err(TrainError::UnknownPart { file: file.to_owned(), line, value: value.to_owned() });
        }
    };
    Ok(Some(Row { text: text.to_owned(), label: label.to_owned(), part }))
}

fn broken(file: &Path, error: csv::Error) -> TrainError {
    let line = error.position().map_or(0, csv::Position::line);
    let detail = match error.into_kind() {
        ErrorKind::Io(source) => return TrainError::Read { file: file.to_owned(), source },
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields, but the header has {expected_len}; is a quote or a comma missing?")
        }
        kind => format!("{kind:?}"),
    };
    TrainError::BrokenLine { file: file.to_owned(), line, detail }
}

fn too_big(file: &Path, found: u64, at_most: u64, unit: &'static str) -> TrainError {
    TrainError::TooBig { file: file.to_owned(), found, at_most, unit }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read_bytes(bytes: &[u8]) -> Result<Table, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("rows.csv");
        fs::write(&file, bytes).expect("the file is written");
        read(&file, "text", "label", &mut |_| ()).map_err(|error| {
            let prefix = format!("{}: ", file.display());
            error.to_string().strip_prefix(&prefix).expect("a complaint names the file").to_owned()
        })
    }

    fn complaint(bytes: &[u8]) -> String {
        read_bytes(bytes).map(|table| table.rows).expect_err("the table is broken")
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error =
            read(Path::new("/nowhere/rows.csv"), "text", "label", &mut |_| ()).map(|_| ()).expect_err("no file");
        assert!(error.to_string().starts_with("/nowhere/rows.csv: "), "{error}");
    }

    #[test]
    fn a_missing_column_is_named_beside_those_that_are_there() {
        assert_eq!(complaint(b"body,label\nx,y\n"), "no column \"text\" in the header; there are \"body\", \"label\"");
        assert_eq!(complaint(b""), "no column \"text\" in the header; there are ");
    }

    #[test]
    fn a_line_with_too_few_fields_is_named_by_its_number() {
        let text = "line 3: 1 fields, but the header has 2; is a quote or a comma missing?";
        assert_eq!(complaint(b"text,label\na,b\nonly one\n"), text);
    }

    #[test]
    fn a_field_that_is_not_utf_8_is_named_by_line_and_column() {
        assert_eq!(complaint(b"text,label\na,b\n\"two\nlines\",b\n\xff,b\n"), "line 5: field \"text\" is not UTF-8");
        assert_eq!(complaint(b"text,label\na,\xff\n"), "line 2: field \"label\" is not UTF-8");
    }

    #[test]
    fn a_split_that_says_neither_train_nor_test_is_refused() {
        let text = complaint(b"text,label,split\na,b,train\na,b,maybe\n");
        assert!(text.starts_with("line 3: field \"split\" is \"maybe\"; known are train, "), "{text}");
    }

    #[test]
    fn rows_without_a_text_or_a_label_are_counted_not_refused() {
        let table = read_bytes(b"text,label\n ,b\na,\na,b\n").expect("a good table");
        assert_eq!((table.rows.len(), table.skipped), (1, 2));
    }

    #[test]
    fn columns_are_found_in_any_order_behind_a_byte_order_mark() {
        let table = read_bytes(b"\xef\xbb\xbftext,split,label\r\n\" a, \"\"b\"\" \",train,x\r\nc,dev,y\r\n")
            .expect("a good table");
        let row = |text: &str, label: &str, part| Row { text: text.into(), label: label.into(), part: Some(part) };
        assert_eq!(table.rows, [row("a, \"b\"", "x", Part::Train), row("c", "y", Part::HeldOut)]);
    }
}
