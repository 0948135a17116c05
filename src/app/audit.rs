//! `audit`: the promises, re-proved from the log, the ledger and the provider's own call ledger.

use std::process::ExitCode;

use super::out::say;
use super::wiring::Parts;
use crate::adapters::embedded_log::Access;
use crate::cli::{AuditArgs, Output};
use crate::operations::audit::{self, Report, reading};

pub async fn run(parts: Parts, audit: AuditArgs) -> anyhow::Result<ExitCode> {
    let report = report(&parts, audit.calls.as_deref()).await?;
    match audit.output {
        Output::Table => say!("{report}"),
        Output::Json => say!("{}", serde_json::to_string_pretty(&report.to_json())?),
    }
    let green = report.is_green() && (!audit.finished || report.open == 0);
    Ok(if green { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Read everything and judge it.
pub async fn report(parts: &Parts, calls: Option<&std::path::Path>) -> anyhow::Result<Report> {
    let browser = parts.browser(Access::ReadOnly).await?;
    // The ledger says only which answers were saved, and what calls have to do with that: without them it is not asked.
    let ledger = match calls {
        Some(_) if parts.settings.ledger.enabled => Some(parts.ledger_to_read().await?),
        _ => None,
    };
    let mut history = reading::read(&*browser, &parts.schemas, parts.settings.log.group_id()).await?;
    history.window = parts.settings.ledger.enabled.then_some(parts.settings.ledger.window);
    if let Some(calls) = calls {
        history.calls = reading::read_calls(calls)?;
    }
    if let Some(ledger) = ledger {
        history.answers = reading::answers(&*ledger, &history.calls).await?;
    }
    Ok(audit::check(&history))
}
