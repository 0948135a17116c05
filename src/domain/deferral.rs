//! What a copy in a delay tier carries beside the original record: where its event first stood, how often it was put
//! off, and when it may come back.
//!
//! The words stand in `gk-*` headers. They count on deferred topics only: anybody may write such a header on an event.

use std::sync::Arc;
use std::time::Duration;

use super::clock::Timestamp;
use super::position::Position;
use super::record::{Header, Record};

/// How long each tier waits, shortest first.
pub const TIER_DELAYS: [Duration; 4] =
    [Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(600), Duration::from_secs(3_600)];

/// How long this tier waits.
#[must_use]
pub fn delay_of(tier: u8) -> Duration {
    TIER_DELAYS[usize::from(tier).min(TIER_DELAYS.len() - 1)]
}

/// Headers that begin so are ours.
const PREFIX: &str = "gk-";
const TOPIC: &str = "gk-origin-topic-id";
const OFFSET: &str = "gk-origin-offset";
const TIMESTAMP: &str = "gk-origin-timestamp";
const HOP: &str = "gk-hop";
const NOT_BEFORE: &str = "gk-not-before";
const TURN: &str = "gk-turn";
const IMPROVES: &str = "gk-improves";
const ROOM: &str = "gk-waits-for-room";

/// The longest tier that is over by the time so much has passed; the shortest, if none is.
#[must_use]
pub fn tier_for(wait: Duration) -> u8 {
    let over = TIER_DELAYS.iter().filter(|delay| **delay <= wait).count();
    u8::try_from(over.saturating_sub(1)).unwrap_or(0)
}

/// What stands on a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferral {
    /// Where the event first stood; the copy stands in the partition of the same number.
    pub origin: Position,
    /// What the log said of the origin's time.
    pub timestamp: Timestamp,
    /// How many delay tiers it has come through, this one included: 1 is the first.
    pub hop: u32,
    /// It is not looked at before, unless it waits for room.
    pub not_before: Timestamp,
    /// When its tenant's limits will have room for it, as far as that could be foreseen; past, if they have.
    pub turn: Timestamp,
    /// All that it waits for, or that stands before it in its tier, is room at a busy model: it may be looked at before, if
    /// there is some.
    pub waits_for_room: bool,
    /// It is an improve record: its event was decided by a fallback, in the decision of this id, and nobody waits for it.
    pub improves: Option<String>,
}

/// Longer than any id that we write.
const LONGEST_ID: usize = 256;

/// More than these words ever add to a record: two ids, five numbers and a mark, with their names and what there is to a header.
pub const MOST_BYTES: usize = 2 * LONGEST_ID + 5 * 20 + 8 * 128;

