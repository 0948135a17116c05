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
use crate::domain::clock::Clock;
use crate::domain::position::{Partition, TopicRole};
use crate::failpoints;
use crate::pipeline::log::{Burst, Happening, PublishOutcome};

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
                let outcome = self.retention.step(&mut connection, self.clock.now()).await;
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
