//! The log for operators' commands, beside a running processor.
//!
//! Reads go through read-only connections and see committed records only. Appends take SQLite's write lock for some
//! milliseconds, as a processor's bursts do; offsets are dealt out under it, so the two never meet.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Connection as _, Sqlite, SqliteConnection, SqlitePool};

use super::append::append;
use super::catalog::{Catalog, Marks, create_missing};
use super::error::Error;
use super::file::{LogFile, close};
use super::lock::ProcessorLock;
use super::positions;
use super::read::read;
use crate::domain::clock::Clock;
use crate::domain::position::{Partition, Position, TopicRole};
use crate::domain::record::{OutRecord, Record};
use crate::operations::log_browser::{BrowseError, CommittedPosition, LogBrowser, ReadLimit, TopicInfo, Watermarks};
use crate::operations::positions::GroupPositions;
use crate::settings::log::EmbeddedLog as Settings;
use crate::settings::topics::Topics;

/// Readers at once; a command and the console's pages hardly use more.
const READERS: u32 = 4;

/// What a browser may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read a log that is there.
    ReadOnly,
    /// Also write to a log that is there: create topics, append, set positions.
    Change,
    /// Also create the file.
    Append,
}

/// The port's implementation.
pub struct EmbeddedBrowser {
    file: LogFile,
    readers: SqlitePool,
    access: Access,
    topics: Topics,
    partitions: u32,
    clock: Arc<dyn Clock>,
}

impl EmbeddedBrowser {
    /// Open the file; with [`Access::Append`] it is created if it is not there.
    pub async fn open(
        settings: &Settings,
        topics: &Topics,
        access: Access,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let file = match access {
            Access::ReadOnly | Access::Change => LogFile::existing(settings).await?,
            Access::Append => LogFile::prepare(settings).await?,
        };
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(settings.busy_timeout.max(std::time::Duration::from_secs(1)))
            .connect_lazy_with(file.reading());
        Ok(Self { file, readers, access, topics: topics.clone(), partitions: settings.partitions, clock })
    }

    /// Let go of the file. Without it nothing is lost: the write-ahead log stays beside the file.
    pub async fn close(&self) {
        self.readers.close().await;
        // Who only reads cannot fold the write-ahead log back. Who wrote can, once nobody else is there.
        if self.access == Access::ReadOnly {
            return;
        }
        if let Ok(mut writer) = self.file.writer().await {
            // A connection that never looked into the file does not know that it has a write-ahead log.
            if let Err(error) = sqlx::query("PRAGMA schema_version").execute(&mut writer).await {
                tracing::debug!(%error, "the log could not be looked into at the end");
            }
            close(writer).await;
        }
    }

    async fn reader(&self) -> Result<PoolConnection<Sqlite>, Error> {
        Ok(self.readers.acquire().await?)
    }

