//! `tenants`: who has which policy from where, and changes of that, which processors take while they run.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;

use super::EXIT_CONFIG;
use super::out::{complain, say, say_as_is};
use super::trail::{self, NO_DATABASE};
use super::wiring::{Memory, Parts};
use crate::cli::{ByArgs, Output, TenantsArgs, TenantsCommand};
use crate::domain::budget::{Day, Purse};
use crate::domain::tenant::Tenant;
use crate::operations::tenants::edit::{self, EditError, Proposal};
use crate::operations::tenants::live::{InForce, LiveTenants, Source};
use crate::operations::trail::AuditTrail;
use crate::pipeline::dedupe::ledger::Ledger;
use crate::settings::tenants::document::{self, MAX_BYTES};
use crate::settings::tenants::rules::Broken;

pub async fn run(parts: Parts, command: TenantsArgs) -> anyhow::Result<ExitCode> {
    let checked = if let Some(TenantsCommand::Check { file }) = &command.command { Some(file) } else { None };
    // Before the ledger, which says nothing of mistakes and may be away, or not be there yet.
    if let Some(file) = checked
        && let Err(mistakes) = document::read(&text_of(file)?)
    {
        return refuse(file, EditError::Mistakes(mistakes), command.output);
    }
    let memory = match checked {
        Some(_) => parts.memory_if_there().await?,
        None if parts.settings.ledger.enabled => Some(parts.memory_as_it_is().await?),
        None => None,
    };
    if memory.is_none() && parts.settings.ledger.enabled {
        complain!("gatekeeper: there is no ledger yet: compared with the files of tenants alone");
    }
    let (ledger, trail) = memory.map(|Memory { ledger, changes, .. }| (ledger, changes)).unzip();
    let trail = trail.flatten().map(|changes| changes as Arc<dyn AuditTrail>);
    let mut tenants = LiveTenants::new(parts.settings.tenants.clone(), parts.tenants.clone())?;
    if let Some(trail) = &trail {
        edit::look(&**trail, &mut tenants).await?;
    }
    let desk = Desk { parts, ledger, trail, tenants, output: command.output };
    match command.command.unwrap_or(TenantsCommand::List) {
        TenantsCommand::List => desk.list(),
        TenantsCommand::Show { id, revision } => desk.show(&id, revision).await,
        TenantsCommand::Check { file } => desk.check(&file).await,
        TenantsCommand::Set { file, by } => desk.set(&file, by).await,
        TenantsCommand::Remove { id, by } => desk.remove(&id, by).await,
        TenantsCommand::History { id } => trail::show(&edit::history(desk.trail()?, &id).await?, desk.output),
    }
}

/// What the commands work on.
struct Desk {
    parts: Parts,
    ledger: Option<Arc<dyn Ledger>>,
    trail: Option<Arc<dyn AuditTrail>>,
    tenants: LiveTenants,
    output: Output,
}

impl Desk {
    fn trail(&self) -> anyhow::Result<&dyn AuditTrail> {
        self.trail.as_deref().context(NO_DATABASE)
    }

