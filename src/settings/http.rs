//! `http.*`: metrics and health.

use std::net::SocketAddr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// The listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Whether to listen at all.
    pub enabled: bool,
    /// Loopback unless told otherwise; port 0 takes a free one.
    #[serde(deserialize_with = "address")]
    pub bind: SocketAddr,
    /// Whether the operator vouches that nobody reaches the address who may not read metrics.
    pub network_is_trusted: bool,
}

fn address<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(from).ok();
    let address = text.and_then(|text| text.parse().ok());
    address.ok_or_else(|| D::Error::custom("expected IP:PORT such as 127.0.0.1:9464"))
}
