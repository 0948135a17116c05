//! How the ledger's connections are used.

use std::panic::Location;
use std::time::Duration;

use metrics::{counter, gauge};
use tracing::{error, info, warn};

use super::{gauge as whole, millis};
use crate::telemetry::metric_names as names;

/// A connection was taken or given back.
#[derive(Debug, Clone, Copy)]
pub struct LedgerPoolUsed {
    /// In use now.
    pub used: usize,
    /// Most there may be.
    pub max: usize,
}

impl LedgerPoolUsed {
    /// Count it.
    pub fn record(&self) {
        gauge!(names::LEDGER_POOL_USED).set(whole(self.used));
        gauge!(names::LEDGER_POOL_MAX).set(whole(self.max));
    }
}

/// How full the pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PoolMark {
    /// Below every mark.
    Calm,
    /// At least 70 % in use.
    Warn,
    /// At least 90 % in use.
    Alarm,
}

/// The use of the pool passed a mark, upwards or back to calm.
#[derive(Debug, Clone, Copy)]
pub struct LedgerPoolFilled {
    /// Which.
    pub mark: PoolMark,
    /// In use now.
    pub used: usize,
    /// Most there may be.
    pub max: usize,
}

impl LedgerPoolFilled {
    /// Log and count it.
    pub fn record(&self) {
        let Self { mark, used, max } = *self;
        match mark {
            PoolMark::Calm => info!(used, max, "the ledger's pool has room again"),
            PoolMark::Warn => {
                counter!(names::LEDGER_POOL_MARKS, "mark" => "70").increment(1);
                warn!(used, max, "the ledger's pool is 70 % in use");
            }
            PoolMark::Alarm => {
                counter!(names::LEDGER_POOL_MARKS, "mark" => "90").increment(1);
                error!(used, max, "the ledger's pool is 90 % in use: who comes next may have to wait");
            }
        }
    }
}

/// Nobody gave a connection back in time.
#[derive(Debug, Clone, Copy)]
pub struct LedgerPoolExhausted {
    /// The deadline.
    pub waited: Duration,
    /// Connections, all in use.
    pub max: usize,
    /// Who wanted one.
    pub wanted_at: &'static Location<'static>,
}

impl LedgerPoolExhausted {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::LEDGER_POOL_EXHAUSTED).increment(1);
        error!(
            waited_ms = millis(self.waited),
            max = self.max,
            wanted_at = %self.wanted_at,
            "no ledger connection became free in time"
        );
    }
}

/// A connection is held for so long that it was probably forgotten. Said once.
#[derive(Debug, Clone, Copy)]
pub struct LedgerLeakSuspected {
    /// Where it was taken.
    pub held_at: &'static Location<'static>,
    /// For how long so far.
    pub held_for: Duration,
}

impl LedgerLeakSuspected {
    /// Log and count it.
    pub fn record(&self) {
        counter!(names::LEDGER_LEAKS_SUSPECTED).increment(1);
        error!(
            held_at = %self.held_at,
            held_for_ms = millis(self.held_for),
            "a ledger connection was not given back: is it leaked?"
        );
    }
}
