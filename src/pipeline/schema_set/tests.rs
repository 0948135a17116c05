//! Values of ours, damaged ones, and ones from the future; and that structs and schemas agree.

use std::fmt::Debug;

use proptest::prelude::*;

use super::*;
use crate::domain::event::SupportEvent;
use crate::domain::identity::BodyHash;
use crate::domain::samples::{self, full_event, sparse_event};

const EVENT_ID: u32 = 1;

fn schemas() -> SchemaSet {
    SchemaSet::numbered()
}

fn read(value: &[u8]) -> Result<SupportEvent, ReadError> {
    schemas().read("SupportEvent", value)
}

fn framed(id: u32, datum: &[u8]) -> Vec<u8> {
    [&[MAGIC], id.to_be_bytes().as_slice(), datum].concat()
}

fn malformed(value: &[u8]) -> String {
    match read(value) {
        Err(ReadError::Malformed { reason, .. }) => reason,
        other => panic!("expected a malformed value, got {other:?}"),
    }
}

fn json_with(old: &str, new: &str) -> Vec<u8> {
    let text = String::from_utf8(schemas().write("SupportEvent", &full_event(), Encoding::Json)).expect("JSON is text");
    assert!(text.contains(old), "{old} is not in the sample");
    text.replacen(old, new, 1).into_bytes()
}

#[test]
fn what_is_no_value_of_ours_says_what_it_is_instead() {
    assert_eq!(read(b""), Err(ReadError::Empty));
    assert_eq!(read(b"   "), Err(ReadError::Unframed(b' ')));
    assert_eq!(read(b"hello"), Err(ReadError::Unframed(b'h')));
    assert_eq!(read(b"[{}]"), Err(ReadError::Unframed(b'[')));
    assert_eq!(read(&[MAGIC]), Err(ReadError::NoId(1)));
    assert_eq!(read(&[MAGIC, 0, 0, 1]), Err(ReadError::NoId(4)));
    assert_eq!(read(&framed(9_999, b"")), Err(ReadError::UnknownSchema(9_999)));
    let decision = schemas().write("TriageDecision", &samples::decision(), Encoding::Avro);
    assert_eq!(
        read(&decision).map_err(|error| error.to_string()),
        Err("the value is a TriageDecision.v1 (schema id 3), not a SupportEvent".to_owned())
    );
}

#[test]
fn only_an_unknown_id_is_an_unknown_schema() {
    assert_eq!(ReadError::UnknownSchema(9).code(), ReasonCode::UnknownSchema);
    for error in [ReadError::Empty, ReadError::Unframed(1), ReadError::NoId(1)] {
        assert_eq!(error.code(), ReasonCode::DecodeFailed);
    }
}

#[test]
fn an_id_that_no_registry_can_have_is_unknown_without_asking() {
    let schemas = SchemaSet::with_registry();
    let read = |id| schemas.read::<SupportEvent>("SupportEvent", &framed(id, b"x"));
    assert_eq!(read(2_147_483_647), Err(ReadError::NotYetKnown(2_147_483_647)));
    for id in [2_147_483_648, 4_000_000_000, u32::MAX] {
        assert_eq!(read(id), Err(ReadError::UnknownSchema(id)));
    }
}

#[test]
fn a_datum_cut_short_anywhere_is_an_error() {
    for event in [full_event(), sparse_event()] {
        for encoding in [Encoding::Avro, Encoding::Json] {
            let whole = schemas().write("SupportEvent", &event, encoding);
            for end in 0..whole.len() {
                assert!(read(&whole[..end]).is_err(), "{end} of {} bytes were enough ({encoding:?})", whole.len());
            }
        }
    }
}

#[test]
fn bytes_after_the_value_are_an_error() {
    let mut avro = schemas().write("SupportEvent", &full_event(), Encoding::Avro);
    avro.push(0);
    assert_eq!(malformed(&avro), "bytes left over after the datum: 1");
    let mut json = schemas().write("SupportEvent", &full_event(), Encoding::Json);
    json.extend(b"\n ");
    assert_eq!(read(&json), Ok(full_event()), "white space is nothing");
    json.extend(b"{}");
    assert!(malformed(&json).starts_with("trailing characters"), "{}", malformed(&json));
}

