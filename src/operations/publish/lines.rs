//! Physical lines of a file, one at a time, each bounded.
//!
//! A byte order mark is not part of the first line. `\r\n` ends a line like `\n`, and so does `\r` alone: some programs
//! still write that ("CSV (Macintosh)"), and the CSV library would take the rest for a row of its own.

use std::io::{self, BufRead};

/// No event comes near (ingest takes 1 MiB by default); a file without line ends would be one line.
pub(super) const MAX_LINE_BYTES: usize = 16 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// From 1.
    pub number: u64,
    /// Without its end; `None`: too long, and skipped.
    pub bytes: Option<Vec<u8>>,
    /// What stood at its end: `\r` if nothing else did, otherwise `\n`.
    pub end: u8,
}

/// Reads lines.
pub(super) struct Lines {
    input: Box<dyn BufRead + Send>,
    number: u64,
}

impl Lines {
    pub(super) fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self { input, number: 0 }
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let (mut at_end, mut too_long, mut end) = (true, false, b'\n');
        loop {
            let buffer = self.buffer()?;
            if buffer.is_empty() {
                break;
            }
            at_end = false;
            let found = buffer.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let take = found.unwrap_or(buffer.len());
            too_long |= bytes.len() + take > MAX_LINE_BYTES;
            if too_long {
                bytes.clear();
            } else {
                bytes.extend_from_slice(&buffer[..take]);
            }
            if let Some(at) = found {
                end = buffer[at];
                self.input.consume(at + 1);
                break;
            }
            self.input.consume(take);
        }
        if at_end {
            return Ok(None);
        }
        if end == b'\r' && self.buffer()?.first() == Some(&b'\n') {
            self.input.consume(1);
            end = b'\n';
        }
        self.number += 1;
        if too_long {
            return Ok(Some(Line { number: self.number, bytes: None, end }));
        }
        if self.number == 1 && bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(Some(Line { number: self.number, bytes: Some(bytes), end }))
    }

    /// What comes next; empty at the end.
    fn buffer(&mut self) -> io::Result<&[u8]> {
        loop {
            match self.input.fill_buf() {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // It is there already; a loop may not hand out what it borrowed.
        self.input.fill_buf()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &'static [u8]) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::new(Box::new(bytes));
        let mut all = Vec::new();
        while let Some(line) = lines.next().expect("memory can be read") {
            all.push(line.bytes);
        }
        all
    }

    #[test]
    fn the_mark_and_every_kind_of_end_are_taken_off() {
        let expected: [Option<Vec<u8>>; 4] =
            [Some(b"a".into()), Some(b"".into()), Some(b"b\0".into()), Some(b"c".into())];
        assert_eq!(lines(b"\xef\xbb\xbfa\r\n\nb\0\nc"), expected);
        assert_eq!(lines(b""), []);
    }

    #[test]
    fn a_carriage_return_ends_a_line_wherever_the_buffer_ends() {
        for capacity in 1..6 {
            let input: &[u8] = b"a\rb\r\nc\r\rd\r";
            let mut lines = Lines::new(Box::new(io::BufReader::with_capacity(capacity, input)));
            let mut all = Vec::new();
            while let Some(line) = lines.next().expect("memory can be read") {
                all.push((line.number, line.bytes.expect("it is short"), line.end));
            }
            let expected: [(u64, &[u8], u8); 5] =
                [(1, b"a", b'\r'), (2, b"b", b'\n'), (3, b"c", b'\r'), (4, b"", b'\r'), (5, b"d", b'\r')];
            assert_eq!(all, expected.map(|(number, bytes, end)| (number, bytes.to_vec(), end)));
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_the_next_is_read() {
        let mut bytes = vec![b'x'; MAX_LINE_BYTES + 1];
        bytes.extend(b"\nok\n");
        assert_eq!(lines(bytes.leak()), [None, Some(b"ok".into())]);
    }
}
