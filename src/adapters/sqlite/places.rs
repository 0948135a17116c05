//! What the file knows of places in the log: which group's, who entered where, where the group stood, and how many batches
//! commits may rest on.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection};

use super::statements::Statement;
use crate::domain::position::TopicRole;
use crate::pipeline::dedupe::ledger::places::{Entered, LastCommit, Mark};
use crate::telemetry::pace::Pace;

pub(super) const BIND: Statement =
    Statement { name: "bind", sql: "INSERT INTO bound (one, group_id) VALUES (1, ?1) ON CONFLICT (one) DO NOTHING" };

pub(super) const BOUND: Statement = Statement { name: "bound", sql: "SELECT group_id FROM bound" };

const ENTER: Statement = Statement {
    name: "enter",
    sql: "INSERT INTO writers (topic, partition, writer) VALUES (?1, ?2, ?3)
          ON CONFLICT (topic, partition) DO UPDATE SET writer = excluded.writer",
};

pub(super) const WRITER: Statement =
    Statement { name: "writer", sql: "SELECT writer FROM writers WHERE topic = ?1 AND partition = ?2" };

const STOOD: Statement =
    Statement { name: "stood", sql: "SELECT base FROM places WHERE topic = ?1 AND partition = ?2" };

/// Backwards too: an operator may have said so.
const STANDS: Statement = Statement {
    name: "stands",
    sql: "INSERT INTO places (topic, partition, base) VALUES (?1, ?2, ?3)
          ON CONFLICT (topic, partition) DO UPDATE SET base = excluded.base",
};

const MARK: Statement = Statement {
    name: "mark",
    sql: "INSERT INTO marks (ledger, writer, batches) SELECT ledger, ?1, 1 FROM identity WHERE true
          ON CONFLICT (ledger, writer) DO UPDATE SET batches = marks.batches + 1
          RETURNING ledger, batches,
                    EXISTS (SELECT 1 FROM ledger WHERE published_at IS NULL AND deferred_ticket IS NOT NULL)",
};

const BATCHES: Statement =
    Statement { name: "batches", sql: "SELECT batches FROM marks WHERE ledger = ?1 AND writer = ?2" };

/// Never backwards: the writer goes on counting from here.
const RECOVERED: Statement = Statement {
    name: "recovered",
    sql: "INSERT INTO marks (ledger, writer, batches) VALUES (?1, ?2, ?3)
          ON CONFLICT (ledger, writer) DO UPDATE SET batches = max(marks.batches, excluded.batches)",
};

/// Rows are claimed in the order of offsets. Without a row of its own are only what could not be read, and duplicates: what
/// of those lies between the last two commits is told once more.
pub(super) const FIRST_OPEN: Statement = Statement {
    name: "first_open",
    sql: "SELECT nullif(max(
              coalesce((SELECT base FROM places WHERE topic = ?1 AND partition = ?2), -1),
              coalesce((SELECT min(owner_offset) FROM ledger
                        WHERE owner_topic = ?1 AND owner_partition = ?2
                          AND published_at IS NULL AND vanished = 0),
                       (SELECT max(owner_offset) + 1 FROM ledger
                        WHERE owner_topic = ?1 AND owner_partition = ?2),
                       -1)), -1)",
};

pub(super) const TOPIC_FIRST: Statement = Statement {
    name: "topic_first",
    sql: "INSERT INTO topics (role, topic) VALUES (?1, ?2) ON CONFLICT (role) DO NOTHING",
};

pub(super) const TOPIC: Statement = Statement { name: "topic", sql: "SELECT topic FROM topics WHERE role = ?1" };

pub(super) const TOPIC_ANEW: Statement =
    Statement { name: "topic_anew", sql: "UPDATE topics SET topic = ?2 WHERE role = ?1" };

/// An event that was put off is carried by its copy in a tier, and after that by its owner's place alone.
pub(super) const VANISHED_WITH: Statement = Statement {
    name: "vanished_with",
    sql: "UPDATE ledger SET vanished = 1
          WHERE published_at IS NULL AND vanished = 0
            AND (owner_topic = ?1 OR (is_put_off = 0 AND copy_topic = ?1) OR (is_put_off = 1 AND deferred_to = ?2))",
};

/// The tier of this role, as it is remembered beside events.
pub(super) fn tier(role: TopicRole) -> Option<u8> {
    match role {
        TopicRole::Deferred(tier) => Some(tier),
        _ => None,
    }
}

/// A partition, in the hands of one transaction.
pub(super) struct Place<'a> {
    pub(super) connection: &'a mut SqliteConnection,
    pub(super) pace: Pace,
    pub(super) topic_id: &'a str,
    pub(super) partition: u32,
}

impl Place<'_> {
    pub(super) async fn enter(
        &mut self,
        writer: &str,
        committed: Option<u64>,
        last: Option<&LastCommit>,
    ) -> Result<Entered, sqlx::Error> {
        let stood = sqlx::query_scalar(STOOD.sql).bind(self.topic_id).bind(self.partition);
        let stood: Option<i64> = self.pace.watch(STOOD.name, stood.fetch_optional(&mut *self.connection)).await?;
        let batches = match last {
            Some(last) => self.batches(last).await?,
            None => 0,
        };
        let enter = self.about(&ENTER).bind(writer);
        self.pace.watch(ENTER.name, enter.execute(&mut *self.connection)).await?;
        if let Some(base) = committed {
            self.stands(base).await?;
        }
        Ok(Entered { stood_at: stood.map(i64::unsigned_abs), batches })
    }

    async fn batches(&mut self, last: &LastCommit) -> Result<u64, sqlx::Error> {
        let batches = sqlx::query_scalar(BATCHES.sql).bind(last.mark.ledger()).bind(&last.writer);
        let found: Option<i64> = self.pace.watch(BATCHES.name, batches.fetch_optional(&mut *self.connection)).await?;
        Ok(found.map_or(0, i64::unsigned_abs))
    }

    pub(super) async fn stands(&mut self, base: u64) -> Result<(), sqlx::Error> {
        let stands = self.about(&STANDS).bind(bound(base));
        self.pace.watch(STANDS.name, stands.execute(&mut *self.connection)).await.map(drop)
    }

    fn about<'q>(&self, statement: &'q Statement) -> Query<'q, Sqlite, SqliteArguments> {
        sqlx::query(statement.sql).bind(self.topic_id.to_owned()).bind(self.partition)
    }
}

/// One more batch of this writer.
pub(super) async fn mark(
    connection: &mut SqliteConnection,
    writer: &str,
    pace: Pace,
) -> Result<(Mark, bool), sqlx::Error> {
    let mark = sqlx::query_as(MARK.sql).bind(writer);
    let (ledger, batches, is_any_deferred): (u16, i64, bool) =
        pace.watch(MARK.name, mark.fetch_one(connection)).await?;
    Ok((Mark::new(ledger, batches.unsigned_abs()), is_any_deferred))
}

/// What this commit rests on is here again.
pub(super) async fn recovered(
    connection: &mut SqliteConnection,
    LastCommit { writer, mark }: &LastCommit,
    pace: Pace,
) -> Result<(), sqlx::Error> {
    let recovered = sqlx::query(RECOVERED.sql).bind(mark.ledger()).bind(writer).bind(bound(mark.batches()));
    pace.watch(RECOVERED.name, recovered.execute(connection)).await.map(drop)
}

/// An end of a range as SQLite can hold it: no log counts further than signed numbers do.
pub(super) fn bound(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}
