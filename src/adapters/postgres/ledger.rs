//! The port's words, said to Postgres.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::task::JoinSet;

use super::decisions;
use super::error::sorted;
use super::open::{self, OpenError, Tables};
use super::pool::{Held, Pool};
use super::purses;
use super::rarely::Rarely;
use super::rows;
use super::session::{Session, Watch};
use super::sets::{self, millis};
use super::statements;
use super::step::Scribe;
use crate::domain::clock::Timestamp;
use crate::domain::identity::DedupeKey;
use crate::pipeline::dedupe::ledger::kill_points::KillPoints;
use crate::pipeline::dedupe::ledger::outcomes::{self, Found, Holder};
use crate::pipeline::dedupe::ledger::plan::{self, Kind, Step, key_of};
use crate::pipeline::dedupe::ledger::{Entry, Ledger, LedgerError, Outcome, Row};
use crate::settings::ledger::Ledger as Settings;
use crate::telemetry::pace::Pace;

/// A ledger on a server.
pub struct PostgresLedger {
    pub(super) shared: Arc<Shared>,
    /// Heartbeats of whoever works here, and the watch for leaks; they end with the ledger.
    tasks: JoinSet<()>,
}

/// What work on the ledger needs.
pub(super) struct Shared {
    pub(super) pool: Pool,
    me: Holder,
    watch: Watch,
    heartbeat_stale: Duration,
    pub(super) kept: Kept,
    pub(super) limits_forgotten: Rarely,
}

/// What is younger than this by the server's clock is not forgotten, whatever the clock of the instance that asks says: the
/// rows are everybody's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    published: Duration,
    rejected: Duration,
    pub(super) decisions: Duration,
}

impl PostgresLedger {
    /// Whether the server is there and fit; its tables are created and migrated as needed. Nobody enters.
    ///
    /// # Errors
    /// Whatever makes the server unfit to be relied upon.
    pub async fn prepare(settings: &Settings, instance: &str) -> Result<(), OpenError> {
        open::open(settings, instance, Tables::Migrated).await.map(drop)
    }

    /// Connect to the server, whose tables are created and migrated as needed. `predecessor_is_dead`: the caller knows
    /// that no earlier process of this instance is alive, so what it leased is free. Else an earlier life's leases are
    /// ours once it was not heard of for `ledger.postgres.heartbeat_stale`, or run out.
    ///
    /// # Errors
    /// Whatever makes the server unfit to be relied upon.
    pub async fn open(
        settings: &Settings,
        instance: &str,
        incarnation: u64,
        predecessor_is_dead: bool,
    ) -> Result<Self, OpenError> {
        let me = Holder { instance: instance.to_owned(), incarnation: incarnation.cast_signed() };
        let mut ledger = Self::over(open::open(settings, instance, Tables::Migrated).await?, settings, me);
        let shared = &ledger.shared;
        shared.enter(predecessor_is_dead).await.map_err(|error| OpenError::Enter(Arc::new(error)))?;
        ledger.tasks.spawn(Arc::clone(shared).beat_for_ever(settings.postgres.heartbeat_interval));
        Ok(ledger)
    }

    /// Connect to the server to look at its tables, or to change what operators change: nothing is created or migrated, no
    /// lease is taken over, and nothing is written by looking, so a standby and a role that may only read will do.
    ///
    /// # Errors
    /// Its tables are not there or of an older build, or the server is unfit to be relied upon.
    pub async fn open_existing(settings: &Settings, instance: &str) -> Result<Self, OpenError> {
        let me = Holder { instance: instance.to_owned(), incarnation: 0 };
        Ok(Self::over(open::open(settings, instance, Tables::AsTheyAre).await?, settings, me))
    }

