//! `migrate`: create or update the ledger's tables.

use std::process::ExitCode;

use super::out::say;
use super::wiring::Parts;

pub async fn run(parts: Parts) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(parts.settings.ledger.enabled, "ledger.enabled = false: there is nothing to migrate");
    parts.memory(0, false).await?;
    say!("{} is up to date", parts.settings.ledger.url);
    Ok(ExitCode::SUCCESS)
}
