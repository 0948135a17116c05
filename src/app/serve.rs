//! `serve`: the processor, with metrics and health beside it.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::shutdown;
use super::wiring::{self, Parts};
use super::writers::LedgerWriters;
use crate::cli::{ServeArgs, SettingsArgs};
use crate::domain::clock::Clock;
use crate::domain::ops_event::{OpsEvent, OpsKind};
use crate::domain::record::OutRecord;
use crate::http::{self, Health, State};
use crate::pipeline::dedupe::ledger::Ledger;
use crate::pipeline::publish::Publisher;
use crate::pipeline::run_loop::{self, Outside};
use crate::pipeline::triage::breaker::{self, BreakerChange};
use crate::settings::http::Http;
use crate::settings::ledger;
use crate::telemetry::happenings::{BreakerChanged, BreakerState};
use crate::telemetry::recorder::{self, MetricsHandle};
use crate::telemetry::{logging, tenant_labels};

pub async fn run(args: &SettingsArgs, serve: ServeArgs) -> anyhow::Result<ExitCode> {
    let loaded = wiring::settings(args)?;
    logging::init(&loaded.settings.telemetry)?;
    let parts = Parts::new(loaded.settings)?;
    let incarnation = u64::try_from(parts.clock.now().0).unwrap_or_default();

    // The log first: the embedded one's lock proves that no other process works under our name, and a cluster has fenced
    // whoever did when our transactional id was initialised: its calls can lead to nothing. So our old leases are free.
    let writers = Arc::new(LedgerWriters::new());
    let log = parts.log(Some(writers.clone())).await?;
    let ledger = parts.ledger(incarnation, true).await?;
    parts.bind(&*ledger).await?;
    writers.ask(ledger.clone());
    let health = Health::new();
    for dependency in ["log", "ledger"] {
        health.expect(dependency, true);
        health.set(dependency, State::Up { latency: None });
    }
    let metrics = recorder::install()?;
    tenant_labels::reserve(parts.tenants.known().map(|tenant| tenant.id.as_str()));
    let (to_road, asides) = mpsc::unbounded_channel();
    let guard = parts.guard(ops_events(&parts, to_road))?;
    let stop = shutdown::listen()?;
    let http = listen(&parts.settings.http, metrics, health.clone()).await?;
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
                health.set(
                    dependency,
                    state.map_or_else(|error| State::Down { error }, |()| State::Up { latency: None }),
                );
            })
        },
    };
    let ended = run_loop::run(parts.fixtures(guard, incarnation), outside).await;
    retention.abort();
    health.end();
    if let Some(http) = http {
        http.stop().await;
    }
    ended.context("the processor cannot go on")?;
    Ok(ExitCode::SUCCESS)
}

/// Metrics and health, while the processor runs.
struct Listening {
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), http::ServeError>>,
    upkeep: JoinHandle<()>,
}

async fn listen(settings: &Http, metrics: MetricsHandle, health: Health) -> anyhow::Result<Option<Listening>> {
    if !settings.enabled {
        return Ok(None);
    }
    let listener = http::bind(settings.bind).await?;
    tracing::info!(address = %listener.local_addr()?, "metrics and health");
    let (stop, stopped) = oneshot::channel::<()>();
    let router = http::router(health, metrics.clone());
    let server = tokio::spawn(http::serve(listener, router, async move {
        // A sender that is gone means the same as its word.
        stopped.await.ok();
    }));
    Ok(Some(Listening { stop, server, upkeep: tokio::spawn(metrics.run_upkeep()) }))
}

impl Listening {
    async fn stop(self) {
        self.upkeep.abort();
        self.stop.send(()).ok();
        match self.server.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the HTTP listener broke"),
            Err(error) => tracing::warn!(%error, "the HTTP listener broke down"),
        }
    }
}

/// As the breaker's metrics name it: a stopped one lets nothing through either.
fn label(state: breaker::BreakerState) -> BreakerState {
    match state {
        breaker::BreakerState::Closed => BreakerState::Closed,
        breaker::BreakerState::HalfOpen => BreakerState::HalfOpen,
        breaker::BreakerState::Open | breaker::BreakerState::Stopped(_) => BreakerState::Open,
    }
}

/// Changes of a breaker become records for operators.
fn ops_events(parts: &Parts, to_road: mpsc::UnboundedSender<OutRecord>) -> Arc<dyn Fn(BreakerChange) + Send + Sync> {
    let (publisher, clock): (Publisher, Arc<dyn Clock>) = (parts.publisher(), parts.clock.clone());
    let processor = parts.settings.instance_name().to_owned();
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
        BreakerChanged {
            model: &change.model,
            from: label(change.from),
            to: label(change.to),
            reason: &change.why.to_string(),
        }
        .record();
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
            let gone =
                ledger.forget(before(settings.window), before(settings.rejected_window), settings.retention_batch);
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
