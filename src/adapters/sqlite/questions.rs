//! The ports' words about places in the log, kept decisions and money, said to SQLite outside of batches.

use futures_util::future::BoxFuture;

use super::decisions::FORGET;
use super::ledger::SqliteLedger;
use super::places::{BIND, BOUND, FIRST_OPEN, TOPIC, TOPIC_ANEW, TOPIC_FIRST, VANISHED_WITH, WRITER, tier};
use super::purses::{PURSE, purse};
use crate::domain::budget::{Day, Purse};
use crate::domain::clock::Timestamp;
use crate::domain::position::TopicRole;
use crate::pipeline::dedupe::ledger::LedgerError;
use crate::pipeline::dedupe::ledger::decision_index::DecisionIndex;
use crate::pipeline::dedupe::ledger::places::{Counted, Places};
use crate::pipeline::dedupe::ledger::purses::Spending;

impl Places for SqliteLedger {
    fn bind<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<String, LedgerError>> {
        Box::pin(async move {
            let (pace, writer) = (self.pace, &self.pools.writer);
            let bind = sqlx::query(BIND.sql).bind(group);
            pace.watch(BIND.name, bind.execute(writer)).await.map_err(|error| self.sorted(&error))?;
            let bound = sqlx::query_scalar(BOUND.sql);
            pace.watch(BOUND.name, bound.fetch_one(writer)).await.map_err(|error| self.sorted(&error))
        })
    }

    fn topic<'a>(&'a self, role: TopicRole, topic_id: &'a str) -> BoxFuture<'a, Result<String, LedgerError>> {
        Box::pin(async move {
            let (pace, writer) = (self.pace, &self.pools.writer);
            let first = sqlx::query(TOPIC_FIRST.sql).bind(role.to_string()).bind(topic_id);
            pace.watch(TOPIC_FIRST.name, first.execute(writer)).await.map_err(|error| self.sorted(&error))?;
            let known = sqlx::query_scalar(TOPIC.sql).bind(role.to_string());
            pace.watch(TOPIC.name, known.fetch_one(writer)).await.map_err(|error| self.sorted(&error))
        })
    }

    fn recreated<'a>(&'a self, role: TopicRole, old: &'a str, new: &'a str) -> BoxFuture<'a, Result<u64, LedgerError>> {
        let changing = async move {
            let mut transaction = self.pools.writer.begin_with("BEGIN IMMEDIATE").await?;
            let anew = sqlx::query(TOPIC_ANEW.sql).bind(role.to_string()).bind(new);
            self.pace.watch(TOPIC_ANEW.name, anew.execute(&mut *transaction)).await?;
            let vanished = sqlx::query(VANISHED_WITH.sql).bind(old).bind(tier(role));
            let gone = self.pace.watch(VANISHED_WITH.name, vanished.execute(&mut *transaction)).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(gone.rows_affected())
        };
        Box::pin(async move { changing.await.map_err(|error| self.sorted(&error)) })
    }

    fn writer<'a>(&'a self, topic_id: &'a str, partition: u32) -> BoxFuture<'a, Result<Option<String>, LedgerError>> {
        Box::pin(async move {
            let query = sqlx::query_scalar(WRITER.sql).bind(topic_id).bind(partition);
            let found = self.pace.watch(WRITER.name, query.fetch_optional(&self.pools.readers)).await;
            found.map_err(|error| self.sorted(&error))
        })
    }

    fn counted<'a>(&'a self, topic_id: &'a str) -> BoxFuture<'a, Result<Option<Counted>, LedgerError>> {
        Box::pin(async move { self.read_counted(topic_id).await.map_err(|error| self.sorted(&error)) })
    }

    fn count<'a>(
        &'a self,
        topic_id: &'a str,
        from: Option<&'a Counted>,
        to: &'a Counted,
    ) -> BoxFuture<'a, Result<Counted, LedgerError>> {
        Box::pin(async move { self.write_count(topic_id, from, to).await.map_err(|error| self.sorted(&error)) })
    }

    fn first_open<'a>(&'a self, topic_id: &'a str, partition: u32) -> BoxFuture<'a, Result<Option<u64>, LedgerError>> {
        Box::pin(async move {
            let query = sqlx::query_scalar(FIRST_OPEN.sql).bind(topic_id).bind(partition);
            let found = self.pace.watch(FIRST_OPEN.name, query.fetch_one(&self.pools.readers)).await;
            let found: Option<i64> = found.map_err(|error| self.sorted(&error))?;
            Ok(found.map(i64::unsigned_abs))
        })
    }
}

impl DecisionIndex for SqliteLedger {
    fn forget_decisions(&self, decided_before: Timestamp, limit: u32) -> BoxFuture<'_, Result<u64, LedgerError>> {
        Box::pin(async move {
            let query = sqlx::query(FORGET.sql).bind(decided_before.0).bind(limit);
            let gone = self.pace.watch(FORGET.name, query.execute(&self.pools.writer)).await;
            gone.map(|gone| gone.rows_affected()).map_err(|error| self.sorted(&error))
        })
    }
}

impl Spending for SqliteLedger {
    fn spent<'a>(&'a self, tenant: &'a str, day: Day) -> BoxFuture<'a, Result<Purse, LedgerError>> {
        Box::pin(async move {
            let query = sqlx::query(PURSE.sql).bind(tenant).bind(day.0);
            let row = self.pace.watch(PURSE.name, query.fetch_optional(&self.pools.readers)).await;
            let found = row.and_then(|row| row.as_ref().map(purse).transpose());
            Ok(found.map_err(|error| self.sorted(&error))?.unwrap_or_default())
        })
    }
}
