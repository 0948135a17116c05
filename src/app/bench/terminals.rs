//! The ends of events, as a reader of the log sees them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::try_join_all;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::tickets::number;
use crate::domain::clock::Timestamp;
use crate::domain::position::{Partition, TopicRole};
use crate::domain::record::Record;
use crate::operations::log_browser::{BrowseError, LogBrowser, ReadLimit};

const LIMIT: ReadLimit = ReadLimit { max_records: 2_000, max_bytes: 8 << 20 };

/// An event has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Which.
    pub event: u64,
    /// When its burst was written.
    pub written_at: Timestamp,
    /// When it was here.
    pub seen_at: Instant,
}

/// Reads on where it stopped, all partitions at once: one reader for all of them would see each only when it has been
/// around.
pub struct Terminals {
    readers: Vec<Reader>,
}

/// Ends as they come. On the embedded log each reader looks by itself, so that none is late for another's sake; a cluster says
/// when there is something.
pub struct Followed {
    ends: mpsc::UnboundedReceiver<Terminal>,
    readers: JoinSet<anyhow::Result<()>>,
}

struct Reader {
    log: Arc<dyn LogBrowser>,
    partition: Partition,
    next: u64,
}

impl Terminals {
    /// From the beginning, with a browser for each partition.
    pub fn new(logs: Vec<Arc<dyn LogBrowser>>) -> Self {
        let reader =
            |(number, log)| Reader { log, partition: Partition { topic: TopicRole::Feedback, number }, next: 0 };
        Self { readers: (0..).zip(logs).map(reader).collect() }
    }

    /// What there is beyond what was read before.
    pub async fn read(&mut self) -> anyhow::Result<Vec<Terminal>> {
        let readers = self.readers.iter_mut().map(Reader::read);
        Ok(try_join_all(readers).await?.concat())
    }

    /// Look so often from now on.
    pub fn follow(self, every: Duration) -> Followed {
        let (found, ends) = mpsc::unbounded_channel();
        let follow = |reader: Reader| reader.follow(every, found.clone());
        Followed { ends, readers: self.readers.into_iter().map(follow).collect() }
    }
}

impl Followed {
    /// What a cluster says.
    pub fn said(mut records: mpsc::UnboundedReceiver<Result<Record, BrowseError>>) -> Self {
        let (found, ends) = mpsc::unbounded_channel();
        let pass_on = async move {
            while let Some(record) = records.recv().await {
                let (record, seen_at) = (record?, Instant::now());
                let at = || format!("offset {}", record.offset);
                found.send(terminal(&record, seen_at).with_context(at)?)?;
            }
            Ok(())
        };
        Self { ends, readers: JoinSet::from_iter([pass_on]) }
    }

    /// The next end.
    pub async fn next(&mut self) -> anyhow::Result<Terminal> {
        tokio::select! {
            biased;
            Some(end) = self.ends.recv() => Ok(end),
            Some(ended) = self.readers.join_next() => match ended? {
                Ok(()) => anyhow::bail!("a reader of terminals ended"),
                Err(error) => Err(error),
            },
        }
    }
}

impl Reader {
    async fn follow(mut self, every: Duration, found: mpsc::UnboundedSender<Terminal>) -> anyhow::Result<()> {
        loop {
            for end in self.read().await? {
                found.send(end)?;
            }
            sleep(every).await;
        }
    }

    async fn read(&mut self) -> anyhow::Result<Vec<Terminal>> {
        let mut ends = Vec::new();
        loop {
            let records = self.log.read(self.partition, self.next, LIMIT).await?;
            let Some(last) = records.last() else { return Ok(ends) };
            self.next = last.offset + 1;
            let seen_at = Instant::now();
            for record in &records {
                let at = || format!("{}, offset {}", self.partition, record.offset);
                ends.push(terminal(record, seen_at).with_context(at)?);
            }
        }
    }
}

/// The envelope names the event that caused it.
fn terminal(record: &Record, seen_at: Instant) -> anyhow::Result<Terminal> {
    let caused_by = record.header("ce_causationid").context("a terminal without its event")?;
    let event =
        std::str::from_utf8(caused_by).ok().and_then(number).context("a terminal of an event we did not write")?;
    Ok(Terminal { event, written_at: record.timestamp, seen_at })
}
