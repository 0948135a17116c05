//! `ledger`: compare the ledger with what was published, and bring it up to that; let go of what was in work of topics that
//! are gone.

use std::process::ExitCode;
use std::time::Duration;

use super::out::{complain, say};
use super::wiring::Parts;
use crate::cli::{LedgerArgs, Output};
use crate::domain::clock::Timestamp;
use crate::domain::position::Partition;
use crate::operations::rebuild::{self, Mode, Report, Window};
use crate::operations::recreated;

pub async fn run(parts: Parts, command: LedgerArgs) -> anyhow::Result<ExitCode> {
    let settings = &parts.settings.ledger;
    anyhow::ensure!(settings.enabled, "ledger.enabled = false: there is none");
    if command.recreated {
        return let_go_of_recreated(&parts, command.output).await;
    }
    let (browser, positions) = parts.operator().await?;
    let mode = if command.rebuild { Mode::Rebuild } else { Mode::Check };
    let ledger = match mode {
        Mode::Check => parts.ledger_to_read().await?,
        // An empty one is filled too.
        Mode::Rebuild => parts.memory(0, false).await?.ledger,
    };
    let group = parts.settings.log.group_id();
    if mode == Mode::Rebuild {
        // A processor would go on from the marks that are only half restored.
        positions.check_idle(group).await?;
        parts.bind(&*ledger).await?;
    }
    let before = |age: Duration| Timestamp(parts.clock.now().0 - i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let window = Window { since: before(settings.window), rejected_since: before(settings.rejected_window) };
    let mut tell = |partition: Partition, report: &Report| {
        let unknown = report.missing + report.unpublished + report.elsewhere;
        complain!("gatekeeper: {partition} is compared: {} published so far, {unknown} not known", report.published);
    };
    let report = rebuild::run(&*browser, &*ledger, &parts.schemas, group, window, mode, &mut tell).await?;
    match command.output {
        Output::Table => say!("{report}"),
        Output::Json => say!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(if report.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn let_go_of_recreated(parts: &Parts, output: Output) -> anyhow::Result<ExitCode> {
    let (browser, positions) = parts.operator().await?;
    let ledger = parts.ledger_to_read().await?;
    // A processor that runs may have just saved what would be let go.
    positions.check_idle(parts.settings.log.group_id()).await?;
    parts.bind(&*ledger).await?;
    let reads = parts.reads();
    let read = browser.topics().await?.into_iter().filter(|topic| reads.contains(&topic.role));
    let gone = recreated::let_go(&*ledger, &read.map(|topic| (topic.role, topic.topic_id)).collect()).await?;
    match output {
        Output::Table if gone.is_empty() => say!("every topic is the one that the ledger remembers"),
        Output::Table => gone.iter().for_each(|gone| say!("{gone}")),
        Output::Json => say!("{}", serde_json::to_string_pretty(&gone)?),
    }
    Ok(ExitCode::SUCCESS)
}
