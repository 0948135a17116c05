//! Statements on one connection, each watched: for how long it takes, and that it ends at all.

use std::future::Future;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{Executor as _, Postgres};

use super::connect::timed_out;
use super::statements::Statement;
use crate::telemetry::pace::Pace;

/// The server cancels a statement in time. A server that is gone without a word cancels nothing: then we stop waiting.
const GRACE: Duration = Duration::from_secs(3);

/// How statements are watched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch {
    pub(super) pace: Pace,
    /// The server's limit for one statement.
    pub(super) statement_timeout: Duration,
}

/// One connection in the hands of one piece of work.
pub(super) struct Session<'a> {
    pub(super) connection: &'a mut PgConnection,
    pub(super) watch: Watch,
}

impl Session<'_> {
    /// How many rows it changed.
    pub(super) async fn change(
        &mut self,
        statement: &Statement,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<u64, sqlx::Error> {
        let Self { connection, watch } = self;
        watch.run(statement.name, query.execute(&mut **connection)).await.map(|done| done.rows_affected())
    }

    /// The rows it found.
    pub(super) async fn read(
        &mut self,
        statement: &Statement,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let Self { connection, watch } = self;
        watch.run(statement.name, query.fetch_all(&mut **connection)).await
    }

    /// A statement without parameters, such as one around a transaction.
    pub(super) async fn say(&mut self, statement: &Statement) -> Result<(), sqlx::Error> {
        let Self { connection, watch } = self;
        watch.run(statement.name, connection.execute(statement.sql)).await.map(drop)
    }
}

impl Watch {
    async fn run<T>(
        self,
        name: &'static str,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let patience = self.statement_timeout + GRACE;
        let watched = tokio::time::timeout(patience, self.pace.watch(name, work)).await;
        watched.unwrap_or_else(|_| Err(timed_out("the server said nothing", patience)))
    }
}
