//! Rows as they stand: read and decoded.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteExecutor, SqliteRow};

use super::statements::READ;
use crate::domain::clock::Timestamp;
use crate::domain::identity::{BodyHash, DedupeKey};
use crate::domain::position::Position;
use crate::pipeline::dedupe::ledger::Row;
use crate::pipeline::dedupe::ledger::outcomes::{Held, Holder};

/// The rows of these keys as they are now; keys without a row are left out.
pub(super) async fn read(
    executor: impl SqliteExecutor<'_>,
    keys: impl Iterator<Item = DedupeKey>,
    now: Timestamp,
) -> Result<HashMap<DedupeKey, Held>, sqlx::Error> {
    let keys: Vec<String> = keys.map(DedupeKey::to_hex).collect();
    let json = serde_json::to_string(&keys).expect("a list of texts can be written as JSON");
    let rows = sqlx::query(READ.sql).bind(json).fetch_all(executor).await?;
    rows.iter().map(|row| decode(row, now)).map(|held| held.map(|held| (held.row.key, held))).collect()
}

fn decode(row: &SqliteRow, now: Timestamp) -> Result<Held, sqlx::Error> {
    let lease = match (row.try_get(14)?, row.try_get(15)?, row.try_get::<Option<i64>, _>(16)?) {
        (Some(instance), Some(incarnation), Some(until)) => {
            let remaining = Timestamp(until).millis_since(now).max(0).unsigned_abs();
            Some((Holder { instance, incarnation }, Duration::from_millis(remaining)))
        }
        _ => None,
    };
    let time = |index: usize| row.try_get::<Option<i64>, _>(index).map(|time| time.map(Timestamp));
    let row = Row {
        key: DedupeKey(hash(row, 0)?),
        owner: Position { topic_id: row.try_get(1)?, partition: row.try_get(2)?, offset: number(row, 3)? },
        hop: row.try_get(4)?,
        copy: copy(row)?,
        body: BodyHash { form: row.try_get(5)?, sha256: hash(row, 6)? },
        first_seen_at: Timestamp(row.try_get(7)?),
        answer: json(row, 8)?,
        answered_at: time(9)?,
        verdict: json(row, 10)?,
        published_at: time(11)?,
        vanished: row.try_get(12)?,
        rejected: time(13)?.is_some(),
        deferred_to: row.try_get(19)?,
        ahead: None,
    };
    Ok(Held { row: Arc::new(row), lease })
}

/// A copy stands in the partition of the same number.
fn copy(row: &SqliteRow) -> Result<Option<Position>, sqlx::Error> {
    let Some(topic_id) = row.try_get(17)? else { return Ok(None) };
    Ok(Some(Position { topic_id, partition: row.try_get(2)?, offset: number(row, 18)? }))
}

fn hash(row: &SqliteRow, index: usize) -> Result<[u8; 32], sqlx::Error> {
    let bytes: &[u8] = row.try_get(index)?;
    bytes.try_into().map_err(|error| undecodable(index, error))
}

fn number(row: &SqliteRow, index: usize) -> Result<u64, sqlx::Error> {
    u64::try_from(row.try_get::<i64, _>(index)?).map_err(|error| undecodable(index, error))
}

fn json<T: DeserializeOwned>(row: &SqliteRow, index: usize) -> Result<Option<Arc<T>>, sqlx::Error> {
    let Some(text) = row.try_get::<Option<&str>, _>(index)? else { return Ok(None) };
    serde_json::from_str(text).map(|value| Some(Arc::new(value))).map_err(|error| undecodable(index, error))
}

fn undecodable(index: usize, error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: index.to_string(), source: Box::new(error) }
}
