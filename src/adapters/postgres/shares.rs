//! What instances have in common of tenants' limits: one row a tenant, whose lock is held for one trip.
//!
//! Rows are locked in the order of their tenants, so that trips do not wait for each other in a circle. What an account
//! comes to is computed between reading and writing it; the clock is the server's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::Row as _;
use tokio::time::Instant;

use super::error::sorted;
use super::ledger::{PostgresLedger, Shared};
use super::session::Session;
use super::sets::named;
use super::statements::{BEGIN, COMMIT, Statement};
use crate::domain::clock::Timestamp;
use crate::pipeline::admit::shares::account::Account;
use crate::pipeline::admit::shares::{Ask, LimitShares, Reply, SharesError};

const LIMITS_OPEN: Statement = Statement {
    name: "limits_open",
    sql: "INSERT INTO shared_limits (tenant, account, touched_at)
          SELECT j.tenant, '', statement_timestamp() FROM unnest($1::text[]) AS j (tenant) ORDER BY j.tenant
          ON CONFLICT (tenant) DO NOTHING",
};

const LIMITS_READ: Statement = Statement {
    name: "limits_read",
    sql: "SELECT tenant, account, (extract(epoch FROM statement_timestamp()) * 1000)::bigint
          FROM shared_limits WHERE tenant = ANY($1) ORDER BY tenant FOR NO KEY UPDATE",
};

const LIMITS_WRITE: Statement = Statement {
    name: "limits_write",
    sql: "UPDATE shared_limits AS l SET account = j.account, touched_at = statement_timestamp()
          FROM unnest($1::text[], $2::text[]) AS j (tenant, account) WHERE l.tenant = j.tenant",
};

/// A pool that nobody touched for an hour is full, and its minute empty.
const LIMITS_FORGET: Statement = Statement {
    name: "limits_forget",
    sql: "DELETE FROM shared_limits WHERE tenant IN (
              SELECT tenant FROM shared_limits WHERE touched_at < statement_timestamp() - interval '1 hour'
              ORDER BY tenant LIMIT 1000 FOR UPDATE SKIP LOCKED)",
};

type Found = BTreeMap<String, (Account, Timestamp)>;

impl Shared {
    async fn trip(&self, session: &mut Session<'_>, asks: &[Ask], lease: Duration) -> Result<Vec<Reply>, sqlx::Error> {
        let tenants: Vec<String> = asks.iter().map(|ask| named(&ask.tenant)).collect();
        // Before anything is granted: what fails afterwards would take back what is committed.
        if self.limits_forgotten.is_due(Instant::now()) {
            session.change(&LIMITS_FORGET, sqlx::query(LIMITS_FORGET.sql)).await?;
        }
        session.say(&BEGIN).await?;
        let mut found = read(session, &tenants).await?;
        if found.len() < tenants.len() {
            session.change(&LIMITS_OPEN, sqlx::query(LIMITS_OPEN.sql).bind(tenants.clone())).await?;
            found = read(session, &tenants).await?;
        }
        let mut replies = Vec::with_capacity(asks.len());
        for (tenant, ask) in tenants.iter().zip(asks) {
            let (account, now) = found.get_mut(tenant).ok_or(sqlx::Error::RowNotFound)?;
            replies.push(account.trip(*now, self.instance(), ask, lease));
        }
        let written = tenants
            .iter()
            .map(|tenant| serde_json::to_string(&found[tenant].0).map_err(|error| sqlx::Error::Encode(error.into())));
        let written = written.collect::<Result<Vec<_>, _>>()?;
        session.change(&LIMITS_WRITE, sqlx::query(LIMITS_WRITE.sql).bind(tenants).bind(written)).await?;
        session.say(&COMMIT).await?;
        Ok(replies)
    }
}

async fn read(session: &mut Session<'_>, tenants: &[String]) -> Result<Found, sqlx::Error> {
    let rows = session.read(&LIMITS_READ, sqlx::query(LIMITS_READ.sql).bind(tenants.to_vec())).await?;
    let decode = |row: &sqlx::postgres::PgRow| {
        let (tenant, text): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let account = match text.as_str() {
            "" => Account::default(),
            text => serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))?,
        };
        Ok((tenant, (account, Timestamp(row.try_get(2)?))))
    };
    rows.iter().map(decode).collect()
}

impl LimitShares for PostgresLedger {
    fn trip(&self, asks: Vec<Ask>, lease: Duration) -> BoxFuture<'_, Result<Vec<Reply>, SharesError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let failed = |error: &dyn std::fmt::Display| SharesError(error.to_string());
            let mut held = shared.pool.acquire().await.map_err(|error| failed(&error))?;
            let replies = shared.trip(&mut shared.session(&mut held), &asks, lease).await;
            let replies = replies.map_err(|error| failed(&sorted(&error)))?;
            held.give_back();
            Ok(replies)
        })
    }
}
