//! `serve`: the processor, with metrics and health beside it.

use std::fmt::Debug;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::follow::Follower;
use super::log_memory::LogMemory;
use super::open_files;
use super::opening::{Opening, Patience};
use super::shutdown;
use super::wiring::{self, Memory, Misconfigured, Parts};
use crate::cli::{ServeArgs, SettingsArgs};
use crate::domain::clock::{Ageing, Clock};
use crate::domain::ops_event::{OpsEvent, OpsKind};
use crate::domain::record::OutRecord;
use crate::http::{self, Health, State};
use crate::operations::schemas::WRITTEN_BY_SERVE;
use crate::pipeline::dedupe::ledger::Ledger;
use crate::pipeline::health::{DATABASE, HealthListener, REGISTRY, SCHEMAS};
use crate::pipeline::log::LogPort;
use crate::pipeline::publish::Publisher;
use crate::pipeline::run_loop::{self, Ended, Outside, Stop};
use crate::pipeline::triage::breaker::{self, BreakerChange};
use crate::pipeline::triage::guard::Guard;
use crate::settings::http::Http;
use crate::settings::ledger;
use crate::settings::schemas::Encoding;
use crate::telemetry::happenings::{
    BreakerChanged, BreakerSeen, BreakerState, OpsEventDropped, RetentionFailed, StartHeldByRegistry,
};
use crate::telemetry::recorder::{self, MetricsHandle};
use crate::telemetry::{logging, tenant_labels};

/// Records for operators that the road has not looked at yet, which it does many times a second: a bound, not a measure.
const OPS_EVENTS_UNTOLD: usize = 1_000;

