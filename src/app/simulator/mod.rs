//! A provider that speaks OpenAI's chat completions: for the demo, for tests and for the bench, as a process of its own.
//!
//! ```text
//!  POST /v1/chat/completions   an answer of the schema that was asked for, by key words, the same for the same ticket
//!  POST /control               how it behaves from now on (Control): latency, and every way a provider can fail
//!  GET  /control               how it behaves
//!  GET  /health                200
//! ```
//!
//! Its `ledger` of calls is ground truth from outside the gatekeeper: what was really asked, answered and billed. It
//! imitates the wire, not the quality of a model.

mod answers;
pub mod control;
mod ledger;
mod misbehaviour;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Json, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tokio::net::TcpListener;

use self::control::{Control, Latency, Mode};
use self::ledger::Ledger;
use crate::cli::SimulateProviderArgs;

/// How to start it.
#[derive(Debug, Clone)]
pub struct SimulatorConfig {
    /// Where it listens; port 0: any.
    pub bind: SocketAddr,
    /// The file its call ledger is appended to; none: no ledger.
    pub ledger: Option<PathBuf>,
    /// How it behaves until told otherwise.
    pub control: Control,
    /// All its chance: latencies, and which calls a share of misbehaviour hits.
    pub seed: u64,
}

/// `simulate-provider`: serve until ended.
///
/// # Errors
/// When the address or a file cannot be had.
pub async fn run(args: SimulateProviderArgs) -> anyhow::Result<ExitCode> {
    #[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^53 milliseconds")]
    let latency = Latency::Lognormal { p50_ms: args.p50_ms as f64, p99_ms: args.p99_ms as f64 };
    let simulator = Simulator::bind(SimulatorConfig {
        bind: args.bind,
        ledger: Some(args.calls),
        control: Control { latency, ..Control::default() },
        seed: args.seed,
    })
    .await?;
    if let Some(ready) = args.ready {
        // Renamed into place: whoever waits for the file never reads half an address.
        let half = ready.with_extension("half");
        std::fs::write(&half, simulator.address()?.to_string()).context("cannot write the ready file")?;
        std::fs::rename(&half, &ready).context("cannot write the ready file")?;
    }
    simulator.run().await?;
    Ok(ExitCode::SUCCESS)
}

/// Listens.
pub struct Simulator {
    listener: TcpListener,
    router: Router,
}

impl Simulator {
    /// Bound, not yet answering: its address is known before the first call.
    pub async fn bind(config: SimulatorConfig) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(config.bind).await.with_context(|| format!("cannot bind {}", config.bind))?;
        let shared = Arc::new(Shared {
            ledger: Arc::new(Ledger::open(config.ledger.as_deref()).context("cannot open the call ledger")?),
            behaviour: Mutex::new((config.control, ChaCha8Rng::seed_from_u64(config.seed))),
        });
        let router = Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/control", get(show).post(change))
            .route("/health", get(|| async { "ok" }))
            .layer(DefaultBodyLimit::max(16 << 20))
            .with_state(shared);
        Ok(Self { listener, router })
    }

    /// Where.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Answer until the process ends or this future is dropped.
    pub async fn run(self) -> anyhow::Result<()> {
        axum::serve(self.listener, self.router).await.context("the simulated provider stopped")
    }
}

/// Bind and answer.
pub async fn serve(config: SimulatorConfig) -> anyhow::Result<()> {
    Simulator::bind(config).await?.run().await
}

struct Shared {
    ledger: Arc<Ledger>,
    behaviour: Mutex<(Control, ChaCha8Rng)>,
}

async fn show(State(shared): State<Arc<Shared>>) -> Json<Control> {
    Json(shared.behaviour.lock().unwrap_or_else(PoisonError::into_inner).0.clone())
}

async fn change(State(shared): State<Arc<Shared>>, Json(control): Json<Control>) -> Json<Control> {
    shared.behaviour.lock().unwrap_or_else(PoisonError::into_inner).0 = control.clone();
    Json(control)
}

async fn complete(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let call_id = headers.get("x-client-request-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let call = Ledger::begin(&shared.ledger, call_id);
    let (mode, retry_after, latency) = {
        let mut behaviour = shared.behaviour.lock().unwrap_or_else(PoisonError::into_inner);
        let (control, chance) = &mut *behaviour;
        let mode = if headers.contains_key("authorization") { control.next_mode(chance) } else { Mode::Auth };
        (mode, control.retry_after.clone(), control.latency.draw(chance))
    };
    tokio::time::sleep(latency).await;
    misbehaviour::respond(mode, retry_after.as_deref(), &body, call).await
}

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod tests;
