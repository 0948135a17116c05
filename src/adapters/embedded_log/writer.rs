//! The writing loop: bursts, and retention between them, on the processor's only writing connection.
//!
//! After any error inside a transaction the connection is closed, which rolls back for sure, and never used again. Only
//! an error of COMMIT itself leaves the outcome open; then the file is asked before the road gets an answer.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::{mpsc, watch};

use super::EPOCH;
use super::append::append;
use super::catalog::Catalog;
use super::desk::Orders;
use super::error::Error;
use super::file::{LogFile, close};
use super::positions;
use super::retention::Retention;
use crate::domain::clock::{Ageing, Clock};
use crate::domain::position::{Partition, TopicRole};
use crate::failpoints;
use crate::pipeline::log::{Burst, Happening, PublishOutcome};
use crate::sabotage::{self, Sabotage};

/// An unknown outcome is asked for this often, so long apart, before the processor gives up.
const ASK_TIMES: u32 = 20;
const ASK_PAUSE: Duration = Duration::from_millis(250);

/// Writes for the road.
pub(super) struct Writer {
    pub(super) file: LogFile,
    /// `None` after an error, until it is needed again.
    pub(super) connection: Option<SqliteConnection>,
    pub(super) catalog: Catalog,
    pub(super) group: String,
    pub(super) reads: Vec<TopicRole>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) happenings: mpsc::Sender<Happening>,
    pub(super) orders: watch::Sender<Orders>,
    pub(super) retention: Retention,
    pub(super) ageing: Arc<Ageing>,
}

/// Why a burst was not simply committed.
enum Failure {
    /// Rolled back.
    Before(Error),
    /// COMMIT said no, which may mean yes.
    AtCommit(Error),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Before(error.into())
    }
}

impl Writer {
    /// Until the desk hands on no more bursts, or the road is gone.
    pub(super) async fn run(&mut self, mut bursts: mpsc::Receiver<Burst>) -> Result<(), Error> {
        loop {
            tokio::select! {
                biased;
                burst = bursts.recv() => {
                    let Some(burst) = burst else { return Ok(()) };
                    let number = burst.number;
                    let outcome = self.publish(burst).await?;
                    if self.happenings.send(Happening::Published { burst: number, outcome }).await.is_err() {
                        return Ok(());
                    }
                }
                () = self.retention.due() => self.retain().await?,
            }
        }
    }

    /// Commit a burst; whatever the answer is, it is true.
    pub(super) async fn publish(&mut self, burst: Burst) -> Result<PublishOutcome, Error> {
        let owned = |at: Partition| self.reads.contains(&at.topic) && self.catalog.topic(at).is_ok();
        let all_owned = burst.positions.iter().all(|position| owned(position.partition));
        if burst.epoch != EPOCH || burst.positions.is_empty() || !all_owned {
            return Ok(PublishOutcome::Refused);
        }
        let mut connection = match self.connect().await {
            Ok(connection) => connection,
            Err(error) => return not_committed(error),
        };
        match self.attempt(&mut connection, &burst).await {
            Ok(()) => {
                failpoints::hit("committed_frontier_not_moved");
                self.connection = Some(connection);
                if burst.records.iter().any(|record| self.reads.contains(&record.topic)) {
                    self.orders.send_modify(|orders| orders.own_news += 1);
                }
                Ok(PublishOutcome::Committed)
            }
            Err(Failure::Before(error)) => {
                close(connection).await;
                not_committed(error)
            }
            Err(Failure::AtCommit(error)) => {
                close(connection).await;
                self.resolve(&burst, error).await
            }
        }
    }

    async fn attempt(&self, connection: &mut SqliteConnection, burst: &Burst) -> Result<(), Failure> {
        if sabotage::on(Sabotage::OffsetsBeforeOutputs) {
            let mut early = connection.begin_with("BEGIN IMMEDIATE").await?;
            positions::commit(&mut early, &self.catalog, &self.group, burst).await?;
            early.commit().await?;
        }
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        failpoints::hit("burst_begun");
        append(&mut transaction, &self.catalog, &burst.records, self.clock.now()).await?;
        failpoints::hit("record_produced");
        positions::commit(&mut transaction, &self.catalog, &self.group, burst).await?;
        failpoints::hit("inside_commit");
        transaction.commit().await.map_err(|error| Failure::AtCommit(error.into()))
    }

