//! What operators changed, as the server remembers it.

use futures_util::future::BoxFuture;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::error::sorted;
use super::ledger::PostgresLedger;
use super::session::Session;
use super::sets::{Set, bound, named};
use super::statements::{BEGIN, COMMIT, Statement};
use crate::domain::clock::Timestamp;
use crate::operations::trail::{Act, Appended, AuditTrail, Change, Kind, NewChange};
use crate::pipeline::dedupe::ledger::LedgerError;

const REVISION: Statement = Statement { name: "trail_revision", sql: "SELECT coalesce(max(revision), 0) FROM changes" };

const SINCE: Statement = Statement {
    name: "trail_since",
    sql: "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY subject ORDER BY revision DESC) AS age
                         FROM changes WHERE kind = $1 AND revision > $2) AS newest
          WHERE age <= $3 ORDER BY revision",
};

const LIST: Statement = Statement {
    name: "trail_list",
    sql: "SELECT * FROM changes WHERE ($1 IS NULL OR kind = $1) AND ($2 IS NULL OR subject = $2)
          ORDER BY revision DESC LIMIT $3",
};

/// One writer at a time, and readers go on: a revision is never seen before a lower one.
const LOCK: Statement = Statement { name: "trail_lock", sql: "LOCK TABLE changes IN SHARE ROW EXCLUSIVE MODE" };

const NEWEST: Statement =
    Statement { name: "trail_newest", sql: "SELECT max(revision) FROM changes WHERE kind = $1 AND subject = $2" };

const APPEND: Statement = Statement {
    name: "trail_append",
    sql: "INSERT INTO changes (revision, changed_at, actor, kind, subject, act, previous, note, document, until)
          SELECT coalesce(max(revision), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9 FROM changes
          RETURNING revision",
};

fn decoded(row: &PgRow) -> Result<Change, sqlx::Error> {
    let (kind, act): (String, String) = (row.try_get("kind")?, row.try_get("act")?);
    let unknown = || sqlx::Error::Decode(format!("this build knows no change {kind}/{act}").into());
    Ok(Change {
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
    })
}

fn append(change: &NewChange) -> Set {
    sqlx::query(APPEND.sql)
        .bind(change.by.at.0)
        .bind(named(&change.by.actor))
        .bind(change.kind.name())
        .bind(named(&change.subject))
        .bind(change.act.name())
        .bind(change.before.map(bound))
        .bind(change.by.note.as_deref().map(named))
        .bind(change.document.as_deref().map(named))
        .bind(change.until.map(|until| until.0))
}

/// The first number of the only row.
fn number(rows: &[PgRow]) -> Result<Option<u64>, sqlx::Error> {
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok(row.try_get::<Option<i64>, _>(0)?.map(i64::unsigned_abs))
}

async fn add(session: &mut Session<'_>, change: &NewChange) -> Result<Appended, sqlx::Error> {
    session.say(&BEGIN).await?;
    session.say(&LOCK).await?;
    let newest = sqlx::query(NEWEST.sql).bind(change.kind.name()).bind(named(&change.subject));
    let newest = number(&session.read(&NEWEST, newest).await?)?;
    let appended = if newest == change.before {
        Appended::As(number(&session.read(&APPEND, append(change)).await?)?.unwrap_or_default())
    } else {
        Appended::Overtaken(newest.unwrap_or_default())
    };
    session.say(&COMMIT).await?;
    Ok(appended)
}

impl PostgresLedger {
    async fn changes(&self, statement: &Statement, query: Set) -> Result<Vec<Change>, LedgerError> {
        let mut held = self.shared.pool.acquire().await?;
        let rows = self.shared.session(&mut held).read(statement, query).await;
        let changes: Result<Vec<_>, _> = rows.and_then(|rows| rows.iter().map(decoded).collect());
        let changes = changes.map_err(|error| sorted(&error))?;
        held.give_back();
        Ok(changes)
    }
}

impl AuditTrail for PostgresLedger {
    fn revision(&self) -> BoxFuture<'_, Result<u64, LedgerError>> {
        Box::pin(async move {
            let mut held = self.shared.pool.acquire().await?;
            let rows = self.shared.session(&mut held).read(&REVISION, sqlx::query(REVISION.sql)).await;
            let revision = rows.and_then(|rows| number(&rows)).map_err(|error| sorted(&error))?;
            held.give_back();
            Ok(revision.unwrap_or_default())
        })
    }

    fn since(&self, kind: Kind, revision: u64, of_each: u32) -> BoxFuture<'_, Result<Vec<Change>, LedgerError>> {
        let query = sqlx::query(SINCE.sql).bind(kind.name()).bind(bound(revision)).bind(i64::from(of_each));
        Box::pin(self.changes(&SINCE, query))
    }

    fn list<'a>(
        &'a self,
        kind: Option<Kind>,
        subject: Option<&'a str>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Change>, LedgerError>> {
        let query = sqlx::query(LIST.sql).bind(kind.map(Kind::name)).bind(subject.map(named)).bind(i64::from(limit));
        Box::pin(self.changes(&LIST, query))
    }

    fn append(&self, change: NewChange) -> BoxFuture<'_, Result<Appended, LedgerError>> {
        Box::pin(async move {
            let mut held = self.shared.pool.acquire().await?;
            let appended = add(&mut self.shared.session(&mut held), &change).await.map_err(|error| sorted(&error))?;
            held.give_back();
            Ok(appended)
        })
    }
}
