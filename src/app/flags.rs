//! `flags`: which capabilities are switched for whom, and changes of that, which processors take while they run.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;

use super::out::{complain, say};
use super::trail::{self, NO_DATABASE};
use super::wiring::Parts;
use crate::cli::{ByArgs, FlagsArgs, FlagsCommand, Output};
use crate::domain::flags::{Context, Flag, FlagBook, FlagProvider as _, Rule, Share};
use crate::operations::flags::live::{KEPT, LiveFlags};
use crate::operations::flags::{Subject, edit};
use crate::operations::tenants::edit::look;
use crate::operations::tenants::live::LiveTenants;
use crate::operations::trail::{AuditTrail, Kind};

pub async fn run(parts: Parts, command: FlagsArgs) -> anyhow::Result<ExitCode> {
    let trail = parts.changes().await?.map(|changes| changes as Arc<dyn AuditTrail>);
    let mut flags = LiveFlags::new(parts.settings.flags.book(), parts.flags.clone());
    if let Some(trail) = &trail {
        let (_, refused) = flags.take(trail.since(Kind::Flag, 0, KEPT).await?);
        refused.iter().for_each(|mistake| complain!("gatekeeper: not taken: {mistake}"));
    }
    let desk = Desk { parts, trail, book: flags.book(), output: command.output };
    match command.command.unwrap_or(FlagsCommand::List) {
        FlagsCommand::List => desk.list(),
        FlagsCommand::Show { flag, tenant, ticket } => desk.show(&flag, tenant, ticket).await,
        FlagsCommand::Set { flag, share, tenant, by } => desk.set(&flag, &share, tenant, by).await,
        FlagsCommand::Remove { flag, tenant, by } => desk.remove(&flag, tenant, by).await,
    }
}

/// What the commands work on.
struct Desk {
    parts: Parts,
    trail: Option<Arc<dyn AuditTrail>>,
    book: Arc<FlagBook>,
    output: Output,
}

impl Desk {
    fn trail(&self) -> anyhow::Result<&dyn AuditTrail> {
        self.trail.as_deref().context(NO_DATABASE)
    }

    fn list(&self) -> anyhow::Result<ExitCode> {
        let rows = Flag::ALL.into_iter().flat_map(|flag| self.rules_of(flag));
        match self.output {
            Output::Table => {
                for (flag, tenant, rule) in rows {
                    let (whose, meaning) = match tenant {
                        Some(tenant) => (tenant, String::new()),
                        None => ("everybody", format!("   off: {}", flag.when_off())),
                    };
                    say!("{:<14} {whose:<24} {:<8} {:<26}{meaning}", flag.name(), rule.share, rule.source);
                }
            }
            Output::Json => {
                let rows: Vec<_> = rows.map(|(flag, tenant, rule)| row(flag, tenant, rule)).collect();
                say!("{}", serde_json::to_string_pretty(&rows)?);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What counts for everybody, and the tenants that have a rule of their own.
    fn rules_of(&self, flag: Flag) -> Vec<(Flag, Option<&str>, Rule)> {
        let own = self.book.rules().filter(|(of, tenant, _)| *of == flag && tenant.is_some());
        std::iter::once((flag, None, self.book.counts(flag, None))).chain(own).collect()
    }

    async fn show(&self, flag: &str, tenant: Option<String>, ticket: Option<String>) -> anyhow::Result<ExitCode> {
        let subject = Subject { flag: Flag::named(flag)?, tenant };
        let tenant = subject.tenant.as_deref();
        let rule = self.book.counts(subject.flag, tenant);
        let evaluation = ticket
            .as_deref()
            .zip(tenant)
            .map(|(ticket_id, tenant_id)| self.book.evaluate(subject.flag, Context { tenant_id, ticket_id }));
        let history = match &self.trail {
            Some(trail) => edit::history(&**trail, &subject).await?,
            None => Vec::new(),
        };
        match self.output {
            Output::Table => {
                say!("{subject}: {} ({}); off: {}", rule.share, rule.source, subject.flag.when_off());
                if let (Some(evaluation), Some(ticket)) = (evaluation, ticket) {
                    say!("ticket {ticket}: {evaluation}");
                }
                trail::show(&history, self.output)
            }
            Output::Json => {
                let told =
                    json!({"rule": row(subject.flag, tenant, rule), "evaluation": evaluation, "history": history});
                say!("{}", serde_json::to_string_pretty(&told)?);
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    async fn set(&self, flag: &str, share: &str, tenant: Option<String>, by: ByArgs) -> anyhow::Result<ExitCode> {
        let (subject, share) = (Subject { flag: Flag::named(flag)?, tenant }, share.parse::<Share>()?);
        let trail = self.trail()?;
        self.known(trail, &subject).await?;
        let before = self.book.counts(subject.flag, subject.tenant.as_deref());
        let revision = edit::set(trail, &subject, share, trail::by(by, &*self.parts.clock)).await?;
        match self.output {
            Output::Json => say!("{}", json!({"subject": subject, "share": share, "revision": revision})),
            Output::Table => {
                say!("{subject}: {} ({}) -> {share}", before.share, before.source);
                self.tell(&subject, revision);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn remove(&self, flag: &str, tenant: Option<String>, by: ByArgs) -> anyhow::Result<ExitCode> {
        let subject = Subject { flag: Flag::named(flag)?, tenant };
        let revision = edit::remove(self.trail()?, &subject, trail::by(by, &*self.parts.clock)).await?;
        match self.output {
            Output::Json => say!("{}", json!({"subject": subject, "revision": revision})),
            Output::Table => {
                say!("{subject}: no rule in the database any more; the next one counts (flags list)");
                self.tell(&subject, Some(revision));
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn tell(&self, subject: &Subject, revision: Option<u64>) {
        match revision {
            Some(revision) => {
                let within = self.parts.settings.tenants.poll_interval;
                say!("changed at revision {revision}; processors look for changes every {within:?}");
            }
            None => say!("the database says so already"),
        }
        if subject.tenant.is_none() {
            for (_, tenant, rule) in self.rules_of(subject.flag).iter().skip(1) {
                let (tenant, Rule { share, source, .. }) = (tenant.unwrap_or_default(), rule);
                say!("tenant {tenant} has a rule of its own, which goes on: {share} ({source})");
            }
        }
    }

    /// A slip of the pen is no rule: it would stand in the trail and do nothing.
    async fn known(&self, trail: &dyn AuditTrail, subject: &Subject) -> anyhow::Result<()> {
        let Some(tenant) = &subject.tenant else { return Ok(()) };
        let mut tenants = LiveTenants::new(self.parts.settings.tenants.clone(), self.parts.tenants.clone())?;
        look(trail, &mut tenants).await?;
        let is_known = self.parts.tenants.borrow().find(tenant).is_some() && !tenant.contains(['/', '|']);
        anyhow::ensure!(is_known, "there is no tenant {tenant:?} (gatekeeper tenants lists them)");
        Ok(())
    }
}

fn row(flag: Flag, tenant: Option<&str>, rule: Rule) -> serde_json::Value {
    json!({"flag": flag, "tenant": tenant, "share": rule.share, "stands": rule.source, "when_off": flag.when_off()})
}