    fn list(&self) -> anyhow::Result<ExitCode> {
        if self.output == Output::Json {
            let rows = self.tenants.in_force().map(|InForce { tenant, source }| {
                json!({"tenant": tenant.id, "version": tenant.version, "enabled": tenant.enabled,
                       "limits": tenant.limits, "stands": source})
            });
            say!("{}", serde_json::to_string_pretty(&rows.collect::<Vec<_>>())?);
            return Ok(ExitCode::SUCCESS);
        }
        for InForce { tenant, source } in self.tenants.in_force() {
            let door = if tenant.enabled { "enabled" } else { "disabled" };
            say!("{:<24} {:<16} {door:<9} {:<44} {source}", tenant.id, tenant.version, limits(tenant));
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn show(&self, id: &str, revision: Option<u64>) -> anyhow::Result<ExitCode> {
        let in_force = self.tenants.find(id);
        let (is_of_now, in_force_now) = (revision.is_none(), in_force.map(|found| found.tenant.clone()));
        let revision = revision.or(match in_force.map(|found| found.source) {
            Some(Source::Database { revision, .. }) => Some(revision),
            _ => None,
        });
        let document = match revision {
            Some(revision) => {
                let entries = edit::history(self.trail()?, id).await?;
                let entry = entries.into_iter().find(|entry| entry.revision == revision);
                let entry = entry.with_context(|| format!("tenant {id:?} was not changed at revision {revision}"))?;
                entry.document.with_context(|| format!("tenant {id:?} was removed at revision {revision}"))?
            }
            None => self.tenants.file_text(id).with_context(|| format!("there is no tenant {id:?}"))?,
        };
        let tenant = in_force_now.filter(|_| is_of_now);
        let today = match &tenant {
            Some(tenant) => self.spent_today(tenant).await?,
            None => None,
        };
        match self.output {
            Output::Table => {
                say_as_is!("{document}");
                if let (Some(tenant), Some((day, purse))) = (&tenant, today) {
                    say!("{}", spent(tenant, day, purse));
                }
            }
            Output::Json => {
                let mut shown = json!({"revision": revision, "document": document});
                if let (Some(tenant), Some((day, purse))) = (&tenant, today) {
                    shown["budget"] = json!({"day": day.to_string(), "currency": tenant.currency,
                                             "money_per_day": tenant.limits.money_per_day, "spent": purse.spent(),
                                             "of_running_calls": purse.open});
                }
                say!("{}", serde_json::to_string_pretty(&shown)?)
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What a tenant with a budget has spent of today's; in the file of this instance, or in all instances' database.
    async fn spent_today(&self, tenant: &Tenant) -> anyhow::Result<Option<(Day, Purse)>> {
        let Some(ledger) = self.ledger.as_ref().filter(|_| tenant.limits.money_per_day.is_some()) else {
            return Ok(None);
        };
        let today = Day::of(self.parts.clock.now());
        Ok(Some((today, ledger.spent(&tenant.id, today).await?)))
    }

    async fn propose(&self, file: &Path) -> anyhow::Result<Result<Proposal, EditError>> {
        Ok(edit::propose(self.trail.as_deref(), &self.tenants, text_of(file)?).await)
    }

    async fn check(&self, file: &Path) -> anyhow::Result<ExitCode> {
        match self.propose(file).await? {
            Ok(proposal) => self.tell(&proposal, None),
            Err(error) => refuse(file, error, self.output),
        }
    }

    async fn set(&self, file: &Path, by: ByArgs) -> anyhow::Result<ExitCode> {
        let trail = self.trail()?;
        match self.propose(file).await? {
            // Whoever sets the same twice finds it set.
            Ok(proposal) if proposal.changes_nothing() => self.tell(&proposal, None),
            Ok(proposal) => {
                let by = trail::by(by, &*self.parts.clock);
                match edit::set(trail, &proposal, by).await {
                    Ok(revision) => self.tell(&proposal, Some(revision)),
                    Err(error) => refuse(file, error, self.output),
                }
            }
            Err(error) => refuse(file, error, self.output),
        }
    }

    async fn remove(&self, id: &str, by: ByArgs) -> anyhow::Result<ExitCode> {
        let by = trail::by(by, &*self.parts.clock);
        let revision = edit::remove(self.trail()?, id.to_owned(), by).await?;
        let now = match self.tenants.in_file(id) {
            Some(file) => format!("its file counts again, version {}", file.version),
            None => "it has no policy of its own any more (tenants.unknown says what becomes of its events)".to_owned(),
        };
        match self.output {
            Output::Table => say!("{id}: removed from the database at revision {revision}; {now}"),
            Output::Json => say!("{}", json!({"tenant": id, "revision": revision})),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn tell(&self, proposal: &Proposal, revision: Option<u64>) -> anyhow::Result<ExitCode> {
        match self.output {
            Output::Table => {
                say!("{proposal}");
                if let Some(revision) = revision {
                    let within = self.parts.settings.tenants.poll_interval;
                    say!("set at revision {revision}; processors look for changes every {within:?}");
                }
            }
            Output::Json => {
                let told = json!({"tenant": proposal.tenant.id, "version": proposal.tenant.version,
                                  "differences": proposal.differences, "revision": revision});
                say!("{}", serde_json::to_string_pretty(&told)?);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What is the operator's to mend has the exit code of settings that are.
fn refuse(file: &Path, error: EditError, output: Output) -> anyhow::Result<ExitCode> {
    let said = error.to_string();
    let mistakes = match error {
        EditError::Mistakes(mistakes) => mistakes,
        EditError::VersionTaken { .. } => vec![Broken::new("version", &*said)],
        other => return Err(other.into()),
    };
    match output {
        Output::Table => complain!("gatekeeper: {}: {said}", file.display()),
        Output::Json => {
            let mistakes = mistakes.iter().map(|Broken { key, message }| json!({"key": key, "message": message}));
            let told = json!({"file": file.display().to_string(), "mistakes": mistakes.collect::<Vec<_>>()});
            say!("{}", serde_json::to_string_pretty(&told)?);
        }
    }
    Ok(ExitCode::from(EXIT_CONFIG))
}

fn text_of(file: &Path) -> anyhow::Result<String> {
    let unreadable = || format!("cannot read {}", file.display());
    // What is larger than memory stays where it is.
    let length = std::fs::metadata(file).with_context(unreadable)?.len();
    anyhow::ensure!(length <= MAX_BYTES, "{} has {length} bytes, at most {MAX_BYTES} are read", file.display());
    std::fs::read_to_string(file).with_context(unreadable)
}

fn limits(tenant: &Tenant) -> String {
    let limits = &tenant.limits;
    let of = |limit: Option<u32>, what: &str| limit.map_or_else(|| format!("any {what}"), |n| format!("{n} {what}"));
    let (requests, tokens) = (of(limits.requests_per_minute, "requests"), of(limits.tokens_per_minute, "tokens"));
    let budget = limits.money_per_day.map(|money| format!(", {money} {} a day", tenant.currency)).unwrap_or_default();
    format!("{requests}, {tokens} a minute{budget}, weight {}", limits.weight)
}

/// A comment: what is shown stays a policy that can be set.
fn spent(tenant: &Tenant, day: Day, purse: Purse) -> String {
    let (budget, currency) = (tenant.limits.money_per_day.unwrap_or_default(), &tenant.currency);
    let (spent, left, open) = (purse.spent(), purse.left_of(budget), purse.open);
    format!("# {day} (UTC): {spent} of {budget} {currency} spent, {open} of it for calls that run now; {left} left")
}
