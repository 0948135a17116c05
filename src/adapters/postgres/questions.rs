//! The ports' words about places in the log, kept decisions and money, said to Postgres outside of batches.

use futures_util::future::BoxFuture;
use sqlx::Row as _;

use super::counts;
use super::decisions::FORGET;
use super::error::sorted;
use super::ledger::PostgresLedger;
use super::places::{BIND, BOUND, FIRST_OPEN, TOPIC, TOPIC_ANEW, TOPIC_FIRST, VANISHED_WITH, WRITER, about, tier};
use super::purses::{PURSE, purse};
use super::sets::{millis, named};
use super::statements::{BE_PATIENT, BEGIN, COMMIT};
use crate::domain::budget::{Day, Purse};
use crate::domain::clock::Timestamp;
use crate::domain::position::TopicRole;
use crate::pipeline::dedupe::ledger::LedgerError;
use crate::pipeline::dedupe::ledger::decision_index::DecisionIndex;
use crate::pipeline::dedupe::ledger::places::{Counted, Places};
use crate::pipeline::dedupe::ledger::purses::Spending;

impl Places for PostgresLedger {
    fn bind<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<String, LedgerError>> {
        Box::pin(async move {
            let mut held = self.shared.pool.acquire().await?;
            let mut session = self.shared.session(&mut held);
            let binding = async {
                session.change(&BIND, sqlx::query(BIND.sql).bind(named(group))).await?;
                // A statement of its own: it sees whoever was first.
                let rows = session.read(&BOUND, sqlx::query(BOUND.sql)).await?;
                rows.first().map(|row| row.try_get(0)).transpose()
            };
            let bound: Option<String> = binding.await.map_err(|error| sorted(&error))?;
            held.give_back();
            bound.ok_or_else(|| LedgerError::Damaged("it belongs to no group right after it was bound".to_owned()))
        })
    }

    fn topic<'a>(&'a self, role: TopicRole, topic_id: &'a str) -> BoxFuture<'a, Result<String, LedgerError>> {
        Box::pin(async move {
            let (mut held, role) = (self.shared.pool.acquire().await?, role.to_string());
            let mut session = self.shared.session(&mut held);
            let asking = async {
                let first = sqlx::query(TOPIC_FIRST.sql).bind(named(&role)).bind(named(topic_id));
                session.change(&TOPIC_FIRST, first).await?;
                // A statement of its own: it sees whoever was first.
                let rows = session.read(&TOPIC, sqlx::query(TOPIC.sql).bind(named(&role))).await?;
                rows.first().map(|row| row.try_get(0)).transpose()
            };
            let known: Option<String> = asking.await.map_err(|error| sorted(&error))?;
            held.give_back();
            known.ok_or_else(|| LedgerError::Damaged(format!("it knows no topic of {role} right after it was told")))
        })
    }

    fn recreated<'a>(&'a self, role: TopicRole, old: &'a str, new: &'a str) -> BoxFuture<'a, Result<u64, LedgerError>> {
        Box::pin(async move {
            let mut held = self.shared.pool.acquire().await?;
            let mut session = self.shared.patient_session(&mut held);
            let changing = async {
                session.say(&BEGIN).await?;
                session.say(&BE_PATIENT).await?;
                let anew = sqlx::query(TOPIC_ANEW.sql).bind(named(&role.to_string())).bind(named(new));
                session.change(&TOPIC_ANEW, anew).await?;
                let vanished = sqlx::query(VANISHED_WITH.sql).bind(named(old)).bind(tier(role));
                let gone = session.change(&VANISHED_WITH, vanished).await?;
                session.say(&COMMIT).await?;
                Ok(gone)
            };
            let gone = changing.await.map_err(|error: sqlx::Error| sorted(&error))?;
            held.give_back();
            Ok(gone)
        })
    }

    fn writer<'a>(&'a self, topic_id: &'a str, partition: u32) -> BoxFuture<'a, Result<Option<String>, LedgerError>> {
        Box::pin(async move {
            let mut held = self.shared.pool.acquire().await?;
            let rows = self.shared.session(&mut held).read(&WRITER, about(&WRITER, topic_id, partition)).await;
            let writer = rows.and_then(|rows| rows.first().map(|row| row.try_get(0)).transpose());
            let writer = writer.map_err(|error| sorted(&error))?;
            held.give_back();
            Ok(writer)
        })
    }

    fn counted<'a>(&'a self, topic_id: &'a str) -> BoxFuture<'a, Result<Option<Counted>, LedgerError>> {
        Box::pin(async move {
            let mut held = self.shared.pool.acquire().await?;
            let counted = counts::counted(&mut self.shared.session(&mut held), topic_id).await;
            let counted = counted.map_err(|error| sorted(&error))?;
            held.give_back();
            Ok(counted)
        })
    }

    fn count<'a>(
        &'a self,
        topic_id: &'a str,
        from: Option<&'a Counted>,
        to: &'a Counted,
    ) -> BoxFuture<'a, Result<Counted, LedgerError>> {
        Box::pin(async move {
            let mut held = self.shared.pool.acquire().await?;
            let counted = counts::count(&mut self.shared.session(&mut held), topic_id, from, to).await;
            let counted = counted.map_err(|error| sorted(&error))?;
            held.give_back();
            Ok(counted)
        })
    }

    fn first_open<'a>(&'a self, topic_id: &'a str, partition: u32) -> BoxFuture<'a, Result<Option<u64>, LedgerError>> {
        Box::pin(async move {
            let mut held = self.shared.pool.acquire().await?;
            let mut session = self.shared.patient_session(&mut held);
            let asking = async {
                session.say(&BEGIN).await?;
                session.say(&BE_PATIENT).await?;
                let rows = session.read(&FIRST_OPEN, about(&FIRST_OPEN, topic_id, partition)).await?;
                session.say(&COMMIT).await?;
                rows.first().map_or(Ok(None), |row| row.try_get(0))
            };
            let open: Option<i64> = asking.await.map_err(|error| sorted(&error))?;
            held.give_back();
            Ok(open.map(i64::unsigned_abs))
        })
    }
}

impl DecisionIndex for PostgresLedger {
    fn forget_decisions(&self, decided_before: Timestamp, limit: u32) -> BoxFuture<'_, Result<u64, LedgerError>> {
        Box::pin(async move {
            let mut held = self.shared.pool.acquire().await?;
            let query = sqlx::query(FORGET.sql).bind(decided_before.0).bind(i64::from(limit));
            let query = query.bind(millis(self.shared.kept.decisions));
            let gone = self.shared.session(&mut held).change(&FORGET, query).await;
            let gone = gone.map_err(|error| sorted(&error))?;
            held.give_back();
            Ok(gone)
        })
    }
}

impl Spending for PostgresLedger {
    fn spent<'a>(&'a self, tenant: &'a str, day: Day) -> BoxFuture<'a, Result<Purse, LedgerError>> {
        Box::pin(async move {
            let mut held = self.shared.pool.acquire().await?;
            let query = sqlx::query(PURSE.sql).bind(named(tenant)).bind(day.0);
            let rows = self.shared.session(&mut held).read(&PURSE, query).await.map_err(|error| sorted(&error))?;
            let purse = rows.first().map(purse).transpose().map_err(|error| sorted(&error))?;
            held.give_back();
            Ok(purse.unwrap_or_default())
        })
    }
}
