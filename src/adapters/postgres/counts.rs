//! How many partitions of a topic are read, as the server remembers it: one row a topic, changed by compare-and-set.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::session::Session;
use super::sets::{bound, named};
use super::statements::Statement;
use crate::pipeline::dedupe::ledger::places::{Counted, Growth};

const COUNTED: Statement =
    Statement { name: "counted", sql: "SELECT settled, growing_to, ends FROM counts WHERE topic = $1" };

const COUNT_FIRST: Statement = Statement {
    name: "count_first",
    sql: "INSERT INTO counts (topic, settled, growing_to, ends) VALUES ($1, $2, $3, $4) ON CONFLICT (topic) DO NOTHING",
};

const COUNT: Statement = Statement {
    name: "count",
    sql: "UPDATE counts SET settled = $2, growing_to = $3, ends = $4
          WHERE topic = $1 AND settled = $5 AND growing_to = $6",
};

/// A topic that does not grow grows to what it has.
fn growing_to(counted: &Counted) -> i64 {
    i64::from(counted.growth.as_ref().map_or(counted.settled, |growth| growth.to))
}

pub(super) async fn counted(session: &mut Session<'_>, topic_id: &str) -> Result<Option<Counted>, sqlx::Error> {
    let rows = session.read(&COUNTED, sqlx::query(COUNTED.sql).bind(named(topic_id))).await?;
    rows.first().map(decode).transpose()
}

fn decode(row: &PgRow) -> Result<Counted, sqlx::Error> {
    let number = |index: usize| -> Result<u32, sqlx::Error> {
        u32::try_from(row.try_get::<i64, _>(index)?).map_err(|error| sqlx::Error::Decode(error.into()))
    };
    let (settled, to) = (number(0)?, number(1)?);
    let ends = row.try_get::<Vec<i64>, _>(2)?.into_iter().map(i64::unsigned_abs).collect();
    Ok(Counted { settled, growth: (to > settled).then_some(Growth { to, ends }) })
}

/// Statements of their own: the second sees whoever was faster.
pub(super) async fn count(
    session: &mut Session<'_>,
    topic_id: &str,
    from: Option<&Counted>,
    to: &Counted,
) -> Result<Counted, sqlx::Error> {
    let ends = to.growth.as_ref().map(|growth| growth.ends.as_slice()).unwrap_or_default();
    let ends: Vec<i64> = ends.iter().map(|end| bound(*end)).collect();
    let statement = if from.is_some() { &COUNT } else { &COUNT_FIRST };
    let query =
        sqlx::query(statement.sql).bind(named(topic_id)).bind(i64::from(to.settled)).bind(growing_to(to)).bind(ends);
    let query = match from {
        Some(from) => query.bind(i64::from(from.settled)).bind(growing_to(from)),
        None => query,
    };
    session.change(statement, query).await?;
    counted(session, topic_id).await?.ok_or(sqlx::Error::RowNotFound)
}
