//! What the server knows of places in the log: which group's, who entered where, where the group stood, and how many batches
//! commits may rest on.

use sqlx::Row as _;

use super::session::Session;
use super::sets::{Set, bound, named};
use super::statements::Statement;
use crate::domain::position::TopicRole;
use crate::pipeline::dedupe::ledger::places::{Entered, LastCommit, Mark};

pub(super) const BIND: Statement =
    Statement { name: "bind", sql: "INSERT INTO bound (one, group_id) VALUES (true, $1) ON CONFLICT (one) DO NOTHING" };

pub(super) const BOUND: Statement = Statement { name: "bound", sql: "SELECT group_id FROM bound" };

const ENTER: Statement = Statement {
    name: "enter",
    sql: "INSERT INTO writers (topic, partition, writer) VALUES ($1, $2, $3)
          ON CONFLICT (topic, partition) DO UPDATE SET writer = excluded.writer",
};

pub(super) const WRITER: Statement =
    Statement { name: "writer", sql: "SELECT writer FROM writers WHERE topic = $1 AND partition = $2" };

const STOOD: Statement =
    Statement { name: "stood", sql: "SELECT base FROM places WHERE topic = $1 AND partition = $2" };

/// Backwards too: an operator may have said so.
const STANDS: Statement = Statement {
    name: "stands",
    sql: "INSERT INTO places (topic, partition, base) VALUES ($1, $2, $3)
          ON CONFLICT (topic, partition) DO UPDATE SET base = excluded.base",
};

/// A ticket always has a name: compared with one, the index of what is put off is the only one that fits.
const MARK: Statement = Statement {
    name: "mark",
    sql: "INSERT INTO marks (ledger, writer, batches) SELECT ledger, $1, 1 FROM identity WHERE true
          ON CONFLICT (ledger, writer) DO UPDATE SET batches = marks.batches + 1
          RETURNING ledger, batches,
                    EXISTS (SELECT 1 FROM ledger WHERE published_at IS NULL AND deferred_ticket >= '')",
};

const BATCHES: Statement =
    Statement { name: "batches", sql: "SELECT batches FROM marks WHERE ledger = $1 AND writer = $2" };

/// Never backwards: the writer goes on counting from here.
const RECOVERED: Statement = Statement {
    name: "recovered",
    sql: "INSERT INTO marks (ledger, writer, batches) VALUES ($1, $2, $3)
          ON CONFLICT (ledger, writer) DO UPDATE SET batches = greatest(marks.batches, excluded.batches)",
};

/// Rows are claimed in the order of offsets. Without a row of its own are only what could not be read, and duplicates: what
/// of those lies between the last two commits is told once more. Where nothing is open all rows are read: asked patiently.
pub(super) const FIRST_OPEN: Statement = Statement {
    name: "first_open",
    sql: "SELECT nullif(greatest(
              coalesce((SELECT base FROM places WHERE topic = $1 AND partition = $2), -1),
              coalesce((SELECT min(owner_offset) FROM ledger
                        WHERE owner_topic = $1 AND owner_partition = $2
                          AND published_at IS NULL AND NOT vanished),
                       (SELECT max(owner_offset) + 1 FROM ledger
                        WHERE owner_topic = $1 AND owner_partition = $2),
                       -1)), -1)",
};

pub(super) const TOPIC_FIRST: Statement = Statement {
    name: "topic_first",
    sql: "INSERT INTO topics (role, topic) VALUES ($1, $2) ON CONFLICT (role) DO NOTHING",
};

pub(super) const TOPIC: Statement = Statement { name: "topic", sql: "SELECT topic FROM topics WHERE role = $1" };

pub(super) const TOPIC_ANEW: Statement =
    Statement { name: "topic_anew", sql: "UPDATE topics SET topic = $2 WHERE role = $1" };

/// An event that was put off is carried by its copy in a tier, and after that by its owner's place alone.
pub(super) const VANISHED_WITH: Statement = Statement {
    name: "vanished_with",
    sql: "UPDATE ledger SET vanished = true
          WHERE published_at IS NULL AND NOT vanished
            AND (owner_topic = $1 OR (NOT is_put_off AND copy_topic = $1) OR (is_put_off AND deferred_to = $2))",
};

/// The tier of this role, as it is remembered beside events.
pub(super) fn tier(role: TopicRole) -> Option<i16> {
    match role {
        TopicRole::Deferred(tier) => Some(tier.into()),
        _ => None,
    }
}

pub(super) fn about(statement: &Statement, topic_id: &str, partition: u32) -> Set {
    sqlx::query(statement.sql).bind(named(topic_id)).bind(i64::from(partition))
}

/// Inside a batch's transaction.
pub(super) async fn enter(
    session: &mut Session<'_>,
    (topic_id, partition): (&str, u32),
    writer: &str,
    committed: Option<u64>,
    last: Option<&LastCommit>,
) -> Result<Entered, sqlx::Error> {
    let stood = session.read(&STOOD, about(&STOOD, topic_id, partition)).await?;
    let stood: Option<i64> = stood.first().map(|row| row.try_get(0)).transpose()?;
    let batches: Option<i64> = match last {
        Some(LastCommit { writer, mark }) => {
            let query = sqlx::query(BATCHES.sql).bind(i64::from(mark.ledger())).bind(named(writer));
            session.read(&BATCHES, query).await?.first().map(|row| row.try_get(0)).transpose()?
        }
        None => None,
    };
    session.change(&ENTER, about(&ENTER, topic_id, partition).bind(named(writer))).await?;
    if let Some(base) = committed {
        stands(session, (topic_id, partition), base).await?;
    }
    Ok(Entered { stood_at: stood.map(i64::unsigned_abs), batches: batches.map_or(0, i64::unsigned_abs) })
}

/// Inside a batch's transaction.
pub(super) async fn stands(
    session: &mut Session<'_>,
    (topic_id, partition): (&str, u32),
    base: u64,
) -> Result<(), sqlx::Error> {
    session.change(&STANDS, about(&STANDS, topic_id, partition).bind(bound(base))).await.map(drop)
}

/// One more batch of this writer.
pub(super) async fn mark(session: &mut Session<'_>, writer: &str) -> Result<(Mark, bool), sqlx::Error> {
    let rows = session.read(&MARK, sqlx::query(MARK.sql).bind(named(writer))).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok((mark_in(row.try_get(0)?, row.try_get(1)?)?, row.try_get(2)?))
}

/// A mark as the tables have it.
pub(super) fn mark_in(ledger: i64, batches: i64) -> Result<Mark, sqlx::Error> {
    let ledger = u16::try_from(ledger).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(Mark::new(ledger, batches.unsigned_abs()))
}

/// What this commit rests on is here again.
pub(super) async fn recovered(
    session: &mut Session<'_>,
    LastCommit { writer, mark }: &LastCommit,
) -> Result<(), sqlx::Error> {
    let query = sqlx::query(RECOVERED.sql).bind(i64::from(mark.ledger())).bind(named(writer));
    session.change(&RECOVERED, query.bind(bound(mark.batches()))).await.map(drop)
}
