//! `topics`: list the topics, create what is missing, check what is there, say from where a group goes on, and print what
//! must be granted.

use std::process::ExitCode;

use super::out::say;
use super::wiring::Parts;
use crate::adapters::embedded_log::Access;
use crate::adapters::kafka::{self, Flaw, KafkaBrowser};
use crate::cli::{Output, TopicsArgs};
use crate::domain::position::{Partition, TopicRole};
use crate::operations::positions::{self, Clerk, Meant, Order};
use crate::settings::log::LogKind;

pub async fn run(parts: Parts, topics: TopicsArgs) -> anyhow::Result<ExitCode> {
    let on_kafka = parts.settings.log.kind == LogKind::Kafka;
    anyhow::ensure!(
        on_kafka || !(topics.check || topics.acls),
        "--check and --acls are about Kafka (log.kind = kafka)"
    );
    if topics.acls {
        return acls(&parts, topics.output);
    }
    if topics.check {
        return check(&parts, topics.output).await;
    }
    if !topics.positions.is_empty() {
        return set_positions(&parts, &topics).await;
    }
    list(&parts, &topics).await
}

async fn list(parts: &Parts, topics: &TopicsArgs) -> anyhow::Result<ExitCode> {
    let access = if topics.create { Access::Append } else { Access::ReadOnly };
    let browser = parts.browser(access).await?;
    let created = if topics.create { browser.create_topics().await? } else { Vec::new() };
    let mut rows = Vec::new();
    for topic in browser.topics().await? {
        let mut offsets = 0;
        for number in 0..topic.partitions {
            let watermarks = browser.watermarks(Partition { topic: topic.role, number }).await?;
            offsets += watermarks.end - watermarks.log_start;
        }
        rows.push((topic.name, topic.partitions, offsets, created.contains(&topic.role)));
    }
    match topics.output {
        Output::Table => {
            for (name, partitions, offsets, created) in rows {
                let note = if created { "  created" } else { "" };
                say!("{name:<36} {partitions:>4} partitions {offsets:>10} offsets{note}");
            }
        }
        Output::Json => {
            let rows: Vec<_> = rows
                .into_iter()
                .map(|(name, partitions, offsets, created)| {
                    serde_json::json!({"name": name, "partitions": partitions, "offsets": offsets, "created": created})
                })
                .collect();
            say!("{}", serde_json::to_string_pretty(&rows)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn set_positions(parts: &Parts, topics: &TopicsArgs) -> anyhow::Result<ExitCode> {
    let orders: Vec<Order> = topics.positions.iter().map(|order| order.parse()).collect::<Result<_, _>>()?;
    let (browser, positions) = parts.operator().await?;
    // For the record of it: once a position is moved there is no way back.
    parts.settle_ids(&[TopicRole::Ops]).await?;
    let ledger = if parts.settings.ledger.enabled { Some(parts.ledger_to_read().await?) } else { None };
    let (publisher, processor) = (parts.publisher(), parts.settings.instance_name());
    let clerk = Clerk { publisher: &publisher, processor, at: parts.clock.now() };
    let reads = parts.reads();
    let group = (parts.settings.log.group_id(), &*reads);
    let orders = (&*orders, Meant { again: topics.again, skip: topics.skip });
    let moved = positions::set((&*browser, &*positions), ledger.as_deref(), group, orders, &clerk).await?;
    match topics.output {
        Output::Table => moved.iter().for_each(|moved| say!("{moved}")),
        Output::Json => say!("{}", serde_json::to_string_pretty(&moved)?),
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends with failure when anything is wrong, or could not be looked at.
async fn check(parts: &Parts, output: Output) -> anyhow::Result<ExitCode> {
    let browser = KafkaBrowser::open(&parts.settings.log.kafka, &parts.settings.topics).await?;
    let flaws = browser.flaws(parts.settings.ledger.window).await?;
    match output {
        Output::Table if flaws.is_empty() => say!("topics and brokers are as they should be"),
        Output::Table => {
            for Flaw { what, cure } in &flaws {
                say!("{what}\n    {cure}");
            }
        }
        Output::Json => {
            let flaws = flaws.iter().map(|Flaw { what, cure }| serde_json::json!({"what": what, "cure": cure}));
            say!("{}", serde_json::to_string_pretty(&flaws.collect::<Vec<_>>())?);
        }
    }
    Ok(if flaws.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn acls(parts: &Parts, output: Output) -> anyhow::Result<ExitCode> {
    let grants = kafka::acls(&parts.settings.log.kafka, &parts.settings.topics);
    match output {
        // A script that can be run once its principals are filled in.
        Output::Table => {
            for kafka::Grants { purpose, commands } in grants {
                say!("# {purpose}\n{}\n", commands.join("\n"));
            }
        }
        Output::Json => {
            let grants = grants.iter().map(
                |kafka::Grants { purpose, commands }| serde_json::json!({"purpose": purpose, "commands": commands}),
            );
            say!("{}", serde_json::to_string_pretty(&grants.collect::<Vec<_>>())?);
        }
    }
    Ok(ExitCode::SUCCESS)
}
