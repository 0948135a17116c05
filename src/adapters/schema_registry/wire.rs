//! The documents of the API: only the fields that are used; a registry may add others.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::pipeline::schema_set::registry::{RegisteredSchema, RegistryError};

/// A document, or the registry is none.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, RegistryError> {
    serde_json::from_slice(body).map_err(|_| {
        RegistryError::Garbled(format!("{} bytes that are not the document that was asked for", body.len()))
    })
}

/// A schema, with what stands around it where it was found.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Schema {
    schema: String,
    #[serde(default)]
    schema_type: Option<String>,
    #[serde(default)]
    references: Option<Vec<serde::de::IgnoredAny>>,
}

impl From<Schema> for RegisteredSchema {
    fn from(Schema { schema, schema_type, references }: Schema) -> Self {
        Self {
            // Left out, it is Avro: the API is older than its other types.
            kind: schema_type.unwrap_or_else(|| "AVRO".to_owned()),
            text: schema,
            has_references: references.is_some_and(|references| !references.is_empty()),
        }
    }
}

/// One version of a subject, without its schema.
#[derive(Debug, Deserialize)]
pub(super) struct Place {
    pub id: u32,
    #[serde(default)]
    pub version: u32,
}

/// What a level is called in answers: `compatibilityLevel`, or as in the request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Config {
    #[serde(default)]
    compatibility_level: Option<String>,
    #[serde(default)]
    compatibility: Option<String>,
}

impl Config {
    pub fn level(self) -> Option<String> {
        self.compatibility_level.or(self.compatibility)
    }
}

/// Whether a schema could be registered.
#[derive(Debug, Deserialize)]
pub(super) struct Compatible {
    pub is_compatible: bool,
    #[serde(default)]
    pub messages: Option<Vec<String>>,
}

/// Why not.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Refusal {
    pub error_code: Option<u32>,
    #[serde(default)]
    pub message: Option<String>,
}
