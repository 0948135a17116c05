//! `serve`: the processor, with metrics and health beside it.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc;

use super::shutdown;
use super::wiring::{self, Parts};
use crate::cli::{ServeArgs, SettingsArgs};
use crate::domain::clock::Clock;
use crate::domain::ops_event::{OpsEvent, OpsKind};
use crate::domain::record::OutRecord;
use crate::http::health::{Health, State};
use crate::pipeline::dedupe::ledger::Ledger;
use crate::pipeline::publish::Publisher;
use crate::pipeline::run_loop::{self, Ended, Outside};
use crate::pipeline::triage::breaker::BreakerChange;
use crate::settings::ledger;
use crate::telemetry::happenings::Stopped;
use crate::telemetry::{logging, recorder};

pub async fn run(args: &SettingsArgs, serve: ServeArgs) -> anyhow::Result<ExitCode> {
    let loaded = wiring::settings(args)?;
    logging::init(&loaded.settings.telemetry)?;
    let parts = Parts::new(loaded.settings)?;
    let incarnation = u64::try_from(parts.clock.now().0).unwrap_or_default();

    // The log first: its lock proves that no other process works under our name, so our old leases are free.
    let log = parts.log().await?;
    let ledger = parts.ledger(incarnation, true).await?;
    let health = Health::new();
    for dependency in ["log", "ledger"] {
        health.set(dependency, State::Up);
    }
    let metrics = recorder::install()?;
    let (to_road, asides) = mpsc::unbounded_channel();
    let guard = parts.guard(ops_events(&parts, to_road))?;
    let stop = shutdown::listen()?;
    let http = crate::http::start(&parts.settings.http, metrics, health.clone()).await?;
    if let Some(address) = http.address() {
        tracing::info!(%address, "metrics and health");
    }
    let retention = tokio::spawn(retention(ledger.clone(), parts.settings.ledger.clone(), parts.clock.clone()));

    let outside = Outside {
        log,
        ledger,
        ledger_batch_max_entries: parts.settings.ledger.batch_max_entries,
        asides,
        stop,
        until_idle: serve.until_idle,
        on_health: {
            let health = health.clone();
            Arc::new(move |dependency, state| {
                health.set(dependency, state.map_or_else(|error| State::Down { error }, |()| State::Up));
            })
        },
    };
    let ended = run_loop::run(parts.fixtures(guard, incarnation), outside).await;
    retention.abort();
    http.stop().await;
    let ended = ended.context("the processor cannot go on")?;
    Stopped { how: ended_in_words(ended) }.record();
    Ok(ExitCode::SUCCESS)
}

fn ended_in_words(ended: Ended) -> &'static str {
    match ended {
        Ended::Drained => "drained",
        Ended::CutShort => "cut short: running calls were left, their events will be read again",
        Ended::Idle => "idle: everything has its terminal",
    }
}

/// Changes of a breaker become records for operators.
fn ops_events(
    parts: &Parts,
    to_road: mpsc::UnboundedSender<OutRecord>,
) -> Arc<dyn Fn(BreakerChange) + Send + Sync> {
    let (publisher, clock): (Publisher, Arc<dyn Clock>) = (parts.publisher(), parts.clock.clone());
    let processor = parts.settings.instance.clone();
    Arc::new(move |change| {
        let event = OpsEvent {
            ops_event_id: uuid::Uuid::new_v4().to_string(),
            at: clock.now(),
            kind: OpsKind::BreakerStateChanged,
            tenant_id: None,
            component: Some(change.model.clone()),
            previous: Some(change.from.to_string()),
            current: Some(change.to.to_string()),
            attributes: [("why".to_owned(), change.why.to_string())].into(),
            processor: processor.clone(),
        };
        crate::telemetry::happenings::BreakerChanged { model: &change.model, from: label(change.from), to: label(change.to), reason: &change.why.to_string() }.record();
        // A road that is gone needs no news.
        to_road.send(publisher.ops_event(&event, 0)).ok();
    })
}

/// Old rows go, a few at a time.
async fn retention(ledger: Arc<dyn Ledger>, settings: ledger::Ledger, clock: Arc<dyn Clock>) {
    let before = |age: Duration| crate::domain::clock::Timestamp(clock.now().0 - age.as_millis() as i64);
    loop {
        tokio::time::sleep(settings.retention_interval).await;
        loop {
            let gone = ledger.forget(before(settings.window), before(settings.rejected_window), settings.retention_batch);
            match gone.await {
                Ok(gone) if gone >= u64::from(settings.retention_batch) => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "old ledger rows stay for now");
                    break;
                }
            }
        }
    }
}
