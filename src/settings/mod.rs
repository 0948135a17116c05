//! KNOBS: every setting, one small file a section.
//!
//! `config/default.toml` *is* the defaults and documents each key; the structs here only give them types. Layers, where
//! a value came from and rules across sections live in [`load`] and [`check`].

pub mod check;
pub mod http;
pub mod ledger;
pub mod load;
pub mod log;
pub mod models;
pub mod pipeline;
pub mod schemas;
pub mod secret;
pub mod telemetry;
pub mod tenants;
pub mod topics;
pub mod triage;

use serde::Deserialize;

/// All of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Names this instance in records, leases and logs.
    pub instance: String,
    /// The log.
    pub log: log::Log,
    /// Topic names.
    pub topics: topics::Topics,
    /// Schema ids without a registry, and the form of outputs.
    pub schemas: schemas::Schemas,
    /// The ledger.
    pub ledger: ledger::Ledger,
    /// How much at once.
    pub pipeline: pipeline::Pipeline,
    /// Which models there are.
    pub models: models::Models,
    /// In which order they are asked, and how they are guarded.
    pub triage: triage::Triage,
    /// Whose events.
    pub tenants: tenants::Tenants,
    /// Metrics and health.
    pub http: http::Http,
    /// Logs.
    pub telemetry: telemetry::Telemetry,
}