    /// Find out what a commit of unknown outcome did: the positions are there, or nothing is.
    async fn resolve(&mut self, burst: &Burst, commit: Error) -> Result<PublishOutcome, Error> {
        tracing::warn!(burst = burst.number, error = %commit, "asking the log whether a burst was committed");
        let mut asked = 1;
        loop {
            match self.ask(burst).await {
                Ok(true) => return Ok(PublishOutcome::Committed),
                Ok(false) => return Ok(PublishOutcome::NotCommitted { reason: commit.to_string() }),
                Err(source) if asked == ASK_TIMES || !source.is_retryable() => {
                    let (commit, source) = (Box::new(commit), Box::new(source));
                    return Err(Error::OutcomeUnknown { burst: burst.number, commit, source });
                }
                Err(_) => tokio::time::sleep(ASK_PAUSE).await,
            }
            asked += 1;
        }
    }

    async fn ask(&mut self, burst: &Burst) -> Result<bool, Error> {
        let mut connection = self.connect().await?;
        let answer = positions::are_committed(&mut connection, &self.catalog, &self.group, burst).await;
        self.keep_if(answer.is_ok(), connection).await;
        answer
    }

    async fn retain(&mut self) -> Result<(), Error> {
        let outcome = match self.connect().await {
            Ok(mut connection) => {
                let outcome = self.retention.step(&mut connection, self.ageing.now(&*self.clock)).await;
                self.keep_if(outcome.is_ok(), connection).await;
                outcome
            }
            Err(error) => Err(error),
        };
        match outcome {
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "old records could not be removed; trying again at the next sweep");
                self.retention.give_up_this_sweep();
                Ok(())
            }
            outcome => outcome,
        }
    }

    async fn connect(&mut self) -> Result<SqliteConnection, Error> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.file.writer().await,
        }
    }

    async fn keep_if(&mut self, sound: bool, connection: SqliteConnection) {
        if sound {
            self.connection = Some(connection);
        } else {
            close(connection).await;
        }
    }
}

