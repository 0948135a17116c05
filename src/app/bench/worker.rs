//! The child: the production run loop, and in the end what it took.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{mpsc, watch};
use tokio::time::interval;

use super::bare;
use super::model::{Simulated, Taken};
use super::place::without_registry;
use super::scenario::Run;
use super::usage::{Worked, cpu_seconds, peak_rss};
use crate::adapters::local_model::LocalModel;
use crate::app::out::say;
use crate::app::wiring::{self, Memory, Parts};
use crate::cli::{BenchWork, SettingsArgs};
use crate::pipeline::run_loop::{self, Outside, Stop};
use crate::pipeline::triage::model::Model;
use crate::settings::models::Local;
use crate::telemetry::recorder::MetricsHandle;
use crate::telemetry::{logging, metric_names, recorder};

/// Metrics are looked at so often for what is the most of something: as often as a scrape that somebody is impatient for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub async fn run(settings: &SettingsArgs, run: &Run, work: BenchWork) -> anyhow::Result<ExitCode> {
    let loaded = wiring::settings(settings)?;
    let _logs = logging::init(&loaded.settings.telemetry)?;
    let parts = Parts::new(without_registry(loaded.settings))?;
    if work == BenchWork::Bare {
        return bare::run(&parts).await;
    }
    // Metrics cost something, so they are counted here as they are in life.
    let metrics = recorder::install()?;
    let longest_metadata = Arc::new(AtomicU64::new(0));
    let watched = tokio::spawn(watch_metadata(metrics.clone(), longest_metadata.clone()));
    let upkeep = tokio::spawn(metrics.run_upkeep());
    let taken = Arc::new(Taken::default());
    let guard = parts.guard_over(vec![model(run, taken.clone())], Arc::new(|_| {}))?;
    let (stop, told) = watch::channel(Stop::No);
    let listening = tokio::spawn(stop_at_end_of_input(stop, work));

    let (started_at, cpu_before) = (parts.clock.now(), cpu_seconds()?);
    let incarnation = started_at.0.unsigned_abs();
    let log = parts.log(None).await?;
    let Memory { ledger, shared_limits, .. } = parts.memory(incarnation, true).await?;
    let (_no_asides, asides) = mpsc::channel(1);
    let outside = Outside {
        log,
        ledger,
        lookup: None,
        shared_limits,
        ledger_batch_max_entries: parts.settings.ledger.batch_max_entries,
        ledger_batch_interval: parts.settings.ledger.interval(),
        asides,
        stop: told,
        until_idle: work == BenchWork::Backlog,
        on_health: Arc::new(|_, _| {}),
    };
    run_loop::run(parts.fixtures(guard, incarnation), outside).await.context("the processor cannot go on")?;
    let (calls, call_mean) = taken.so_far();
    let worked = Worked {
        started_at,
        peak_rss: peak_rss(),
        cpu_seconds: cpu_seconds()? - cpu_before,
        calls,
        call_mean,
        most_calls: taken.most_running(),
        longest_metadata: longest_metadata.load(Ordering::Relaxed),
        bare_rate: None,
    };
    listening.abort();
    watched.abort();
    upkeep.abort();
    say!("{}", serde_json::to_string(&worked)?);
    Ok(ExitCode::SUCCESS)
}

fn model(run: &Run, taken: Arc<Taken>) -> Arc<dyn Model> {
    match run.scenario.latency {
        Some(_) => Arc::new(Simulated::new(run.draws(), taken)),
        None => Arc::new(LocalModel::generic("local", &Local { weights: None, min_known_share: 0.5 })),
    }
}

/// Keep the longest metadata of any partition's commit, as the metric has it.
async fn watch_metadata(metrics: MetricsHandle, longest: Arc<AtomicU64>) {
    let mut ticks = interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        longest.fetch_max(longest_metadata(&metrics.render()), Ordering::Relaxed);
    }
}

fn longest_metadata(rendered: &str) -> u64 {
    let of_a_partition = |line: &str| {
        let value = line.strip_prefix(metric_names::FRONTIER_METADATA)?.strip_prefix('{')?;
        value.rsplit(' ').next()?.parse().ok()
    };
    rendered.lines().filter_map(of_a_partition).max().unwrap_or_default()
}

/// The parent closes our standard input when it has seen enough, or is gone itself.
async fn stop_at_end_of_input(stop: watch::Sender<Stop>, work: BenchWork) {
    if work == BenchWork::Paced {
        let mut nothing = Vec::new();
        tokio::io::stdin().read_to_end(&mut nothing).await.ok();
        stop.send(Stop::Drain).ok();
    }
    // The sender lives on, so that the loop does not mistake its end for another request.
    stop.closed().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_metadata_is_of_a_partition_and_not_the_most_there_may_be() {
        let rendered = "# TYPE gatekeeper_frontier_metadata_chars gauge\n\
                        gatekeeper_frontier_metadata_chars{partition=\"events/0\"} 41\n\
                        gatekeeper_frontier_metadata_chars{partition=\"events/1\"} 320\n\
                        gatekeeper_frontier_metadata_chars_max 4096\n";
        assert_eq!(longest_metadata(rendered), 320);
        assert_eq!(longest_metadata(""), 0);
    }
}
