//! How full the road is, for whoever looks at it from outside.

use tokio::time::Instant;

use super::Road;
use crate::pipeline::burst::Sent;
use crate::pipeline::log_health::Unpublished;
use crate::telemetry::happenings::{Fill, RoadGauges};

impl Road {
    /// Bursts that were sent and are not committed.
    #[must_use]
    pub fn unpublished(&self) -> Option<Unpublished> {
        self.unpublished.clone()
    }

    /// Records that have not got to their end.
    #[must_use]
    pub fn on_road(&self) -> usize {
        self.items.len()
    }

    /// How full everything is.
    #[must_use]
    pub fn gauges(&self) -> RoadGauges {
        let settings = &self.fixtures.settings;
        let running = self.places.taken();
        let unpublished = self.ready_results + self.in_flight.as_ref().map_or(0, Sent::results);
        RoadGauges {
            on_road: Fill { now: self.on_road(), max: settings.max_on_road },
            on_road_bytes: Fill { now: self.on_road_bytes, max: settings.max_on_road_bytes },
            in_flight: Fill { now: running, max: settings.max_in_flight },
            // Where none has a place, because all wait for a breaker, it is all that ask.
            prepared: Fill { now: self.prepared(), max: settings.max_in_flight + settings.max_prepared },
            waiting: Fill { now: self.admission.fullest(), max: settings.max_waiting_per_tenant },
            over_limits: Fill { now: self.admission.over_limits(), max: settings.max_over_limits },
            held: Fill { now: self.held_by_breaker(Instant::now()).unwrap_or_default(), max: settings.max_held },
            unpublished: Fill { now: unpublished, max: settings.max_on_road },
            stopped: self.partitions.values().filter(|owned| owned.stopped.is_some()).count(),
        }
    }
}
