//! `schemas.*`: how records are framed.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Framing.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schemas {
    /// What outputs are written as.
    pub output: Encoding,
    /// Schema ids by record name and version, `SupportEvent.v1 = 1`, in both directions.
    pub ids: BTreeMap<String, u32>,
    /// A larger value is rejected as PAYLOAD_TOO_LARGE before it is decoded.
    pub max_payload_bytes: usize,
    /// A record whose key is not `tenant|ticket` is rejected as ENVELOPE_MISMATCH.
    pub reject_foreign_keys: bool,
}

/// The form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Avro in Confluent framing.
    Avro,
    /// JSON of the same shape.
    Json,
}
