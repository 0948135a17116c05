//! Records of an Avro object container, as whoever wrote them meant them.

use std::io::Read;
use std::sync::LazyLock;

use apache_avro::Reader;
use serde_json::Value;

use super::{Flaw, PublishError};
use crate::pipeline::schema_set::RELEASED;

/// Messages of the library may hold whole schemas.
const MAX_WHY_CHARS: usize = 200;

/// Records as JSON. The writer's schema counts: what it lacks is filled in as for any other row.
pub(super) struct AvroRows {
    reader: Reader<'static, Box<dyn Read + Send>>,
    number: u64,
}

impl AvroRows {
    /// Reads the container's header.
    pub(super) fn new(file: &str, input: Box<dyn Read + Send>) -> Result<Self, PublishError> {
        // The schemas set the library's limit on what a length inside the file may ask for.
        LazyLock::force(&RELEASED);
        let no_container = |error| PublishError::NoContainer { file: file.to_owned(), why: short(&error) };
        Ok(Self { reader: Reader::new(input).map_err(no_container)?, number: 0 })
    }

    /// The next record and its number, from 1.
    pub(super) fn next(&mut self) -> Option<(u64, Result<Value, Flaw>)> {
        let record = self.reader.next()?;
        self.number += 1;
        let value = match record {
            // Where a record ends is only known by reading it: the library stops here.
            Err(error) => Err(Flaw::of_row(format!("{}; nothing after it can be read", short(&error)))),
            Ok(record) => Value::try_from(record).map_err(|error| Flaw::of_row(short(&error))),
        };
        Some((self.number, value))
    }
}

fn short(error: &apache_avro::Error) -> String {
    error.to_string().chars().take(MAX_WHY_CHARS).collect()
}
