//! Events to the log, in batches.
//!
//! Reading is blocking work and has a thread of its own; what it has ready by the time a batch is written makes the next
//! one. So a file goes in full batches, and a slow pipe event by event.

use std::fmt;
use std::thread;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::{BadRow, Events, PublishError, Row};
use crate::domain::position::{Position, TopicRole};
use crate::operations::log_browser::{BrowseError, LogBrowser, TopicInfo};
use crate::pipeline::publish::{Publisher, partition_for};

/// Records in one transaction: enough that its cost does not show, few enough that a running processor hardly waits.
const BATCH: usize = 500;

/// How much, and how fast.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    /// At most this many events.
    pub limit: Option<u64>,
    /// At most this many a second; above 0.
    pub rate: Option<f64>,
}

impl Pace {
    /// Up to how many go at once after `published`: a tenth of a second's worth, so that a rate is smooth.
    pub(in crate::operations) fn room(&self, published: u64) -> usize {
        let left = self.limit.map_or(u64::MAX, |limit| limit.saturating_sub(published));
        let smooth = self.rate.map_or(BATCH, |rate| ((rate / 10.0) as usize).clamp(1, BATCH));
        usize::try_from(left).unwrap_or(usize::MAX).min(smooth)
    }

    /// How long after the start `published` events may be out at the earliest.
    pub(in crate::operations) fn due(&self, published: u64) -> Duration {
        let seconds = self.rate.map_or(0.0, |rate| published as f64 / rate);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

/// What happens on the way.
#[derive(Debug)]
pub enum Report<'a> {
    /// A row is skipped.
    Bad(&'a BadRow),
    /// So many are on the log now.
    Published(u64),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    /// Events on the log; which of them are duplicates, the processor tells (`watch`).
    pub published: u64,
    /// Rows that were reported instead.
    pub skipped: u64,
    /// `topic-partition-offset` of the first event.
    pub first: Option<String>,
    /// The same of the last one.
    pub last: Option<String>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "published    {}\nskipped      {}", self.published, self.skipped)?;
        for (name, position) in [("first", &self.first), ("last", &self.last)] {
            if let Some(position) = position {
                write!(f, "\n{name:<12} {position}")?;
            }
        }
        Ok(())
    }
}

/// Appends every event of a stream; the topics are created where they are missing.
///
/// # Errors
/// When the log cannot take them; bad rows are no error.
pub async fn append(
    events: Events,
    browser: &dyn LogBrowser,
    publisher: &Publisher,
    pace: Pace,
    tell: &mut dyn FnMut(Report<'_>),
) -> Result<Summary, PublishError> {
    let topic = events_topic(browser).await?;
    let file = events.file().to_owned();
    let log = Log { topic, browser, publisher };
    let (sender, mut rows) = mpsc::channel(BATCH);
    // Not a task of the runtime: that would wait for a read of standard input which may never end.
    let reader = thread::spawn(move || events.into_iter().all(|row| sender.blocking_send(row).is_ok()));
    let start = Instant::now();
    let mut summary = Summary::default();
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let room = pace.room(summary.published);
        if room == 0 {
            return Ok(summary);
        }
        batch.clear();
        if rows.recv_many(&mut batch, room).await == 0 {
            break;
        }
        let mut good: Vec<Row> = Vec::with_capacity(batch.len());
        for row in batch.drain(..) {
            match row {
                Ok(row) => good.push(row),
                Err(row) => {
                    summary.skipped += 1;
                    tell(Report::Bad(&row));
                }
            }
        }
        if !good.is_empty() {
            for row in log.write(&good, &file, &mut summary).await? {
                summary.skipped += 1;
                tell(Report::Bad(&row));
            }
            tell(Report::Published(summary.published));
            sleep(pace.due(summary.published).saturating_sub(start.elapsed())).await;
        }
    }
    match reader.join() {
        Ok(_) => Ok(summary),
        Err(_) => Err(PublishError::ReaderDied(file)),
    }
}

async fn events_topic(browser: &dyn LogBrowser) -> Result<TopicInfo, PublishError> {
    browser.create_topics().await?;
    let topics = browser.topics().await?;
    topics.into_iter().find(|topic| topic.role == TopicRole::Events).ok_or(PublishError::NoTopic)
}

/// Where they go.
struct Log<'a> {
    topic: TopicInfo,
    browser: &'a dyn LogBrowser,
    publisher: &'a Publisher,
}

impl Log<'_> {
    /// All of these at once, or one by one where one of them is larger than the log takes: which ones are, is the answer.
    async fn write(&self, rows: &[Row], file: &str, summary: &mut Summary) -> Result<Vec<BadRow>, PublishError> {
        let mut refused = Vec::new();
        match self.append(rows).await {
            Ok(positions) => self.count(&positions, summary),
            Err(BrowseError::TooLarge(_)) => {
                for row in rows {
                    match self.append(std::slice::from_ref(row)).await {
                        Ok(positions) => self.count(&positions, summary),
                        Err(BrowseError::TooLarge(why)) => {
                            refused.push(BadRow { file: file.to_owned(), line: row.line, field: None, why });
                        }
                        Err(source) => return Err(PublishError::Append { published: summary.published, source }),
                    }
                }
            }
            Err(source) => return Err(PublishError::Append { published: summary.published, source }),
        }
        Ok(refused)
    }

    async fn append(&self, rows: &[Row]) -> Result<Vec<Position>, BrowseError> {
        let records = rows.iter().map(|Row { event, .. }| {
            let key = format!("{}|{}", event.tenant_id, event.ticket_id);
            self.publisher.event(event, partition_for(key.as_bytes(), self.topic.partitions))
        });
        self.browser.append(records.collect()).await
    }

    fn count(&self, positions: &[Position], summary: &mut Summary) {
        let named = |at: &Position| format!("{}-{}-{}", self.topic.name, at.partition, at.offset);
        summary.published += positions.len() as u64;
        summary.first = summary.first.take().or_else(|| positions.first().map(named));
        summary.last = positions.last().map(named).or_else(|| summary.last.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_in_small_steps_and_a_limit_to_the_event() {
        let pace = Pace { limit: Some(10), rate: Some(50.0) };
        assert_eq!((pace.room(0), pace.room(7), pace.room(10), pace.room(11)), (5, 3, 0, 0));
        assert_eq!(pace.due(100), Duration::from_secs(2));
        let free = Pace::default();
        assert_eq!((free.room(1_000_000), free.due(1_000_000)), (BATCH, Duration::ZERO));
        assert_eq!(Pace { limit: None, rate: Some(0.5) }.room(0), 1);
        assert_eq!(Pace { limit: None, rate: Some(f64::MIN_POSITIVE) }.due(1), Duration::MAX);
    }
}
