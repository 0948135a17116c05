//! `bench`: throughput, latency and memory of this machine, with a model that is simulated.
//!
//! Each run has a folder of its own with a real log and a real ledger, and a process of its own for the processor, so
//! that its peak memory and its CPU time are its own:
//!
//! ```text
//! this process                                      child: the production run loop, simulated model
//! backlog.rs  append all events, start the child -> worker.rs  work until idle, report memory and CPU
//!             read when each terminal was written
//! paced.rs    start the child, append evenly     -> worker.rs  work until standard input is closed
//!             look for each terminal as it comes
//!             on Kafka, if nothing is slow     -> bare.rs    the same events through a loop that does nothing else
//! report.rs   figures beside their targets
//! ```
//!
//! A backlog says how fast it goes, but its events have no latency worth the name: each waits for all before it. So
//! latency comes from the paced run, at half the speed that the backlog was worked off with, or at the speed asked for.

mod backlog;
mod bare;
mod ideal;
mod latency;
mod model;
mod paced;
mod place;
mod report;
mod scenario;
mod terminals;
mod tickets;
mod usage;
mod worker;

use std::process::ExitCode;

use anyhow::Context as _;

use self::place::Place;
use self::report::Report;
use self::scenario::{Run, SCENARIOS, Scenario};
use crate::app::out::say;
use crate::cli::{BenchArgs, BenchWork, Output, SettingsArgs};

pub async fn run(settings: &SettingsArgs, args: BenchArgs) -> anyhow::Result<ExitCode> {
    let chosen = chosen(args.only.as_deref())?;
    if let Some(work) = args.work {
        let scenario = chosen.first().context("a worker works for one run")?;
        return worker::run(settings, &Run::new(scenario, &args), work).await;
    }
    let mut reports = Vec::new();
    for scenario in chosen {
        reports.push(measure(settings, &Run::new(scenario, &args)).await.with_context(|| scenario.name)?);
    }
    match args.output {
        Output::Table => reports.iter().for_each(|report| say!("{report}")),
        Output::Json => say!("{}", serde_json::to_string_pretty(&serde_json::json!({ "runs": reports }))?),
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen(only: Option<&str>) -> anyhow::Result<Vec<&'static Scenario>> {
    let is_chosen = |scenario: &&Scenario| only.map_or(!scenario.only_by_name, |only| only == scenario.name);
    let chosen: Vec<_> = SCENARIOS.iter().filter(is_chosen).collect();
    let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    anyhow::ensure!(!chosen.is_empty(), "there is no such run; there are {}", names.join(", "));
    Ok(chosen)
}

async fn measure(settings: &SettingsArgs, run: &Run) -> anyhow::Result<Report> {
    let bare = match run.is_limited_by_log() {
        true => Some(backlog::measure_bare(&Place::new(settings, run)?, run).await?),
        false => None,
    };
    let place = Place::new(settings, run)?;
    let worked = backlog::measure(&place, run).await?;
    drop(place);
    let place = Place::new(settings, run)?;
    let added = paced::measure(&place, run, worked.steady_rate).await?;
    Ok(report::report(run, &worked, bare, &added, &place.parts.settings))
}

/// What a child is started for, as the hidden flag has it.
impl BenchWork {
    fn flag(self) -> &'static str {
        match self {
            Self::Backlog => "backlog",
            Self::Paced => "paced",
            Self::Bare => "bare",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_a_minute_and_more_runs_only_when_it_is_named() {
        let names = |only| chosen(only).expect("there are some").iter().map(|one| one.name).collect::<Vec<_>>();
        assert_eq!(names(None), ["instant", "lognormal", "two-point", "local"]);
        assert_eq!(names(Some("long")), ["long"]);
    }
}
