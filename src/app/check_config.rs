//! `check-config`: every effective setting and the layer it came from.

use std::process::ExitCode;

use super::out::say;
use super::wiring::{self, Parts};
use crate::cli::{CheckConfigArgs, Output, SettingsArgs};

pub fn run(args: &SettingsArgs, check: CheckConfigArgs) -> anyhow::Result<ExitCode> {
    let loaded = wiring::settings(args)?;
    match check.output {
        Output::Table => {
            let width = loaded.effective.iter().map(|value| value.key.len()).max().unwrap_or_default();
            for value in &loaded.effective {
                say!("{:width$}  {}  # {}", value.key, value.value, value.layer);
            }
        }
        Output::Json => {
            let values: Vec<_> = loaded
                .effective
                .iter()
                .map(|value| serde_json::json!({"key": value.key, "value": value.value, "layer": value.layer.to_string()}))
                .collect();
            say!("{}", serde_json::to_string_pretty(&values)?);
        }
    }
    // Tenants, schemas and prompts are settings too: what they say is checked with the rest.
    let parts = Parts::new(loaded.settings)?;
    if check.output == Output::Table && parts.settings.ledger.enabled {
        say!("# tenants: what `gatekeeper tenants set` put into the ledger's database wins over tenants.directory");
    }
    parts.guard(std::sync::Arc::new(|_| {}))?;
    Ok(ExitCode::SUCCESS)
}
