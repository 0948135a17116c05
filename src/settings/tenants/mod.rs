//! `tenants.*`: whose events are decided, and under which policy.
//!
//! [`load_book`] reads the folder of tenants, [`document`] one policy; [`rules`] says what a policy must be to be taken.
//! What operators put into the database meanwhile is somebody else's knowledge.

mod calibration;
pub mod document;
mod files;
pub mod rules;

use std::path::PathBuf;
use std::time::Duration;

pub use files::{TenantProblem, TenantsError, book, load_book, load_files};
use serde::Deserialize;

/// Tenants.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenants {
    /// A folder of TOML files, one a tenant; absent: none are known by name.
    #[serde(default)]
    pub directory: Option<PathBuf>,
    /// What happens to an event of a tenant without a policy.
    pub unknown: UnknownTenant,
    /// How often a processor asks the database for what operators changed.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
}

/// What happens to an event of a tenant without a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownTenant {
    /// REJECTED / TENANT_UNKNOWN.
    Reject,
    /// Runs under the default policy.
    Default,
}
