//! Rows as they stand: read, decoded, and what an entry came to when its row looks like that.
//!
//! The outcome of every entry can be read off its row *after* its statement, because each statement leaves a mark that
//! tells (the owner, the lease's holder, the text that was first). So only steps in which something did not go the usual
//! way read anything back.

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
use crate::pipeline::dedupe::ledger::{Claim, Entry, Outcome, Row};

/// Who calls: an instance in one of its lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) instance: String,
    /// The bits of an unsigned number; SQLite knows signed ones only.
    pub(super) incarnation: i64,
}

/// A row with what the port does not show.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) row: Arc<Row>,
    lease: Option<(Holder, Timestamp)>,
}

/// The rows of these keys; keys without a row are left out.
pub(super) async fn read(
    executor: impl SqliteExecutor<'_>,
    keys: impl Iterator<Item = DedupeKey>,
) -> Result<HashMap<DedupeKey, Held>, sqlx::Error> {
    let keys: Vec<String> = keys.map(DedupeKey::to_hex).collect();
    let json = serde_json::to_string(&keys).expect("a list of texts can be written as JSON");
    let rows = sqlx::query(READ.sql).bind(json).fetch_all(executor).await?;
    rows.iter().map(decode).map(|held| held.map(|held| (held.row.key, held))).collect()
}

/// The row that a claim inserted.
pub(super) fn inserted_by(claim: &Claim) -> Row {
    Row {
        key: claim.key,
        owner: claim.position.clone(),
        hop: claim.hop,
        body: claim.body,
        first_seen_at: claim.at,
        answer: None,
        answered_at: None,
        verdict: None,
        published_at: None,
        vanished: false,
        rejected: false,
    }
}

/// What the entry came to, now that its row looks like this; `None`: the database broke a promise.
pub(super) fn outcome(entry: &Entry, held: Option<&Held>, me: &Holder, now: Timestamp) -> Option<Outcome> {
    let owned = |owner: &Position| held.filter(|held| held.row.owner == *owner);
    match entry {
        Entry::Claim(_) | Entry::TakeOver { .. } => Some(Outcome::Row(Arc::clone(&held?.row))),
        Entry::Lease { owner, .. } => Some(lease_outcome(owned(owner), me, now)),
        Entry::Answer { owner, .. } => match owned(owner) {
            Some(held) => held.row.answer.clone().map(Outcome::Saved),
            None => Some(Outcome::NotOwner),
        },
        Entry::Verdict { owner, .. } => match owned(owner) {
            Some(held) => held.row.verdict.clone().map(Outcome::Reached),
            None => Some(Outcome::NotOwner),
        },
        Entry::Release { owner, .. } | Entry::Published { owner, .. } => {
            Some(owned(owner).map_or(Outcome::NotOwner, |_| Outcome::Done))
        }
        Entry::Vanished { .. } | Entry::RepairPublished { .. } => None,
    }
}

fn lease_outcome(held: Option<&Held>, me: &Holder, now: Timestamp) -> Outcome {
    match held {
        Some(Held { row, lease: Some((holder, until)) }) if row.answer.is_none() && row.verdict.is_none() => {
            if holder == me {
                Outcome::LeaseGranted
            } else {
                Outcome::LeaseHeld { remaining: Duration::from_millis(until.millis_since(now).unsigned_abs()) }
            }
        }
        _ => Outcome::LeasePointless,
    }
}

fn decode(row: &SqliteRow) -> Result<Held, sqlx::Error> {
    let lease = match (row.try_get(14)?, row.try_get(15)?, row.try_get::<Option<i64>, _>(16)?) {
        (Some(instance), Some(incarnation), Some(until)) => Some((Holder { instance, incarnation }, Timestamp(until))),
        _ => None,
    };
    let time = |index: usize| row.try_get::<Option<i64>, _>(index).map(|time| time.map(Timestamp));
    let row = Row {
        key: DedupeKey(hash(row, 0)?),
        owner: Position { topic_id: row.try_get(1)?, partition: row.try_get(2)?, offset: number(row, 3)? },
        hop: row.try_get(4)?,
        body: BodyHash { form: row.try_get(5)?, sha256: hash(row, 6)? },
        first_seen_at: Timestamp(row.try_get(7)?),
        answer: json(row, 8)?,
        answered_at: time(9)?,
        verdict: json(row, 10)?,
        published_at: time(11)?,
        vanished: row.try_get(12)?,
        rejected: time(13)?.is_some(),
    };
    Ok(Held { row: Arc::new(row), lease })
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
