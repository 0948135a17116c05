//! How many partitions of a topic are read, as the file remembers it: one row a topic, changed by compare-and-set.

use super::ledger::SqliteLedger;
use super::statements::Statement;
use crate::pipeline::dedupe::ledger::places::{Counted, Growth};

const COUNTED: Statement =
    Statement { name: "counted", sql: "SELECT settled, growing_to, ends FROM counts WHERE topic = ?1" };

const COUNT_FIRST: Statement = Statement {
    name: "count_first",
    sql: "INSERT INTO counts (topic, settled, growing_to, ends) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (topic) DO NOTHING",
};

const COUNT: Statement = Statement {
    name: "count",
    sql: "UPDATE counts SET settled = ?2, growing_to = ?3, ends = ?4
          WHERE topic = ?1 AND settled = ?5 AND growing_to = ?6",
};

/// A topic that does not grow grows to what it has.
fn growing_to(counted: &Counted) -> u32 {
    counted.growth.as_ref().map_or(counted.settled, |growth| growth.to)
}

impl SqliteLedger {
    pub(super) async fn read_counted(&self, topic_id: &str) -> Result<Option<Counted>, sqlx::Error> {
        let query = sqlx::query_as(COUNTED.sql).bind(topic_id);
        let found: Option<(u32, u32, String)> =
            self.pace.watch(COUNTED.name, query.fetch_optional(&self.pools.writer)).await?;
        let Some((settled, to, ends)) = found else { return Ok(None) };
        let ends = serde_json::from_str(&ends).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(Some(Counted { settled, growth: (to > settled).then_some(Growth { to, ends }) }))
    }

    pub(super) async fn write_count(
        &self,
        topic_id: &str,
        from: Option<&Counted>,
        to: &Counted,
    ) -> Result<Counted, sqlx::Error> {
        let ends = to.growth.as_ref().map(|growth| growth.ends.as_slice()).unwrap_or_default();
        let ends = serde_json::to_string(ends).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let statement = if from.is_some() { &COUNT } else { &COUNT_FIRST };
        let query = sqlx::query(statement.sql).bind(topic_id).bind(to.settled).bind(growing_to(to)).bind(ends);
        let query = match from {
            Some(from) => query.bind(from.settled).bind(growing_to(from)),
            None => query,
        };
        self.pace.watch(statement.name, query.execute(&self.pools.writer)).await?;
        self.read_counted(topic_id).await?.ok_or(sqlx::Error::RowNotFound)
    }
}
