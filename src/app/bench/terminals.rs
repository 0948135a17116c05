//! The ends of events, as a reader of the log sees them.

use std::sync::Arc;

use anyhow::Context as _;

use super::tickets::number;
use crate::domain::clock::Timestamp;
use crate::domain::position::{Partition, TopicRole};
use crate::domain::record::Record;
use crate::operations::log_browser::{LogBrowser, ReadLimit};

const LIMIT: ReadLimit = ReadLimit { max_records: 2_000, max_bytes: 8 << 20 };

/// An event has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Which.
    pub event: u64,
    /// When its burst was written.
    pub written_at: Timestamp,
}

/// Reads on where it stopped.
pub struct Terminals {
    log: Arc<dyn LogBrowser>,
    next: Vec<u64>,
}

impl Terminals {
    /// From the beginning.
    pub fn new(log: Arc<dyn LogBrowser>, partitions: u32) -> Self {
        Self { log, next: vec![0; partitions as usize] }
    }

    /// What there is beyond what was read before.
    pub async fn read(&mut self) -> anyhow::Result<Vec<Terminal>> {
        let mut ends = Vec::new();
        for (number, next) in (0..).zip(&mut self.next) {
            let partition = Partition { topic: TopicRole::Feedback, number };
            loop {
                let records = self.log.read(partition, *next, LIMIT).await?;
                let Some(last) = records.last() else { break };
                *next = last.offset + 1;
                for record in &records {
                    ends.push(terminal(record).with_context(|| format!("{partition}, offset {}", record.offset))?);
                }
            }
        }
        Ok(ends)
    }
}

/// The envelope names the event that caused it.
fn terminal(record: &Record) -> anyhow::Result<Terminal> {
    let caused_by = record.header("ce_causationid").context("a terminal without its event")?;
    let event =
        std::str::from_utf8(caused_by).ok().and_then(number).context("a terminal of an event we did not write")?;
    Ok(Terminal { event, written_at: record.timestamp })
}
