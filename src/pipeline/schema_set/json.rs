//! JSON of a record's shape.
//!
//! Fields this build does not know are skipped, so that a newer publisher may write to an older reader. A number out of
//! range, a key that stands twice, bad UTF-8 or a thousand open brackets are errors, never guesses.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use apache_avro::Schema;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use super::released::RELEASED;

/// Longest reason that goes into a record.
const MAX_REASON_CHARS: usize = 300;

/// After these words a message quotes what it found in backticks; after others they are around words of ours.
const QUOTING: [&str; 5] = ["integer `", "floating point `", "boolean `", "character `", "unknown variant `"];

/// The fields of all records. A path may also lead through a map, or through what this build does not know: the names there
/// are the publisher's, and may be a customer's.
static OUR_FIELDS: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let mut names = BTreeSet::new();
    RELEASED.iter().for_each(|released| collect_fields(&released.schema, &mut names));
    names
});

fn collect_fields<'a>(schema: &'a Schema, names: &mut BTreeSet<&'a str>) {
    match schema {
        Schema::Record(record) => {
            for field in &record.fields {
                names.insert(&field.name);
                collect_fields(&field.schema, names);
            }
        }
        Schema::Array(array) => collect_fields(&array.items, names),
        Schema::Map(map) => collect_fields(&map.types, names),
        Schema::Union(union) => union.variants().iter().for_each(|branch| collect_fields(branch, names)),
        _ => {}
    }
}

/// The value, or why the text is none; the reason names the path and never quotes the text.
pub(super) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    // Paths cost memory at every field, so they are only looked for once there is something to report.
    serde_json::from_slice(text).map_err(|error| explain::<T>(text).unwrap_or_else(|| reason("", &error)))
}

fn explain<T: DeserializeOwned>(text: &[u8]) -> Option<String> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let error = serde_path_to_error::deserialize::<_, T>(&mut deserializer).err()?;
    Some(reason(&place(error.path()), error.inner()))
}

/// The path as far as its names are ours.
fn place(path: &Path) -> String {
    let mut place = String::new();
    for segment in path {
        match segment {
            Segment::Map { key } if OUR_FIELDS.contains(key.as_str()) => {
                place.push_str(if place.is_empty() { "" } else { "." });
                place.push_str(key);
            }
            Segment::Seq { index } => write!(place, "[{index}]").expect("writing to a String cannot fail"),
            _ => break,
        }
    }
    place
}

fn reason(place: &str, error: &serde_json::Error) -> String {
    let place = if place.is_empty() { String::new() } else { format!("at {place}: ") };
    format!("{place}{}", without_quotes(&error.to_string())).chars().take(MAX_REASON_CHARS).collect()
}

/// Messages about values quote what they found, and what they found may be a customer's words, or the number of a card.
pub(super) fn without_quotes(message: &str) -> String {
    let message = match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) if first < last => format!("{}\"..\"{}", &message[..first], &message[last + 1..]),
        _ => message.to_owned(),
    };
    QUOTING.iter().fold(message, |message, words| {
        let Some((before, rest)) = message.split_once(words) else { return message };
        let Some((_, after)) = rest.rsplit_once("`, ") else { return format!("{before}{words}..") };
        format!("{before}{words}..`, {after}")
    })
}
