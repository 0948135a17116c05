//! What operators change reaches a processor that runs, and how its breakers are reaches operators.
//!
//! One task, which looks into the database once a second. What was changed before the start is in force before the first
//! record is read. Nothing here ends a processor once it runs, and nothing waits for it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::Signal;
use tokio::time::{Instant, MissedTickBehavior};

use super::opening::{Opening, Patience};
use super::shutdown;
use super::wiring::Parts;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::ops_event::OpsEvent;
use crate::operations::breakers::{FORGOTTEN_AFTER, Order, Said};
use crate::operations::flags::live::LiveFlags;
use crate::operations::following::{Changes, Following, News};
use crate::operations::tenants::live::LiveTenants;
use crate::pipeline::health::{DATABASE, HealthListener};
use crate::pipeline::triage::guard::Guard;

/// Breakers that do not change are told so often: who is silent for longer is away.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// Follows for one processor.
pub struct Follower {
    following: Following,
    changes: Option<Arc<dyn Changes>>,
    poll_interval: Duration,
    start_patience: Duration,
    hangups: Signal,
    guard: Arc<Guard>,
    clock: Arc<dyn Clock>,
    instance: String,
    on_health: HealthListener,
    told: Option<(Instant, Vec<Said>)>,
}

impl Follower {
    /// From the tenants in files on. Hangups are listened for from now on.
    pub fn new(
        parts: &Parts,
        guard: Arc<Guard>,
        to_operators: Arc<dyn Fn(OpsEvent) + Send + Sync>,
        on_health: HealthListener,
    ) -> anyhow::Result<Self> {
        let tenants = LiveTenants::new(parts.settings.tenants.clone(), parts.tenants.clone())?;
        let flags = LiveFlags::new(parts.settings.flags.book(), parts.flags.clone());
        let (instance, clock) = (parts.settings.instance_name().to_owned(), parts.clock.clone());
        let orders = guard.clone();
        let on_order = Box::new(move |order| obey(&orders, order));
        let on_ops_event = Box::new(move |event| to_operators(event));
        Ok(Self {
            following: Following::new(tenants, flags, clock.clone(), instance.clone(), on_ops_event, on_order),
            changes: None,
            poll_interval: parts.settings.tenants.poll_interval,
            start_patience: parts.settings.ledger.start_patience,
            hangups: shutdown::hangups()?,
            guard,
            clock,
            instance,
            on_health,
            told: None,
        })
    }

    /// What was changed before is in force. Nothing if the process was asked to stop meanwhile.
    pub async fn caught_up(
        mut self,
        changes: Option<Arc<dyn Changes>>,
        opening: &mut Opening,
    ) -> anyhow::Result<Option<Self>> {
        if let Some(changes) = &changes {
            let patience = Patience { lasts: self.start_patience, setting: "ledger.start_patience" };
            let read = || async { News::of(&**changes, 0).await.context("what operators changed cannot be read") };
            let Some(news) = opening.of(DATABASE, patience, read).await? else { return Ok(None) };
            news.into_iter().for_each(|news| self.following.start_from(news));
        }
        self.changes = changes;
        Ok(Some(self))
    }

    /// As long as the processor runs.
    pub async fn follow(mut self) {
        let mut ticks = tokio::time::interval(self.poll_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    if let Some(changes) = self.changes.clone() {
                        self.look(&*changes).await;
                        self.tell(&*changes).await;
                    }
                }
                // A folder of any size is read, which is no work for a thread that others wait for.
                Some(()) = self.hangups.recv() => tokio::task::block_in_place(|| self.following.reload_files()),
            }
        }
    }

    /// An instance that has nothing to write would not notice otherwise that the database is away.
    async fn look(&mut self, changes: &dyn Changes) {
        match self.following.look(changes).await {
            Ok(true) => (self.on_health)(DATABASE, Ok(None)),
            Ok(false) => {}
            Err(why) => (self.on_health)(DATABASE, Err(why)),
        }
    }

    /// How our breakers are, if that is news or was not told for long.
    async fn tell(&mut self, changes: &dyn Changes) {
        let now = self.clock.now();
        let said: Vec<Said> = self.guard.breaker_reports().into_iter().map(|report| self.said(report, now)).collect();
        let is_news = |(at, before): &(Instant, Vec<Said>)| at.elapsed() >= TOLD_EVERY || !is_the_same(before, &said);
        if said.is_empty() || !self.told.as_ref().is_none_or(is_news) {
            return;
        }
        let forget_before = Timestamp(now.0.saturating_sub(FORGOTTEN_AFTER.as_millis() as i64));
        match changes.say(said.clone(), forget_before).await {
            Ok(()) => self.told = Some((Instant::now(), said)),
            // That the database is away is said by whoever needs it.
            Err(error) => tracing::debug!(%error, "operators are not told how breakers are"),
        }
    }

    fn said(&self, (model, report): (String, crate::pipeline::triage::breaker::Report), now: Timestamp) -> Said {
        Said {
            instance: self.instance.clone(),
            model,
            state: report.state.to_string(),
            since: Timestamp(now.0.saturating_sub(report.lasts.as_millis() as i64)),
            why: report.why.map(|why| why.to_string()),
            failures: report.failures,
            revision: self.following.revision(),
            said_at: now,
        }
    }
}

/// As far as anybody waits for it: failures that are counted are told with the next regular word.
fn is_the_same(before: &[Said], now: &[Said]) -> bool {
    let key = |said: &Said| (said.model.clone(), said.state.clone(), said.revision);
    before.iter().map(key).eq(now.iter().map(key))
}

fn obey(guard: &Guard, order: Order) {
    let (model, is_known) = match &order {
        Order::Open { model, lasts } => (model, guard.open_breaker(model, *lasts)),
        Order::Reset { model } => (model, guard.reset_breaker(model)),
    };
    if is_known {
        tracing::info!(%model, ?order, "an operator's order was carried out");
    } else {
        tracing::debug!(%model, "an order is about a model that this instance does not ask");
    }
}
