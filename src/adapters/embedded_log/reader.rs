//! The reading loop: one batch a turn, each only when the road has room for it.

use std::time::Duration;

use sqlx::SqliteConnection;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::EPOCH;
use super::catalog::Catalog;
use super::desk::Orders;
use super::error::Error;
use super::file::{Identity, LogFile};
use super::pulse::Pulse;
use super::read::read;
use super::rota::{Due, Rota};
use crate::failpoints;
use crate::operations::log_browser::ReadLimit;
use crate::pipeline::log::Happening;

/// Reads for the road.
pub(super) struct Reader {
    pub(super) file: LogFile,
    /// Of the file that the connection reads.
    pub(super) identity: Option<Identity>,
    pub(super) connection: SqliteConnection,
    pub(super) rota: Rota,
    pub(super) orders: watch::Receiver<Orders>,
    pub(super) happenings: mpsc::Sender<Happening>,
    pub(super) pulse: Pulse,
    pub(super) limit: ReadLimit,
    pub(super) poll_interval: Duration,
    pub(super) outlook: Outlook,
}

/// When the file was last looked at, and what its version was.
#[derive(Default)]
pub(super) struct Outlook {
    looked: Option<Instant>,
    version: Option<i64>,
}

impl Reader {
    /// Until the road is gone.
    pub(super) async fn run(&mut self) -> Result<(), Error> {
        loop {
            // Room first: what is read and then has to wait would be handed over after a pause.
            let Ok(room) = self.pulse.during(self.happenings.clone().reserve_owned()).await else { return Ok(()) };
            if let Some(silent) = self.pulse.take_silence() {
                tracing::warn!(?silent, "nobody was listening to the log");
                room.send(Happening::Away { silent });
                continue;
            }
            self.rota.pause(&self.orders.borrow_and_update().paused);
            self.look_if_it_is_time().await?;
            match self.next_due().await? {
                Some(Due::CaughtUp { partition, end }) => {
                    room.send(Happening::CaughtUp { epoch: EPOCH, partition, end });
                }
                Some(Due::Read { partition, stretch, from, end }) => {
                    let reading = read(&mut self.connection, partition, stretch, (from, end), self.limit);
                    let records = self.pulse.during(reading).await?;
                    if let Some(silent) = self.pulse.take_silence() {
                        // The road must know before it works on anything; these are read again.
                        room.send(Happening::Away { silent });
                        continue;
                    }
                    failpoints::hit("polled");
                    self.rota.handed_over(partition, from + records.len() as u64);
                    room.send(Happening::Records { epoch: EPOCH, partition, records });
                }
                None => {
                    drop(room);
                    self.wait_for_news().await;
                }
            }
        }
    }

    /// With nothing due, look at once whether there is something new.
    async fn next_due(&mut self) -> Result<Option<Due>, Error> {
        if let Some(due) = self.rota.next_due() {
            return Ok(Some(due));
        }
        self.look().await?;
        Ok(self.rota.next_due())
    }

    /// Busy partitions must not hide what is new in the others, so also look while there is work.
    async fn look_if_it_is_time(&mut self) -> Result<(), Error> {
        match self.outlook.looked {
            Some(looked) if looked.elapsed() < self.poll_interval => Ok(()),
            _ => self.look().await,
        }
    }

    /// Cheap when nothing was written: `data_version` changes with every commit of another connection. An open file lives on
    /// when its name is gone, or is another's: only its name says that.
    async fn look(&mut self) -> Result<(), Error> {
        if self.file.was_replaced(self.identity) {
            return Err(Error::Replaced { path: self.file.path().to_owned() });
        }
        let connection = &mut self.connection;
        let version = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut *connection);
        let version: i64 = self.pulse.during(version).await?;
        if self.outlook.version != Some(version) {
            let marks = self.pulse.during(Catalog::marks(connection)).await?;
            self.rota.look(&marks)?;
        }
        self.outlook = Outlook { looked: Some(Instant::now()), version: Some(version) };
        Ok(())
    }

    /// Until orders change or it is time to look again.
    async fn wait_for_news(&mut self) {
        let news = tokio::time::timeout(self.poll_interval, self.orders.changed());
        if let Ok(Err(_closed)) = self.pulse.during(news).await {
            // The desk is closed: whoever cancels this loop is about to. Until then there is nothing to do.
            std::future::pending::<()>().await;
        }
    }
}
