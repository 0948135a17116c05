//! `trail`: what operators changed, newest first; and who changes something when a command does.

use std::process::ExitCode;

use anyhow::Context as _;

use super::out::{say, say_as_is};
use super::wiring::Parts;
use crate::cli::{ByArgs, Output, TrailArgs};
use crate::domain::clock::Clock;
use crate::operations::trail::{By, Change, Kind};

pub async fn run(parts: Parts, command: TrailArgs) -> anyhow::Result<ExitCode> {
    let trail = parts.changes().await?.context(NO_DATABASE)?;
    let changes = trail.list(None, command.subject.as_deref(), command.limit).await?;
    show(&changes, command.output)
}

/// What a command says that needs one.
pub const NO_DATABASE: &str = "ledger.enabled = false: there is no database in which changes could stand";

/// Changes as they come; policies are left out of tables.
pub fn show(changes: &[Change], output: Output) -> anyhow::Result<ExitCode> {
    match output {
        Output::Table => {
            for change in changes {
                let Change { revision, at, actor, kind, subject, act, before, note, until, document } = change;
                say_as_is!("{revision:>6}  {at}  {actor:<16} {} {subject}: {act}", kind.name());
                if let (Kind::Flag | Kind::Redrive, Some(what)) = (kind, document) {
                    say_as_is!(" {what}");
                }
                if let Some(until) = until {
                    say_as_is!(" until {until}");
                }
                if let Some(before) = before {
                    say_as_is!(", before: revision {before}");
                }
                say!("{}", note.as_ref().map(|note| format!("  ({note})")).unwrap_or_default());
            }
        }
        Output::Json => say!("{}", serde_json::to_string_pretty(changes)?),
    }
    Ok(ExitCode::SUCCESS)
}

/// Who does it, in whose name, now.
pub fn by(args: ByArgs, clock: &dyn Clock) -> By {
    let variable = |name: &str| std::env::var(name).ok();
    By { at: clock.now(), actor: actor(args.actor, variable, nix::unistd::getuid().as_raw()), note: args.note }
}

/// Who says so, or who the system says it is: services and containers have no name, but always a number.
fn actor(given: Option<String>, variable: impl Fn(&str) -> Option<String>, uid: u32) -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter().map(variable);
    let mut said = std::iter::once(given).chain(named).flatten().filter(|name| !name.trim().is_empty());
    said.next().unwrap_or_else(|| format!("uid:{uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_no_name_has_a_number() {
        let with = |given: Option<&str>, variables: &[(&str, &str)]| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(variable, _)| *variable == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            actor(given.map(str::to_owned), variable, 1_000)
        };
        let all = [("SUDO_USER", "ann"), ("USER", "root"), ("LOGNAME", "root")];
        assert_eq!(with(Some("bob"), &all), "bob");
        assert_eq!(with(None, &all), "ann");
        assert_eq!(with(Some(""), &[("SUDO_USER", ""), ("USER", " "), ("LOGNAME", "cid")]), "cid");
        assert_eq!(with(None, &[("USER", "")]), "uid:1000");
    }
}
