//! The log for a processor: opened once, then a desk, a reader and a writer until it stops.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::EPOCH;
use super::catalog::{Catalog, create_missing};
use super::desk::{self, Orders};
use super::error::Error;
use super::file::{Identity, LogFile, close};
use super::lock::ProcessorLock;
use super::positions;
use super::pulse::Pulse;
use super::reader::{Outlook, Reader};
use super::retention::Retention;
use super::rota::{Cursor, Rota};
use super::writer::Writer;
use crate::domain::clock::{Ageing, Clock};
use crate::domain::position::TopicRole;
use crate::failpoints;
use crate::operations::log_browser::ReadLimit;
use crate::pipeline::log::{Assignment, Happening, LogAdapterEnd, LogPort, channels};
use crate::settings::log::EmbeddedLog as Settings;
use crate::settings::topics::Topics;

/// The log of a processor.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedLog;

/// What a processor reads, and how.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Which topics.
    pub roles: Vec<TopicRole>,
    /// Happenings that may wait for the road.
    pub queue: usize,
    /// Silence longer than this is told.
    pub away_limit: Duration,
}

impl EmbeddedLog {
    /// Lock the log, create what is missing in it, and begin to read where `group` stands.
    ///
    /// The tasks run on the current runtime, end after [`crate::pipeline::log::Errand::Stop`] or when the road drops its
    /// ends, and give the lock back before the channel of happenings closes.
    pub async fn open_processor(
        settings: &Settings,
        topics: &Topics,
        group: &str,
        reading: Reading,
        clock: Arc<dyn Clock>,
    ) -> Result<LogPort, Error> {
        let file = LogFile::prepare(settings).await?;
        let lock = ProcessorLock::take(file.path())?;
        let identity = file.identity();
        let catalog = lay_out(&file, settings, topics, clock.as_ref()).await?;

        let (mut port, end) = channels(reading.queue.max(1));
        port.max_record_bytes = settings.max_message_bytes;
        let read = catalog.iter().filter(|(role, _)| reading.roles.contains(role));
        port.topic_ids = read.map(|(role, topic)| (role, topic.id.clone())).collect();
        let processor = Processor {
            file,
            identity,
            ageing: Arc::new(Ageing::from(&*clock)),
            lock,
            catalog,
            group: group.to_owned(),
            settings: settings.clone(),
            reading,
            clock,
        };
        let happenings = end.happenings.clone();
        let work = tokio::spawn(processor.run(end));
        tokio::spawn(async move {
            if let Err(error) = work.await {
                let reason = format!("the log's task stopped unexpectedly ({error}); this is a bug");
                announce(&happenings, reason).await;
            }
        });
        Ok(port)
    }
}

/// Create the topics that are missing, and check that all of them fit together.
async fn lay_out(file: &LogFile, settings: &Settings, topics: &Topics, clock: &dyn Clock) -> Result<Catalog, Error> {
    let mut connection = file.writer().await?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let created = create_missing(&mut transaction, topics, settings.partitions, clock.now()).await?;
    let catalog = Catalog::load(&mut transaction, topics).await?;
    catalog.check_equal_counts()?;
    transaction.commit().await?;
    close(connection).await;
    if !created.is_empty() {
        tracing::info!(path = %file.path().display(), topics = created.len(), "topics created");
    }
    Ok(catalog)
}

struct Processor {
    file: LogFile,
    /// Of the file that was opened.
    identity: Option<Identity>,
    ageing: Arc<Ageing>,
    lock: ProcessorLock,
    catalog: Catalog,
    group: String,
    settings: Settings,
    reading: Reading,
    clock: Arc<dyn Clock>,
}

impl Processor {
    /// Everything in one task; SQLite's own work is on its connections' threads.
    async fn run(self, end: LogAdapterEnd) {
        let happenings = end.happenings.clone();
        if let Err(error) = self.work(end).await {
            // SQLite may stumble over it first, and takes it for a broken disk.
            let is_replaced = self.file.was_replaced(self.identity);
            let error = if is_replaced { Error::Replaced { path: self.file.path().to_owned() } } else { error };
            announce(&happenings, error.to_string()).await;
        }
        // Only now: whoever sees the channel close may open the log again.
        drop(self.lock);
    }

    async fn work(&self, end: LogAdapterEnd) -> Result<(), Error> {
        let LogAdapterEnd { happenings, errands } = end;
        let (cursors, assignments) = self.take_up().await?;
        failpoints::hit("assigned_before_restore");
        if happenings.send(Happening::Assigned { epoch: EPOCH, partitions: assignments }).await.is_err() {
            return Ok(());
        }

        let (orders, ordered) = watch::channel(Orders::default());
        let (to_writer, bursts) = mpsc::channel(1);
        let mut reader = self.reader(cursors, ordered, happenings.clone()).await?;
        let mut writer = self.writer(orders.clone(), happenings);

        // Whichever ends first ends the others: the reader at once, the writer after the burst in its hands.
        let ended = CancellationToken::new();
        let attending = async {
            let _ends = ended.clone().drop_guard();
            desk::attend(errands, &orders, to_writer, &ended).await;
        };
        let reading = async {
            let _ends = ended.clone().drop_guard();
            ended.run_until_cancelled(reader.run()).await.unwrap_or(Ok(()))
        };
        let writing = async {
            let _ends = ended.clone().drop_guard();
            writer.run(bursts).await
        };
        let ((), read, written) = tokio::join!(attending, reading, writing);
        close(reader.connection).await;
        if let Some(connection) = writer.connection {
            close(connection).await;
        }
        written.and(read)
    }

