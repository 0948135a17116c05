//! JSON of a record's shape.
//!
//! Fields this build does not know are skipped, so that a newer publisher may write to an older reader. A number out of
//! range, a key that stands twice, bad UTF-8 or a thousand open brackets are errors, never guesses.

use serde::de::DeserializeOwned;

/// Longest reason that goes into a record.
const MAX_REASON_CHARS: usize = 300;

/// The value, or why the text is none; the reason names the path and never quotes the text.
pub(super) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    // Paths cost memory at every field, so they are only looked for once there is something to report.
    serde_json::from_slice(text).map_err(|error| explain::<T>(text).unwrap_or_else(|| reason(".", &error)))
}

fn explain<T: DeserializeOwned>(text: &[u8]) -> Option<String> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let error = serde_path_to_error::deserialize::<_, T>(&mut deserializer).err()?;
    Some(reason(&error.path().to_string(), error.inner()))
}

fn reason(path: &str, error: &serde_json::Error) -> String {
    let place = if path == "." { String::new() } else { format!("at {path}: ") };
    format!("{place}{}", without_quotes(&error.to_string())).chars().take(MAX_REASON_CHARS).collect()
}

/// Messages about values quote what they found, and what they found may be a customer's words.
pub(super) fn without_quotes(message: &str) -> String {
    match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) if first < last => format!("{}\"..\"{}", &message[..first], &message[last + 1..]),
        _ => message.to_owned(),
    }
}
