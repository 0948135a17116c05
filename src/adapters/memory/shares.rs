//! What instances have in common of tenants' limits, in memory: for the simulation, and to compare the real one with.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::domain::clock::Clock;
use crate::pipeline::admit::shares::account::Account;
use crate::pipeline::admit::shares::{Ask, LimitShares, Reply, SharesError};

/// What a database would hold.
#[derive(Debug, Clone, Default)]
pub struct Accounts(Arc<Mutex<BTreeMap<Arc<str>, Account>>>);

/// One instance's way to it.
pub struct MemoryShares {
    accounts: Accounts,
    instance: String,
    clock: Arc<dyn Clock>,
    trouble: Option<Trouble>,
}

/// How a trip goes wrong, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TripFault {
    /// It never came to the database.
    Lost,
    /// It was made, and nobody knows.
    AnswerLost,
}

/// Asked for every trip.
pub type Trouble = Arc<dyn Fn() -> Option<TripFault> + Send + Sync>;

impl MemoryShares {
    /// For this instance; the clock is the database's.
    #[must_use]
    pub fn open(accounts: Accounts, instance: &str, clock: Arc<dyn Clock>) -> Self {
        Self { accounts, instance: instance.to_owned(), clock, trouble: None }
    }

    /// Trips fail as this says.
    #[must_use]
    pub fn with_trouble(self, trouble: Trouble) -> Self {
        Self { trouble: Some(trouble), ..self }
    }
}

impl LimitShares for MemoryShares {
    fn trip(&self, asks: Vec<Ask>, lease: Duration) -> BoxFuture<'_, Result<Vec<Reply>, SharesError>> {
        let fault = self.trouble.as_ref().and_then(|trouble| trouble());
        let failed = || Box::pin(std::future::ready(Err::<Vec<Reply>, _>(SharesError("as it was told to".to_owned()))));
        if fault == Some(TripFault::Lost) {
            return failed();
        }
        let mut accounts = self.accounts.0.lock().unwrap_or_else(PoisonError::into_inner);
        let trip = |ask: &Ask| {
            let account = accounts.entry(ask.tenant.clone()).or_default();
            account.trip(self.clock.now(), &self.instance, ask, lease)
        };
        let replies: Vec<Reply> = asks.iter().map(trip).collect();
        if fault == Some(TripFault::AnswerLost) {
            return failed();
        }
        Box::pin(std::future::ready(Ok(replies)))
    }
}
