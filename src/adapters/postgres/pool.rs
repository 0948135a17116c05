//! The connections: a bounded number, each lent out for a batch.
//!
//! Our own permits stand before the library's pool, so that its one error, "timed out", can be told apart: no permit
//! means that all connections are in use, and a permit without a connection means that none can be made. A connection
//! comes back only if its holder says that it is in order; any other is closed, and the server rolls back.

use std::future::Future;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::connect;
use super::desk::Desk;
use super::error;
use super::parked::{FRESH, Lent, MAX_LIFETIME, Parked};
use crate::pipeline::dedupe::ledger::LedgerError;
use crate::settings::ledger::Postgres as Settings;
use crate::telemetry::happenings::{LedgerPoolExhausted, LedgerPoolFilled, LedgerPoolUsed, PoolMark};

/// Connections beyond what is needed go after this time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// A second look at why no connection can be made takes no longer.
const DIAGNOSIS: Duration = Duration::from_secs(2);

/// All of them.
pub(super) struct Pool {
    connections: PgPool,
    parked: Arc<Parked>,
    options: PgConnectOptions,
    permits: Arc<Semaphore>,
    book: Arc<Book>,
    acquire_timeout: Duration,
}

/// What is written down about them.
pub(super) struct Book {
    desk: Mutex<Desk>,
    max: usize,
}

impl Pool {
    pub(super) fn new(options: PgConnectOptions, settings: &Settings) -> Self {
        let max = usize::try_from(settings.max_connections).unwrap_or(usize::MAX);
        let connections = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.acquire_timeout)
            .max_lifetime(MAX_LIFETIME)
            .idle_timeout(IDLE_TIMEOUT)
            .test_before_acquire(false)
            .before_acquire(|connection, metadata| -> BoxFuture<'_, Result<bool, sqlx::Error>> {
                Box::pin(async move {
                    if metadata.idle_for > FRESH {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(|connection, _| -> BoxFuture<'_, Result<(), sqlx::Error>> {
                Box::pin(connect::check(connection))
            })
            .connect_lazy_with(options.clone());
        let book = Arc::new(Book { desk: Mutex::new(Desk::new(max)), max });
        let permits = Arc::new(Semaphore::new(max));
        Self { connections, parked: Arc::default(), options, permits, book, acquire_timeout: settings.acquire_timeout }
    }

    /// A connection, held by whoever calls this; an error once the deadline has passed.
    #[track_caller]
    pub(super) fn acquire(&self) -> impl Future<Output = Result<Held, LedgerError>> + Send + '_ {
        let place = Location::caller();
        async move {
            let waited = self.acquire_timeout;
            let Ok(permit) = timeout(waited, Arc::clone(&self.permits).acquire_owned()).await else {
                LedgerPoolExhausted { waited, max: self.book.max, wanted_at: place }.record();
                return Err(LedgerError::PoolExhausted { waited });
            };
            let permit = permit.expect("the permits are never closed");
            let lent = match self.parked.take(Instant::now() + waited).await {
                Some(lent) => lent,
                None => self.lend(waited).await?,
            };
            Ok(Held {
                lent: Some(lent),
                loan: Loan { number: self.book.take(place), book: Arc::clone(&self.book) },
                parked: Arc::clone(&self.parked),
                in_order: false,
                _permit: permit,
            })
        }
    }

    async fn lend(&self, waited: Duration) -> Result<Lent, LedgerError> {
        match self.connections.acquire().await {
            Ok(connection) => Ok(Lent { connection, since: Instant::now() }),
            Err(sqlx::Error::PoolTimedOut) => {
                Err(LedgerError::Unavailable(connect::why_not(&self.options, DIAGNOSIS.min(waited)).await))
            }
            Err(error) => Err(error::sorted(&error)),
        }
    }

    /// For whoever looks for leaks.
    pub(super) fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book)
    }
}

impl Book {
    fn take(&self, place: &'static Location<'static>) -> u64 {
        let (number, mark, used) = {
            let mut desk = self.desk();
            let (number, mark) = desk.take(place, Instant::now());
            (number, mark, desk.used())
        };
        self.tell(used, mark);
        number
    }

    fn give_back(&self, number: u64) {
        let (mark, used) = {
            let mut desk = self.desk();
            (desk.give_back(number), desk.used())
        };
        self.tell(used, mark);
    }

    fn tell(&self, used: usize, mark: Option<PoolMark>) {
        LedgerPoolUsed { used, max: self.max }.record();
        if let Some(mark) = mark {
            LedgerPoolFilled { mark, used, max: self.max }.record();
        }
    }

    /// Report connections that are held for longer than this, each once, for ever.
    pub(super) async fn watch_for_leaks(self: Arc<Self>, longer_than: Duration) {
        loop {
            tokio::time::sleep(longer_than / 2).await;
            let suspects = self.desk().suspects(longer_than, Instant::now());
            for suspect in suspects {
                suspect.record();
            }
        }
    }

    /// No word of the desk can leave it half-written, so a poisoned lock holds a good one.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is lent out.
pub(super) struct Held {
    // In the order in which they go: kept or closed, out of the book, free for the next.
    /// There until it goes.
    lent: Option<Lent>,
    parked: Arc<Parked>,
    #[expect(dead_code, reason = "held for its Drop")]
    loan: Loan,
    in_order: bool,
    _permit: OwnedSemaphorePermit,
}

struct Loan {
    number: u64,
    book: Arc<Book>,
}

impl Held {
    /// The connection itself.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.lent.as_mut().expect("it is there until it is dropped").connection
    }

    /// All went well and nothing is open: somebody else may have it.
    pub(super) fn give_back(mut self) {
        self.in_order = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        match self.lent.take() {
            Some(lent) if self.in_order => self.parked.keep(lent),
            Some(mut lent) => lent.connection.close_on_drop(),
            None => {}
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.book.give_back(self.number);
    }
}
