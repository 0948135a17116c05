//! `explain`: why an event ended as it did.

mod text;

use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;

use super::wiring::Parts;
use crate::adapters::embedded_log::Access;
use crate::app::out::{say, say_as_is};
use crate::cli::{ExplainArgs, Output};
use crate::operations::explain::{self, Explanation, Question};
use crate::operations::trail::AuditTrail;
use crate::settings::tenants::load_files;

pub async fn run(parts: Parts, explain: ExplainArgs) -> anyhow::Result<ExitCode> {
    let browser = parts.browser(Access::ReadOnly).await?;
    let ledger = if parts.settings.ledger.enabled { Some(parts.ledger_to_read().await?) } else { None };
    let question = Question { asked: explain.event, tenant: explain.tenant };
    let mut explanation = explain::gather(&question, &*browser, ledger.as_deref(), &parts.schemas).await?;
    if let Some(decision) = &explanation.decision {
        // Files with mistakes are told about by whoever needs them.
        let files = load_files(&parts.settings.tenants).unwrap_or_default();
        let trail = parts.changes().await?.map(|changes| changes as Arc<dyn AuditTrail>);
        explanation.tables = explain::tables(decision, &files, trail.as_deref()).await?;
    }
    match explain.output {
        Output::Table => say_as_is!("{}", text::of(&explanation)),
        Output::Json => say!("{}", serde_json::to_string_pretty(&document(&explanation))?),
    }
    Ok(ExitCode::SUCCESS)
}

/// What was gathered, each copy with its stages and what its code means.
fn document(explanation: &Explanation) -> serde_json::Value {
    let copies = explanation.copies.iter().map(|copy| {
        let mut document = json!(copy);
        document["stages"] = json!(explain::stages(explanation, copy));
        document["page"] = json!(copy.terminal.as_ref().and_then(|terminal| explain::page(&terminal.reason_code)));
        document
    });
    let copies: Vec<_> = copies.collect();
    json!({
        "event": explanation.event,
        "copies": copies,
        "decision": explanation.decision,
        "tables": explanation.tables,
        "ledger": explanation.ledger,
        "better": explanation.better,
    })
}
