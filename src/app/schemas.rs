//! `schemas`: what the schema registry has of ours, what is missing, registering it, and which changes are accepted.

use std::process::ExitCode;

use anyhow::Context as _;

use super::out::say;
use super::wiring::{self, Parts};
use crate::adapters::schema_registry::SchemaRegistry;
use crate::cli::{Output, SchemasArgs, SettingsArgs};
use crate::operations::schemas::{self, Flaw, Level, Listed, Registered, Subjects as _, subjects};
use crate::settings::topics::Topics;

pub async fn run(args: &SettingsArgs, command: SchemasArgs) -> anyhow::Result<ExitCode> {
    let parts = Parts::new(wiring::settings(args)?.settings)?;
    let registry = parts.registry.as_deref().context("there is no schema registry: schemas.registry.url is not set")?;
    let topics = &parts.settings.topics;
    match &command.compatibility {
        Some(level) => compatibility(registry, topics, level.as_deref(), command.output).await,
        None if command.check => check(registry, topics, command.output).await,
        None if command.register => register(registry, topics, command.output).await,
        None => list(registry, topics, command.output).await,
    }
}

async fn list(registry: &SchemaRegistry, topics: &Topics, output: Output) -> anyhow::Result<ExitCode> {
    let listed = schemas::list(registry, topics).await?;
    if output == Output::Json {
        say!("{}", serde_json::to_string_pretty(&listed)?);
        return Ok(ExitCode::SUCCESS);
    }
    for Listed { subject, record, level, versions, missing } in listed {
        say!("{subject:<42} {record:<15} {}{}", level.level, if level.own { "" } else { " (the registry's)" });
        for version in versions {
            let is = version.is.unwrap_or_else(|| match version.unreadable {
                None => "another version, readable".to_owned(),
                Some(reason) => format!("not readable: {reason}"),
            });
            say!("    version {:>3}  id {:>10}  {is}", version.version, version.id);
        }
        for name in missing {
            say!("    not registered: {name}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends with failure when anything is wrong, or could not be looked at.
async fn check(registry: &SchemaRegistry, topics: &Topics, output: Output) -> anyhow::Result<ExitCode> {
    let flaws = schemas::check(registry, topics).await?;
    match output {
        Output::Table if flaws.is_empty() => say!("the schema registry is as it should be"),
        Output::Table => {
            for Flaw { what, cure } in &flaws {
                say!("{what}\n    {cure}");
            }
        }
        Output::Json => say!("{}", serde_json::to_string_pretty(&flaws)?),
    }
    Ok(if flaws.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn register(registry: &SchemaRegistry, topics: &Topics, output: Output) -> anyhow::Result<ExitCode> {
    let registered = schemas::register(registry, topics).await?;
    match output {
        Output::Table => {
            for Registered { subject, schema, id, new } in registered {
                say!("{subject:<42} {schema:<20} id {id:>10}{}", if new { "  registered" } else { "" });
            }
        }
        Output::Json => say!("{}", serde_json::to_string_pretty(&registered)?),
    }
    Ok(ExitCode::SUCCESS)
}

async fn compatibility(
    registry: &SchemaRegistry,
    topics: &Topics,
    wanted: Option<&str>,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let wanted = match wanted {
        None => None,
        Some(name) => Some(Level::named(name).with_context(|| {
            format!("there is no level {name}; there are {}", Level::ALL.map(Level::name).join(", "))
        })?),
    };
    let mut rows = Vec::new();
    for subject in subjects(topics) {
        if let Some(level) = wanted {
            registry.set_level(&subject.name, level).await.with_context(|| subject.name.clone())?;
        }
        let level = registry.level(&subject.name).await.with_context(|| subject.name.clone())?;
        // A proxy that takes a change and drops it must not pass for a registry.
        anyhow::ensure!(
            wanted.is_none_or(|wanted| wanted == level.level),
            "{} has the level {} still, although the registry took the change",
            subject.name,
            level.level
        );
        rows.push((subject.name, level));
    }
    match output {
        Output::Table => {
            for (subject, level) in rows {
                say!("{subject:<42} {}{}", level.level, if level.own { "" } else { " (the registry's)" });
            }
        }
        Output::Json => {
            let rows = rows
                .iter()
                .map(|(subject, of)| serde_json::json!({"subject": subject, "level": of.level, "own": of.own}));
            say!("{}", serde_json::to_string_pretty(&rows.collect::<Vec<_>>())?);
        }
    }
    Ok(ExitCode::SUCCESS)
}
