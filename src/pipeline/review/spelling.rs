//! Ticketing systems, and people, spell fields and values in their own ways: which of them mean the same.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::event::{Level, Priority};

/// The name under which a decision predicts the field.
pub(super) fn field(name: &str) -> &str {
    name.strip_prefix("custom_fields.").unwrap_or(name)
}

/// The value as we say it, where we have a word for it.
pub(super) fn value(field: &str, value: &str) -> String {
    let value = value.trim();
    let known = match field {
        "priority" => symbol(value, Priority::Unknown),
        "impact" | "urgency" => symbol(value, Level::Unknown),
        _ => None,
    };
    known.unwrap_or_else(|| value.to_owned())
}

/// Whether both are the same value of this field.
pub(super) fn is_same(field: &str, one: &str, other: &str) -> bool {
    value(field, one).eq_ignore_ascii_case(&value(field, other))
}

fn symbol<T: DeserializeOwned + Serialize + PartialEq>(value: &str, unknown: T) -> Option<String> {
    let spelt = [value.to_owned(), value.to_uppercase(), value.to_lowercase()];
    let read = |text: &String| serde_json::from_value::<T>(text.as_str().into()).ok().filter(|read| *read != unknown);
    let read = spelt.iter().find_map(read)?;
    serde_json::to_value(read).ok()?.as_str().map(str::to_owned)
}
