//! Bad histories, one an anomaly.
