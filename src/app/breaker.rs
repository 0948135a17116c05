//! `breaker`: how the breakers of every instance are, and orders to them, which processors take while they run.

use std::process::ExitCode;

use anyhow::Context as _;

use super::out::say;
use super::trail::{self, NO_DATABASE};
use super::wiring::Parts;
use crate::cli::{BreakerArgs, BreakerCommand, Output};
use crate::domain::clock::Timestamp;
use crate::operations::breakers::{self, Said};
use crate::settings::models::Model;

/// An instance that said nothing for so long is away, or its database is.
const SILENT_AFTER_MS: i64 = 30_000;

pub async fn run(parts: Parts, command: BreakerArgs) -> anyhow::Result<ExitCode> {
    let changes = parts.changes().await?.context(NO_DATABASE)?;
    let now = parts.clock.now();
    let revision = match command.command.unwrap_or(BreakerCommand::List) {
        BreakerCommand::List => return list(&changes.said().await?, now, command.output),
        BreakerCommand::Open { model, lasts, by } => {
            known(&parts, &model)?;
            let until = lasts.map(|lasts| now.after(*lasts));
            breakers::open(&*changes, &model, until, trail::by(by, &*parts.clock)).await?
        }
        BreakerCommand::Reset { model, by } => {
            known(&parts, &model)?;
            breakers::reset(&*changes, &model, trail::by(by, &*parts.clock)).await?
        }
    };
    match command.output {
        Output::Table => {
            let within = parts.settings.tenants.poll_interval;
            say!("ordered at revision {revision}; processors look for changes every {within:?}");
        }
        Output::Json => say!("{}", serde_json::json!({"revision": revision})),
    }
    Ok(ExitCode::SUCCESS)
}

/// A slip of the pen is no order: it would stand in the trail and do nothing.
fn known(parts: &Parts, model: &str) -> anyhow::Result<()> {
    let models = &parts.settings.models;
    let remote = models.iter().filter(|(_, model)| matches!(model, Model::Openai(_))).map(|(name, _)| name.as_str());
    let remote: Vec<_> = remote.collect();
    anyhow::ensure!(remote.contains(&model), "there is no remote model {model:?}; there are: {}", remote.join(", "));
    Ok(())
}

fn list(said: &[Said], now: Timestamp, output: Output) -> anyhow::Result<ExitCode> {
    match output {
        Output::Table => {
            for Said { instance, model, state, since, why, failures, revision, said_at } in said {
                let silent = now.millis_since(*said_at);
                let away = if silent > SILENT_AFTER_MS {
                    format!("  not heard of for {} s", silent / 1_000)
                } else {
                    String::new()
                };
                let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                say!(
                    "{instance:<24} {model:<16} {state:<24} since {since}{why}; {failures} failures in a row; has taken \
                     revision {revision}{away}"
                );
            }
        }
        Output::Json => say!("{}", serde_json::to_string_pretty(said)?),
    }
    Ok(ExitCode::SUCCESS)
}
