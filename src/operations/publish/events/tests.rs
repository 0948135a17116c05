//! The files that people really send (`tests/fixtures/`), and what becomes of each of their lines.

use std::path::PathBuf;

use apache_avro::{Schema, Writer};

use super::*;
use crate::operations::publish::Mapping;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn options(file: impl Into<PathBuf>) -> Options {
    Options { file: file.into(), format: None, tenant: Some("acme".to_owned()), source: None, maps: Vec::new() }
}

/// Line, field, and what is wrong with it.
type Bad = (u64, Option<String>, String);

/// Texts of the good ones, and the bad ones.
fn read(name: &str) -> (Vec<String>, Vec<Bad>) {
    let file = fixture(&format!("bad/{name}"));
    let (mut texts, mut bad) = (Vec::new(), Vec::new());
    for row in open(&options(&file)).unwrap_or_else(|error| panic!("{name}: {error}")) {
        match row {
            Ok(row) => texts.push(row.event.message.map(|message| message.body).unwrap_or_default()),
            Err(row) => {
                assert!(row.file.ends_with(name), "{row}");
                bad.push((row.line, row.field, row.why));
            }
        }
    }
    (texts, bad)
}

fn bad_places(name: &str) -> Vec<(u64, Option<String>)> {
    read(name).1.into_iter().map(|(line, field, _)| (line, field)).collect()
}

#[test]
fn every_bad_csv_loses_its_bad_line_and_keeps_the_others() {
    let text = || Some("text".to_owned());
    assert_eq!(bad_places("broken_line.csv"), [(4, None)]);
    assert_eq!(bad_places("open_quote.csv"), [(3, None)]);
    assert_eq!(bad_places("not_utf8.csv"), [(3, text())]);
    for name in ["broken_line.csv", "open_quote.csv", "not_utf8.csv"] {
        let (texts, _) = read(name);
        assert_eq!(texts.first().map(String::as_str), Some("I forgot my password"), "{name}");
        assert_eq!(texts.last().map(String::as_str), Some("The app crashes"), "{name}");
    }
}

#[test]
fn every_csv_that_only_looks_bad_is_read_whole() {
    assert_eq!(read("bom.csv"), (vec!["I forgot my password".into(), "Where is my order".into()], vec![]));
    assert_eq!(read("header_only.csv"), (vec![], vec![]));
    assert_eq!(read("nul.csv").0[1], "Where is\0 my order");
    assert_eq!(read("missing_column.csv").0.len(), 2);
    let (texts, bad) = read("empty_cells.csv");
    assert_eq!((&*texts[2], bad), ("", vec![]));
}

#[test]
fn every_bad_jsonl_loses_its_bad_line_and_keeps_the_others() {
    assert_eq!(bad_places("broken_line.jsonl"), [(2, None)]);
    assert_eq!(bad_places("not_utf8.jsonl"), [(2, None)]);
    assert_eq!(bad_places("not_an_event.jsonl"), [(3, None)]);
    assert_eq!(read("broken_line.jsonl").0, ["Where is my parcel?", "It has come."]);
    assert_eq!(
        read("not_an_event.jsonl").0,
        ["Where is my parcel?", "", "It has come."],
        "line 2 is for ingest to judge"
    );
    assert_eq!(read("bom.jsonl").0.len(), 1);
    assert_eq!(read("blank_line_and_no_last_newline.jsonl").0.len(), 2);
}

#[test]
fn the_same_file_is_the_same_events_and_another_file_is_others() {
    let ids = |file: &Path| -> Vec<String> {
        open(&options(file)).expect("a table").map(|row| row.expect("sound").event.event_id).collect()
    };
    let tickets = fixture("tickets.csv");
    let first = ids(&tickets);
    assert_eq!((first.len(), &ids(&tickets)), (64, &first));
    let folder = tempfile::tempdir().expect("a folder");
    let other = folder.path().join("tickets.csv");
    let text = std::fs::read_to_string(&tickets).expect("the fixture");
    std::fs::write(&other, text + "one more,account_access\n").expect("written");
    assert!(ids(&other).iter().all(|id| !first.contains(id)));
}

