//! Which column of a table fills which field of an event.

use serde_json::{Map, Value};

use super::shape::{Kind, kind_at};
use super::{Flaw, Mapping, PublishError};

/// Column names that are taken for a field without being told, beside the fields' own paths. Earlier ones win where a
/// table has several for one field.
const ALIASES: &[(&str, &str)] = &[
    ("tenant", "tenant_id"),
    ("ticket", "ticket_id"),
    ("subject", "ticket.subject"),
    ("status", "ticket.status"),
    ("priority", "ticket.priority"),
    ("channel", "ticket.channel"),
    ("tags", "ticket.tags"),
    ("language", "message.language"),
    ("message_id", "message.message_id"),
    ("body", "message.body"),
    ("text", "message.body"),
];

/// An empty cell means "not said"; an empty ticket text is a ticket without text, which is something to decide about.
const MAY_BE_EMPTY: &str = "message.body";

/// The columns that are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    /// How many the header has.
    pub count: usize,
    fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    path: String,
    kind: Kind,
    column: usize,
}

impl Columns {
    /// As the mappings say; without any, by the names in the header.
    pub(super) fn new(file: &str, header: &[String], maps: &[Mapping]) -> Result<Self, PublishError> {
        let fields = if maps.is_empty() { by_name(header) } else { by_mapping(file, header, maps)? };
        if fields.is_empty() {
            return Err(PublishError::NothingMapped { file: file.to_owned(), found: listed(header) });
        }
        Ok(Self { count: header.len(), fields })
    }

    /// Whether rows may have something of their own here.
    pub(super) fn fill(&self, path: &str) -> bool {
        self.fields.iter().any(|field| field.path == path)
    }

    /// A row's cells as JSON in the event's shape.
    pub(super) fn row(&self, header: &[String], cells: &[&[u8]]) -> Result<Value, Flaw> {
        let mut event = Map::new();
        for field in &self.fields {
            let name = &header[field.column];
            let cell = std::str::from_utf8(cells[field.column]).map_err(|_| Flaw::at(name, "not UTF-8"))?;
            if cell.trim().is_empty() && field.path != MAY_BE_EMPTY {
                continue;
            }
            put(&mut event, &field.path, field.kind.value(cell).map_err(|why| Flaw::at(name, why))?);
        }
        Ok(Value::Object(event))
    }
}

fn by_mapping(file: &str, header: &[String], maps: &[Mapping]) -> Result<Vec<Field>, PublishError> {
    let mut fields: Vec<Field> = Vec::new();
    for Mapping { field: path, column } in maps {
        let kind = kind_at(path).map_err(|why| PublishError::Unmappable { field: path.clone(), why })?;
        let missing =
            || PublishError::MissingColumn { file: file.to_owned(), column: column.clone(), found: listed(header) };
        let column = header.iter().position(|name| name == column).ok_or_else(missing)?;
        if fields.iter().any(|field| field.path == *path) {
            return Err(PublishError::MappedTwice(path.clone()));
        }
        fields.push(Field { path: path.clone(), kind, column });
    }
    Ok(fields)
}

fn by_name(header: &[String]) -> Vec<Field> {
    let own = header.iter().enumerate().map(|(column, name)| (column, name.clone()));
    let aliased = ALIASES.iter().filter_map(|(alias, path)| {
        let column = header.iter().position(|name| name.eq_ignore_ascii_case(alias))?;
        Some((column, (*path).to_owned()))
    });
    let mut fields: Vec<Field> = Vec::new();
    for (column, path) in own.chain(aliased) {
        if let Ok(kind) = kind_at(&path)
            && !fields.iter().any(|field| field.path == path)
        {
            fields.push(Field { path, kind, column });
        }
    }
    fields
}

fn listed(header: &[String]) -> String {
    header.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

fn put(event: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            event.insert(path.to_owned(), value);
        }
        Some((head, rest)) => {
            let inner = event.entry(head).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn header(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn map(field: &str, column: &str) -> Mapping {
        Mapping { field: field.into(), column: column.into() }
    }

    #[test]
    fn columns_named_like_fields_are_taken_and_others_are_not() {
        let header = header(&["event_id", "Subject", "text", "body", "category", "ticket.tags", "context.plan"]);
        let columns = Columns::new("f", &header, &[]).expect("fields are named");
        let cells: [&[u8]; 7] = [b"e-1", b"Hello", b"the text", b"the body", b"x", b"vip;beta", b""];
        let expected = json!({
            "event_id": "e-1",
            "ticket": {"subject": "Hello", "tags": ["vip", "beta"]},
            "message": {"body": "the body"},
        });
        assert_eq!(columns.row(&header, &cells), Ok(expected));
    }

    #[test]
    fn mappings_take_what_they_name_and_nothing_else() {
        let header = header(&["event_id", "question", "asked"]);
        let maps = [map("message.body", "question"), map("occurred_at", "asked")];
        let columns = Columns::new("f", &header, &maps).expect("both are there");
        assert_eq!(
            columns.row(&header, &[b"e-1", b"", b"2025-11-17T08:00:00Z"]),
            Ok(json!({"message": {"body": ""}, "occurred_at": 1_763_366_400_000_i64}))
        );
        let flaw = columns.row(&header, &[b"e-1", b"x", b"soon"]).expect_err("no time");
        assert_eq!(flaw.field.as_deref(), Some("asked"));
        assert_eq!(columns.row(&header, &[b"e-1", b"\xe4", b""]), Err(Flaw::at("question", "not UTF-8")));
    }

    #[test]
    fn a_mapping_that_cannot_be_kept_is_refused_by_name() {
        let header = header(&["text", "queue"]);
        let complaint = |maps: &[Mapping]| Columns::new("f.csv", &header, maps).expect_err("refused").to_string();
        assert_eq!(
            complaint(&[map("message.body", "category")]),
            "f.csv: there is no column \"category\"; the columns are \"text\", \"queue\""
        );
        assert!(complaint(&[map("message.text", "text")]).starts_with("--map message.text: message has no such field"));
        assert_eq!(complaint(&[map("event_id", "text"), map("event_id", "queue")]), "--map event_id: mapped twice");
        let none = Columns::new("f.csv", &["queue".to_owned()], &[]).expect_err("refused").to_string();
        assert!(none.contains("--map message.body=COLUMN") && none.contains("\"queue\""), "{none}");
    }
}
