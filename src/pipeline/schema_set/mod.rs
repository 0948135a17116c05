//! The contracts' schemas with the ids under which they travel, and the two encodings of a value.
//!
//! A value is JSON (first byte `{`) or Avro in Confluent framing: a zero byte, the schema's id in four bytes, big end
//! first, then the datum. Any released version can be read; what we write is always the newest. Ids are fixed by the
//! settings, or a registry's: then any version can be read that ours is compatible with, as soon as its id was looked up.
//!
//! Whether a value makes sense, and what becomes of one that cannot be read, is for the stages to say.

mod datum;
mod fit;
mod foreign;
mod json;
mod learned;
pub mod registry;
mod released;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use apache_avro::Schema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use self::datum::Codec;
use self::learned::{Learned, Meaning};
use self::registry::RegisteredSchema;
pub use self::released::{RELEASED, Released};
use crate::domain::reason_code::ReasonCode;
use crate::settings::schemas::{Encoding, Schemas};
use crate::telemetry::happenings::LookupOutcome;

const MAGIC: u8 = 0;
const FRAME_BYTES: usize = 5;

/// Schemas and ids.
pub struct SchemaSet {
    /// Our own schemas: fixed by the settings, or settled with the registry before anything is written.
    own: RwLock<Own>,
    /// Everybody's, as the registry has them; none without a registry.
    learned: Option<Learned>,
}

#[derive(Default)]
struct Own {
    known: BTreeMap<u32, Arc<Known>>,
    newest: BTreeMap<&'static str, u32>,
}

/// How values under an id are read.
struct Known {
    record: &'static str,
    name: String,
    reads: Reads,
}

enum Reads {
    /// Written by a released version.
    Ours(Arc<Codec>),
    /// Written by somebody else's version, and read as ours.
    Foreign(Box<Schema>, &'static Schema),
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
    /// Framed with an id that nobody told us, or that a healthy registry does not have.
    #[error("schema id {0} is unknown")]
    UnknownSchema(u32),
    /// Framed with an id that the registry was not asked for yet ([`registry::Lookup`]): nothing can be said of the value.
    #[error("schema id {0} has not been looked up in the registry yet")]
    NotYetKnown(u32),
    /// The registry's schema is of no use here.
    #[error("schema id {id} cannot be used: {reason}")]
    Unusable {
        /// The id in the frame.
        id: u32,
        /// Why.
        reason: Arc<str>,
    },
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
            // Whoever can wait does not ask for a code before the registry has answered.
            Self::UnknownSchema(_) | Self::NotYetKnown(_) | Self::Unusable { .. } => ReasonCode::UnknownSchema,
            Self::Empty | Self::Unframed(_) | Self::NoId(_) | Self::OtherRecord { .. } | Self::Malformed { .. } => {
                ReasonCode::DecodeFailed
            }
        }
    }
}

impl SchemaSet {
    /// The released schemas under the ids of the settings: the newest version of every record needs an id; older ones
    /// only where such values are still in the log. With a registry nothing is known yet.
    ///
    /// # Errors
    /// When the ids do not fit the schemas.
    pub fn new(settings: &Schemas) -> Result<Self, IdsError> {
        if settings.registry.url.is_some() {
            let learned = Learned::new(settings.registry.max_schemas, settings.registry.absent_for);
            return Ok(Self { own: RwLock::default(), learned: Some(learned) });
        }
        let released: Vec<&'static Released> = RELEASED.iter().collect();
        Self::of(&released, &settings.ids)
    }

    /// Every released schema, with ids from 1.
    #[cfg(test)]
    pub(crate) fn numbered() -> Self {
        let ids = RELEASED.iter().zip(1..).map(|(released, id)| (released.name(), id)).collect();
        Self::of(&RELEASED.iter().collect::<Vec<_>>(), &ids).expect("every schema has an id")
    }

    /// Nothing is known before a registry was asked.
    #[cfg(test)]
    pub(crate) fn with_registry() -> Self {
        let learned = Learned::new(100, std::time::Duration::from_secs(30));
        Self { own: RwLock::default(), learned: Some(learned) }
    }

