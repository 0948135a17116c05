//! `http.*`: metrics and health.

use std::net::SocketAddr;

use serde::Deserialize;

/// The listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Whether to listen at all.
    pub enabled: bool,
    /// Loopback unless told otherwise; port 0 takes a free one.
    pub bind: SocketAddr,
}
