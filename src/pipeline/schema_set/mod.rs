//! The contracts' schemas with the ids under which they travel, and the two encodings of a value.
//!
//! A value is JSON (first byte `{`) or Avro in Confluent framing: a zero byte, the schema's id in four bytes, big end
//! first, then the datum. Any released version can be read; what we write is always the newest.
//!
//! Whether a value makes sense, and what becomes of one that cannot be read, is for the stages to say.

mod datum;
mod json;
mod released;

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::datum::Codec;
pub use self::released::{RELEASED, Released};
use crate::domain::reason_code::ReasonCode;
use crate::settings::schemas::{Encoding, Schemas};

const MAGIC: u8 = 0;
const FRAME_BYTES: usize = 5;

/// Schemas and ids.
pub struct SchemaSet {
    known: BTreeMap<u32, Known>,
    newest: BTreeMap<&'static str, u32>,
}

struct Known {
    record: &'static str,
    name: String,
    codec: Codec,
}

/// The table of ids does not fit the schemas.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdsError {
    /// Probably a misprint, or a newer version than this build knows.
    #[error("schemas.ids.\"{0}\": this build has no such schema")]
    UnknownName(String),
    /// Without an id a record cannot be written.
    #[error("schemas.ids has no id for \"{0}\"")]
    Missing(String),
    /// An id must say which schema it means.
    #[error("schemas.ids gives the id {id} to \"{one}\" and to \"{other}\"")]
    Shared {
        /// The id.
        id: u32,
        /// Who has it.
        one: String,
        /// Who has it too.
        other: String,
    },
}

/// The value cannot be read. Messages never quote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nothing to read.
    #[error("the value is empty")]
    Empty,
    /// Neither encoding.
    #[error("the value begins with byte 0x{0:02x}: neither JSON ('{{') nor framed Avro (0x00)")]
    Unframed(u8),
    /// Too short even for a schema id.
    #[error("the value has {0} bytes: too few for a schema id")]
    NoId(usize),
    /// Framed with an id that nobody told us.
    #[error("schema id {0} is unknown")]
    UnknownSchema(u32),
    /// A value of another topic.
    #[error("the value is a {found} (schema id {id}), not a {wanted}")]
    OtherRecord {
        /// The id in the frame.
        id: u32,
        /// What it stands for.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// The bytes are not what their frame says.
    #[error("the value is no valid {name}: {reason}")]
    Malformed {
        /// As what it was read.
        name: String,
        /// What is wrong, and where.
        reason: String,
    },
}

impl ReadError {
    /// The code under which it is rejected.
    #[must_use]
    pub fn code(&self) -> ReasonCode {
        match self {
            Self::UnknownSchema(_) => ReasonCode::UnknownSchema,
            Self::Empty | Self::Unframed(_) | Self::NoId(_) | Self::OtherRecord { .. } | Self::Malformed { .. } => {
                ReasonCode::DecodeFailed
            }
        }
    }
}

impl SchemaSet {
    /// The released schemas under the ids of the settings. The newest version of every record needs an id; older ones
    /// only where such values are still in the log.
    ///
    /// # Errors
    /// When the ids do not fit the schemas.
    pub fn new(settings: &Schemas) -> Result<Self, IdsError> {
        let released: Vec<&'static Released> = RELEASED.iter().collect();
        Self::of(&released, &settings.ids)
    }

    /// Every released schema, with ids from 1.
    #[cfg(test)]
    pub(crate) fn numbered() -> Self {
        let ids = RELEASED.iter().zip(1..).map(|(released, id)| (released.name(), id)).collect();
        let settings = Schemas { output: Encoding::Avro, ids, max_payload_bytes: 1 << 20, reject_foreign_keys: false };
        Self::new(&settings).expect("every schema has an id")
    }

    fn of(released: &[&'static Released], ids: &BTreeMap<String, u32>) -> Result<Self, IdsError> {
        let ours: BTreeMap<_, _> = released.iter().map(|released| (released.record, *released)).collect();
        let mut set = Self { known: BTreeMap::new(), newest: BTreeMap::new() };
        for (name, &id) in ids {
            let schema = *released
                .iter()
                .find(|released| released.name() == *name)
                .ok_or_else(|| IdsError::UnknownName(name.clone()))?;
            let codec = Codec::new(&schema.schema, &ours[schema.record].schema);
            let known = Known { record: schema.record, name: name.clone(), codec };
            if let Some(one) = set.known.insert(id, known) {
                return Err(IdsError::Shared { id, one: one.name, other: name.clone() });
            }
            if schema.version == ours[schema.record].version {
                set.newest.insert(schema.record, id);
            }
        }
        match ours.values().find(|schema| !set.newest.contains_key(schema.record)) {
            Some(schema) => Err(IdsError::Missing(schema.name())),
            None => Ok(set),
        }
    }

    /// Reads a value of either encoding as the record of that name (`TriageDecision`).
    ///
    /// # Errors
    /// When it is anything else.
    pub fn read<T: DeserializeOwned>(&self, record: &str, value: &[u8]) -> Result<T, ReadError> {
        let text = value.trim_ascii_start();
        if text.first() == Some(&b'{') {
            return json::read(text).map_err(|reason| ReadError::Malformed { name: record.to_owned(), reason });
        }
        match value.first() {
            None => return Err(ReadError::Empty),
            Some(&MAGIC) => {}
            Some(&other) => return Err(ReadError::Unframed(other)),
        }
        let id = schema_id(value).ok_or(ReadError::NoId(value.len()))?;
        let known = self.known.get(&id).ok_or(ReadError::UnknownSchema(id))?;
        if known.record != record {
            return Err(ReadError::OtherRecord { id, found: known.name.clone(), wanted: record.to_owned() });
        }
        known
            .codec
            .read(&value[FRAME_BYTES..])
            .map_err(|reason| ReadError::Malformed { name: known.name.clone(), reason })
    }

    /// Writes a value as the record of that name: the same value gives the same bytes, always.
    ///
    /// # Panics
    /// When the struct does not have the shape of that record's schema, which a test rules out for every record.
    #[must_use]
    pub fn write<T: Serialize>(&self, record: &str, value: &T, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Json => serde_json::to_vec(value).expect("a record is plain data with text keys"),
            Encoding::Avro => {
                let id = self.newest[record];
                let mut bytes = Vec::with_capacity(1024);
                bytes.push(MAGIC);
                bytes.extend(id.to_be_bytes());
                self.known[&id].codec.write(value, &mut bytes).expect("the struct has the shape of its schema");
                bytes
            }
        }
    }
}

/// The id in the frame of a value, whether or not it is known; none for JSON.
#[must_use]
pub fn schema_id(value: &[u8]) -> Option<u32> {
    let (&MAGIC, rest) = value.split_first()? else { return None };
    rest.first_chunk().map(|id| u32::from_be_bytes(*id))
}

/// In which of the two encodings a value stands that we wrote.
#[must_use]
pub fn encoding_of(value: &[u8]) -> Encoding {
    if value.first() == Some(&MAGIC) { Encoding::Avro } else { Encoding::Json }
}

#[cfg(test)]
mod tests;
