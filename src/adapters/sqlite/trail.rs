//! What operators changed, as the file remembers it.

use futures_util::future::BoxFuture;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, FromRow, Row as _, SqliteConnection};

use super::ledger::{SqliteLedger, given_back};
use super::statements::Statement;
use crate::domain::clock::Timestamp;
use crate::operations::trail::{Act, Appended, AuditTrail, Change, Kind, NewChange};
use crate::pipeline::dedupe::ledger::LedgerError;

const REVISION: Statement = Statement { name: "trail_revision", sql: "SELECT coalesce(max(revision), 0) FROM changes" };

const SINCE: Statement = Statement {
    name: "trail_since",
    sql: "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY subject ORDER BY revision DESC) AS age
                         FROM changes WHERE kind = ?1 AND revision > ?2) AS newest
          WHERE age <= ?3 ORDER BY revision",
};

const LIST: Statement = Statement {
    name: "trail_list",
    sql: "SELECT * FROM changes WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR subject = ?2)
          ORDER BY revision DESC LIMIT ?3",
};

const NEWEST: Statement =
    Statement { name: "trail_newest", sql: "SELECT max(revision) FROM changes WHERE kind = ?1 AND subject = ?2" };

const APPEND: Statement = Statement {
    name: "trail_append",
    sql: "INSERT INTO changes (revision, changed_at, actor, kind, subject, act, previous, note, document, until)
          SELECT coalesce(max(revision), 0) + 1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM changes
          RETURNING revision",
};

struct Entry(Change);

impl FromRow<'_, SqliteRow> for Entry {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let (kind, act): (String, String) = (row.try_get("kind")?, row.try_get("act")?);
        let unknown = || sqlx::Error::Decode(format!("this build knows no change {kind}/{act}").into());
        Ok(Self(Change {
            revision: row.try_get::<i64, _>("revision")?.unsigned_abs(),
            at: Timestamp(row.try_get("changed_at")?),
            actor: row.try_get("actor")?,
            kind: Kind::named(&kind).ok_or_else(unknown)?,
            subject: row.try_get("subject")?,
            act: Act::named(&act).ok_or_else(unknown)?,
            before: row.try_get::<Option<i64>, _>("previous")?.map(i64::unsigned_abs),
            note: row.try_get("note")?,
            document: row.try_get("document")?,
            until: row.try_get::<Option<i64>, _>("until")?.map(Timestamp),
        }))
    }
}

fn signed(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

impl SqliteLedger {
    async fn add(&self, change: &NewChange) -> Result<Appended, sqlx::Error> {
        let mut writer = self.pools.writer.acquire().await?;
        let added = self.add_with(&mut writer, change).await;
        given_back(writer, &added);
        added
    }

    async fn add_with(&self, writer: &mut SqliteConnection, change: &NewChange) -> Result<Appended, sqlx::Error> {
        let mut transaction = self.pace.watch("begin", writer.begin_with("BEGIN IMMEDIATE")).await?;
        let newest = sqlx::query_scalar(NEWEST.sql).bind(change.kind.name()).bind(&change.subject);
        let newest: Option<i64> = self.pace.watch(NEWEST.name, newest.fetch_one(&mut *transaction)).await?;
        let newest = newest.map(i64::unsigned_abs);
        if newest != change.before {
            return Ok(Appended::Overtaken(newest.unwrap_or_default()));
        }
        let append = sqlx::query_scalar(APPEND.sql)
            .bind(change.by.at.0)
            .bind(&change.by.actor)
            .bind(change.kind.name())
            .bind(&change.subject)
            .bind(change.act.name())
            .bind(change.before.map(signed))
            .bind(&change.by.note)
            .bind(&change.document)
            .bind(change.until.map(|until| until.0));
        let revision: i64 = self.pace.watch(APPEND.name, append.fetch_one(&mut *transaction)).await?;
        self.pace.watch("commit", transaction.commit()).await?;
        Ok(Appended::As(revision.unsigned_abs()))
    }
}

impl AuditTrail for SqliteLedger {
    fn revision(&self) -> BoxFuture<'_, Result<u64, LedgerError>> {
        Box::pin(async move {
            let query = sqlx::query_scalar(REVISION.sql).fetch_one(&self.pools.readers);
            let revision: i64 = self.pace.watch(REVISION.name, query).await.map_err(|error| self.sorted(&error))?;
            Ok(revision.unsigned_abs())
        })
    }

    fn since(&self, kind: Kind, revision: u64, of_each: u32) -> BoxFuture<'_, Result<Vec<Change>, LedgerError>> {
        Box::pin(async move {
            let query = sqlx::query_as(SINCE.sql).bind(kind.name()).bind(signed(revision)).bind(of_each);
            let entries: Result<Vec<Entry>, _> =
                self.pace.watch(SINCE.name, query.fetch_all(&self.pools.readers)).await;
            Ok(entries.map_err(|error| self.sorted(&error))?.into_iter().map(|entry| entry.0).collect())
        })
    }

    fn list<'a>(
        &'a self,
        kind: Option<Kind>,
        subject: Option<&'a str>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Change>, LedgerError>> {
        Box::pin(async move {
            let query = sqlx::query_as(LIST.sql).bind(kind.map(Kind::name)).bind(subject).bind(limit);
            let entries: Result<Vec<Entry>, _> = self.pace.watch(LIST.name, query.fetch_all(&self.pools.readers)).await;
            Ok(entries.map_err(|error| self.sorted(&error))?.into_iter().map(|entry| entry.0).collect())
        })
    }

    fn append(&self, change: NewChange) -> BoxFuture<'_, Result<Appended, LedgerError>> {
        Box::pin(async move { self.add(&change).await.map_err(|error| self.sorted(&error)) })
    }
}
