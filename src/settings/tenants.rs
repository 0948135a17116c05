//! `tenants.*`: whose events are decided, and under which policy.

use std::path::PathBuf;

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
