//! `topics`: list the topics, and create what is missing.

use std::process::ExitCode;

use super::wiring::{self, Parts};
use crate::adapters::embedded_log::Access;
use crate::cli::{Output, SettingsArgs, TopicsArgs};
use crate::domain::position::Partition;

pub async fn run(args: &SettingsArgs, topics: TopicsArgs) -> anyhow::Result<ExitCode> {
    let parts = Parts::new(wiring::settings(args)?.settings)?;
    let access = if topics.create { Access::Append } else { Access::ReadOnly };
    let browser = parts.browser(access).await?;
    let created = if topics.create { browser.create_topics().await? } else { Vec::new() };
    let mut rows = Vec::new();
    for topic in browser.topics().await? {
        let mut records = 0;
        for number in 0..topic.partitions {
            let watermarks = browser.watermarks(Partition { topic: topic.role, number }).await?;
            records += watermarks.end - watermarks.log_start;
        }
        rows.push((topic.name, topic.partitions, records, created.contains(&topic.role)));
    }
    match topics.output {
        Output::Table => {
            for (name, partitions, records, created) in rows {
                let note = if created { "  created" } else { "" };
                println!("{name:<36} {partitions:>4} partitions {records:>10} records{note}");
            }
        }
        Output::Json => {
            let rows: Vec<_> = rows
                .into_iter()
                .map(|(name, partitions, records, created)| {
                    serde_json::json!({"name": name, "partitions": partitions, "records": records, "created": created})
                })
                .collect();
            println!("{}", serde_json::to_string_pretty(&rows)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}
