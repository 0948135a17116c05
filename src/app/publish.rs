//! `publish`: events from a file to the log.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::out::{complain, say};
use super::wiring::Parts;
use crate::adapters::embedded_log::Access;
use crate::cli::{FileFormat, Output, PublishArgs};
use crate::operations::publish::{self, Format, Options, Pace, Report};
use crate::operations::schemas::WRITTEN_BY_PUBLISH;

pub async fn run(parts: Parts, publish: PublishArgs) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        publish.rate.is_none_or(|rate| rate.is_finite() && rate > 0.0),
        "--rate is a number of events a second above 0"
    );
    // The file first: one that is of no use leaves no log behind.
    let events = publish::open(&options(&publish)?)?;
    let browser = parts.browser(Access::Append).await?;
    parts.settle_ids(&WRITTEN_BY_PUBLISH).await?;
    let (bar, read) = (bar(events.bytes_total()), events.bytes_read());
    let pace = Pace { limit: publish.limit, rate: publish.rate };
    let mut tell = |report: Report<'_>| match report {
        Report::Bad(row) => bar.suspend(|| complain!("gatekeeper: {row}")),
        Report::Published(published) => {
            bar.set_position(read.load(Ordering::Relaxed));
            bar.set_message(format!("{published} events"));
        }
    };
    let summary = publish::append(events, &*browser, &parts.publisher(), pace, &mut tell).await;
    bar.finish_and_clear();
    let summary = summary?;
    match publish.output {
        Output::Table => say!("{summary}"),
        Output::Json => say!("{}", serde_json::to_string_pretty(&summary)?),
    }
    Ok(if summary.skipped == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn options(publish: &PublishArgs) -> anyhow::Result<Options> {
    Ok(Options {
        file: publish.file.clone(),
        format: publish.format.map(|format| match format {
            FileFormat::Jsonl => Format::Jsonl,
            FileFormat::Csv => Format::Csv,
            FileFormat::Avro => Format::Avro,
        }),
        tenant: publish.tenant.clone(),
        source: publish.source.clone(),
        maps: publish.maps.iter().map(|map| map.parse()).collect::<Result<_, _>>()?,
    })
}

/// On a terminal only: elsewhere nobody sees it move.
fn bar(total: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:30} {bytes}/{total_bytes} {msg} {eta}"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {msg}"),
    };
    bar.enable_steady_tick(Duration::from_millis(200));
    bar.with_style(ProgressStyle::with_template(template).expect("the template is a constant"))
}
