//! The shape of an event, read off its schema: which paths there are, and what a cell of a table becomes there.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::Name;
use serde_json::Value;

use crate::domain::clock::Timestamp;
use crate::pipeline::schema_set::RELEASED;

/// What a text becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// A symbol of a closed set; case does not matter.
    Symbol,
    Integer,
    Boolean,
    /// Milliseconds since 1970, or RFC 3339.
    Time,
    /// Separated by `;` or `,`.
    Texts,
}

/// What stands at a dotted path, or why nothing can be put there.
pub(super) fn kind_at(path: &str) -> Result<Kind, String> {
    let newest = RELEASED.iter().rfind(|released| released.record == "SupportEvent");
    let mut at = &newest.expect("every build has the event's schema").schema;
    let mut names = HashMap::new();
    collect(at, &mut names);
    let mut walked = String::new();
    for part in path.split('.') {
        at = match within(at, &names) {
            Schema::Record(record) => {
                let field = record.fields.iter().find(|field| field.name == part);
                &field.ok_or_else(|| unknown(&walked, record.fields.iter().map(|field| &*field.name)))?.schema
            }
            Schema::Map(map) if !part.is_empty() => &map.types,
            _ => return Err(format!("{walked} has no parts")),
        };
        walked = if walked.is_empty() { part.to_owned() } else { format!("{walked}.{part}") };
    }
    match within(at, &names) {
        Schema::String => Ok(Kind::Text),
        Schema::Enum(_) => Ok(Kind::Symbol),
        Schema::Int | Schema::Long => Ok(Kind::Integer),
        Schema::Boolean => Ok(Kind::Boolean),
        Schema::TimestampMillis => Ok(Kind::Time),
        Schema::Array(array) if matches!(*array.items, Schema::String) => Ok(Kind::Texts),
        Schema::Record(record) => {
            let parts: Vec<_> = record.fields.iter().map(|field| format!("{path}.{}", field.name)).collect();
            Err(format!("a column can fill one of its parts only: {}", parts.join(", ")))
        }
        Schema::Map(_) => Err(format!("name the key too, as in {path}.KEY")),
        _ => Err("a column cannot fill a list of records".to_owned()),
    }
}

fn unknown<'a>(walked: &str, fields: impl Iterator<Item = &'a str>) -> String {
    let place = if walked.is_empty() { "an event" } else { walked };
    format!("{place} has no such field; it has {}", fields.collect::<Vec<_>>().join(", "))
}

/// Past "or null" and past names.
fn within<'a>(schema: &'a Schema, names: &HashMap<&'a Name, &'a Schema>) -> &'a Schema {
    let schema = match schema {
        Schema::Union(union) => {
            union.variants().iter().find(|variant| !matches!(variant, Schema::Null)).unwrap_or(schema)
        }
        schema => schema,
    };
    match schema {
        Schema::Ref { name } => names.get(name).copied().unwrap_or(schema),
        schema => schema,
    }
}

fn collect<'a>(schema: &'a Schema, names: &mut HashMap<&'a Name, &'a Schema>) {
    match schema {
        Schema::Record(record) => {
            names.insert(&record.name, schema);
            record.fields.iter().for_each(|field| collect(&field.schema, names));
        }
        Schema::Enum(set) => {
            names.insert(&set.name, schema);
        }
        Schema::Union(union) => union.variants().iter().for_each(|variant| collect(variant, names)),
        Schema::Array(array) => collect(&array.items, names),
        Schema::Map(map) => collect(&map.types, names),
        _ => {}
    }
}

impl Kind {
    /// The cell as a value of this kind, or what it should have been.
    pub(super) fn value(self, cell: &str) -> Result<Value, String> {
        let trimmed = cell.trim();
        match self {
            Self::Text => Ok(Value::from(cell)),
            Self::Symbol => Ok(Value::from(trimmed.to_ascii_uppercase().replace([' ', '-'], "_"))),
            Self::Integer => trimmed.parse::<i64>().map(Value::from).map_err(|_| "not a whole number".to_owned()),
            Self::Boolean => match trimmed.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => Ok(Value::from(true)),
                "false" | "no" | "0" => Ok(Value::from(false)),
                _ => Err("neither true nor false".to_owned()),
            },
            Self::Time => trimmed
                .parse::<i64>()
                .ok()
                .or_else(|| Timestamp::from_rfc3339(trimmed).map(|time| time.0))
                .map(Value::from)
                .ok_or_else(|| "neither milliseconds since 1970 nor a time such as 2025-11-17T08:00:00Z".to_owned()),
            Self::Texts => {
                let texts = trimmed.split([';', ',']).map(str::trim).filter(|text| !text.is_empty());
                Ok(texts.map(Value::from).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_end_at_what_a_cell_can_fill() {
        for (path, kind) in [
            ("event_id", Kind::Text),
            ("event_type", Kind::Symbol),
            ("occurred_at", Kind::Time),
            ("ticket_version", Kind::Integer),
            ("message.body", Kind::Text),
            ("message.author.type", Kind::Symbol),
            ("ticket.requester.tier", Kind::Text),
            ("ticket.tags", Kind::Texts),
            ("ticket.human_owned", Kind::Boolean),
            ("ticket.custom_fields.region", Kind::Text),
            ("context.plan", Kind::Text),
        ] {
            assert_eq!(kind_at(path), Ok(kind), "{path}");
        }
    }

    #[test]
    fn paths_that_lead_nowhere_say_where_they_could_have_led() {
        assert!(
            kind_at("message.text").expect_err("no field").starts_with("message has no such field; it has message_id,")
        );
        assert!(kind_at("body").expect_err("no field").starts_with("an event has no such field"));
        assert!(kind_at("message").expect_err("a record").contains("message.body"));
        assert!(kind_at("context").expect_err("a map").contains("context.KEY"));
        assert!(kind_at("history").expect_err("a list").contains("list"));
        assert_eq!(kind_at("event_id.x"), Err("event_id has no parts".to_owned()));
    }

    #[test]
    fn cells_become_what_their_place_needs() {
        assert_eq!(Kind::Symbol.value(" ticket created "), Ok(json!("TICKET_CREATED")));
        assert_eq!(Kind::Time.value("2025-11-17T08:00:00Z"), Ok(json!(1_763_366_400_000_i64)));
        assert_eq!(Kind::Time.value("1763366400000"), Ok(json!(1_763_366_400_000_i64)));
        assert_eq!(Kind::Texts.value("vip; beta,,"), Ok(json!(["vip", "beta"])));
        assert_eq!(Kind::Boolean.value("Yes"), Ok(json!(true)));
        assert_eq!(Kind::Text.value(" as it is\0"), Ok(json!(" as it is\0")));
        for (kind, cell) in [(Kind::Integer, "1.5"), (Kind::Boolean, "maybe"), (Kind::Time, "yesterday")] {
            assert!(kind.value(cell).is_err(), "{kind:?}");
        }
    }
}
