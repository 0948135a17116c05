//! How full the road is: every bounded thing with its bound, so that an alert is a ratio and repeats no setting.

use metrics::gauge;

use super::gauge;
use crate::telemetry::metric_names as names;

/// How full something bounded is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fill {
    /// At this moment.
    pub now: usize,
    /// At most.
    pub max: usize,
}

/// The road's counts at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoadGauges {
    /// Records from read to committed.
    pub on_road: Fill,
    /// Bytes of those.
    pub on_road_bytes: Fill,
    /// Calls that run, and answers that are being saved.
    pub in_flight: Fill,
    /// Events in triage without a place among those.
    pub prepared: Fill,
    /// Events waiting in the fullest queue of a tenant.
    pub waiting: Fill,
    /// Events waiting for a model whose breaker is open.
    pub held: Fill,
    /// Events that wait for their tenants' limits.
    pub over_limits: Fill,
    /// Results that no burst has committed yet.
    pub unpublished: Fill,
    /// Partitions that are not read until a person has looked.
    pub stopped: usize,
}

impl RoadGauges {
    /// Set them; too frequent to log.
    pub fn record(&self) {
        for (now, max, fill) in [
            (names::ON_ROAD, names::ON_ROAD_MAX, self.on_road),
            (names::ON_ROAD_BYTES, names::ON_ROAD_BYTES_MAX, self.on_road_bytes),
            (names::IN_FLIGHT, names::IN_FLIGHT_MAX, self.in_flight),
            (names::PREPARED, names::PREPARED_MAX, self.prepared),
            (names::WAITING, names::WAITING_MAX, self.waiting),
            (names::HELD, names::HELD_MAX, self.held),
            (names::OVER_LIMITS, names::OVER_LIMITS_MAX, self.over_limits),
            (names::UNPUBLISHED, names::UNPUBLISHED_MAX, self.unpublished),
        ] {
            gauge!(now).set(gauge(fill.now));
            gauge!(max).set(gauge(fill.max));
        }
        gauge!(names::PARTITIONS_STOPPED).set(gauge(self.stopped));
    }
}