    fn of(released: &[&'static Released], ids: &BTreeMap<String, u32>) -> Result<Self, IdsError> {
        let ours: BTreeMap<_, _> = released.iter().map(|released| (released.record, *released)).collect();
        let mut own = Own::default();
        for (name, &id) in ids {
            let schema = *released
                .iter()
                .find(|released| released.name() == *name)
                .ok_or_else(|| IdsError::UnknownName(name.clone()))?;
            own.put(id, foreign::known(schema, ours[schema.record]))?;
            if schema.version == ours[schema.record].version {
                own.newest.insert(schema.record, id);
            }
        }
        match ours.values().find(|schema| !own.newest.contains_key(schema.record)) {
            Some(schema) => Err(IdsError::Missing(schema.name())),
            None => Ok(Self { own: RwLock::new(own), learned: None }),
        }
    }

    /// From now on the newest version of that record is written under this id, which the registry gave it.
    ///
    /// # Errors
    /// When another record has the same id.
    pub fn settle(&self, released: &'static Released, id: u32) -> Result<(), IdsError> {
        let mut own = self.own.write().unwrap_or_else(PoisonError::into_inner);
        if own.newest.get(released.record) == Some(&id) {
            return Ok(());
        }
        own.put(id, foreign::known(released, released))?;
        own.newest.insert(released.record, id);
        Ok(())
    }

    /// What the registry answered about an id.
    fn learn(&self, id: u32, found: Option<&RegisteredSchema>, now: Instant) -> LookupOutcome {
        let (meaning, outcome) = match found.map(|registered| foreign::understand(id, registered)) {
            None => (Meaning::Absent, LookupOutcome::Absent),
            Some(Ok(known)) => (Meaning::Known(Arc::new(known)), LookupOutcome::Found),
            Some(Err(reason)) => (Meaning::Unusable(reason.into()), LookupOutcome::Unusable),
        };
        if let Some(learned) = &self.learned {
            learned.learn(id, meaning, now);
        }
        outcome
    }

    fn is_known(&self, id: u32) -> bool {
        !matches!(self.find(id), Err(ReadError::NotYetKnown(_)))
    }

    fn find(&self, id: u32) -> Result<Arc<Known>, ReadError> {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner).known.get(&id).cloned();
        let Some(learned) = &self.learned else { return own.ok_or(ReadError::UnknownSchema(id)) };
        // No registry can give or find such an id (they are signed), and some do not even say so: nothing is to be waited for.
        if own.is_none() && i32::try_from(id).is_err() {
            return Err(ReadError::UnknownSchema(id));
        }
        match own.map(Meaning::Known).or_else(|| learned.meaning(id, Instant::now())) {
            Some(Meaning::Known(known)) => Ok(known),
            Some(Meaning::Unusable(reason)) => Err(ReadError::Unusable { id, reason }),
            Some(Meaning::Absent) => Err(ReadError::UnknownSchema(id)),
            None => Err(ReadError::NotYetKnown(id)),
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
        let known = self.find(id)?;
        if known.record != record {
            return Err(ReadError::OtherRecord { id, found: known.name.clone(), wanted: record.to_owned() });
        }
        let datum = &value[FRAME_BYTES..];
        match &known.reads {
            Reads::Ours(codec) => codec.read(datum),
            Reads::Foreign(written, ours) => datum::read_foreign(written, ours, datum),
        }
        .map_err(|reason| ReadError::Malformed { name: known.name.clone(), reason })
    }

    /// Writes a value as the record of that name: the same value gives the same bytes, always.
    ///
    /// # Panics
    /// When the struct does not have the shape of that record's schema, which a test rules out for every record, or when
    /// the id was not settled with the registry, which commands do before they write anything.
    #[must_use]
    pub fn write<T: Serialize>(&self, record: &str, value: &T, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Json => serde_json::to_vec(value).expect("a record is plain data with text keys"),
            Encoding::Avro => {
                let (id, codec) = self.newest(record).expect("ids are settled before anything is written");
                let mut bytes = Vec::with_capacity(1024);
                bytes.push(MAGIC);
                bytes.extend(id.to_be_bytes());
                codec.write(value, &mut bytes).expect("the struct has the shape of its schema");
                bytes
            }
        }
    }

    fn newest(&self, record: &str) -> Option<(u32, Arc<Codec>)> {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        let id = *own.newest.get(record)?;
        match &own.known.get(&id)?.reads {
            Reads::Ours(codec) => Some((id, codec.clone())),
            Reads::Foreign(..) => None,
        }
    }
}

impl Own {
    fn put(&mut self, id: u32, known: Known) -> Result<(), IdsError> {
        match self.known.get(&id) {
            Some(one) if one.name != known.name => {
                Err(IdsError::Shared { id, one: one.name.clone(), other: known.name })
            }
            _ => {
                self.known.insert(id, Arc::new(known));
                Ok(())
            }
        }
    }
}

/// Whether values of a schema in the registry can be read as one of our records: its name and version if it is one of
/// ours, what it is if it is not.
///
/// # Errors
/// With the reason why not.
pub fn readable_as(id: u32, registered: &RegisteredSchema) -> Result<String, String> {
    foreign::understand(id, registered).map(|known| known.name)
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
