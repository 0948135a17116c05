//! One schema's datum, to bytes and back.
//!
//! A datum of our own version goes straight into the struct. One of another version is read as that version's writer
//! meant it, then resolved to ours: the library's direct reader cannot resolve (it panics when asked to).

use std::io::{self, Read};

use apache_avro::error::Details;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Error, Schema, from_value};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads and writes the datums of one writer schema.
pub(super) struct Codec {
    reader: GenericDatumReader<'static>,
    resolves: bool,
    writer: GenericDatumWriter<'static>,
}

impl Codec {
    /// For datums of `written`, by a build whose structs have the shape of `ours`.
    pub(super) fn new(written: &'static Schema, ours: &'static Schema) -> Self {
        let resolves = !std::ptr::eq(written, ours);
        let reader = GenericDatumReader::builder(written).human_readable(false);
        let reader = if resolves { reader.reader_schema(ours).build() } else { reader.build() };
        Self {
            reader: reader.expect("a compiled-in schema has no open references"),
            resolves,
            writer: GenericDatumWriter::builder(written)
                .human_readable(false)
                .build()
                .expect("a compiled-in schema has no open references"),
        }
    }

    /// The value, or why the bytes are none; the reason never quotes them.
    pub(super) fn read<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, String> {
        read(&self.reader, self.resolves, bytes)
    }

    /// Appends the datum to `bytes`.
    pub(super) fn write<T: Serialize>(&self, value: &T, bytes: &mut Vec<u8>) -> Result<(), String> {
        self.writer.write_ser(bytes, value).map(|_| ()).map_err(|error| error.to_string())
    }
}

/// Reads a datum of a schema that came from elsewhere.
///
/// The library's reader borrows its schemas, so it cannot be kept beside one that may be forgotten again; making it takes
/// less than reading a datum does.
pub(super) fn read_foreign<T: DeserializeOwned>(written: &Schema, ours: &Schema, bytes: &[u8]) -> Result<T, String> {
    let reader = GenericDatumReader::builder(written).human_readable(false).reader_schema(ours).build();
    read(&reader.map_err(|error| short(&error))?, true, bytes)
}

fn read<T: DeserializeOwned>(reader: &GenericDatumReader<'_>, resolves: bool, bytes: &[u8]) -> Result<T, String> {
    let mut rest = Rest(bytes);
    let value = if resolves {
        reader.read_value(&mut rest).and_then(|value| from_value(&value))
    } else {
        reader.read_deser(&mut rest)
    };
    match value {
        Err(error) => Err(format!("at byte {} of {}: {}", bytes.len() - rest.0.len(), bytes.len(), short(&error))),
        Ok(_) if !rest.0.is_empty() => Err(format!("bytes left over after the datum: {}", rest.0.len())),
        Ok(value) => Ok(value),
    }
}

/// The bytes not read yet.
///
/// The library takes an end of file within a string or before a union for a null: a datum cut short would pass for one
/// with its last fields empty. Any other kind of error is an error.
struct Rest<'a>(&'a [u8]);

impl Read for Rest<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        match self.0.split_at_checked(buffer.len()) {
            Some((head, tail)) => {
                buffer.copy_from_slice(head);
                self.0 = tail;
                Ok(())
            }
            None => Err(io::Error::new(io::ErrorKind::InvalidData, "the datum ends too early")),
        }
    }
}

/// The cause without schemas (pages of them) and without values (somebody's ticket).
fn short(error: &Error) -> String {
    match error.details() {
        Details::ReadBytes(error)
        | Details::ReadString(error)
        | Details::ReadBoolean(error)
        | Details::ReadDouble(error)
        | Details::ReadVariableIntegerBytes(error) => error.to_string(),
        Details::ConvertToUtf8(_) => "a string is not UTF-8".to_owned(),
        Details::MemoryAllocation { .. } => "a length is larger than any value may be".to_owned(),
        Details::ConvertI64ToUsize(..) => "a length or a branch is negative".to_owned(),
        Details::IntegerOverflow | Details::ZagI32(..) => "a number is out of range".to_owned(),
        Details::GetUnionVariant { .. } => "a union has no such branch".to_owned(),
        Details::EnumSymbolIndex { .. } | Details::GetEnumSymbol(_) => "an enum has no such symbol".to_owned(),
        Details::BoolValue(_) => "a boolean is neither 0 nor 1".to_owned(),
        Details::DeserializeSchemaAware { value_type, .. } => format!("this is no {value_type}"),
        Details::DeserializeValue(reason) => super::json::without_quotes(reason),
        _ => "the datum does not fit its schema".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::released::RELEASED;
    use super::*;
    use crate::domain::event::{EventType, Priority, SupportEvent};
    use crate::domain::samples::full_event;

    /// What a version of the future might look like: a field more, an optional one less, new symbols.
    fn another_version() -> &'static Schema {
        let ours = RELEASED.iter().find(|released| released.record == "SupportEvent").expect("in the table");
        let text = ours
            .text
            .replace("\"TICKET_SOLVED\",", "\"TICKET_SOLVED\", \"TICKET_TELEPORTED\",")
            .replace("\"URGENT\"", "\"URGENT\", \"COSMIC\"");
        let mut document: Value = serde_json::from_str(&text).expect("still JSON");
        let fields = document["fields"].as_array_mut().expect("a record has fields");
        fields.retain(|field| field["name"] != "idempotency_key" && field["name"] != "context");
        fields.insert(1, json!({"name": "region", "type": ["null", "string"], "default": null}));
        Box::leak(Box::new(Schema::parse(&document).expect("still a schema")))
    }

    fn written_by_another_version() -> (Codec, Vec<u8>) {
        let schema = another_version();
        let mut event = serde_json::to_value(full_event()).expect("plain data");
        event["region"] = json!("eu");
        event["event_type"] = json!("TICKET_TELEPORTED");
        event["ticket"]["priority"] = json!("COSMIC");
        let value = apache_avro::types::Value::try_from(event)
            .and_then(|value| value.resolve(schema))
            .expect("it has the shape of that version");
        let writer = GenericDatumWriter::builder(schema).build().expect("no open references");
        let bytes = writer.write_value_to_vec(value).expect("it fits");
        let ours = RELEASED.iter().find(|released| released.record == "SupportEvent").expect("in the table");
        (Codec::new(schema, &ours.schema), bytes)
    }

    #[test]
    fn a_datum_of_another_version_is_resolved_to_ours() {
        let (codec, bytes) = written_by_another_version();
        let mut expected = full_event();
        expected.idempotency_key = None;
        expected.context.clear();
        expected.event_type = EventType::Unknown;
        expected.ticket.priority = Some(Priority::Unknown);
        assert_eq!(codec.read(&bytes), Ok(expected));
    }

    /// The library alone would take the missing end for a null.
    #[test]
    fn a_datum_of_another_version_cut_short_anywhere_is_an_error() {
        let (codec, bytes) = written_by_another_version();
        for end in 0..bytes.len() {
            let read = codec.read::<SupportEvent>(&bytes[..end]);
            assert!(read.is_err(), "{end} of {} bytes were enough", bytes.len());
        }
    }
}
