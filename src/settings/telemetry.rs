//! `telemetry.*`: logs.

use serde::Deserialize;

/// Logs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// `info`, or a filter such as `gatekeeper=debug,sqlx=warn`.
    pub log_filter: String,
    /// The form of log lines on stderr.
    pub log_format: LogFormat,
    /// Log lines that wait for whoever reads stderr; more are dropped.
    pub log_queue: usize,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}
