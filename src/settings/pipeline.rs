//! `pipeline.*`: how much at once, and how often results are published.

use std::time::Duration;

use serde::Deserialize;

/// The longest that events made ready keep a later one waiting, unless a quarter of the calls takes longer.
const READY: Duration = Duration::from_millis(50);

/// Bounds of the road.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Calls at once, each until its answer is saved.
    pub max_in_flight: usize,
    /// Events beyond those in triage: their calls are made ready while others run; see [`Self::prepared`].
    pub max_prepared: usize,
    /// Records on the road, from read to committed, before reading stops.
    pub max_on_road: usize,
    /// Bytes of those, as they were read, before reading stops.
    pub max_on_road_bytes: usize,
    /// Events of one tenant waiting for admission before reading stops.
    pub max_waiting_per_tenant: usize,
    /// Whether events that would wait too long for their tenant's limits are put off.
    pub deferral: bool,
    /// Longer than this nobody waits for its tenant's limits in memory.
    #[serde(with = "humantime_serde")]
    pub defer_after: Duration,
    /// Events that wait in memory for their tenants' limits, the same number of each that is over them; more are put off.
    pub max_over_limits: usize,
    /// When the road is full and a tenant fills it, what would wait longer than this for a busy model is put off.
    #[serde(with = "humantime_serde")]
    pub crowded_after: Duration,
    /// Events that wait in memory for a model whose breaker is open; more are put off.
    pub max_held: usize,
    /// Time between bursts.
    #[serde(with = "humantime_serde")]
    pub burst_interval: Duration,
    /// The most results that one burst carries.
    pub burst_max_records: usize,
    /// Bytes of records that one burst carries at most, unless one group has more.
    pub burst_max_bytes: usize,
    /// Longest metadata string of a commit.
    pub metadata_max_chars: usize,
    /// Reading a partition stops when its metadata reaches this share of the maximum.
    pub metadata_pause_percent: u8,
    /// Of several waiting events of a ticket only the newest is decided.
    pub superseding: bool,
    /// Pause before a failed burst or ledger batch is tried again.
    #[serde(with = "humantime_serde")]
    pub retry_pause: Duration,
    /// How long the process or its reading may stand still before paid calls wait for a sign of ownership.
    #[serde(with = "humantime_serde")]
    pub away_limit: Duration,
    /// How long those calls wait at most.
    #[serde(with = "humantime_serde")]
    pub away_hold: Duration,
    /// How long running calls may take to end after SIGTERM.
    #[serde(with = "humantime_serde")]
    pub drain_deadline: Duration,
    /// Happenings of the log that may wait for the road.
    pub log_queue: usize,
}

impl Pipeline {
    /// How many events are made ready at most, where calls end at this pace. Whoever comes later waits behind them, however
    /// short its tenant's turn is: behind a quarter of the places for a quarter of a call, and behind so many as end within
    /// 50 ms no longer than that.
    #[must_use]
    pub fn prepared(&self, per_second: Option<f64>) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast from floats saturates")]
        let soon = (per_second.unwrap_or_default() * READY.as_secs_f64()) as usize;
        self.max_prepared.min(soon.max(self.max_in_flight.div_ceil(4)))
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::load::{LoadOptions, load};

    #[test]
    fn so_many_are_made_ready_as_end_soon_and_at_least_a_quarter_of_the_places() {
        let prepared = |in_flight: usize, max: usize, pace: Option<f64>| {
            let sets = vec![format!("pipeline.max_in_flight={in_flight}"), format!("pipeline.max_prepared={max}")];
            let loaded = load(&LoadOptions { sets, ..LoadOptions::default() }).expect("they are valid");
            loaded.settings.pipeline.prepared(pace)
        };
        assert_eq!((prepared(64, 256, None), prepared(8, 256, Some(0.8)), prepared(9, 256, None)), (16, 2, 3));
        assert_eq!((prepared(64, 256, Some(1_000.0)), prepared(64, 40, Some(1_000.0))), (50, 40), "50 ms of 1,000/s");
        assert_eq!((prepared(64, 256, Some(1e300)), prepared(64, 0, Some(1e300))), (256, 0));
    }
}
