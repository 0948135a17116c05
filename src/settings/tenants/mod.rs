//! `tenants.*`: whose events are decided, and under which policy.
//!
//! [`load_book`] reads the folder of tenants; [`rules`] says what a policy must be to be taken.

mod files;
pub mod rules;

use std::path::PathBuf;

pub use files::{TenantProblem, TenantsError, load_book};
use serde::Deserialize;

/// Tenants.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenants {
    /// A folder of TOML files, one a tenant; absent: none are known by name.
    #[serde(default)]
    pub directory: Option<PathBuf>,
    /// What happens to an event of a tenant without a file.
    pub unknown: UnknownTenant,
}

/// What happens to an event of a tenant without a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownTenant {
    /// REJECTED / TENANT_UNKNOWN.
    Reject,
    /// Runs under the default policy.
    Default,
}
