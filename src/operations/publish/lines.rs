//! Physical lines of a file, one at a time, each bounded.
//!
//! A byte order mark is not part of the first line, and `\r\n` ends a line like `\n`.

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
        let (mut at_end, mut too_long) = (true, false);
        loop {
            let buffer = match self.input.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                break;
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let take = end.map_or(buffer.len(), |end| end + 1);
            too_long |= bytes.len() + take > MAX_LINE_BYTES;
            if too_long {
                bytes.clear();
            } else {
                bytes.extend_from_slice(&buffer[..take]);
            }
            self.input.consume(take);
            at_end = false;
            if end.is_some() {
                break;
            }
        }
        if at_end {
            return Ok(None);
        }
        self.number += 1;
        if too_long {
            return Ok(Some(Line { number: self.number, bytes: None }));
        }
        for end in *b"\n\r" {
            bytes.pop_if(|last| *last == end);
        }
        if self.number == 1 && bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(Some(Line { number: self.number, bytes: Some(bytes) }))
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
    fn a_line_that_is_too_long_is_skipped_and_the_next_is_read() {
        let mut bytes = vec![b'x'; MAX_LINE_BYTES];
        bytes.extend(b"\nok\n");
        assert_eq!(lines(bytes.leak()), [None, Some(b"ok".into())]);
    }
}
