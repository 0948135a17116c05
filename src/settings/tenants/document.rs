//! One tenant's policy as text: read as a whole or refused as a whole, with every mistake and where it stands.
//!
//! The same rules for files and for what an operator puts into the database: what one takes, the other takes.

use serde_path_to_error::Segment;
use toml::{Table, Value};

use super::super::problem::line_of;
use super::rules::{self, Broken};
use crate::domain::tenant::Tenant;

/// A longer text is not a policy but a mistake; thousands of categories fit.
pub const MAX_BYTES: u64 = 1 << 20;

/// The policy in this text.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read(text: &str) -> Result<Tenant, Vec<Broken>> {
    let whole = |message: String| vec![Broken::new("", message)];
    if u64::try_from(text.len()).is_ok_and(|length| length > MAX_BYTES) {
        return Err(whole(format!("has {} bytes, at most {MAX_BYTES} are read", text.len())));
    }
    let table: Table = text
        .parse()
        .map_err(|error: toml::de::Error| whole(format!("line {}: {}", line_of(text, &error), error.message())))?;
    let raw = Value::Table(table);
    let tenant: Tenant = serde_path_to_error::deserialize(raw.clone())
        .map_err(|error| vec![Broken::new(path_text(error.path()), error.inner().message())])?;
    let mut broken = rules::check(&tenant);
    broken.extend(rules::unknown_symbols(&raw));
    if broken.is_empty() { Ok(tenant) } else { Err(broken) }
}

fn path_text(path: &serde_path_to_error::Path) -> String {
    let mut text = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Map { key } | Segment::Enum { variant: key } => {
                text.push_str(if text.is_empty() { "" } else { "." });
                text.push_str(key);
            }
            Segment::Seq { index } => text.push_str(&format!("[{index}]")),
            Segment::Unknown => break,
        }
    }
    text
}
