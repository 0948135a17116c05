//! The port's words, said to SQLite.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, Sqlite, SqliteConnection};

use super::decisions;
use super::error;
use super::open::{self, OpenError, Pools, Tables};
use super::purses;
use super::rows;
use super::statements;
use super::step::{self, Scribe};
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::identity::DedupeKey;
use crate::pipeline::dedupe::ledger::kill_points::KillPoints;
use crate::pipeline::dedupe::ledger::outcomes::{self, Found, Holder};
use crate::pipeline::dedupe::ledger::plan;
use crate::pipeline::dedupe::ledger::{Entry, Ledger, LedgerError, Outcome, Row};
use crate::settings::ledger::Ledger as Settings;
use crate::telemetry::pace::Pace;

/// A ledger in a file.
pub struct SqliteLedger {
    pub(super) pools: Pools,
    me: Holder,
    pub(super) pace: Pace,
    /// A file has no clock of its own; all who write to it run on one machine.
    clock: Arc<dyn Clock>,
    /// Of the last heartbeat in the file, in milliseconds.
    beaten_at: AtomicI64,
}

/// A heartbeat with every batch would cost each a page of the write-ahead log, to say what the one before said.
const BEAT_EVERY_MS: i64 = 1_000;

impl SqliteLedger {
    /// Open the file, created and migrated as needed. `predecessor_is_dead`: the caller holds the lock that proves that
    /// no earlier process of this instance is alive, so what it leased is free; else those leases run out.
    ///
    /// # Errors
    /// Whatever makes the file unfit to be relied upon.
    pub async fn open(
        settings: &Settings,
        instance: &str,
        incarnation: u64,
        predecessor_is_dead: bool,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let me = Holder { instance: instance.to_owned(), incarnation: incarnation.cast_signed() };
        let ledger = Self::over(open::open(settings, Tables::Migrated).await?, settings, me, clock);
        ledger.enter(predecessor_is_dead).await.map_err(|error| open::refused(&ledger.pools.path, error))?;
        Ok(ledger)
    }

    /// Open the file that is there, to look at it or to change what operators change: nothing is created or migrated, no
    /// lease is taken over, and nothing is written by looking: that works while somebody else writes, and on a full disk.
    ///
    /// # Errors
    /// There is none, it is of an older build, or it is unfit to be relied upon.
    pub async fn open_existing(settings: &Settings, instance: &str, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let me = Holder { instance: instance.to_owned(), incarnation: 0 };
        Ok(Self::over(open::open(settings, Tables::AsTheyAre).await?, settings, me, clock))
    }

    fn over(pools: Pools, settings: &Settings, me: Holder, clock: Arc<dyn Clock>) -> Self {
        let pace = Pace { warn: settings.slow_warn, error: settings.slow_error };
        Self { pools, me, pace, clock, beaten_at: AtomicI64::new(i64::MIN) }
    }

    async fn enter(&self, predecessor_is_dead: bool) -> Result<(), sqlx::Error> {
        let mut transaction = self.pools.writer.begin_with("BEGIN IMMEDIATE").await?;
        if predecessor_is_dead {
            let inherit = sqlx::query(statements::INHERIT_LEASES.sql).bind(&self.me.instance);
            self.pace.watch(statements::INHERIT_LEASES.name, inherit.execute(&mut *transaction)).await?;
        }
        step::beat(&mut transaction, &self.me, self.clock.now(), self.pace).await?;
        transaction.commit().await
    }

    /// Let go of the file: the write-ahead log is folded back. Without it nothing is lost.
    pub async fn close(&self) {
        self.pools.readers.close().await;
        self.pools.writer.close().await;
    }

    async fn write(&self, batch: &[Entry]) -> Result<Vec<Outcome>, sqlx::Error> {
        let mut writer = self.pools.writer.acquire().await?;
        let written = self.write_with(&mut writer, batch).await;
        given_back(writer, &written);
        written
    }

    async fn write_with(&self, writer: &mut SqliteConnection, batch: &[Entry]) -> Result<Vec<Outcome>, sqlx::Error> {
        let mut transaction = self.pace.watch("begin", writer.begin_with("BEGIN IMMEDIATE")).await?;
        let now = self.clock.now();
        // A clock that was set back beats at once.
        let beat_is_due = !(0..BEAT_EVERY_MS).contains(&now.0.saturating_sub(self.beaten_at.load(Ordering::Relaxed)));
        let (connection, me, pace) = (&mut *transaction, &self.me, self.pace);
        let mut scribe = Scribe { connection, me, now, pace, beat_is_due, nothing_is_deferred: false };
        let mut outcomes: Vec<Option<Outcome>> = vec![None; batch.len()];
        for (index, moved) in purses::apply(&mut *scribe.connection, (me, pace, now), plan::movements(batch)).await? {
            outcomes[index] = Some(moved);
        }
        for step in plan::steps(batch) {
            let of_step = scribe.write(&step, batch).await?;
            for (index, outcome) in step.entries.into_iter().zip(of_step) {
                outcomes[index] = Some(outcome);
            }
        }
        let ahead = scribe.ahead(&plan::claims(batch)).await?;
        let recalled = decisions::recall(&mut *scribe.connection, scribe.pace, plan::questions(batch)).await?;
        let overtaken = plan::overtaken_questions(batch);
        let overtaken = decisions::overtaken(&mut *scribe.connection, scribe.pace, overtaken).await?;
        let beaten = beat_is_due && !scribe.beat_is_due;
        self.pace.watch("commit", transaction.commit()).await?;
        if beaten {
            self.beaten_at.store(now.0, Ordering::Relaxed);
        }
        let mut outcomes = outcomes::with_found(batch, outcomes, Found { recalled, overtaken });
        outcomes::look_ahead(batch, &mut outcomes, ahead);
        Ok(outcomes)
    }