    /// What is ours, and from where it is read.
    async fn take_up(&self) -> Result<(Vec<Cursor>, Vec<Assignment>), Error> {
        let mut connection = self.file.reader().await?;
        let marks = Catalog::marks(&mut connection).await?;
        let mut committed = positions::load(&mut connection, &self.catalog, &self.group).await?;
        close(connection).await;

        let (mut cursors, mut assignments) = (Vec::new(), Vec::new());
        for partition in self.reading.roles.iter().flat_map(|role| self.catalog.partitions(*role)) {
            let topic = self.catalog.topic(partition)?;
            let marks = marks.get(&(topic.number, partition.number)).ok_or(Error::Gone { partition })?;
            let (committed, metadata) = committed.remove(&partition).unzip();
            let begin = committed.unwrap_or(marks.log_start);
            marks.hold(partition, begin)?;
            cursors.push(Cursor::new(partition, topic.number, self.catalog.stretch(partition)?, begin));
            assignments.push(Assignment {
                partition,
                topic_id: topic.id.clone(),
                committed,
                metadata: metadata.unwrap_or_default(),
                log_start: marks.log_start,
                log_end: marks.next_offset,
                truncated: false,
            });
        }
        Ok((cursors, assignments))
    }

    async fn reader(
        &self,
        cursors: Vec<Cursor>,
        orders: watch::Receiver<Orders>,
        happenings: mpsc::Sender<Happening>,
    ) -> Result<Reader, Error> {
        let connection = self.file.reader().await?;
        Ok(Reader {
            file: self.file.clone(),
            identity: self.identity,
            connection,
            rota: Rota::new(cursors),
            orders,
            happenings,
            pulse: Pulse::new(self.reading.away_limit),
            limit: ReadLimit { max_records: self.settings.batch_max_records, max_bytes: self.settings.batch_max_bytes },
            poll_interval: self.settings.poll_interval,
            outlook: Outlook::default(),
        })
    }

    fn writer(&self, orders: watch::Sender<Orders>, happenings: mpsc::Sender<Happening>) -> Writer {
        let reads = self.catalog.iter().filter(|(role, _)| self.reading.roles.contains(role));
        let reads = reads.map(|(_, topic)| topic.number).collect();
        Writer {
            file: self.file.clone(),
            connection: None,
            catalog: self.catalog.clone(),
            group: self.group.clone(),
            reads: self.reading.roles.clone(),
            clock: Arc::clone(&self.clock),
            happenings,
            orders,
            retention: Retention::new(&self.settings, &self.group, reads),
            ageing: self.ageing.clone(),
        }
    }
}

async fn announce(happenings: &mpsc::Sender<Happening>, reason: String) {
    tracing::error!(reason, "the log cannot go on");
    if happenings.send(Happening::Failed { reason }).await.is_err() {
        tracing::debug!("nobody was left to hear it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::SystemClock;
    use crate::settings::load::{LoadOptions, load};

    #[tokio::test]
    async fn a_log_that_is_removed_or_replaced_under_its_processor_ends_it_with_what_to_do() {
        for replaced in [false, true] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let path = folder.path().join("log.db");
            let sets = vec![format!("log.embedded.path={}", path.display())];
            let settings = load(&LoadOptions { sets, ..LoadOptions::default() }).expect("settings of a test").settings;
            let reading = Reading { roles: vec![TopicRole::Events], queue: 8, away_limit: Duration::from_secs(60) };
            let (embedded, clock) = (&settings.log.embedded, Arc::new(SystemClock));
            let opened = EmbeddedLog::open_processor(embedded, &settings.topics, "group", reading, clock);
            let mut port = opened.await.expect("a new log");
            assert!(matches!(port.happenings.recv().await, Some(Happening::Assigned { .. })));
            if replaced {
                let copy = folder.path().join("copy.db");
                std::fs::copy(&path, &copy).expect("copied");
                std::fs::rename(&copy, &path).expect("replaced");
            } else {
                std::fs::remove_file(&path).expect("removed");
            }
            let reason = tokio::time::timeout(Duration::from_secs(10), async {
                loop {
                    let said = port.happenings.recv().await.expect("it says why it ends");
                    if let Happening::Failed { reason } = said {
                        return reason;
                    }
                }
            });
            let reason = reason.await.expect("it is noticed");
            assert!(reason.contains("another file was put in its place") && reason.contains("start again"), "{reason}");
            assert!(port.happenings.recv().await.is_none(), "it has ended");
        }
    }
}
