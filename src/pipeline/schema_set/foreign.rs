//! A writer's schema that a registry told us of: whether values written with it can be read as one of our records.
//!
//! Whoever may register a schema may not thereby hang or kill the processor. The library decodes by recursion and counts
//! bytes, so a schema is refused when it is recursive (a value could nest without end and overflow the stack), when it is
//! deeper or wider than any sensible record with its references followed, or when a list's items may take no bytes (then
//! a count of a billion of them is a value of ten bytes) or few for what they become in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::schema::{DecimalSchema, InnerDecimalSchema, UuidSchema};
use apache_avro::types::Value;

use super::datum::Codec;
use super::fit::{fits, make_plain};
use super::registry::RegisteredSchema;
use super::released::{RELEASED, Released};
use super::{Known, Reads};

/// Types within types. Ours have 5.
const MAX_DEPTH: usize = 64;
/// Types, each counted where it is used. Our largest record has about 200.
const MAX_TYPES: usize = 10_000;
/// The library makes room for a fixed type before its bytes are there. More than any value the log carries.
const MAX_VALUE_BYTES: usize = 16 * 1024 * 1024;
/// What is read may take so many times its bytes in memory. An empty optional field is one byte and about 200 in memory
/// (itself, its name, a box), so sensible records stay far below; 1 MiB, which is what the log carries, stays below half a GiB.
const MEMORY_PER_BYTE: usize = 512;
/// Of the library's reasons, which may hold whole schemas.
const MAX_REASON_CHARS: usize = 300;

/// How values of that schema are read, or why they are not.
pub(super) fn understand(id: u32, registered: &RegisteredSchema) -> Result<Known, String> {
    if registered.kind != "AVRO" {
        return Err(format!("its type is {}, not AVRO", shortened(&registered.kind)));
    }
    if registered.has_references {
        return Err("it refers to other schemas, which is not supported: register it as one document".to_owned());
    }
    let mut written = Schema::parse_str(&registered.text).map_err(|error| shortened(&error.to_string()))?;
    Walk::default().measure(&written, 0)?;
    let Schema::Record(record) = &written else { return Err("it is no record".to_owned()) };
    let name = record.name.name();
    // The table has a record's versions in order; structs have the shape of the newest.
    let ours = RELEASED.iter().rfind(|released| released.record == name);
    let ours = ours.ok_or_else(|| format!("it is a {}, which is none of our records", shortened(name)))?;
    // Before anything else: the canonical form does not tell microseconds from milliseconds.
    fits(&written, &ours.schema)
        .map_err(|reason| format!("our {} cannot read it: {}", ours.name(), shortened(&reason)))?;
    // What a value looks like is said by types, names and order alone, and a version of ours needs no detour.
    let canonical = written.canonical_form();
    if let Some(same) = RELEASED.iter().find(|released| released.schema.canonical_form() == canonical) {
        return Ok(known(same, ours));
    }
    let name = format!("{name} (schema id {id})");
    make_plain(&mut written).map_err(|reason| shortened(&reason))?;
    Ok(Known { record: ours.record, name, reads: Reads::Foreign(Box::new(written), &ours.schema) })
}

/// Under an id of its own.
pub(super) fn known(released: &'static Released, ours: &'static Released) -> Known {
    let codec = Codec::new(&released.schema, &ours.schema);
    Known { record: released.record, name: released.name(), reads: Reads::Ours(Arc::new(codec)) }
}

fn shortened(text: &str) -> String {
    super::json::without_quotes(text).chars().take(MAX_REASON_CHARS).collect()
}

/// A type of these parts.
fn around(parts: impl IntoIterator<Item = Extent>, own: Extent) -> Extent {
    parts.into_iter().fold(own, |whole, part| Extent {
        types: whole.types.saturating_add(part.types),
        depth: whole.depth.max(part.depth + 1),
        ..whole
    })
}

/// Where a walk through a schema stands.
#[derive(Default)]
struct Walk {
    /// Named types whose inside is being looked at.
    open: BTreeSet<String>,
    /// Named types that were looked at.
    seen: BTreeMap<String, Extent>,
}

/// How much a type is, at least and at most.
#[derive(Clone, Copy)]
struct Extent {
    types: usize,
    depth: usize,
    min_bytes: usize,
    /// Most memory that a value takes, less [`MEMORY_PER_BYTE`] for each of its bytes. Of a record it is the sum of the
    /// fields', and a list of items that have some left over has no bound: so bytes bound memory when no list has such.
    surplus: i64,
}

