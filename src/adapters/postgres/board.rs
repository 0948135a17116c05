//! How the breakers of every instance are, as the server remembers it.

use futures_util::future::BoxFuture;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::error::sorted;
use super::ledger::PostgresLedger;
use super::session::Session;
use super::sets::{bound, named};
use super::statements::{BEGIN, COMMIT, Statement};
use crate::domain::clock::Timestamp;
use crate::operations::breakers::{BreakerBoard, Said};
use crate::pipeline::dedupe::ledger::LedgerError;

const SAY: Statement = Statement {
    name: "breakers_say",
    sql: "INSERT INTO breakers (instance, model, state, since, why, failures, revision, said_at)
          VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
          ON CONFLICT (instance, model) DO UPDATE
          SET state = excluded.state, since = excluded.since, why = excluded.why, failures = excluded.failures,
              revision = excluded.revision, said_at = excluded.said_at",
};

/// Rows that another instance forgets at this moment are left to it.
const FORGET: Statement = Statement {
    name: "breakers_forget",
    sql: "DELETE FROM breakers WHERE (instance, model) IN (
              SELECT instance, model FROM breakers WHERE said_at < $1 FOR UPDATE SKIP LOCKED)",
};

const SAID: Statement = Statement { name: "breakers_said", sql: "SELECT * FROM breakers ORDER BY instance, model" };

fn decoded(row: &PgRow) -> Result<Said, sqlx::Error> {
    let failures: i64 = row.try_get("failures")?;
    Ok(Said {
        instance: row.try_get("instance")?,
        model: row.try_get("model")?,
        state: row.try_get("state")?,
        since: Timestamp(row.try_get("since")?),
        why: row.try_get("why")?,
        failures: u32::try_from(failures).map_err(|error| sqlx::Error::Decode(error.into()))?,
        revision: row.try_get::<i64, _>("revision")?.unsigned_abs(),
        said_at: Timestamp(row.try_get("said_at")?),
    })
}

async fn write(session: &mut Session<'_>, said: &[Said], forget_before: Timestamp) -> Result<(), sqlx::Error> {
    session.say(&BEGIN).await?;
    for said in said {
        let say = sqlx::query(SAY.sql)
            .bind(named(&said.instance))
            .bind(named(&said.model))
            .bind(named(&said.state))
            .bind(said.since.0)
            .bind(said.why.as_deref().map(named))
            .bind(i64::from(said.failures))
            .bind(bound(said.revision))
            .bind(said.said_at.0);
        session.change(&SAY, say).await?;
    }
    session.change(&FORGET, sqlx::query(FORGET.sql).bind(forget_before.0)).await?;
    session.say(&COMMIT).await
}

impl BreakerBoard for PostgresLedger {
    fn say(&self, said: Vec<Said>, forget_before: Timestamp) -> BoxFuture<'_, Result<(), LedgerError>> {
        Box::pin(async move {
            let mut held = self.shared.pool.acquire().await?;
            let written = write(&mut self.shared.session(&mut held), &said, forget_before).await;
            written.map_err(|error| sorted(&error))?;
            held.give_back();
            Ok(())
        })
    }

    fn said(&self) -> BoxFuture<'_, Result<Vec<Said>, LedgerError>> {
        Box::pin(async move {
            let mut held = self.shared.pool.acquire().await?;
            let rows = self.shared.session(&mut held).read(&SAID, sqlx::query(SAID.sql)).await;
            let said: Result<Vec<_>, _> = rows.and_then(|rows| rows.iter().map(decoded).collect());
            let said = said.map_err(|error| sorted(&error))?;
            held.give_back();
            Ok(said)
        })
    }
}
