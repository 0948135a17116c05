//! Rows as they stand: read and decoded.

use std::collections::HashMap;
use std::num::TryFromIntError;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::session::Session;
use super::sets;
use super::statements::READ;
use crate::domain::clock::Timestamp;
use crate::domain::identity::{BodyHash, DedupeKey};
use crate::domain::position::Position;
use crate::pipeline::dedupe::ledger::Row;
use crate::pipeline::dedupe::ledger::outcomes::{Held, Holder};

/// The rows of these keys; keys without a row are left out.
pub(super) async fn read(
    session: &mut Session<'_>,
    keys: impl Iterator<Item = DedupeKey>,
) -> Result<HashMap<DedupeKey, Held>, sqlx::Error> {
    let rows = session.read(&READ, sets::keys(&READ, keys)).await?;
    rows.iter().map(decode).map(|held| held.map(|held| (held.row.key, held))).collect()
}

fn decode(row: &PgRow) -> Result<Held, sqlx::Error> {
    let lease = match (row.try_get(14)?, row.try_get(15)?, row.try_get::<Option<i64>, _>(16)?) {
        (Some(instance), Some(incarnation), Some(remaining)) => {
            // One that ran out between two statements has nothing left.
            let remaining = Duration::from_millis(u64::try_from(remaining).unwrap_or(0));
            Some((Holder { instance, incarnation }, remaining))
        }
        _ => None,
    };
    let time = |index: usize| row.try_get::<Option<i64>, _>(index).map(|time| time.map(Timestamp));
    let row = Row {
        key: DedupeKey(hash(row, 0)?),
        owner: Position { topic_id: row.try_get(1)?, partition: number(row, 2)?, offset: number(row, 3)? },
        hop: number(row, 4)?,
        copy: copy(row)?,
        body: BodyHash { form: small(row, 5)?, sha256: hash(row, 6)? },
        first_seen_at: Timestamp(row.try_get(7)?),
        answer: json(row, 8)?,
        answered_at: time(9)?,
        verdict: json(row, 10)?,
        published_at: time(11)?,
        vanished: row.try_get(12)?,
        rejected: time(13)?.is_some(),
        deferred_to: row.try_get::<Option<i16>, _>(19)?.map(|_| small(row, 19)).transpose()?,
        ahead: None,
    };
    Ok(Held { row: Arc::new(row), lease })
}

/// A copy stands in the partition of the same number.
fn copy(row: &PgRow) -> Result<Option<Position>, sqlx::Error> {
    let Some(topic_id) = row.try_get(17)? else { return Ok(None) };
    Ok(Some(Position { topic_id, partition: number(row, 2)?, offset: number(row, 18)? }))
}

fn hash(row: &PgRow, index: usize) -> Result<[u8; 32], sqlx::Error> {
    let bytes: &[u8] = row.try_get(index)?;
    bytes.try_into().map_err(|error| undecodable(index, error))
}

fn number<T: TryFrom<i64, Error = TryFromIntError>>(row: &PgRow, index: usize) -> Result<T, sqlx::Error> {
    T::try_from(row.try_get::<i64, _>(index)?).map_err(|error| undecodable(index, error))
}

fn small(row: &PgRow, index: usize) -> Result<u8, sqlx::Error> {
    u8::try_from(row.try_get::<i16, _>(index)?).map_err(|error| undecodable(index, error))
}

fn json<T: DeserializeOwned>(row: &PgRow, index: usize) -> Result<Option<Arc<T>>, sqlx::Error> {
    let Some(text) = row.try_get::<Option<&str>, _>(index)? else { return Ok(None) };
    serde_json::from_str(text).map(|value| Some(Arc::new(value))).map_err(|error| undecodable(index, error))
}

fn undecodable(index: usize, error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: index.to_string(), source: Box::new(error) }
}
