//! EYES: logs and metrics.