/// Why a record of a deferred topic is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a record of a deferred topic has no usable header {0}")]
pub struct NotADeferral(&'static str);

impl Deferral {
    /// Read off the headers of a record in this partition.
    pub fn read(record: &Record, partition: u32) -> Result<Self, NotADeferral> {
        fn number<T: std::str::FromStr>(record: &Record, name: &'static str) -> Result<T, NotADeferral> {
            let text = record.header(name).and_then(|value| std::str::from_utf8(value).ok());
            text.and_then(|text| text.parse().ok()).ok_or(NotADeferral(name))
        }
        let topic_id = record.header(TOPIC).and_then(|value| std::str::from_utf8(value).ok());
        let topic_id =
            topic_id.filter(|id| (1..=LONGEST_ID).contains(&id.len())).ok_or(NotADeferral(TOPIC))?.to_owned();
        let hop = number(record, HOP)?;
        if hop == 0 {
            return Err(NotADeferral(HOP));
        }
        // No log has more, and no ledger can write it down.
        let offset = Some(number(record, OFFSET)?).filter(|offset| i64::try_from(*offset).is_ok());
        let improves = record.header(IMPROVES).map(|id| String::from_utf8_lossy(id).into_owned());
        if improves.as_ref().is_some_and(|id| id.len() > LONGEST_ID) {
            return Err(NotADeferral(IMPROVES));
        }
        Ok(Self {
            origin: Position { topic_id, partition, offset: offset.ok_or(NotADeferral(OFFSET))? },
            timestamp: Timestamp(number(record, TIMESTAMP)?),
            hop,
            not_before: Timestamp(number(record, NOT_BEFORE)?),
            turn: Timestamp(number(record, TURN)?),
            waits_for_room: record.header(ROOM).is_some(),
            improves,
        })
    }

    /// The record as it first stood, for whatever stems from it.
    #[must_use]
    pub fn original(&self, copy: Record) -> Record {
        let headers = without_ours(copy.headers);
        Record { offset: self.origin.offset, timestamp: self.timestamp, headers, ..copy }
    }

    /// The original's headers and these words.
    #[must_use]
    pub fn headers(&self, original: &Record) -> Vec<Header> {
        let mut headers = without_ours(original.headers.clone());
        headers.push(Header::text(TOPIC, &self.origin.topic_id));
        let numbers: [(&str, Arc<str>); 5] = [
            (OFFSET, self.origin.offset.to_string().into()),
            (TIMESTAMP, self.timestamp.0.to_string().into()),
            (HOP, self.hop.to_string().into()),
            (NOT_BEFORE, self.not_before.0.to_string().into()),
            (TURN, self.turn.0.to_string().into()),
        ];
        headers.extend(numbers.map(|(name, value)| Header::text(name, &value)));
        headers.extend(self.waits_for_room.then(|| Header::text(ROOM, "1")));
        headers.extend(self.improves.as_deref().map(|id| Header::text(IMPROVES, id)));
        headers
    }
}

fn without_ours(headers: Vec<Header>) -> Vec<Header> {
    headers.into_iter().filter(|header| !header.name.starts_with(PREFIX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::Payload;

    #[test]
    fn what_no_log_and_no_ledger_could_have_said_is_none_of_ours() {
        let copy = |deferral: &Deferral| Record { headers: deferral.headers(&original()), ..original() };
        let (most, topic_id) = (i64::MAX.unsigned_abs(), "t".repeat(LONGEST_ID));
        let ours = Deferral { origin: Position { topic_id, partition: 3, offset: most }, ..deferral() };
        assert_eq!(Deferral::read(&copy(&ours), 3), Ok(ours.clone()));
        let with = |origin: Position, improves: Option<String>| Deferral { origin, improves, ..ours.clone() };
        let origin = &ours.origin;
        for (bad, header) in [
            (with(Position { offset: most + 1, ..origin.clone() }, None), OFFSET),
            (with(Position { topic_id: "t".repeat(LONGEST_ID + 1), ..origin.clone() }, None), TOPIC),
            (with(origin.clone(), Some("d".repeat(LONGEST_ID + 1))), IMPROVES),
        ] {
            assert_eq!(Deferral::read(&copy(&bad), 3), Err(NotADeferral(header)));
        }
    }

    fn original() -> Record {
        Record {
            offset: 7,
            timestamp: Timestamp(1_000),
            key: Some(Payload::from_static(b"acme|1")),
            value: Some(Payload::from_static(b"{}")),
            headers: vec![Header::text("ce_id", "e-1"), Header { name: "empty".into(), value: None }],
        }
    }

    fn deferral() -> Deferral {
        Deferral {
            origin: Position { topic_id: "events".to_owned(), partition: 3, offset: 7 },
            timestamp: Timestamp(1_000),
            hop: 2,
            not_before: Timestamp(61_000),
            turn: Timestamp(90_000),
            waits_for_room: false,
            improves: None,
        }
    }

    #[test]
    fn no_copy_is_larger_than_its_original_by_more_than_is_reckoned_with() {
        let most = Deferral {
            origin: Position { topic_id: "t".repeat(LONGEST_ID), partition: u32::MAX, offset: u64::MAX },
            timestamp: Timestamp(i64::MIN),
            hop: u32::MAX,
            not_before: Timestamp(i64::MIN),
            turn: Timestamp(i64::MIN),
            waits_for_room: true,
            improves: Some("d".repeat(LONGEST_ID)),
        };
        let copy = Record { headers: most.headers(&original()), ..original() };
        let added = copy.bytes() - original().bytes();
        assert!(added <= MOST_BYTES && added > MOST_BYTES / 2, "{added}");
    }

    #[test]
    fn what_was_written_on_a_copy_is_read_off_it_and_the_original_comes_back() {
        let headers = deferral().headers(&original());
        let copy = Record { offset: 99, timestamp: Timestamp(2_000), headers, ..original() };
        let read = Deferral::read(&copy, 3).expect("it is ours");
        assert_eq!(read, deferral());
        assert_eq!(read.original(copy), original());
        let for_room = Deferral { waits_for_room: true, ..deferral() };
        let copy = Record { headers: for_room.headers(&original()), ..original() };
        assert_eq!(Deferral::read(&copy, 3), Ok(for_room));
        let improve = Deferral { improves: Some("d-1".to_owned()), ..deferral() };
        let copy = Record { headers: improve.headers(&original()), ..original() };
        assert_eq!(Deferral::read(&copy, 3), Ok(improve));
    }

    #[test]
    fn a_copy_of_a_copy_carries_the_words_once() {
        let first = Record { headers: deferral().headers(&original()), ..original() };
        let again = Deferral { hop: 3, ..deferral() }.headers(&first);
        assert_eq!(again.iter().filter(|header| &*header.name == HOP).count(), 1);
        assert_eq!(Deferral::read(&Record { headers: again, ..original() }, 3).map(|read| read.hop), Ok(3));
    }

    #[test]
    fn a_record_without_its_origin_is_none_of_ours() {
        assert_eq!(Deferral::read(&original(), 3), Err(NotADeferral(TOPIC)));
        for (name, value) in [(OFFSET, "-1"), (HOP, "0"), (HOP, "x"), (NOT_BEFORE, ""), (TURN, "soon")] {
            let mut headers = deferral().headers(&original());
            headers.retain(|header| &*header.name != name);
            headers.push(Header::text(name, value));
            assert_eq!(Deferral::read(&Record { headers, ..original() }, 3), Err(NotADeferral(name)));
        }
    }

    #[test]
    fn the_tier_is_over_before_the_turn_comes_but_for_the_shortest() {
        let seconds = Duration::from_secs;
        let tiers = [0, 9, 10, 59, 60, 599, 600, 3_599, 3_600, 90_000].map(|wait| tier_for(seconds(wait)));
        assert_eq!(tiers, [0, 0, 0, 0, 1, 1, 2, 2, 3, 3]);
    }
}
