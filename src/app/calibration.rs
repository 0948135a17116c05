//! `calibration`: how far confidence can be believed, and tables of it into a tenant's policy.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;

use super::EXIT_CONFIG;
use super::out::{complain, say, say_as_is};
use super::trail::{self, NO_DATABASE};
use super::wiring::Parts;
use crate::adapters::embedded_log::Access;
use crate::cli::{ByArgs, CalibrationArgs, CalibrationBy, CalibrationCommand, Output};
use crate::domain::calibration::Calibration;
use crate::operations::calibration::install::{self, InstallError, Installable, Wish};
use crate::operations::calibration::judgements::{Judgement, Judgements};
use crate::operations::calibration::plot::Plot;
use crate::operations::calibration::{self, By, Report};
use crate::operations::tenants::edit::{self, EditError};
use crate::operations::tenants::live::LiveTenants;
use crate::operations::trail::AuditTrail;

pub async fn run(parts: Parts, command: CalibrationArgs) -> anyhow::Result<ExitCode> {
    let browser = parts.browser(Access::ReadOnly).await?;
    let judgements = calibration::read(&*browser, &parts.schemas).await?;
    match command.command {
        None => tell(&parts, &judgements, &command),
        Some(CalibrationCommand::Install { id, only, policy_version, print, by }) => {
            let report = calibration::report(judgements.all(), None, parts.settings.calibration.min_reviews);
            let wish = Wish { tenant: id, fields: only, version: policy_version };
            install(parts, &report, &wish, by, print, command.output).await
        }
    }
}

fn tell(parts: &Parts, judgements: &Judgements, command: &CalibrationArgs) -> anyhow::Result<ExitCode> {
    let same = |wanted: &Option<String>, is: &String| wanted.as_ref().is_none_or(|wanted| wanted == is);
    let is_wanted = |one: &&Judgement| same(&command.tenant, &one.tenant) && same(&command.field, &one.field);
    let min_reviews = parts.settings.calibration.min_reviews;
    let report = calibration::report(judgements.all().filter(is_wanted), command.by.map(By::from), min_reviews)
        .with_by_hand(judgements.by_hand().filter(is_wanted));
    if let Some(file) = &command.svg {
        draw(file, &report)?;
    }
    match command.output {
        Output::Table => say!("{report}"),
        Output::Json => say!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn draw(file: &Path, report: &Report) -> anyhow::Result<()> {
    std::fs::write(file, Plot(report).to_string()).with_context(|| format!("cannot write {}", file.display()))
}

async fn install(
    parts: Parts,
    report: &Report,
    wish: &Wish,
    by: ByArgs,
    print: bool,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let trail = parts.changes().await?.map(|changes| changes as Arc<dyn AuditTrail>);
    let mut tenants = LiveTenants::new(parts.settings.tenants.clone(), parts.tenants.clone())?;
    if let Some(trail) = &trail {
        edit::look(&**trail, &mut tenants).await?;
    }
    let installable = match install::propose(trail.as_deref(), &tenants, report, wish).await {
        Ok(installable) => installable,
        // Whoever installs the same twice finds it installed.
        Err(nothing @ InstallError::NothingNew(_)) => {
            complain!("gatekeeper: {nothing}");
            return Ok(ExitCode::SUCCESS);
        }
        Err(InstallError::Edit(error @ (EditError::Mistakes(_) | EditError::VersionTaken { .. }))) => {
            complain!("gatekeeper: {error}");
            return Ok(ExitCode::from(EXIT_CONFIG));
        }
        Err(error) => return Err(error.into()),
    };
    if print {
        say_as_is!("{}", installable.document);
        return Ok(ExitCode::SUCCESS);
    }
    let trail = trail.as_deref().context(NO_DATABASE)?;
    let by = trail::by(ByArgs { note: by.note.or_else(|| Some(note(&installable.tables))), ..by }, &*parts.clock);
    let revision = edit::set(trail, &installable.proposal, by).await?;
    told(&installable, revision, output)
}

/// Why, if the operator does not say.
fn note(tables: &[Calibration]) -> String {
    let of = |table: &Calibration| format!("{} of {} ({} reviews)", table.field, table.model, table.reviews);
    format!("calibration: {}", tables.iter().map(of).collect::<Vec<_>>().join(", "))
}

fn told(installable: &Installable, revision: u64, output: Output) -> anyhow::Result<ExitCode> {
    let Installable { proposal, tables, .. } = installable;
    match output {
        Output::Table => say!("{proposal}\nset at revision {revision}"),
        Output::Json => {
            let told = json!({"tenant": proposal.tenant.id, "version": proposal.tenant.version, "tables": tables,
                              "revision": revision});
            say!("{}", serde_json::to_string_pretty(&told)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl From<CalibrationBy> for By {
    fn from(by: CalibrationBy) -> Self {
        match by {
            CalibrationBy::Label => Self::Label,
            CalibrationBy::Language => Self::Language,
            CalibrationBy::Model => Self::Model,
            CalibrationBy::Prompt => Self::Prompt,
        }
    }
}
