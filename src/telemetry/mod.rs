//! EYES: logs and metrics.
//!
//! Each thing that happens is one struct in [`happenings`] whose `record()` logs and counts together, so that log and
//! metric cannot disagree. Raw `metrics::` macros live in here only. What does not belong here: ticket text, prompts,
//! answers and keys, in a log line as little as in a label.

pub mod bounded;
mod from_zero;
pub mod happenings;
pub mod logging;
pub mod metric_names;
pub mod pace;
pub mod recorder;
pub mod tenant_labels;
