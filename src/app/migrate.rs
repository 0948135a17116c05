//! `migrate`: create or update the ledger's tables.

use std::process::ExitCode;

use super::out::say;
use super::wiring::{self, Parts};
use crate::cli::SettingsArgs;

pub async fn run(args: &SettingsArgs) -> anyhow::Result<ExitCode> {
    let parts = Parts::new(wiring::settings(args)?.settings)?;
    anyhow::ensure!(parts.settings.ledger.enabled, "ledger.enabled = false: there is nothing to migrate");
    parts.memory(0, false).await?;
    say!("{} is up to date", parts.settings.ledger.url);
    Ok(ExitCode::SUCCESS)
}
