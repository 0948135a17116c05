//! KNOBS: every setting, one small file a section.
//!
//! `config/default.toml` *is* the defaults and documents each key; the structs here only give them types. Layers, where
//! a value came from and rules across sections live in [`mod@load`], [`layers`] and [`mod@check`]. Nothing here knows who
//! uses a setting.

pub mod calibration;
pub mod check;
pub mod environment;
pub mod flags;
pub mod http;
pub mod kafka;
pub mod kafka_denied;
pub mod kafka_security;
pub mod layers;
pub mod ledger;
pub mod ledger_url;
pub mod limits;
pub mod load;
pub mod log;
pub mod models;
mod naming;
pub mod pipeline;
pub mod problem;
pub mod ranges;
pub mod schemas;
pub mod secret;
pub mod secret_sources;
pub mod secrets;
pub mod telemetry;
pub mod tenants;
pub mod topics;
pub mod triage;
mod typing;

pub use load::{LoadOptions, Loaded, load};
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
    /// How instances share what a tenant may ask.
    pub limits: limits::Limits,
    /// How much at once.
    pub pipeline: pipeline::Pipeline,
    /// Which models there are.
    pub models: models::Models,
    /// In which order they are asked, and how they are guarded.
    pub triage: triage::Triage,
    /// Whose events.
    pub tenants: tenants::Tenants,
    /// When people have said enough.
    pub calibration: calibration::Calibration,
    /// Which capabilities are switched, for whom.
    pub flags: flags::Flags,
    /// Rules for the secrets in here.
    pub secrets: secrets::Secrets,
    /// Metrics and health.
    pub http: http::Http,
    /// Logs.
    pub telemetry: telemetry::Telemetry,
}

/// The chain as it is asked: models that cannot be asked are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveChain {
    /// In order.
    pub asked: Vec<String>,
    /// Remote models without an api_key. The first model that is asked is then the configured one: its answers are not
    /// "degraded".
    pub left_out: Vec<String>,
}

impl Settings {
    /// The name of this instance in commits, leases and records. On Kafka it is the transactional id: the cluster knows
    /// this instance by it, and fences whoever else uses it.
    #[must_use]
    pub fn instance_name(&self) -> &str {
        match (self.log.kind, &self.log.kafka.transactional_id) {
            (log::LogKind::Kafka, Some(id)) => id,
            _ => &self.instance,
        }
    }

    /// Which models of `triage.chain` are asked. Whoever builds the chain says at info level which are left out.
    #[must_use]
    pub fn active_chain(&self) -> ActiveChain {
        let has_key = |name: &&String| match self.models.get(*name) {
            Some(models::Model::Openai(model)) => model.api_key.is_some(),
            Some(models::Model::Local(_)) => true,
            None => false,
        };
        let (asked, left_out): (Vec<_>, Vec<_>) = self.triage.chain.iter().partition(has_key);
        ActiveChain { asked: asked.into_iter().cloned().collect(), left_out: left_out.into_iter().cloned().collect() }
    }
}