#[test]
fn a_length_that_lies_costs_nothing_and_is_an_error() {
    let varint = |mut number: u64| {
        let mut bytes = Vec::new();
        while number > 0x7f {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    };
    let zigzag = |number: i64| varint(((number << 1) ^ (number >> 63)) as u64);
    let whole = schemas().write("SupportEvent", &full_event(), Encoding::Avro);
    let last = [i64::MAX, i64::MIN, i64::MAX / 2, 1 << 40, 1 << 31, 20 << 20, 4 << 20, -1, -(1 << 33)];
    for length in last {
        // In place of the first string's length, and of every other byte: some of them are counts of lists and maps.
        for at in FRAME_BYTES..whole.len() {
            let mut bomb = whole[..at].to_vec();
            bomb.extend(zigzag(length));
            bomb.extend(&whole[at + 1..]);
            if let Ok(event) = read(&bomb) {
                // The byte was part of a text or of a number that may have any value.
                assert_eq!(
                    schemas().read("SupportEvent", &schemas().write("SupportEvent", &event, Encoding::Avro)),
                    Ok(event)
                );
            }
        }
        assert!(read(&framed(EVENT_ID, &zigzag(length))).is_err());
    }
    assert!(read(&framed(EVENT_ID, &[0xff; 64])).is_err(), "a number without end");
    assert_eq!(apache_avro::util::max_allocation_bytes(usize::MAX), 16 << 20, "the cap is ours, not the library's");
}

#[test]
fn a_text_that_is_not_utf_8_is_an_error() {
    let mut avro = schemas().write("SupportEvent", &sparse_event(), Encoding::Avro);
    avro[FRAME_BYTES + 1] = 0xff;
    assert_eq!(malformed(&avro), "at byte 6 of 74: a string is not UTF-8");
    let mut json = json_with("Charged twice", "Charged #wice");
    let at = json.iter().position(|byte| *byte == b'#').expect("it was put there");
    json[at] = 0xff;
    assert!(malformed(&json).starts_with("at ticket.subject: invalid unicode"), "{}", malformed(&json));
    assert!(malformed(&json_with("Charged twice", "\\ud800")).starts_with("at ticket.subject: "));
}

#[test]
fn json_errors_name_the_path_and_never_quote_the_ticket() {
    let cases = [
        (
            r#""ticket_version":7"#,
            r#""ticket_version":"my secret""#,
            "at ticket_version: invalid type: string \"..\", expected i64",
        ),
        (r#""total":2"#, r#""total":3000000000"#, "at change_set.total: invalid value: integer `..`, expected i32"),
        (r#""ticket_version":7"#, r#""ticket_version":1e999"#, "at ticket_version: number out of range"),
        (r#""ticket_version":7"#, r#""ticket_version":NaN"#, "at ticket_version: expected value"),
        (
            r#""ticket_version":7"#,
            r#""ticket_version":7.5"#,
            "at ticket_version: invalid type: floating point `..`, expected i64",
        ),
        (
            r#""tags":["billing","#,
            r#""tags":[["my secret"],"#,
            "at ticket.tags[0]: invalid type: sequence, expected a string",
        ),
        (r#""event_id":"evt-1","#, "", "missing field `event_id`"),
        (r#""event_id":"evt-1","#, r#""event_id":"evt-1","event_id":"evt-2","#, "duplicate field `event_id`"),
        (r#""plan":"pro""#, r#""plan":"pro","plan":"free""#, "at ticket.custom_fields: a key stands twice in a map"),
        (
            r#""is_public":true"#,
            r#""is_public":"yes \"my\" secret""#,
            "at message.is_public: invalid type: string \"..\", expected a boolean",
        ),
        (
            r#""plan":"pro""#,
            r#""card":4111111111111111"#,
            "at ticket.custom_fields: invalid type: integer `..`, expected a string",
        ),
        (
            r#""body":"#,
            r#""body":4111111111111111,"dataref":"#,
            "at message.body: invalid type: integer `..`, expected a string",
        ),
        (
            r#""event_id":"evt-1","#,
            r#""event_id":"evt-1","jane@secret.example":[[{"x":{"jane@secret.example":]}}]],"#,
            "expected value",
        ),
        (
            r#""event_id":"#,
            r#""context":{"jane@secret.example":true},"event_id":"#,
            "at context: invalid type: boolean `..`",
        ),
        (r#""priority":"HIGH""#, r#""priority":{"my secret":1}"#, "at ticket.priority: "),
    ];
    for (old, new, expected) in cases {
        let reason = malformed(&json_with(old, new));
        assert!(reason.starts_with(expected), "{new}: {reason}");
        assert!(!reason.contains("secret") && !reason.contains("4111"), "{reason}");
    }
}

#[test]
fn a_map_that_names_a_key_twice_is_refused_in_avro_as_well() {
    let mut avro = schemas().write("SupportEvent", &full_event(), Encoding::Avro);
    let region = avro.windows(6).position(|six| six == b"region").expect("a key of custom_fields");
    avro.splice(region - 1..region + 6, [8, b'p', b'l', b'a', b'n']);
    assert!(malformed(&avro).ends_with("a key stands twice in a map"), "{}", malformed(&avro));
}

#[test]
fn a_thousand_brackets_are_an_error_and_no_stack_overflow() {
    for deep in ["[".repeat(100_000), r#"{"a":"#.repeat(100_000)] {
        assert!(read(&json_with(r#""tags":["#, &format!(r#""tags":[{deep}"#))).is_err());
        assert!(read(&json_with(r#""event_id":"#, &format!(r#""unknown":{deep},"event_id":"#))).is_err());
    }
}

#[test]
fn fields_and_symbols_from_the_future_do_not_stop_an_old_reader() {
    let event = read(&json_with(r#""event_type":"MESSAGE_ADDED""#, r#""new":{"a":[1,{}]},"event_type":"TELEPORTED""#));
    let mut expected = full_event();
    expected.event_type = crate::domain::event::EventType::Unknown;
    assert_eq!(event, Ok(expected));
}

#[test]
fn priorities_are_accepted_in_the_words_of_other_systems() {
    use crate::domain::event::Priority::{High, Low, Normal, Unknown, Urgent};
    for (word, priority) in [
        ("critical", Urgent),
        ("CRITICAL", Urgent),
        ("urgent", Urgent),
        ("high", High),
        ("medium", Normal),
        ("MEDIUM", Normal),
        ("normal", Normal),
        ("low", Low),
        ("whenever", Unknown),
    ] {
        let event = read(&json_with(r#""priority":"HIGH""#, &format!(r#""priority":"{word}""#))).expect("readable");
        assert_eq!(event.ticket.priority, Some(priority), "{word}");
    }
}

#[test]
fn white_space_before_json_is_allowed() {
    assert_eq!(read(&json_with("{", "\r\n\t {")), Ok(full_event()));
}

/// Every record's struct has the shape of its schema: nothing is lost on the way, in either encoding.
#[test]
fn every_record_survives_both_encodings_and_is_written_the_same_each_time() {
    fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(record: &str, value: T) {
        for encoding in [Encoding::Avro, Encoding::Json] {
            let bytes = schemas().write(record, &value, encoding);
            assert_eq!(bytes, schemas().write(record, &value, encoding), "{record}");
            assert_eq!(encoding_of(&bytes), encoding, "{record}");
            assert_eq!(schemas().read::<T>(record, &bytes).as_ref(), Ok(&value), "{record}");
        }
    }
    survives("SupportEvent", full_event());
    survives("SupportEvent", sparse_event());
    survives("TriageDecision", samples::decision());
    survives("EventFeedback", samples::feedback());
    survives("DeadLetter", samples::dead_letter());
    survives("OpsEvent", samples::ops_event());
    survives("HumanFeedback", samples::human_feedback());
    survives("DecisionReview", samples::review());
}

/// What serde takes for a missing field is what the schema says it is.
#[test]
fn the_defaults_of_the_structs_are_the_defaults_of_the_schemas() {
    fn keys_with_default<'a>(schema: &'a apache_avro::Schema, found: &mut Vec<(&'a str, &'a serde_json::Value)>) {
        let apache_avro::Schema::Record(record) = schema else { return };
        for field in &record.fields {
            match &field.default {
                Some(default) => found.push((&field.name, default)),
                None => keys_with_default(&field.schema, found),
            }
        }
    }
    fn flat(value: &serde_json::Value) -> Vec<(&str, &serde_json::Value)> {
        let Some(object) = value.as_object() else { return Vec::new() };
        object.iter().flat_map(|(key, value)| std::iter::once((key.as_str(), value)).chain(flat(value))).collect()
    }
    fn agree<T: Serialize + DeserializeOwned>(record: &str, required: &str) {
        let schema = &RELEASED.iter().find(|released| released.record == record).expect("in the table").schema;
        let value: T = schemas().read(record, required.as_bytes()).expect("only optional fields are missing");
        let value = serde_json::to_value(value).expect("plain data");
        let mut expected = Vec::new();
        keys_with_default(schema, &mut expected);
        assert!(!expected.is_empty());
        for pair in expected {
            assert!(flat(&value).contains(&pair), "{record}.{} is not {} when it is missing", pair.0, pair.1);
        }
    }
    use crate::domain::{dead_letter, decision, feedback, human_feedback, ops_event, review};
    let origin = r#""origin":{"topic":"t","partition":0,"offset":0,"timestamp":0}"#;
    agree::<SupportEvent>("SupportEvent", samples::SPARSE_EVENT);
    agree::<decision::TriageDecision>(
        "TriageDecision",
        &format!(
            r#"{{"decision_id":"d","event_id":"e","event_source":"s","tenant_id":"t","ticket_id":"t","decided_at":0,
                "risk":{{"score":0}},"safety":{{}},"rationale":"","policy":{{"policy_id":"","policy_version":"",
                "taxonomy_version":"","prompt_version":""}},{origin}}}"#
        ),
    );
    agree::<feedback::EventFeedback>(
        "EventFeedback",
        &format!(
            r#"{{"terminal":true,"reason_code":"DECIDED","processed_at":0,"latency_ms":0,"processor":"","limit":null,{origin}}}"#
        ),
    );
    agree::<dead_letter::DeadLetter>(
        "DeadLetter",
        r#"{"dead_letter_id":"","origin_topic":"","origin_partition":0,"origin_offset":0,"origin_timestamp":0,
            "reason_code":"","reason":"","attempts":1,"first_failed_at":0,"last_failed_at":0,"replayable":true,
            "consumer_group":"","processor":""}"#,
    );
    agree::<ops_event::OpsEvent>("OpsEvent", r#"{"ops_event_id":"","at":0,"processor":""}"#);
    agree::<human_feedback::HumanFeedback>(
        "HumanFeedback",
        r#"{"feedback_id":"","source":"","tenant_id":"","ticket_id":"","occurred_at":0,"actor":{}}"#,
    );
    agree::<review::DecisionReview>(
        "DecisionReview",
        &format!(
            r#"{{"review_id":"","feedback_id":"","tenant_id":"","ticket_id":"","kind":"","joined_at":0,{origin}}}"#
        ),
    );
}

#[test]
fn the_table_of_ids_must_fit_the_schemas() {
    let released: Vec<&'static Released> = RELEASED.iter().collect();
    let ids = |change: fn(&mut BTreeMap<String, u32>)| {
        let mut ids = RELEASED.iter().zip(1..).map(|(released, id)| (released.name(), id)).collect();
        change(&mut ids);
        SchemaSet::of(&released, &ids).err()
    };
    let error = ids(|ids| ids.extend([("SupportEvent.v9".to_owned(), 77)]));
    assert_eq!(error, Some(IdsError::UnknownName("SupportEvent.v9".to_owned())));
    let error = ids(|ids| ids.retain(|name, _| name != "OpsEvent.v2"));
    assert_eq!(error, Some(IdsError::Missing("OpsEvent.v2".to_owned())));
    let error = ids(|ids| ids.extend([("DeadLetter.v1".to_owned(), 1)]));
    let (one, other) = ("DeadLetter.v1".to_owned(), "SupportEvent.v1".to_owned());
    assert_eq!(error, Some(IdsError::Shared { id: 1, one, other }));
}

proptest! {
    #[test]
    fn any_event_survives_both_encodings(event in samples::any_event()) {
        for encoding in [Encoding::Avro, Encoding::Json] {
            let again = read(&schemas().write("SupportEvent", &event, encoding)).expect("we wrote it");
            prop_assert_eq!(BodyHash::of_event(&again), BodyHash::of_event(&event), "a retry is the same event");
            prop_assert_eq!(again, event.clone());
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for value in [bytes.clone(), framed(EVENT_ID, &bytes), [b"{".as_slice(), &bytes].concat()] {
            prop_assert!(read(&value).is_err());
        }
    }

    #[test]
    fn a_damaged_value_is_read_as_something_or_refused(
        event in samples::any_event(),
        avro in any::<bool>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut value = schemas().write("SupportEvent", &event, if avro { Encoding::Avro } else { Encoding::Json });
        for (at, byte) in damage {
            let at = at.index(value.len());
            value[at] = byte;
        }
        let at = cut.index(value.len());
        let spliced = [&value[..at], &value[at / 2..]].concat();
        for value in [value, spliced] {
            if let Ok(event) = read(&value) {
                prop_assert_eq!(read(&schemas().write("SupportEvent", &event, Encoding::Avro)), Ok(event));
            }
        }
    }
}