    async fn marks(&self, connection: &mut SqliteConnection, partition: Partition) -> Result<(Catalog, Marks), Error> {
        let catalog = Catalog::load(&mut *connection, &self.topics).await?;
        let address = (catalog.topic(partition)?.number, partition.number);
        let marks = Catalog::marks(connection).await?;
        let marks = marks.get(&address).copied().ok_or(Error::Gone { partition })?;
        Ok((catalog, marks))
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>, Error> {
        let catalog = Catalog::load(&mut *self.reader().await?, &self.topics).await?;
        let topics = catalog.iter().map(|(role, topic)| TopicInfo {
            role,
            name: topic.name.clone(),
            topic_id: topic.id.clone(),
            partitions: topic.partitions,
        });
        Ok(topics.collect())
    }

    async fn read(&self, partition: Partition, from: u64, limit: ReadLimit) -> Result<Vec<Record>, BrowseError> {
        let mut connection = self.reader().await?;
        // One view of the file: retention must not come between the marks and the records.
        let mut view = connection.begin().await.map_err(Error::from)?;
        let (catalog, marks) = self.marks(&mut view, partition).await?;
        let watermarks = watermarks(marks);
        if marks.hold(partition, from).is_err() {
            return Err(BrowseError::OutOfRange { partition, from, watermarks });
        }
        let records = read(&mut view, partition, catalog.stretch(partition)?, (from, watermarks.end), limit).await?;
        view.commit().await.map_err(Error::from)?;
        Ok(records)
    }

    async fn append(&self, records: &[OutRecord]) -> Result<Vec<Position>, BrowseError> {
        let mut connection = self.writer().await?;
        let appended = self.append_with(&mut connection, records).await;
        close(connection).await;
        Ok(appended?)
    }

    async fn append_with(
        &self,
        connection: &mut SqliteConnection,
        records: &[OutRecord],
    ) -> Result<Vec<Position>, Error> {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let catalog = Catalog::load(&mut transaction, &self.topics).await?;
        let offsets = append(&mut transaction, &catalog, records, self.clock.now()).await?;
        let mut positions = Vec::with_capacity(records.len());
        for (record, offset) in records.iter().zip(offsets) {
            let partition = Partition { topic: record.topic, number: record.partition };
            let topic_id = catalog.topic(partition)?.id.clone();
            positions.push(Position { topic_id, partition: record.partition, offset });
        }
        transaction.commit().await?;
        Ok(positions)
    }

    async fn create_topics(&self) -> Result<Vec<TopicRole>, BrowseError> {
        let mut connection = self.writer().await?;
        let created = self.create_topics_with(&mut connection).await;
        close(connection).await;
        Ok(created?)
    }

    async fn create_topics_with(&self, connection: &mut SqliteConnection) -> Result<Vec<TopicRole>, Error> {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let created = create_missing(&mut transaction, &self.topics, self.partitions, self.clock.now()).await?;
        transaction.commit().await?;
        Ok(created)
    }

    async fn committed(&self, group: &str) -> Result<Vec<CommittedPosition>, Error> {
        let mut connection = self.reader().await?;
        let catalog = Catalog::load(&mut connection, &self.topics).await?;
        let positions = positions::load(&mut connection, &catalog, group).await?;
        let committed = |(partition, (offset, metadata))| CommittedPosition { partition, offset, metadata };
        Ok(positions.into_iter().map(committed).collect())
    }

    async fn set_positions(&self, group: &str, places: &[(Partition, u64)]) -> Result<(), BrowseError> {
        let mut connection = self.writer().await?;
        // Held until the positions stand: a processor that began meanwhile would not know of them.
        let lock = ProcessorLock::take(self.file.path());
        let set = match lock {
            Ok(_lock) => self.set_positions_with(&mut connection, group, places).await,
            Err(error) => Err(error),
        };
        close(connection).await;
        Ok(set?)
    }

    async fn set_positions_with(
        &self,
        connection: &mut SqliteConnection,
        group: &str,
        places: &[(Partition, u64)],
    ) -> Result<(), Error> {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let catalog = Catalog::load(&mut transaction, &self.topics).await?;
        positions::set(&mut transaction, &catalog, group, places).await?;
        Ok(transaction.commit().await?)
    }

    /// A connection for one transaction, closed after it: an error in it then leaves nothing behind.
    async fn writer(&self) -> Result<SqliteConnection, BrowseError> {
        match self.access {
            Access::ReadOnly => Err(BrowseError::ReadOnly),
            Access::Change | Access::Append => Ok(self.file.writer().await?),
        }
    }
}

fn watermarks(marks: Marks) -> Watermarks {
    Watermarks { log_start: marks.log_start, end: marks.next_offset }
}

impl GroupPositions for EmbeddedBrowser {
    fn check_idle<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), BrowseError>> {
        let idle = ProcessorLock::take(self.file.path()).map(drop).map_err(BrowseError::from);
        Box::pin(std::future::ready(idle))
    }

    fn set<'a>(&'a self, group: &'a str, positions: &'a [(Partition, u64)]) -> BoxFuture<'a, Result<(), BrowseError>> {
        Box::pin(self.set_positions(group, positions))
    }
}

impl LogBrowser for EmbeddedBrowser {
    fn topics(&self) -> BoxFuture<'_, Result<Vec<TopicInfo>, BrowseError>> {
        Box::pin(async { Ok(self.topics().await?) })
    }

    fn watermarks(&self, partition: Partition) -> BoxFuture<'_, Result<Watermarks, BrowseError>> {
        Box::pin(async move {
            let (_, marks) = self.marks(&mut *self.reader().await?, partition).await?;
            Ok(watermarks(marks))
        })
    }

    fn read(
        &self,
        partition: Partition,
        from: u64,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<Vec<Record>, BrowseError>> {
        Box::pin(self.read(partition, from, limit))
    }

    fn append(&self, records: Vec<OutRecord>) -> BoxFuture<'_, Result<Vec<Position>, BrowseError>> {
        Box::pin(async move { self.append(&records).await })
    }

    fn positions<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<Vec<CommittedPosition>, BrowseError>> {
        Box::pin(async move { Ok(self.committed(group).await?) })
    }

    fn create_topics(&self) -> BoxFuture<'_, Result<Vec<TopicRole>, BrowseError>> {
        Box::pin(self.create_topics())
    }
}
