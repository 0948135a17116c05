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
    let raw = Value::Table(table.clone());
    let (tenant, mut broken) = typed(table);
    // Rules across keys speak of categories: where those cannot be read, the built-in ones would be measured.
    let is_unread = |fault: &Broken| fault.key.starts_with("taxonomy") && !fault.message.starts_with(UNKNOWN);
    if let Some(tenant) = &tenant
        && !broken.iter().any(is_unread)
    {
        let rules = rules::check(tenant).into_iter().chain(rules::unknown_symbols(&raw));
        // Of a value that was left out its default would be measured, which nobody wrote.
        let news: Vec<_> = rules.filter(|rule| !broken.iter().any(|fault| is_about(fault, rule))).collect();
        broken.extend(news);
    }
    match tenant {
        Some(tenant) if broken.is_empty() => Ok(tenant),
        _ => Err(broken),
    }
}

/// So serde begins to speak of a key that it does not know.
const UNKNOWN: &str = "unknown field";

/// The policy without what does not fit, and what that is. serde stops at the first fault: it is noted, taken out, and typing
/// starts again until the rest fits. Nothing: not even the rest does.
fn typed(mut table: Table) -> (Option<Tenant>, Vec<Broken>) {
    let mut broken: Vec<Broken> = Vec::new();
    loop {
        let fault = match serde_path_to_error::deserialize::<_, Tenant>(Value::Table(table.clone())) {
            Ok(tenant) => return (Some(tenant), broken),
            Err(fault) => fault,
        };
        let found = Broken::new(path_text(fault.path()), fault.inner().message());
        // What is missing because it was taken out is no mistake of its own.
        if !broken.iter().any(|known| is_about(known, &found)) {
            broken.push(found);
        }
        let steps: Vec<&Segment> = fault.path().iter().collect();
        let is_without_id = steps.is_empty() && !table.contains_key("id");
        if is_without_id {
            table.insert("id".to_owned(), Value::from("missing"));
        } else if !take(&mut table, &steps) {
            return (None, broken);
        }
    }
}

/// Take out what stands there, or else the nearest thing around it that has a key. Lists lose no items: places in them would
/// not be those of the text any more.
fn take(table: &mut Table, steps: &[&Segment]) -> bool {
    let Some((Segment::Map { key } | Segment::Enum { variant: key }, rest)) = steps.split_first() else { return false };
    table.get_mut(key).is_some_and(|inner| take_within(inner, rest)) || table.remove(key).is_some()
}

fn take_within(value: &mut Value, steps: &[&Segment]) -> bool {
    match (value, steps.split_first()) {
        (Value::Table(table), Some(_)) => take(table, steps),
        (Value::Array(items), Some((Segment::Seq { index }, rest))) => {
            items.get_mut(*index).is_some_and(|item| take_within(item, rest))
        }
        _ => false,
    }
}

/// Whether one of them stands within the other, or both in the same place. The text as a whole is no place.
fn is_about(one: &Broken, other: &Broken) -> bool {
    let is_within = |inner: &str, outer: &str| {
        let rest = inner.strip_prefix(outer).filter(|_| !outer.is_empty());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    is_within(&one.key, &other.key) || is_within(&other.key, &one.key)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<String> {
        let broken = read(text).expect_err("wrong on purpose");
        broken.into_iter().map(|broken| broken.key).collect()
    }

    #[test]
    fn every_mistake_is_named_not_the_first_one() {
        let text = "
            colour = 'red'
            size = 3
            decide_by = 'soon'
            default_queue = ''
            languages = ['en', 'english']
            limits = { wait = 1, weight = 'x', money_per_day = -1 }
        ";
        let mut found = keys(&format!("id = 'a'\n{text}"));
        found.sort();
        let wrong = ["colour", "decide_by", "default_queue", "languages[1]", "limits.money_per_day"];
        assert_eq!(found, [&wrong[..], &["limits.wait", "limits.weight", "size"]].concat());
        let without_id = read(text).expect_err("wrong on purpose");
        assert_eq!(without_id.len(), 9, "{without_id:?}");
        assert!(without_id.iter().any(|broken| broken.key.is_empty() && broken.message.contains("`id`")));
    }

    #[test]
    fn mistakes_in_lists_keep_their_places_and_what_follows_from_a_mistake_is_none() {
        let category = |more: &str| format!("{{ name = 'a{}', description = 'b'{more} }}", more.len());
        let categories = [category(", q = 1"), category(""), category(", rr = 1")].join(", ");
        let text = format!("id = 'a'\ntaxonomy = {{ version = '1', categories = [{categories}] }}\nhuman_lanes = []");
        assert_eq!(keys(&text), ["taxonomy.categories[0].q", "taxonomy.categories[2].rr"]);
        // Categories that cannot be read leave nothing that lanes could be held against.
        let text = "id = 'a'\ntaxonomy = { version = '1', categories = [{ name = 1 }] }\n\
                    human_lanes = [{ name = 'x', categories = ['own'] }]";
        assert_eq!(keys(text), ["taxonomy.categories[0].name"]);
    }
}
