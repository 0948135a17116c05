//! Reading a partition: one range of the b-tree, in order.

use futures_util::TryStreamExt as _;
use sqlx::{Row as _, SqliteConnection};

use super::error::Error;
use super::headers;
use super::place::Stretch;
use crate::domain::clock::Timestamp;
use crate::domain::position::Partition;
use crate::domain::record::{Payload, Record};
use crate::operations::log_browser::ReadLimit;

/// Records from `from` to before `end`, which must all be there: offsets of this log have no gaps, so a missing one is
/// damage and never skipped. At least one comes, unless there is none to come.
pub(super) async fn read(
    connection: &mut SqliteConnection,
    partition: Partition,
    stretch: Stretch,
    (from, end): (u64, u64),
    limit: ReadLimit,
) -> Result<Vec<Record>, Error> {
    let wanted = end.saturating_sub(from).min(limit.max_records.max(1) as u64);
    let (Some(first), true) = (stretch.place(from), wanted > 0) else { return Ok(Vec::new()) };
    let last = stretch.place(from + wanted - 1).ok_or(Error::OffsetsUsedUp { partition })?;

    let mut records = Vec::with_capacity(wanted as usize);
    let mut bytes = 0;
    let mut rows = sqlx::query(
        "SELECT place, written_at, key, value, headers FROM records WHERE place BETWEEN ? AND ? ORDER BY place",
    )
    .bind(first)
    .bind(last)
    .fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let offset = from + records.len() as u64;
        let damaged = |found| Error::Damaged { partition, offset, found };
        if stretch.offset(row.try_get(0)?) != Some(offset) {
            return Err(damaged("a record is missing"));
        }
        let part = |column| Ok::<_, sqlx::Error>(row.try_get::<Option<Vec<u8>>, _>(column)?.map(Payload::from));
        let (key, value, headers) = (part(2)?, part(3)?, part(4)?.unwrap_or_default());
        bytes += key.as_ref().map_or(0, Payload::len) + value.as_ref().map_or(0, Payload::len) + headers.len();
        if bytes > limit.max_bytes && !records.is_empty() {
            break;
        }
        let headers = headers::decode(headers).map_err(|_| damaged("headers that cannot be read"))?;
        records.push(Record { offset, timestamp: Timestamp(row.try_get(1)?), key, value, headers });
    }
    if records.is_empty() {
        return Err(Error::Damaged { partition, offset: from, found: "records are missing" });
    }
    Ok(records)
}
