//! How the breakers of every instance are, as the file remembers it.

use futures_util::future::BoxFuture;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, FromRow, Row as _, SqliteConnection};

use super::ledger::{SqliteLedger, given_back};
use super::statements::Statement;
use crate::domain::clock::Timestamp;
use crate::operations::breakers::{BreakerBoard, Said};
use crate::pipeline::dedupe::ledger::LedgerError;

const SAY: Statement = Statement {
    name: "breakers_say",
    sql: "INSERT INTO breakers (instance, model, state, since, why, failures, revision, said_at)
          VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
          ON CONFLICT (instance, model) DO UPDATE
          SET state = excluded.state, since = excluded.since, why = excluded.why, failures = excluded.failures,
              revision = excluded.revision, said_at = excluded.said_at",
};

const FORGET: Statement = Statement { name: "breakers_forget", sql: "DELETE FROM breakers WHERE said_at < ?1" };

const SAID: Statement = Statement { name: "breakers_said", sql: "SELECT * FROM breakers ORDER BY instance, model" };

struct Row(Said);

impl FromRow<'_, SqliteRow> for Row {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self(Said {
            instance: row.try_get("instance")?,
            model: row.try_get("model")?,
            state: row.try_get("state")?,
            since: Timestamp(row.try_get("since")?),
            why: row.try_get("why")?,
            failures: row.try_get("failures")?,
            revision: row.try_get::<i64, _>("revision")?.unsigned_abs(),
            said_at: Timestamp(row.try_get("said_at")?),
        }))
    }
}

impl SqliteLedger {
    async fn write_board(&self, said: &[Said], forget_before: Timestamp) -> Result<(), sqlx::Error> {
        let mut writer = self.pools.writer.acquire().await?;
        let written = self.write_board_with(&mut writer, said, forget_before).await;
        given_back(writer, &written);
        written
    }

    async fn write_board_with(
        &self,
        writer: &mut SqliteConnection,
        said: &[Said],
        forget_before: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let mut transaction = self.pace.watch("begin", writer.begin_with("BEGIN IMMEDIATE")).await?;
        for said in said {
            let say = sqlx::query(SAY.sql)
                .bind(&said.instance)
                .bind(&said.model)
                .bind(&said.state)
                .bind(said.since.0)
                .bind(&said.why)
                .bind(said.failures)
                .bind(i64::try_from(said.revision).unwrap_or(i64::MAX))
                .bind(said.said_at.0);
            self.pace.watch(SAY.name, say.execute(&mut *transaction)).await?;
        }
        let forget = sqlx::query(FORGET.sql).bind(forget_before.0);
        self.pace.watch(FORGET.name, forget.execute(&mut *transaction)).await?;
        self.pace.watch("commit", transaction.commit()).await
    }
}

impl BreakerBoard for SqliteLedger {
    fn say(&self, said: Vec<Said>, forget_before: Timestamp) -> BoxFuture<'_, Result<(), LedgerError>> {
        Box::pin(async move { self.write_board(&said, forget_before).await.map_err(|error| self.sorted(&error)) })
    }

    fn said(&self) -> BoxFuture<'_, Result<Vec<Said>, LedgerError>> {
        Box::pin(async move {
            let rows = self.pace.watch(SAID.name, sqlx::query_as(SAID.sql).fetch_all(&self.pools.readers)).await;
            let rows: Vec<Row> = rows.map_err(|error| self.sorted(&error))?;
            Ok(rows.into_iter().map(|row| row.0).collect())
        })
    }
}