/// What can be tried again is an answer; anything else ends the processor.
fn not_committed(error: Error) -> Result<PublishOutcome, Error> {
    if error.is_retryable() { Ok(PublishOutcome::NotCommitted { reason: error.to_string() }) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use sqlx::Executor as _;

    use super::*;
    use crate::adapters::embedded_log::catalog::create_missing;
    use crate::domain::clock::SystemClock;
    use crate::domain::record::{OutRecord, Payload};
    use crate::pipeline::log::BurstPosition;
    use crate::settings::log::EmbeddedLog as Settings;
    use crate::settings::topics::Topics;

    const HERE: Partition = Partition { topic: TopicRole::Events, number: 0 };

    struct Bench {
        writer: Writer,
        _folder: tempfile::TempDir,
        _happenings: mpsc::Receiver<Happening>,
    }

    async fn bench() -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Settings {
            group_id: "gatekeeper".to_owned(),
            path: folder.path().join("log.db"),
            partitions: 1,
            poll_interval: Duration::from_millis(5),
            batch_max_records: 100,
            batch_max_bytes: 1 << 20,
            max_message_bytes: 1 << 21,
            retention: Duration::from_secs(3_600),
            retention_bytes: 0,
            retention_interval: Duration::from_secs(3_600),
            busy_timeout: Duration::from_millis(50),
        };
        let [events, human_feedback, decisions, feedback, decision_reviews, dead_letters, decisions_shadow, ops] =
            TopicRole::FIXED.map(|role| role.key().to_owned());
        let deferred = "deferred.{tier}".to_owned();
        let topics = Topics {
            events,
            human_feedback,
            decisions,
            feedback,
            decision_reviews,
            dead_letters,
            decisions_shadow,
            ops,
            deferred,
        };
        let file = LogFile::prepare(&settings).await.expect("a file");
        let mut connection = file.writer().await.expect("it opens");
        create_missing(&mut connection, &topics, 1, SystemClock.now()).await.expect("topics");
        let catalog = Catalog::load(&mut connection, &topics).await.expect("a catalog");
        let (happenings, _happenings) = mpsc::channel(8);
        let writer = Writer {
            file,
            connection: Some(connection),
            catalog,
            group: "group".to_owned(),
            reads: vec![TopicRole::Events],
            clock: Arc::new(SystemClock),
            happenings,
            orders: watch::Sender::default(),
            retention: Retention::new(&settings, "group", Vec::new()),
            ageing: Arc::new(Ageing::from(&SystemClock)),
        };
        Bench { writer, _folder: folder, _happenings }
    }

    fn burst(number: u64, records: usize) -> Burst {
        let record = OutRecord {
            topic: TopicRole::Decisions,
            partition: 0,
            key: None,
            value: Some(Payload::from(vec![7; 700])),
            headers: Vec::new(),
        };
        let position = BurstPosition { partition: HERE, base: 0, metadata: format!("burst {number}") };
        Burst { number, epoch: EPOCH, records: vec![record; records], positions: vec![position] }
    }

    async fn records(writer: &mut Writer) -> i64 {
        let connection = writer.connection.as_mut().expect("a connection");
        sqlx::query_scalar("SELECT count(*) FROM records").fetch_one(connection).await.expect("a count")
    }

    fn lost_reply() -> Error {
        Error::from(sqlx::Error::WorkerCrashed)
    }

    #[tokio::test]
    async fn a_full_disk_is_not_committed_and_the_next_burst_may_be() {
        let mut bench = bench().await;
        let writer = &mut bench.writer;
        let connection = writer.connection.as_mut().expect("a connection");
        connection.execute("PRAGMA max_page_count = 40").await.expect("a limit of this connection");
        let outcome = writer.publish(burst(1, 500)).await.expect("an answer");
        let full = matches!(&outcome, PublishOutcome::NotCommitted { reason } if reason.contains("disk is full"));
        assert!(full, "{outcome:?}");
        assert!(writer.connection.is_none(), "the connection is not used again");
        assert_eq!(writer.publish(burst(2, 500)).await.expect("an answer"), PublishOutcome::Committed);
        assert_eq!(records(writer).await, 500);
    }

    #[tokio::test]
    async fn a_commit_whose_reply_was_lost_is_found_to_be_committed() {
        let mut bench = bench().await;
        let writer = &mut bench.writer;
        writer.publish(burst(1, 3)).await.expect("an answer");
        let outcome = writer.resolve(&burst(1, 3), lost_reply()).await.expect("an answer");
        assert_eq!(outcome, PublishOutcome::Committed);
    }

    #[tokio::test]
    async fn a_commit_that_did_not_happen_is_found_out_though_the_offset_is_the_same() {
        let mut bench = bench().await;
        let writer = &mut bench.writer;
        writer.publish(burst(1, 3)).await.expect("an answer");
        let outcome = writer.resolve(&burst(2, 3), lost_reply()).await.expect("an answer");
        assert!(matches!(outcome, PublishOutcome::NotCommitted { .. }), "{outcome:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_cannot_be_asked_ends_the_processor_and_says_both_reasons() {
        let mut bench = bench().await;
        let writer = &mut bench.writer;
        close(writer.connection.take().expect("a connection")).await;
        std::fs::remove_file(writer.file.path()).expect("gone");
        let unknown = writer.resolve(&burst(1, 3), lost_reply()).await.expect_err("nobody knows");
        assert!(matches!(&unknown, Error::OutcomeUnknown { burst: 1, .. }), "{unknown}");
        assert!(unknown.to_string().contains("cannot be opened"), "{unknown}");
    }

    #[tokio::test]
    async fn a_damaged_file_ends_the_processor_instead_of_being_tried_for_ever() {
        let mut bench = bench().await;
        let writer = &mut bench.writer;
        let connection = writer.connection.as_mut().expect("a connection");
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await.expect("all in the file");
        close(writer.connection.take().expect("a connection")).await;
        let length = std::fs::metadata(writer.file.path()).expect("a file").len() as usize;
        let mut bytes = std::fs::read(writer.file.path()).expect("a file");
        bytes[4_096..length].fill(0xA5);
        std::fs::write(writer.file.path(), bytes).expect("damaged");
        let error = writer.publish(burst(1, 3)).await.expect_err("damaged");
        assert!(error.to_string().contains("damaged"), "{error}");
    }

    #[tokio::test]
    async fn a_file_that_may_only_be_read_ends_the_processor() {
        let mut bench = bench().await;
        let writer = &mut bench.writer;
        close(writer.connection.take().expect("a connection")).await;
        writer.connection = Some(writer.file.reader().await.expect("it opens"));
        let error = writer.publish(burst(1, 3)).await.expect_err("read only");
        assert!(error.to_string().contains("may only be read"), "{error}");
    }
}
