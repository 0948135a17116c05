//! Writing records: thousands in a few statements, whatever is in them.
//!
//! One statement a record would cost a round trip to SQLite's thread each. Instead a *sheet* carries many: one BLOB with
//! all keys, values and headers one after another, and one JSON array that says for each record its place and where its
//! parts lie. SQLite cuts them out again (`substr`), so the text of the statement never changes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sqlx::SqliteConnection;

use super::catalog::Catalog;
use super::error::Error;
use super::headers;
use super::place::MAX_OFFSETS;
use crate::domain::clock::Timestamp;
use crate::domain::position::Partition;
use crate::domain::record::OutRecord;

/// A sheet is full at this size: large enough that a statement's own cost does not show, small enough that three copies
/// of it (ours, the binding, the pages) do not either.
const SHEET_BYTES: usize = 4 << 20;

/// A sheet is full with this many records: bounds the JSON to about 250 KB.
const SHEET_RECORDS: usize = 4_096;

/// Append in order, inside the caller's write transaction; the offsets come back in the same order.
pub(super) async fn append(
    transaction: &mut SqliteConnection,
    catalog: &Catalog,
    records: &[OutRecord],
    now: Timestamp,
) -> Result<Vec<u64>, Error> {
    let mut next = reserve(transaction, catalog, records).await?;
    let mut offsets = Vec::with_capacity(records.len());
    let mut sheet = Sheet::default();
    for record in records {
        let partition = destination(record);
        let (stretch, next_offset) = next.get_mut(&partition).ok_or(Error::Gone { partition })?;
        let place = stretch.place(*next_offset).ok_or(Error::OffsetsUsedUp { partition })?;
        offsets.push(*next_offset);
        *next_offset += 1;
        sheet.put(place, record);
        if sheet.is_full() {
            std::mem::take(&mut sheet).write(transaction, now).await?;
        }
    }
    sheet.write(transaction, now).await?;
    Ok(offsets)
}

fn destination(record: &OutRecord) -> Partition {
    Partition { topic: record.topic, number: record.partition }
}

type Reserved = BTreeMap<Partition, (super::place::Stretch, u64)>;

/// Move the ends of all partitions that get something; the first offset of each comes back.
async fn reserve(
    transaction: &mut SqliteConnection,
    catalog: &Catalog,
    records: &[OutRecord],
) -> Result<Reserved, Error> {
    let mut wanted: BTreeMap<Partition, (u64, usize)> = BTreeMap::new();
    for record in records {
        let (count, bytes) = wanted.entry(destination(record)).or_default();
        *count += 1;
        *bytes += size(record);
    }
    if wanted.is_empty() {
        return Ok(Reserved::new());
    }
    let mut asked = Vec::with_capacity(wanted.len());
    for (partition, (count, bytes)) in &wanted {
        asked.push((catalog.topic(*partition)?.number, partition.number, count, bytes));
    }
    let rows: Vec<(i64, u32, i64)> = sqlx::query_as(
        "UPDATE partitions SET next_offset = next_offset + (asked.value ->> 2), bytes = bytes + (asked.value ->> 3)
         FROM json_each(?) AS asked
         WHERE topic = asked.value ->> 0 AND partition = asked.value ->> 1
         RETURNING topic, partition, next_offset",
    )
    .bind(json(&asked))
    .fetch_all(transaction)
    .await?;
    let ends: BTreeMap<(i64, u32), i64> = rows.into_iter().map(|(topic, number, end)| ((topic, number), end)).collect();

    let mut reserved = Reserved::new();
    for (partition, (count, _)) in wanted {
        let topic = catalog.topic(partition)?.number;
        let end = ends.get(&(topic, partition.number)).ok_or(Error::Gone { partition })?.unsigned_abs();
        if end >= MAX_OFFSETS {
            return Err(Error::OffsetsUsedUp { partition });
        }
        reserved.insert(partition, (catalog.stretch(partition)?, end - count));
    }
    Ok(reserved)
}

/// What a record counts for in `partitions.bytes`, as retention and readers count it.
fn size(record: &OutRecord) -> usize {
    let part = |part: &Option<crate::domain::record::Payload>| part.as_ref().map_or(0, |part| part.len());
    let headers = record.headers.iter().map(|header| 8 + header.name.len() + part(&header.value)).sum::<usize>();
    part(&record.key) + part(&record.value) + headers
}

/// Plain numbers and strings always have a JSON form.
pub(super) fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("numbers and strings have a JSON form")
}

/// Many records as two parameters.
struct Sheet {
    parts: Vec<u8>,
    rows: String,
    count: usize,
}

impl Default for Sheet {
    fn default() -> Self {
        // `substr` of an empty BLOB is NULL, not empty; one byte in front keeps an empty value empty. Positions of
        // `substr` count from 1, so `parts.len() + 1` is where the next part begins.
        Self { parts: vec![0], rows: String::from("["), count: 0 }
    }
}

impl Sheet {
    fn is_full(&self) -> bool {
        self.count >= SHEET_RECORDS || self.parts.len() >= SHEET_BYTES
    }

    fn put(&mut self, place: i64, record: &OutRecord) {
        let comma = if self.count == 0 { "" } else { "," };
        write!(self.rows, "{comma}[{place}").expect("a string takes everything");
        self.part(record.key.as_ref().map(|key| |parts: &mut Vec<u8>| parts.extend(&key[..])));
        self.part(record.value.as_ref().map(|value| |parts: &mut Vec<u8>| parts.extend(&value[..])));
        let headers = Some(&record.headers).filter(|headers| !headers.is_empty());
        self.part(headers.map(|headers| |parts: &mut Vec<u8>| headers::encode(headers, parts)));
        self.rows.push(']');
        self.count += 1;
    }

    /// Begin and length; `substr(.., NULL, NULL)` is NULL.
    fn part(&mut self, put: Option<impl FnOnce(&mut Vec<u8>)>) {
        let Some(put) = put else {
            self.rows.push_str(",null,null");
            return;
        };
        let begin = self.parts.len();
        put(&mut self.parts);
        write!(self.rows, ",{},{}", begin + 1, self.parts.len() - begin).expect("a string takes everything");
    }

    async fn write(mut self, transaction: &mut SqliteConnection, now: Timestamp) -> Result<(), Error> {
        if self.count == 0 {
            return Ok(());
        }
        self.rows.push(']');
        sqlx::query(
            "INSERT INTO records (place, written_at, key, value, headers)
             SELECT row.value ->> 0, ?3,
                    substr(?1, row.value ->> 1, row.value ->> 2),
                    substr(?1, row.value ->> 3, row.value ->> 4),
                    substr(?1, row.value ->> 5, row.value ->> 6)
             FROM json_each(?2) AS row",
        )
        .bind(self.parts)
        .bind(self.rows)
        .bind(now.0)
        .execute(transaction)
        .await?;
        Ok(())
    }
}
