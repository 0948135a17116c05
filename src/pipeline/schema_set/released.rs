//! Every schema that was ever released, compiled in.
//!
//! A released file is never edited: a change is a new version, FULL_TRANSITIVE compatible with all before it, so that
//! any reader can read any writer, old or new. The tests below hold the folder `schemas/` to that.

use std::sync::LazyLock;

use apache_avro::Schema;

/// No length inside a datum may ask for more memory than this before its bytes are there. Far above any value the log
/// carries (1 MiB), far below what would hurt.
const MAX_ALLOCATION_BYTES: usize = 16 * 1024 * 1024;

/// One version of one record's schema.
#[derive(Debug)]
pub struct Released {
    /// Name of the record, `SupportEvent`.
    pub record: &'static str,
    /// Counts from 1.
    pub version: u32,
    /// The whole document, as it is registered (the canonical form would lose defaults and docs).
    pub text: &'static str,
    /// The same, parsed.
    pub schema: Schema,
}

impl Released {
    /// Its name in the settings, `SupportEvent.v1`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.v{}", self.record, self.version)
    }
}

macro_rules! released {
    ($($record:literal v $version:literal;)*) => {
        /// All of them; the versions of a record in order.
        pub static RELEASED: LazyLock<Vec<Released>> = LazyLock::new(|| {
            // The library takes the first value it is told, for the whole process; nothing is decoded before this runs.
            apache_avro::util::max_allocation_bytes(MAX_ALLOCATION_BYTES);
            vec![$(parse(
                $record,
                $version,
                include_str!(concat!("../../../schemas/", $record, "/v", $version, ".avsc")),
            ),)*]
        });
    };
}

released! {
    "SupportEvent" v 1;
    "HumanFeedback" v 1;
    "TriageDecision" v 1;
    "EventFeedback" v 1;
    "DecisionReview" v 1;
    "DecisionReview" v 2;
    "DeadLetter" v 1;
    "OpsEvent" v 1;
    "OpsEvent" v 2;
}