    fn over(pool: Pool, settings: &Settings, me: Holder) -> Self {
        let shared = Arc::new(Shared {
            pool,
            me,
            watch: Watch {
                pace: Pace { warn: settings.slow_warn, error: settings.slow_error },
                statement_timeout: settings.postgres.statement_timeout,
            },
            heartbeat_stale: settings.postgres.heartbeat_stale,
            kept: Kept {
                published: settings.window,
                rejected: settings.rejected_window,
                decisions: settings.decisions_window,
            },
            limits_forgotten: Rarely::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(shared.pool.book().watch_for_leaks(settings.postgres.leak_after));
        Self { shared, tasks }
    }
}

/// Whether the batch locks its rows in the order of their keys by itself, as one set does. A mark is of one row that is
/// written last.
fn locks_in_order(steps: &[Step]) -> bool {
    let mut kinds = steps.iter().map(|step| step.kind).filter(|kind| *kind != Kind::Mark);
    kinds.next().is_none_or(|kind| !kind.is_keyless() && !matches!(kind, Kind::TakeOver | Kind::Restore))
        && kinds.next().is_none()
}

impl Shared {
    async fn enter(&self, predecessor_is_dead: bool) -> Result<(), LedgerError> {
        let mut held = self.pool.acquire().await?;
        let mut session = self.session(&mut held);
        let entering = async {
            session.say(&statements::BEGIN).await?;
            let bury = sqlx::query(statements::BURY.sql).bind(self.me.instance.clone()).bind(self.me.incarnation);
            let bury = bury.bind(predecessor_is_dead).bind(millis(self.heartbeat_stale));
            session.change(&statements::BURY, bury).await?;
            if predecessor_is_dead {
                let inherit = sqlx::query(statements::INHERIT_LEASES.sql).bind(self.me.instance.clone());
                session.change(&statements::INHERIT_LEASES, inherit).await?;
            }
            self.beat(&mut session).await?;
            session.say(&statements::COMMIT).await
        };
        entering.await.map_err(|error| sorted(&error))?;
        held.give_back();
        Ok(())
    }

    /// Say that this life goes on, for ever.
    async fn beat_for_ever(self: Arc<Self>, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first tick comes at once, and that heartbeat was said on entering.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            if let Err(error) = self.beat_once().await {
                // The road says loudly that the ledger is away; this only costs us our leases if somebody restarts us.
                tracing::debug!(%error, "no heartbeat in the ledger");
            }
        }
    }

    async fn beat_once(&self) -> Result<(), LedgerError> {
        let mut held = self.pool.acquire().await?;
        self.beat(&mut self.session(&mut held)).await.map_err(|error| sorted(&error))?;
        held.give_back();
        Ok(())
    }

    async fn beat(&self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        let beat = sqlx::query(statements::HEARTBEAT.sql).bind(self.me.instance.clone()).bind(self.me.incarnation);
        session.change(&statements::HEARTBEAT, beat).await.map(drop)
    }

    /// One transaction. If the connection is lost while it commits, nobody knows whether it did: the same batch again
    /// has the same outcomes either way.
    async fn write(&self, batch: &[Entry], held: &mut Held) -> Result<Vec<Outcome>, sqlx::Error> {
        let mut steps = plan::steps(batch);
        // So that instances which write the same rows lock them in the same order.
        steps.iter_mut().for_each(|step| step.entries.sort_by_key(|index| key_of(&batch[*index])));
        let session = self.session(held);
        let (me, heartbeat_stale) = (&self.me, self.heartbeat_stale);
        let mut scribe = Scribe { session, me, heartbeat_stale, nothing_is_deferred: false };
        let mut outcomes: Vec<Option<Outcome>> = vec![None; batch.len()];
        if let Some(decided) = scribe.decide_at_once(&steps, batch).await? {
            decided.into_iter().for_each(|(index, outcome)| outcomes[index] = Some(outcome));
            return Ok(outcomes::with_found(batch, outcomes, Found::default()));
        }
        scribe.session.say(&statements::BEGIN).await?;
        for (index, moved) in purses::apply(&mut scribe.session, me, plan::movements(batch)).await? {
            outcomes[index] = Some(moved);
        }
        if !locks_in_order(&steps) {
            let lock = sets::keys(&statements::LOCK, batch.iter().filter_map(key_of));
            scribe.session.read(&statements::LOCK, lock).await?;
        }
        for step in steps {
            let of_step = scribe.write(&step, batch).await?;
            for (index, outcome) in step.entries.into_iter().zip(of_step) {
                outcomes[index] = Some(outcome);
            }
        }
        let ahead = scribe.ahead(&plan::claims(batch)).await?;
        let recalled = decisions::recall(&mut scribe.session, plan::questions(batch)).await?;
        let overtaken = decisions::overtaken(&mut scribe.session, plan::overtaken_questions(batch)).await?;
        scribe.session.say(&statements::COMMIT).await?;
        let mut outcomes = outcomes::with_found(batch, outcomes, Found { recalled, overtaken });
        outcomes::look_ahead(batch, &mut outcomes, ahead);
        Ok(outcomes)
    }

    pub(super) fn instance(&self) -> &str {
        &self.me.instance
    }

    pub(super) fn session<'a>(&self, held: &'a mut Held) -> Session<'a> {
        Session { connection: held.connection(), watch: self.watch }
    }

    /// For a question that takes as long as it takes to read everything.
    pub(super) fn patient_session<'a>(&self, held: &'a mut Held) -> Session<'a> {
        let watch = Watch { statement_timeout: statements::PATIENCE, ..self.watch };
        Session { connection: held.connection(), watch }
    }
}

impl Ledger for PostgresLedger {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'_, Result<Vec<Outcome>, LedgerError>> {
        Box::pin(async move {
            if entries.is_empty() {
                return Ok(Vec::new());
            }
            let kill_points = KillPoints::of(&entries);
            kill_points.before();
            let mut held = self.shared.pool.acquire().await?;
            let outcomes = self.shared.write(&entries, &mut held).await.map_err(|error| sorted(&error))?;
            held.give_back();
            kill_points.after();
            Ok(outcomes)
        })
    }

    fn find_all(&self, keys: Vec<DedupeKey>) -> BoxFuture<'_, Result<HashMap<DedupeKey, Row>, LedgerError>> {
        Box::pin(async move {
            let mut held = self.shared.pool.acquire().await?;
            let rows = rows::read(&mut self.shared.session(&mut held), keys.into_iter()).await;
            let rows = rows.map_err(|error| sorted(&error))?;
            held.give_back();
            Ok(rows.into_iter().map(|(key, held)| (key, Arc::unwrap_or_clone(held.row))).collect())
        })
    }

    fn forget(
        &self,
        published_before: Timestamp,
        rejected_after: Timestamp,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, LedgerError>> {
        Box::pin(async move {
            let mut held = self.shared.pool.acquire().await?;
            let query = sqlx::query(statements::FORGET.sql).bind(published_before.0).bind(rejected_after.0);
            let Kept { published, rejected, .. } = self.shared.kept;
            let query = query.bind(i64::from(limit)).bind(millis(published)).bind(millis(rejected));
            let gone = self.shared.session(&mut held).change(&statements::FORGET, query).await;
            let gone = gone.map_err(|error| sorted(&error))?;
            held.give_back();
            Ok(gone)
        })
    }
}