    pub(super) fn sorted(&self, error: &sqlx::Error) -> LedgerError {
        error::sorted(error, self.pools.acquire_timeout)
    }
}

/// The writer after a transaction. SQLite ends one by itself when the disk is full, and sqlx goes on counting it: a connection
/// on which one failed begins no other.
pub(super) fn given_back<T>(mut writer: PoolConnection<Sqlite>, outcome: &Result<T, sqlx::Error>) {
    if outcome.is_err() {
        writer.close_on_drop();
    }
}

impl Ledger for SqliteLedger {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'_, Result<Vec<Outcome>, LedgerError>> {
        Box::pin(async move {
            if entries.is_empty() {
                return Ok(Vec::new());
            }
            if self.pools.was_replaced() {
                return Err(LedgerError::Damaged(format!(
                    "{} was removed, or another file was put in its place, while this processor worked on it: nothing more is \
                     written to what is not there any more. Put the file that is meant there, without the -wal and -shm of \
                     another, and start again",
                    self.pools.path.display()
                )));
            }
            let kill_points = KillPoints::of(&entries);
            kill_points.before();
            let outcomes = self.write(&entries).await.map_err(|error| self.sorted(&error))?;
            kill_points.after();
            Ok(outcomes)
        })
    }

    fn find_all(&self, keys: Vec<DedupeKey>) -> BoxFuture<'_, Result<HashMap<DedupeKey, Row>, LedgerError>> {
        Box::pin(async move {
            let read = rows::read(&self.pools.readers, keys.into_iter(), self.clock.now());
            let held = self.pace.watch(statements::READ.name, read).await.map_err(|error| self.sorted(&error))?;
            Ok(held.into_iter().map(|(key, held)| (key, Arc::unwrap_or_clone(held.row))).collect())
        })
    }

    fn forget(
        &self,
        published_before: Timestamp,
        rejected_after: Timestamp,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, LedgerError>> {
        Box::pin(async move {
            let query = sqlx::query(statements::FORGET.sql).bind(published_before.0).bind(rejected_after.0).bind(limit);
            let gone = self.pace.watch(statements::FORGET.name, query.execute(&self.pools.writer)).await;
            gone.map(|gone| gone.rows_affected()).map_err(|error| self.sorted(&error))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::SystemClock;
    use crate::domain::identity::BodyHash;
    use crate::domain::position::Position;
    use crate::pipeline::dedupe::ledger::Claim;
    use crate::settings::{LoadOptions, load};

    fn claim(number: u8) -> Entry {
        let event_id = "e".repeat(1_000).into();
        Entry::Claim(Claim {
            key: DedupeKey([number; 32]),
            position: Position { topic_id: "t".to_owned(), partition: 0, offset: number.into() },
            hop: 0,
            copy: None,
            ticket: "acme|1".into(),
            body: BodyHash { form: 1, sha256: [number; 32] },
            tenant_id: "acme".into(),
            event_id,
            at: Timestamp(0),
        })
    }

    #[tokio::test]
    async fn who_only_looks_sees_everything_while_somebody_else_writes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let defaults = load(&LoadOptions::default()).expect("the defaults are right").settings.ledger;
        let url = format!("sqlite:{}", folder.path().join("ledger.db").display());
        let settings = Settings { url, busy_timeout: std::time::Duration::from_millis(10), ..defaults };
        let clock = Arc::new(SystemClock);
        let ledger = SqliteLedger::open(&settings, "gk-1", 1, false, clock.clone()).await.expect("a new file");
        ledger.commit(vec![claim(1)]).await.expect("there is room");
        let _writing = ledger.pools.writer.begin_with("BEGIN IMMEDIATE").await.expect("nobody else writes");
        let looking = SqliteLedger::open_existing(&settings, "gk-1", clock).await.expect("nothing is to be written");
        let found = looking.find_all((1..4).map(|number| DedupeKey([number; 32])).collect()).await.expect("readable");
        assert_eq!(found.keys().collect::<Vec<_>>(), [&DedupeKey([1; 32])]);
        assert!(looking.find(DedupeKey([1; 32])).await.expect("readable").is_some());
    }

    #[tokio::test]
    async fn after_a_disk_was_full_the_next_batch_is_written() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let defaults = load(&LoadOptions::default()).expect("the defaults are right").settings.ledger;
        let settings = Settings { url: format!("sqlite:{}", folder.path().join("ledger.db").display()), ..defaults };
        let clock = Arc::new(SystemClock);
        let ledger = SqliteLedger::open(&settings, "gk-1", 1, false, clock).await.expect("a new file");
        let batch: Vec<_> = (0..200).map(claim).collect();
        // As many as there are: a limit of this connection.
        sqlx::query("PRAGMA max_page_count = 1").execute(&ledger.pools.writer).await.expect("a limit");
        let error = ledger.commit(batch.clone()).await.expect_err("there is no room");
        assert!(error.to_string().contains("full"), "{error}");
        ledger.commit(batch).await.expect("there is room again");
    }
}
