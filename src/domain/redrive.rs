//! What a rejected record carries when it is sent again: which dead letter it comes from, and the how-manieth time it is.
//!
//! The words stand in headers beside the record's own, and a record that is rejected once more hands them on to its next dead
//! letter. That makes a loop visible: who sends again what cannot end otherwise sees the count rise.

use super::clock::Timestamp;
use super::record::{Header, Record};

/// The name under which outputs carry the dead letter's id on.
pub const DEAD_LETTER: &str = "redrive-dead-letter";
const COUNT: &str = "redrive-count";
const FIRST_FAILED_AT: &str = "redrive-first-failed-at";
const WORDS: [&str; 3] = [DEAD_LETTER, COUNT, FIRST_FAILED_AT];

/// Longer than any id that we write: a topic's name, a partition and an offset.
const LONGEST_ID: usize = 300;

/// Where a record that was sent again comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    /// The first failure's `topic-partition-offset`.
    pub dead_letter_id: String,
    /// How often it was sent again, this time included: from 1.
    pub count: u32,
    /// When it failed first.
    pub first_failed_at: Timestamp,
}

impl Redrive {
    /// Read off a record's headers; none: it was not sent again. Anybody may write such a header, so what makes no sense
    /// means nothing.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        let text = |name| record.header(name).and_then(|value| std::str::from_utf8(value).ok());
        let is_an_id = |id: &&str| (1..=LONGEST_ID).contains(&id.len()) && !id.chars().any(char::is_control);
        let dead_letter_id = text(DEAD_LETTER).filter(is_an_id)?.to_owned();
        // As many as a dead letter can say, and one more.
        let count = text(COUNT)?.parse().ok().filter(|count| (1..=i32::MAX.unsigned_abs()).contains(count))?;
        let first_failed_at = Timestamp(text(FIRST_FAILED_AT)?.parse().ok()?);
        Some(Self { dead_letter_id, count, first_failed_at })
    }

    /// The record's own headers, and these words instead of those of an earlier time.
    #[must_use]
    pub fn headers(&self, own: impl IntoIterator<Item = Header>) -> Vec<Header> {
        let mut headers: Vec<Header> = own.into_iter().filter(|header| !WORDS.contains(&&*header.name)).collect();
        headers.push(Header::text(DEAD_LETTER, &self.dead_letter_id));
        headers.push(Header::text(COUNT, &self.count.to_string()));
        headers.push(Header::text(FIRST_FAILED_AT, &self.first_failed_at.0.to_string()));
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(headers: Vec<Header>) -> Record {
        Record { offset: 9, timestamp: Timestamp(0), key: None, value: None, headers }
    }

    fn second() -> Redrive {
        Redrive {
            dead_letter_id: "support.events.v1-3-4711".to_owned(),
            count: 2,
            first_failed_at: Timestamp(1_700_000_000_123),
        }
    }

    #[test]
    fn what_is_written_is_read_and_stands_instead_of_what_was_there() {
        let own =
            vec![Header::text("ce_id", "e-1"), Header::text(COUNT, "1"), Header { name: "x".into(), value: None }];
        let headers = second().headers(own);
        assert_eq!(
            headers.iter().map(|header| &*header.name).collect::<Vec<_>>(),
            ["ce_id", "x", DEAD_LETTER, COUNT, FIRST_FAILED_AT]
        );
        assert_eq!(Redrive::of(&record(headers)), Some(second()));
    }

    #[test]
    fn what_makes_no_sense_means_nothing() {
        assert_eq!(Redrive::of(&record(Vec::new())), None);
        let long = "x".repeat(LONGEST_ID + 1);
        for (name, value) in [
            (COUNT, "0"),
            (COUNT, "-1"),
            (COUNT, "2147483648"),
            (COUNT, "many"),
            (DEAD_LETTER, ""),
            (DEAD_LETTER, "\x1b[2J"),
            (DEAD_LETTER, &*long),
            (FIRST_FAILED_AT, "yesterday"),
        ] {
            let mut headers = second().headers([]);
            headers.retain(|header| header.name != name);
            assert_eq!(Redrive::of(&record(headers.clone())), None, "without {name}");
            headers.push(Header { name: name.into(), value: Some(value.as_bytes().to_vec().into()) });
            assert_eq!(Redrive::of(&record(headers)), None, "{name}: {value}");
        }
    }
}