#[test]
fn what_makes_a_whole_file_useless_is_said_before_its_first_row() {
    let complaint = |options: &Options| open(options).map(|_| ()).expect_err("refused").to_string();
    let mut missing = options(fixture("bad/missing_column.csv"));
    missing.maps =
        vec!["message.body=text".parse().expect("a mapping"), "context.label=category".parse().expect("one")];
    let text = complaint(&missing);
    assert!(text.contains("bad/missing_column.csv: there is no column \"category\""), "{text}");
    assert!(text.ends_with("the columns are \"text\", \"queue\""), "{text}");

    let nobody = Options { tenant: None, ..options(fixture("tickets.csv")) };
    assert!(complaint(&nobody).contains("--tenant"));
    assert!(complaint(&options("/nowhere/x.csv")).starts_with("/nowhere/x.csv: "));
    assert!(complaint(&options("/nowhere/x.xlsx")).contains("--format"));
    let as_avro = Options { format: Some(Format::Avro), ..options(fixture("tickets.csv")) };
    assert!(complaint(&as_avro).contains("not an Avro object container"));
    let mapped = Options { maps: missing.maps.clone(), ..options(fixture("bad/bom.jsonl")) };
    assert_eq!(complaint(&mapped), "--map is for CSV files only");
    assert!("message.body".parse::<Mapping>().is_err());

    let folder = tempfile::tempdir().expect("a folder");
    let utf16 = folder.path().join("x.csv");
    std::fs::write(&utf16, b"\xff\xfet\0e\0x\0t\0").expect("written");
    assert!(complaint(&options(utf16)).ends_with("this is UTF-16; save it as UTF-8"));
}

/// Somebody else's schema, with less in it than an event has.
fn container(rows: i64) -> Vec<u8> {
    let schema = Schema::parse_str(
        r#"{"type": "record", "name": "Ticket", "fields": [
            {"name": "ticket_id", "type": "string"},
            {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "message", "type": ["null", {"type": "record", "name": "Text", "fields": [
                {"name": "body", "type": "string"}
            ]}]}
        ]}"#,
    )
    .expect("a schema");
    let mut writer = Writer::new(&schema, Vec::new()).expect("memory");
    for row in 0..rows {
        let value = serde_json::json!({
            "ticket_id": format!("T-{row}"),
            "occurred_at": 1_763_366_400_000_i64 + row,
            "message": {"body": "Where is my parcel?"},
        });
        let value =
            apache_avro::types::Value::try_from(value).and_then(|value| value.resolve(&schema)).expect("it fits");
        writer.append_value(value).expect("memory");
    }
    writer.into_inner().expect("memory")
}

#[test]
fn a_container_is_read_as_its_writer_meant_it_up_to_where_it_is_broken() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.avro");
    let whole = container(3);
    std::fs::write(&file, &whole).expect("written");
    let rows: Vec<_> = open(&options(&file)).expect("a container").collect::<Result<_, _>>().expect("all sound");
    assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [1, 2, 3]);
    let events: Vec<_> = rows.into_iter().map(|row| row.event).collect();
    assert_eq!(events.iter().map(|event| &*event.ticket_id).collect::<Vec<_>>(), ["T-0", "T-1", "T-2"]);
    assert_eq!(events[2].occurred_at.0, 1_763_366_400_002);
    assert_eq!(events[0].message.as_ref().map(|message| &*message.body), Some("Where is my parcel?"));

    std::fs::write(&file, &whole[..whole.len() - 20]).expect("written");
    let cut: Vec<_> = open(&options(&file)).expect("a container").collect();
    let last = cut.last().expect("something").as_ref().expect_err("cut short");
    assert!(last.why.ends_with("nothing after it can be read"), "{last}");
}