fn parse(record: &'static str, version: u32, text: &'static str) -> Released {
    let schema = Schema::parse_str(text).expect("every compiled-in schema is parsed by a test");
    Released { record, version, text, schema }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
    use serde_json::Value;

    use super::*;

    /// Why one of them cannot read everything that the other writes.
    fn incompatibility(one: &Schema, other: &Schema) -> Option<String> {
        [(one, other), (other, one)].into_iter().find_map(|(writer, reader)| {
            match SchemaCompatibility::can_read(writer, reader) {
                Ok(Compatibility::Full) => None,
                Ok(Compatibility::Partial) => Some("only some values can be read".to_owned()),
                Err(reason) => Some(reason.to_string()),
            }
        })
    }

    fn support_event_with(change: impl FnOnce(&mut Value)) -> Schema {
        let first = RELEASED.iter().find(|released| released.record == "SupportEvent").expect("it is in the table");
        let mut document: Value = serde_json::from_str(first.text).expect("a schema is JSON");
        change(&mut document);
        Schema::parse(&document).expect("the changed schema is still a schema")
    }

    fn fields(document: &mut Value) -> &mut Vec<Value> {
        document["fields"].as_array_mut().expect("a record has fields")
    }

    /// Every named type of a document, by name.
    fn named_types<'a>(document: &'a Value, found: &mut Vec<(&'a str, &'a Value)>) {
        match document {
            Value::Object(object) => {
                if let (Some(Value::String(name)), Some("record" | "enum")) =
                    (object.get("name"), object.get("type").and_then(Value::as_str))
                {
                    found.push((name, document));
                }
                object.values().for_each(|part| named_types(part, found));
            }
            Value::Array(parts) => parts.iter().for_each(|part| named_types(part, found)),
            _ => {}
        }
    }

    #[test]
    fn the_folder_and_the_table_list_the_same_schemas() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        let mut files = BTreeSet::new();
        for record in std::fs::read_dir(folder).expect("the folder is part of the sources") {
            let record = record.expect("readable");
            for file in std::fs::read_dir(record.path()).expect("one folder a record") {
                let file = file.expect("readable").file_name().into_string().expect("plain names");
                let version = file.strip_suffix(".avsc").expect("nothing but schemas in there");
                files.insert(format!("{}.{version}", record.file_name().to_string_lossy()));
            }
        }
        assert_eq!(files, RELEASED.iter().map(Released::name).collect());
    }

    #[test]
    fn all_versions_of_a_record_read_each_other() {
        for one in RELEASED.iter() {
            for other in RELEASED.iter().filter(|other| other.record == one.record) {
                let reason = incompatibility(&one.schema, &other.schema);
                assert_eq!(reason, None, "{} and {}", one.name(), other.name());
            }
        }
    }

    #[test]
    fn a_change_that_breaks_somebody_is_caught() {
        let released = support_event_with(|_| {});
        let new_field_without_default = support_event_with(|document| {
            fields(document).push(serde_json::json!({"name": "region", "type": "string"}));
        });
        let required_field_gone = support_event_with(|document| {
            fields(document).retain(|field| field["name"] != "event_id");
        });
        let other_type = support_event_with(|document| fields(document)[0]["type"] = Value::from("long"));
        let no_longer_nullable = support_event_with(|document| {
            let field = fields(document).iter_mut().find(|field| field["name"] == "ticket_version").expect("there");
            field["type"] = Value::from("long");
            field["default"] = Value::from(0);
        });
        for broken in [new_field_without_default, required_field_gone, other_type, no_longer_nullable] {
            assert!(incompatibility(&released, &broken).is_some(), "{}", broken.canonical_form());
        }
    }

    #[test]
    fn a_change_that_breaks_nobody_passes() {
        let released = support_event_with(|_| {});
        let grown = support_event_with(|document| {
            fields(document).retain(|field| field["name"] != "event_type");
            fields(document).push(serde_json::json!({"name": "region", "type": ["null", "string"], "default": null}));
        });
        assert_eq!(incompatibility(&released, &grown), None);
    }

    #[test]
    fn enums_are_open_optional_parts_are_null_and_nothing_is_a_union_of_records() {
        for released in RELEASED.iter() {
            let document: Value = serde_json::from_str(released.text).expect("a schema is JSON");
            let mut found = Vec::new();
            named_types(&document, &mut found);
            for (name, definition) in &found {
                if definition["type"] == "enum" {
                    assert_eq!(definition["default"], "UNKNOWN", "{}: enum {name}", released.name());
                    assert_eq!(definition["symbols"][0], "UNKNOWN", "{}: enum {name}", released.name());
                    continue;
                }
                for field in definition["fields"].as_array().expect("a record has fields") {
                    let place = format!("{}: {name}.{}", released.name(), field["name"]);
                    if let Some(union) = field["type"].as_array() {
                        assert_eq!((union.len(), &union[0]), (2, &Value::from("null")), "{place}");
                        assert_eq!(field.get("default"), Some(&Value::Null), "{place}");
                    }
                    if field["type"]["type"] == "enum" {
                        assert_eq!(field["default"], "UNKNOWN", "{place}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_type_that_several_records_use_is_the_same_in_all_of_them() {
        let documents: BTreeMap<&str, Value> = RELEASED
            .iter()
            .map(|released| (released.record, serde_json::from_str(released.text).expect("a schema is JSON")))
            .collect();
        let mut first: BTreeMap<&str, (&str, &Value)> = BTreeMap::new();
        for (record, document) in &documents {
            let mut found = Vec::new();
            named_types(document, &mut found);
            for (name, definition) in found {
                let (elsewhere, known) = first.entry(name).or_insert((record, definition));
                assert_eq!(*known, definition, "{name} in {elsewhere} and {record}");
            }
        }
    }
}