pub async fn run(args: &SettingsArgs, serve: ServeArgs) -> anyhow::Result<ExitCode> {
    let loaded = wiring::settings(args)?;
    let logs = logging::init(&loaded.settings.telemetry)?;
    let parts = Parts::new(loaded.settings)?;
    open_files::enough_for(&parts.settings).context(Misconfigured)?;
    let health = Health::new();
    let dependencies = if parts.settings.ledger.enabled { &["log", DATABASE][..] } else { &["log"] };
    for dependency in dependencies {
        health.expect(dependency, true);
    }
    let metrics = recorder::install()?;
    // Whether or not anybody can ask for them.
    let kept = metrics.clone().run_upkeep();
    let mut upkeep = tokio::spawn(futures_util::future::join(kept, logs.count()));
    tenant_labels::reserve(parts.tenants.borrow().known().map(|tenant| tenant.id.as_str()));
    let stop = shutdown::listen()?;
    // Before anything is waited for: operators see what.
    let mut http = listen(&parts.settings.http, metrics, health.clone()).await?;
    let ending = tokio::spawn(tell_of_the_end(health.clone(), stop.clone()));
    let until_idle = serve.until_idle;
    let ended = tokio::select! {
        ended = work(&parts, serve, &health, stop) => ended,
        broke = broken(&mut http) => Err(broke),
        why = over("what keeps metrics small", &mut upkeep) => Err(why),
    };
    ending.abort();
    upkeep.abort();
    health.end();
    if let Some(http) = http {
        http.stop().await;
    }
    parts.held.let_go().await;
    let is_done = ended? == Some(Ended::Idle);
    Ok(if is_done || !until_idle { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// From the first word on that it is to end a process is not ready any more, however long its running calls take.
async fn tell_of_the_end(health: Health, mut stop: watch::Receiver<Stop>) {
    if stop.changed().await.is_ok() {
        health.end();
    }
}

/// Open what the processor stands on, and work until the end; nothing if it was asked to stop before there was any work.
async fn work(
    parts: &Parts,
    serve: ServeArgs,
    health: &Health,
    stop: watch::Receiver<Stop>,
) -> anyhow::Result<Option<Ended>> {
    let incarnation = u64::try_from(parts.clock.now().0).unwrap_or_default();
    let (to_road, asides) = mpsc::channel(OPS_EVENTS_UNTOLD);
    let guard = parts.guard(breaker_changes(parts, ops_events(parts, to_road.clone())))?;
    tell_breakers(&guard);
    let fixtures = parts.fixtures(guard, incarnation);
    let following = Follower::new(parts, fixtures.guard.clone(), ops_events(parts, to_road), told_to(parts, health))?;
    // Before the log: a partition that is ours and not read stands still.
    let mut told = stop.clone();
    tokio::select! {
        settled = schema_ids(parts, health) => settled?,
        _ = told.changed() => return Ok(None),
    }
    let mut opening = Opening { health: health.clone(), stop: stop.clone() };
    let Some((log, memory)) = open(parts, incarnation, &mut opening).await? else { return Ok(None) };
    let Memory { ledger, shared_limits, changes } = memory;
    let Some(following) = following.caught_up(changes, &mut opening).await? else { return Ok(None) };
    let mut followed = tokio::spawn(following.follow());
    let mut retention = tokio::spawn(retention(ledger.clone(), parts.settings.ledger.clone(), parts.clock.clone()));

    let outside = Outside {
        log,
        ledger,
        lookup: parts.lookup(),
        shared_limits,
        ledger_batch_max_entries: parts.settings.ledger.batch_max_entries,
        ledger_batch_interval: parts.settings.ledger.interval(),
        asides,
        stop,
        until_idle: serve.until_idle,
        on_health: told_to(parts, health),
    };
    let ended = tokio::select! {
        ended = run_loop::run(fixtures, outside) => ended.context("the processor cannot go on"),
        why = over("what takes the changes of operators", &mut followed) => Err(why),
        why = over("what drops old rows of the ledger", &mut retention) => Err(why),
    };
    retention.abort();
    followed.abort();
    ended.map(Some)
}

/// Why a task has ended that was to last as long as the processor: without it nothing of its kind is done any more, and
/// nobody would know.
async fn over<T: Debug>(what: &str, task: &mut JoinHandle<T>) -> anyhow::Error {
    match task.await {
        Ok(ended) => anyhow::anyhow!("{what} has ended: {ended:?}"),
        Err(error) => anyhow::anyhow!("{what} broke down: {error}"),
    }
}

/// Log and ledger, each waited for while it is away; nothing if the process was asked to stop before they were there.
///
/// The ledger's server first, for a log that is open owns partitions, and should not do so while nothing can be done with
/// them. Then the log: the embedded one's lock proves that no other process works under our name, and a cluster has fenced
/// whoever did when our transactional id was initialised: its calls can lead to nothing. So our old leases are free when
/// the ledger is entered.
async fn open(parts: &Parts, incarnation: u64, opening: &mut Opening) -> anyhow::Result<Option<(LogPort, Memory)>> {
    let of_ledger = Patience { lasts: parts.settings.ledger.start_patience, setting: "ledger.start_patience" };
    let of_log = Patience { lasts: parts.settings.log.kafka.start_patience, setting: "log.kafka.start_patience" };
    if parts.settings.ledger.enabled {
        let Some(()) = opening.of(DATABASE, of_ledger, || parts.prepare_ledger()).await? else { return Ok(None) };
    }
    let log_memory = parts.settings.ledger.enabled.then(|| Arc::new(LogMemory::new()));
    let Some(log) = opening.of("log", of_log, || parts.log(log_memory.clone())).await? else { return Ok(None) };
    let Some(log_memory) = log_memory else {
        return Ok(Some((log, parts.memory(incarnation, true).await?)));
    };
    let memory = opening.of(DATABASE, of_ledger, || parts.memory(incarnation, true)).await?;
    let Some(memory) = memory else { return Ok(None) };
    parts.bind(&*memory.ledger).await?;
    parts.check_topics(&*memory.ledger, &log).await?;
    log_memory.ask(memory.ledger.clone());
    Ok(Some((log, memory)))
}

/// What dependencies say of themselves, as health.
fn told_to(parts: &Parts, health: &Health) -> HealthListener {
    let (health, has_database) = (health.clone(), parts.settings.ledger.enabled);
    Arc::new(move |dependency, state| {
        if dependency != DATABASE || has_database {
            let state = state.map_or_else(|error| State::Down { error }, |latency| State::Up { latency });
            health.set(dependency, state);
        }
    })
}

/// The ids of what we write, from the registry; while that is away this waits, alive and not ready.
async fn schema_ids(parts: &Parts, health: &Health) -> anyhow::Result<()> {
    let Some(lookup) = parts.lookup() else { return Ok(()) };
    health.expect(REGISTRY, false);
    health.expect(SCHEMAS, true);
    let mut failures = 0;
    while let Err(error) = parts.settle_ids(&WRITTEN_BY_SERVE).await {
        if !error.is_retryable() {
            return Err(error.into());
        }
        failures += 1;
        let again_in = lookup.wait(failures);
        StartHeldByRegistry { error: &error.to_string(), again_in }.record();
        health.set(REGISTRY, State::Down { error: error.to_string() });
        health.set(SCHEMAS, State::Down { error: format!("the ids of outputs are not known: {error}") });
        tokio::time::sleep(again_in).await;
    }
    // Without Avro outputs nobody has asked it yet.
    if parts.settings.schemas.output == Encoding::Avro {
        health.set(REGISTRY, State::Up { latency: None });
    }
    health.set(SCHEMAS, State::Up { latency: None });
    Ok(())
}

/// Metrics and health, while the processor runs.
struct Listening {
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), http::ServeError>>,
}

async fn listen(settings: &Http, metrics: MetricsHandle, health: Health) -> anyhow::Result<Option<Listening>> {
    if !settings.enabled {
        return Ok(None);
    }
    let listener = http::bind(settings.bind).await?;
    tracing::info!(address = %listener.local_addr()?, "metrics and health");
    let (stop, stopped) = oneshot::channel::<()>();
    let router = http::router(health, metrics);
    let server = tokio::spawn(http::serve(listener, router, async move {
        // A sender that is gone means the same as its word.
        stopped.await.ok();
    }));
    Ok(Some(Listening { stop, server }))
}

/// Why nobody sees metrics and health any more, once that is so.
async fn broken(http: &mut Option<Listening>) -> anyhow::Error {
    let Some(listening) = http else { return std::future::pending().await };
    let why = over("the HTTP listener", &mut listening.server).await;
    *http = None;
    why
}

impl Listening {
    async fn stop(self) {
        self.stop.send(()).ok();
        match self.server.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the HTTP listener broke"),
            Err(error) => tracing::warn!(%error, "the HTTP listener broke down"),
        }
    }
}

/// As the breaker's metrics name it.
fn label(state: breaker::BreakerState) -> BreakerState {
    match state {
        breaker::BreakerState::Closed => BreakerState::Closed,
        breaker::BreakerState::HalfOpen => BreakerState::HalfOpen,
        breaker::BreakerState::Open | breaker::BreakerState::Forced => BreakerState::Open,
        breaker::BreakerState::Stopped(_) => BreakerState::Stopped,
    }
}

/// What operators are told goes out with the next burst of any partition that is ours and open; until then the road keeps it.
fn ops_events(parts: &Parts, to_road: mpsc::Sender<OutRecord>) -> Arc<dyn Fn(OpsEvent) + Send + Sync> {
    let publisher: Publisher = parts.publisher();
    Arc::new(move |event| {
        // A road that is gone needs no news.
        if let Err(TrySendError::Full(_)) = to_road.try_send(publisher.ops_event(&event, 0)) {
            OpsEventDropped { waiting: OPS_EVENTS_UNTOLD }.record();
        }
    })
}

/// How breakers are before any of them changes.
fn tell_breakers(guard: &Guard) {
    for (model, report) in guard.breaker_reports() {
        BreakerSeen { model: &model, state: label(report.state) }.record();
    }
}

/// Changes of a breaker become records for operators.
fn breaker_changes(
    parts: &Parts,
    to_operators: Arc<dyn Fn(OpsEvent) + Send + Sync>,
) -> Arc<dyn Fn(BreakerChange) + Send + Sync> {
    let (clock, processor) = (parts.clock.clone(), parts.settings.instance_name().to_owned());
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
        to_operators(event);
    })
}