impl Extent {
    /// A value of so many bytes at least, which takes so much memory beside them.
    fn leaf(min_bytes: usize, beside: usize) -> Self {
        let memory = signed(min_bytes).saturating_add(signed(size_of::<Value>())).saturating_add(signed(beside));
        let allowed = signed(min_bytes).saturating_mul(signed(MEMORY_PER_BYTE));
        Self { types: 1, depth: 1, min_bytes, surplus: memory.saturating_sub(allowed) }
    }
}

/// Of these there may be as many as there are bytes for.
fn bounded(what: &str, each: Extent) -> Result<(), String> {
    if each.surplus > 0 {
        let why = "it has too many types, or too long names, for its bytes";
        return Err(format!(
            "it has a {what} whose item takes more than {MEMORY_PER_BYTE} times its bytes in memory: {why}"
        ));
    }
    Ok(())
}

fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

impl Walk {
    fn measure(&mut self, schema: &Schema, depth: usize) -> Result<Extent, String> {
        let extent = match schema {
            Schema::Null => Extent::leaf(0, 0),
            Schema::Float => Extent::leaf(4, 0),
            Schema::Double => Extent::leaf(8, 0),
            Schema::Fixed(fixed)
            | Schema::Duration(fixed)
            | Schema::Uuid(UuidSchema::Fixed(fixed))
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => {
                self.define(&fixed.name.fullname(None), Extent::leaf(fixed.size, 0))
            }
            Schema::Enum(symbols) => {
                let longest = symbols.symbols.iter().map(String::len).max().unwrap_or(0);
                self.define(&symbols.name.fullname(None), Extent::leaf(1, longest))
            }
            Schema::Ref { name } => self.referred(&name.fullname(None))?,
            Schema::Array(array) => {
                let items = self.measure(&array.items, depth + 1)?;
                if items.min_bytes == 0 {
                    return Err("it has a list of items that take no bytes".to_owned());
                }
                bounded("list", items)?;
                around([items], Extent::leaf(1, 0))
            }
            Schema::Map(map) => {
                let values = self.measure(&map.types, depth + 1)?;
                let key = Extent::leaf(1, 0);
                bounded("map", Extent { surplus: values.surplus.saturating_add(key.surplus), ..values })?;
                around([values], Extent::leaf(1, 0))
            }
            Schema::Union(union) => {
                let branches: Result<Vec<_>, _> =
                    union.variants().iter().map(|branch| self.measure(branch, depth + 1)).collect();
                let branches = branches?;
                let most = branches.iter().map(|branch| branch.surplus).max().unwrap_or(0);
                let own = Extent::leaf(1, 0);
                around(branches, Extent { surplus: own.surplus.saturating_add(most), ..own })
            }
            Schema::Record(record) => {
                let name = record.name.fullname(None);
                self.open.insert(name.clone());
                let mut own = Extent::leaf(0, 0);
                let mut fields = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    let part = self.measure(&field.schema, depth + 1)?;
                    let named = signed(size_of::<String>() + field.name.len());
                    own.min_bytes = own.min_bytes.saturating_add(part.min_bytes);
                    own.surplus = own.surplus.saturating_add(part.surplus).saturating_add(named);
                    fields.push(part);
                }
                self.open.remove(&name);
                self.define(&name, around(fields, own))
            }
            _ => Extent::leaf(1, 0),
        };
        if extent.types > MAX_TYPES || extent.depth + depth > MAX_DEPTH {
            return Err(format!("it is larger than {MAX_TYPES} types or deeper than {MAX_DEPTH}"));
        }
        if extent.min_bytes > MAX_VALUE_BYTES {
            return Err(format!("its values would have more than {MAX_VALUE_BYTES} bytes"));
        }
        if extent.surplus > signed(MAX_VALUE_BYTES) {
            return Err("its values would take far more memory than bytes: its names are too long".to_owned());
        }
        Ok(extent)
    }

    fn define(&mut self, name: &str, extent: Extent) -> Extent {
        self.seen.insert(name.to_owned(), extent);
        extent
    }

    fn referred(&self, name: &str) -> Result<Extent, String> {
        if self.open.contains(name) {
            return Err("it is recursive, which is not supported: a value could nest without end".to_owned());
        }
        self.seen.get(name).copied().ok_or_else(|| "it refers to a type that it does not define".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use apache_avro::writer::datum::GenericDatumWriter;
    use serde_json::{Value, json};

    use super::super::datum::read_foreign;
    use super::*;
    use crate::domain::event::SupportEvent;
    use crate::domain::samples::full_event;

    fn registered(document: &Value) -> RegisteredSchema {
        RegisteredSchema { kind: "AVRO".to_owned(), text: document.to_string(), has_references: false }
    }

    fn ours() -> Value {
        let released = RELEASED.iter().find(|released| released.record == "OpsEvent").expect("in the table");
        serde_json::from_str(released.text).expect("a schema is JSON")
    }

    /// Our record with a field more.
    fn with(kind: &Value) -> RegisteredSchema {
        let mut document = ours();
        let fields = document["fields"].as_array_mut().expect("a record has fields");
        fields.push(json!({"name": "more", "type": kind}));
        registered(&document)
    }

    fn support_event() -> Value {
        let released = RELEASED.iter().find(|released| released.record == "SupportEvent").expect("in the table");
        serde_json::from_str(released.text).expect("a schema is JSON")
    }

    fn field<'a>(record: &'a mut Value, name: &str) -> &'a mut Value {
        let fields = record["fields"].as_array_mut().expect("a record has fields");
        fields.iter_mut().find(|field| field["name"] == name).expect("it has the field")
    }

    /// Where a type is mentioned by name, its definition.
    fn spell_out(node: &mut Value, known: &mut BTreeMap<String, Value>) {
        match node {
            Value::String(name) => {
                if let Some(definition) = known.get(name.rsplit('.').next().unwrap_or(name)) {
                    *node = definition.clone();
                }
            }
            Value::Array(branches) => branches.iter_mut().for_each(|branch| spell_out(branch, known)),
            _ => {
                parts(node).into_iter().for_each(|part| spell_out(part, known));
                if let Some(name) = node["name"].as_str() {
                    known.insert(name.to_owned(), node.clone());
                }
            }
        }
    }

    /// Where a type was defined before, its name.
    fn mention(node: &mut Value, seen: &mut BTreeSet<String>) {
        if let Value::Array(branches) = node {
            branches.iter_mut().for_each(|branch| mention(branch, seen));
        } else if node.is_object() {
            match node["name"].as_str().map(str::to_owned) {
                Some(name) if !seen.insert(name.clone()) => *node = json!(name),
                _ => parts(node).into_iter().for_each(|part| mention(part, seen)),
            }
        }
    }

    fn parts(node: &mut Value) -> Vec<&mut Value> {
        let Value::Object(object) = node else { return Vec::new() };
        // All within it are named without: they are in the namespace of the whole.
        object.remove("namespace");
        let mut found = Vec::new();
        for (key, part) in object.iter_mut() {
            match (key.as_str(), part) {
                ("items" | "values", part) => found.push(part),
                ("fields", Value::Array(fields)) => found.extend(fields.iter_mut().map(|field| &mut field["type"])),
                _ => {}
            }
        }
        found
    }

    /// The same with each type defined where it is mentioned first, after that change.
    fn rearranged(namespace: &str, change: impl FnOnce(&mut Value)) -> RegisteredSchema {
        let mut document = support_event();
        spell_out(&mut document, &mut BTreeMap::new());
        change(&mut document);
        mention(&mut document, &mut BTreeSet::new());
        document["namespace"] = json!(namespace);
        registered(&document)
    }

    /// Writes an event with a schema and reads it as the road does.
    fn read_back(registered: &RegisteredSchema, event: &Value) -> Result<SupportEvent, String> {
        let mut written = Schema::parse_str(&registered.text).expect("a schema");
        // The bytes are the same, and values of any text and number can be written.
        make_plain(&mut written).expect("a schema");
        let value = apache_avro::types::Value::try_from(event.clone()).and_then(|value| value.resolve(&written));
        let writer = GenericDatumWriter::builder(&written).build().expect("no open references");
        let bytes = writer.write_value_to_vec(value.expect("it has that shape")).expect("it fits");
        match understand(7, registered)?.reads {
            Reads::Ours(codec) => codec.read(&bytes),
            Reads::Foreign(written, ours) => read_foreign(&written, ours, &bytes),
        }
    }

    fn full() -> Value {
        serde_json::to_value(full_event()).expect("plain data")
    }

    fn refusal(registered: &RegisteredSchema) -> String {
        understand(7, registered).err().expect("it is refused")
    }

    #[test]
    fn every_schema_of_ours_is_understood_as_what_it_is() {
        for released in RELEASED.iter() {
            let text = released.text.to_owned();
            let registered = RegisteredSchema { kind: "AVRO".to_owned(), text, has_references: false };
            let known = understand(7, &registered).unwrap_or_else(|reason| panic!("{}: {reason}", released.name()));
            assert_eq!((known.record, known.name), (released.record, released.name()));
        }
    }

    #[test]
    fn another_version_of_a_record_is_understood_if_ours_can_read_it() {
        let known = understand(7, &with(&json!({"type": "map", "values": "null"}))).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((known.record, &*known.name), ("OpsEvent", "OpsEvent (schema id 7)"));
        let mut moved = ours();
        moved["namespace"] = json!("com.example");
        assert!(understand(7, &registered(&moved)).is_ok());
        let mut without_id = ours();
        without_id["fields"].as_array_mut().expect("fields").retain(|field| field["name"] != "ops_event_id");
        let reason = "our OpsEvent.v2 cannot read it: at ops_event_id: it is missing";
        assert_eq!(refusal(&registered(&without_id)), reason);
    }

    #[test]
    fn where_a_type_is_defined_and_in_which_namespace_makes_no_difference() {
        fn sort(node: &mut Value) {
            if let Some(fields) = node.get_mut("fields").and_then(Value::as_array_mut) {
                fields.sort_by_key(|field| field["name"].to_string());
            }
            if let Value::Array(branches) = node {
                branches.iter_mut().for_each(sort);
            }
            parts(node).into_iter().for_each(sort);
        }
        fn fields(document: &mut Value) -> &mut Vec<Value> {
            document["fields"].as_array_mut().expect("a record has fields")
        }
        let cases = [
            rearranged("io.aigatekeeper.v1", |document| fields(document).reverse()),
            rearranged("io.aigatekeeper.v1", sort),
            rearranged("com.example.support", |_| {}),
            rearranged("com.example.support", sort),
            rearranged("io.aigatekeeper.v1", |document| {
                let actor = field(document, "actor")["type"].clone();
                fields(document).insert(0, json!({"name": "opened_by", "type": ["null", actor], "default": null}));
            }),
        ];
        for case in cases {
            assert_eq!(read_back(&case, &full()), Ok(full_event()), "{}", case.text);
        }
    }

    #[test]
    fn a_type_that_means_more_is_read_as_what_it_is() {
        let schema = rearranged("io.aigatekeeper.v1", |document| {
            field(document, "event_id")["type"] = json!({"type": "string", "logicalType": "uuid"});
            field(document, "idempotency_key")["type"] = json!(["null", {"type": "string", "logicalType": "uuid"}]);
            field(document, "ticket_version")["type"] =
                json!(["null", {"type": "long", "logicalType": "timestamp-micros"}]);
            field(document, "occurred_at")["type"] = json!("long");
        });
        let mut event = full();
        event["event_id"] = json!("0F8FAD5B-d9cb-469f-a165-70867728950e");
        event["idempotency_key"] = json!("no uuid at all");
        let mut expected = full_event();
        expected.event_id = "0F8FAD5B-d9cb-469f-a165-70867728950e".to_owned();
        expected.idempotency_key = Some("no uuid at all".to_owned());
        assert_eq!(read_back(&schema, &event), Ok(expected));
    }

    #[test]
    fn a_type_that_says_something_else_with_the_same_bytes_is_refused() {
        for time in ["timestamp-micros", "timestamp-nanos", "local-timestamp-millis", "time-micros"] {
            let time = json!({"type": "long", "logicalType": time});
            let mut document = support_event();
            field(&mut document, "occurred_at")["type"] = time.clone();
            let reason = refusal(&registered(&document));
            assert!(reason.starts_with("our SupportEvent.v1 cannot read it: at occurred_at: "), "{reason}");
            let mut document = support_event();
            let ticket = &mut field(&mut document, "ticket")["type"];
            field(ticket, "created_at")["type"] = json!(["null", time]);
            let reason = refusal(&registered(&document));
            assert!(reason.contains("at ticket.created_at: ") && reason.contains("timestamp-millis"), "{reason}");
        }
        for number in [json!({"type": "bytes", "logicalType": "decimal", "precision": 4}), json!("long")] {
            let mut document = support_event();
            field(&mut document, "event_id")["type"] = number;
            let reason = refusal(&registered(&document));
            assert!(reason.ends_with("where String is due"), "{reason}");
        }
    }

    #[test]
    fn what_is_no_avro_record_of_ours_is_refused_with_the_reason() {
        let avro = registered(&ours());
        assert_eq!(
            refusal(&RegisteredSchema { kind: "PROTOBUF".to_owned(), ..avro.clone() }),
            "its type is PROTOBUF, not AVRO"
        );
        let referring = refusal(&RegisteredSchema { has_references: true, ..avro.clone() });
        assert!(referring.starts_with("it refers to other schemas"), "{referring}");
        assert!(understand(7, &RegisteredSchema { text: "{\"type\": ".to_owned(), ..avro }).is_err());
        assert_eq!(refusal(&registered(&json!("string"))), "it is no record");
        let other = json!({"type": "record", "name": "Invoice", "fields": []});
        assert_eq!(refusal(&registered(&other)), "it is a Invoice, which is none of our records");
    }

    #[test]
    fn a_schema_whose_values_could_hang_or_kill_the_reader_is_refused() {
        let endless = json!({"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]});
        assert!(refusal(&with(&endless)).starts_with("it is recursive"));
        for nothing in [json!("null"), json!({"type": "record", "name": "Empty", "fields": []})] {
            let list = json!({"type": "array", "items": nothing});
            assert_eq!(refusal(&with(&list)), "it has a list of items that take no bytes");
        }
        let nothings = |count: usize| -> Vec<Value> {
            let null = |at| json!({"name": format!("f{at}"), "type": "null"});
            (0..count).map(null).chain([json!({"name": "x", "type": "int"})]).collect()
        };
        let record = |fields: Vec<Value>| json!({"type": "record", "name": "Item", "fields": fields});
        let long = "x".repeat(600);
        for item in [
            record(nothings(5_000)),
            json!(["null", record(nothings(5_000))]),
            record(vec![json!({"name": long, "type": "int"})]),
            json!({"type": "enum", "name": "Item", "symbols": ["A", long]}),
        ] {
            let list = json!({"type": "array", "items": item});
            let reason = refusal(&with(&list));
            assert!(reason.starts_with("it has a list whose item takes more than 512 times"), "{reason}");
        }
        let map = json!({"type": "map", "values": record(nothings(5_000))});
        assert!(refusal(&with(&map)).starts_with("it has a map whose item takes more than"));
        let optional = |at| json!({"name": format!("an_optional_field_{at}"), "type": ["null", "string"]});
        for item in [record(nothings(2)), json!(["null", record((0..200).map(optional).collect())])] {
            assert!(understand(7, &with(&json!({"type": "array", "items": item}))).is_ok(), "nothing unusual");
        }
        let named = record(vec![json!({"name": "x".repeat(100_000), "type": "null"})]);
        let mut often = vec![json!({"name": "f", "type": named})];
        often.extend((0..1_000).map(|at| json!({"name": format!("f{at}"), "type": "Item"})));
        let often = json!({"type": "record", "name": "Often", "fields": often});
        assert!(refusal(&with(&often)).starts_with("its values would take far more memory than bytes"));
        let huge = json!({"type": "fixed", "name": "Huge", "size": 1_u64 << 40});
        assert!(refusal(&with(&huge)).starts_with("its values would have more than"));
        // Each level has the one before twice: two to the twentieth of nothing.
        let mut doubled = json!({"type": "record", "name": "L0", "fields": [{"name": "a", "type": "null"}]});
        for level in 1..20 {
            let name = format!("L{level}");
            let fields = json!([{"name": "a", "type": doubled}, {"name": "b", "type": format!("L{}", level - 1)}]);
            doubled = json!({"type": "record", "name": name, "fields": fields});
        }
        assert!(refusal(&with(&doubled)).starts_with("it is larger than"));
        // References are followed: a chain that is flat on paper.
        let mut chain = vec![
            json!({"name": "f0", "type": {"type": "record", "name": "C0", "fields": [{"name": "x", "type": "int"}]}}),
        ];
        for link in 1..80 {
            let fields = json!([{"name": "x", "type": format!("C{}", link - 1)}]);
            chain.push(json!({"name": format!("f{link}"), "type": {"type": "record", "name": format!("C{link}"), "fields": fields}}));
        }
        let chain = json!({"type": "record", "name": "Chain", "fields": chain});
        assert!(refusal(&with(&chain)).starts_with("it is larger than"));
    }
}