/// Old rows go, a few at a time.
async fn retention(ledger: Arc<dyn Ledger>, settings: ledger::Ledger, clock: Arc<dyn Clock>) {
    let ageing = Ageing::from(&*clock);
    let before = |age: Duration| ageing.now(&*clock).before(age);
    loop {
        tokio::time::sleep(settings.retention_interval).await;
        for what in ["rows", "decisions"] {
            loop {
                let limit = settings.retention_batch;
                let gone = match what {
                    "rows" => ledger.forget(before(settings.window), before(settings.rejected_window), limit),
                    _ => ledger.forget_decisions(before(settings.decisions_window), limit),
                };
                match gone.await {
                    Ok(gone) if gone >= u64::from(limit) => {}
                    Ok(_) => break,
                    Err(error) => {
                        RetentionFailed { what, error: &error.to_string() }.record();
                        break;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::domain::reason_code::ReasonCode;
    use crate::pipeline::triage::breaker::{Admit, Breaker, Outcome};
    use crate::settings::load::{LoadOptions, load};

    #[tokio::test]
    async fn a_task_that_was_to_last_and_does_not_is_noticed() {
        let mut panics = tokio::spawn(async { panic!("a defect") });
        let said = over::<()>("what follows", &mut panics).await.to_string();
        assert!(said.starts_with("what follows broke down: ") && said.contains("panicked"), "{said}");
        let server = tokio::spawn(async { Ok(()) });
        let mut http = Some(Listening { stop: oneshot::channel().0, server });
        assert_eq!(super::broken(&mut http).await.to_string(), "the HTTP listener has ended: Ok(())");
        assert!(http.is_none(), "it is not waited for again");
        let nobody = tokio::time::timeout(Duration::from_millis(1), super::broken(&mut http)).await;
        assert!(nobody.is_err(), "without a listener none breaks");
    }

    #[test]
    fn a_breaker_that_never_changed_is_seen() {
        let sets = vec!["models.openai.api_key=sk-simulated-0f6b1c".to_owned()];
        let options = LoadOptions { sets, ..LoadOptions::default() };
        let parts = Parts::new(load(&options).expect("settings of a test").settings).expect("the shipped parts");
        let (recorder, metrics) = recorder::local();
        metrics::with_local_recorder(&recorder, || {
            tell_breakers(&parts.guard(Arc::new(|_| {})).expect("models of a test"));
        });
        let metrics = metrics.render();
        assert!(metrics.contains("gatekeeper_breaker_state{model=\"openai\"} 0\n"), "{metrics}");
        let changes = "gatekeeper_breaker_changes_total{model=\"openai\",to=\"open\"} 0\n";
        assert!(metrics.contains(changes), "{metrics}");
    }

    #[test]
    fn every_change_of_a_breaker_is_an_ops_event_and_a_metric() {
        let options = LoadOptions { profile: None, file: None, environment: Vec::new(), sets: Vec::new() };
        let parts = Parts::new(load(&options).expect("the shipped settings").settings).expect("the shipped parts");
        let settings = parts.settings.triage.breaker;
        let (to_road, mut asides) = mpsc::channel(OPS_EVENTS_UNTOLD);
        let (recorder, metrics) = recorder::local();
        metrics::with_local_recorder(&recorder, || {
            let breaker = Breaker::new("gpt", settings, breaker_changes(&parts, ops_events(&parts, to_road)));
            let settle = |at, outcome| match breaker.admit(at, true) {
                Admit::Go(permit) => permit.settle(outcome),
                other => panic!("wanted a permit, got {other:?}"),
            };
            for _ in 0..settings.consecutive_failures {
                settle(Instant::now(), Outcome::Failure);
            }
            settle(Instant::now() + settings.open_for, Outcome::Success);
            settle(Instant::now(), Outcome::Refused(ReasonCode::ProviderAuth));
            breaker.reset();
        });
        let mut told = Vec::new();
        while let Ok(record) = asides.try_recv() {
            let value = record.value.expect("an ops event has a value");
            let event: OpsEvent = parts.schemas.read("OpsEvent", &value).expect("it is readable");
            assert_eq!((event.kind, event.component.as_deref()), (OpsKind::BreakerStateChanged, Some("gpt")));
            told.push((event.previous.unwrap_or_default(), event.current.unwrap_or_default()));
        }
        let states = ["closed", "open", "half_open", "closed", "stopped (PROVIDER_AUTH)", "closed"];
        let changes: Vec<_> = states.windows(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
        assert_eq!(told, changes);
        let metrics = metrics.render();
        for (state, times) in [("open", 1), ("half_open", 1), ("stopped", 1), ("closed", 2)] {
            let line = format!("gatekeeper_breaker_changes_total{{model=\"gpt\",to=\"{state}\"}} {times}\n");
            assert!(metrics.contains(&line), "{line} is not in {metrics}");
        }
    }
}
