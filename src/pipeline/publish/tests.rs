//! What goes out for each kind of verdict, byte for byte where others rely on it.

use crate::domain::dead_letter::{DeadLetter, Stage};
use crate::domain::feedback::Violation;
use crate::domain::identity::{BodyHash, DedupeKey, hex};
use crate::domain::reason_code::{ReasonCode, STATUS_AND_CODES};
use crate::domain::record::Header;
use crate::domain::redrive::Redrive;
use crate::domain::samples::{NOON, decision, full_event, ops_event};

use std::time::Duration;

use super::*;
use crate::domain::verdict::SavedDecision;

const ORIGIN: &str = "support.events.v1-3-4711";

fn publisher(encoding: Encoding) -> Publisher {
    let name = |text: &str| text.to_owned();
    let schemas = Arc::new(SchemaSet::numbered());
    Publisher::new(schemas, encoding, name("gatekeeper-0 / 0.1.0"), name("triage"), name("/gatekeeper"))
}

fn record() -> Record {
    Record {
        offset: 4_711,
        timestamp: NOON,
        key: Some(Payload::from_static(b"odd key")),
        value: Some(Payload::from_static(&[0, 0xff, 0x80, b'{'])),
        headers: vec![
            Header::text("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            Header::text("tracestate", "vendor=1"),
            Header { name: "nothing".into(), value: None },
        ],
    }
}

fn source<'a>(record: &'a Record, event: Option<&'a SupportEvent>) -> Source<'a> {
    let identity = |event| Identity { key: DedupeKey::of_event(event), body: BodyHash::of_event(event) };
    let subject = event.map(|event| Subject::Event(event, identity(event)));
    Source { topic: "support.events.v1", partition: 3, record, subject, schema_id: Some(1) }
}

fn verdict(status: FeedbackStatus, code: ReasonCode) -> Verdict {
    Verdict { reason: Some("because".to_owned()), ..Verdict::of(status, code, NOON, Timestamp(NOON.0 + 250)) }
}

fn accepted() -> Verdict {
    let decision = decision();
    let bytes = publisher(Encoding::Avro).encode_decision(&decision);
    let saved = SavedDecision { id: decision.decision_id, version: decision.decision_version, bytes };
    Verdict { decision: Some(saved), ..verdict(FeedbackStatus::Accepted, ReasonCode::Decided) }
}

fn header(record: &OutRecord, name: &str) -> Option<String> {
    let mut values = record.headers.iter().filter(|header| &*header.name == name);
    let value = values.next()?.value.as_deref().map(|value| String::from_utf8_lossy(value).into_owned());
    assert_eq!(values.next(), None, "{name} stands twice");
    value
}

fn read<T: serde::de::DeserializeOwned>(record: &str, out: &OutRecord) -> T {
    SchemaSet::numbered().read(record, out.value.as_deref().expect("outputs have values")).expect("we wrote it")
}

fn topics(records: &[OutRecord]) -> Vec<TopicRole> {
    records.iter().map(|record| record.topic).collect()
}

#[test]
fn every_status_has_its_records_and_all_stay_in_the_partition() {
    let (record, event) = (record(), full_event());
    for (status, codes) in STATUS_AND_CODES {
        for code in *codes {
            let decided = matches!(status, FeedbackStatus::Accepted | FeedbackStatus::Degraded);
            let verdict =
                if decided { Verdict { status: *status, code: *code, ..accepted() } } else { verdict(*status, *code) };
            let records = publisher(Encoding::Avro).terminal(&source(&record, Some(&event)), &verdict);
            let expected = match status {
                _ if decided => vec![TopicRole::Decisions, TopicRole::Feedback],
                FeedbackStatus::Rejected => vec![TopicRole::Feedback, TopicRole::DeadLetters],
                _ => vec![TopicRole::Feedback],
            };
            assert_eq!(topics(&records), expected, "{code}");
            assert!(records.iter().all(|record| record.partition == 3));
        }
    }
}

#[test]
fn the_saved_decision_goes_out_byte_for_byte_whatever_the_setting_says_now() {
    let (record, event, verdict) = (record(), full_event(), accepted());
    let records = publisher(Encoding::Json).terminal(&source(&record, Some(&event)), &verdict);
    let saved = &verdict.decision.as_ref().expect("it is accepted").bytes.0;
    assert_eq!(records[0].value.as_deref(), Some(saved.as_slice()));
    assert_eq!(header(&records[0], "content-type").as_deref(), Some("application/avro"));
    assert_eq!(header(&records[1], "content-type").as_deref(), Some("application/json"));
    assert_eq!(records[1].value.as_deref().and_then(|value| value.first()), Some(&b'{'));
}

#[test]
fn the_same_inputs_give_the_same_records() {
    let (record, event) = (record(), full_event());
    for encoding in [Encoding::Avro, Encoding::Json] {
        for verdict in [accepted(), verdict(FeedbackStatus::Rejected, ReasonCode::TenantUnknown)] {
            let once = publisher(encoding).terminal(&source(&record, Some(&event)), &verdict);
            let again = publisher(encoding).terminal(&source(&record.clone(), Some(&event.clone())), &verdict);
            assert_eq!(once, again);
        }
    }
}

#[test]
fn the_envelope_says_what_the_body_says() {
    let (record, event) = (record(), full_event());
    let records = publisher(Encoding::Avro).terminal(&source(&record, Some(&event)), &accepted());
    for out in &records {
        assert_eq!(out.key.as_deref(), Some(b"acme|4711".as_slice()));
        let body = BodyHash::of_event(&event);
        for (name, value) in [
            ("ce_specversion", "1.0"),
            ("ce_source", "/gatekeeper"),
            ("ce_time", "2026-03-31T12:00:00.250Z"),
            ("ce_partitionkey", "acme|4711"),
            ("ce_subject", "4711"),
            ("ce_correlationid", "corr-1"),
            ("ce_causationid", "evt-1"),
            ("content-type", "application/avro"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("tracestate", "vendor=1"),
            ("gk-origin", ORIGIN),
            ("gk-dedupe-key", &DedupeKey::of_event(&event).to_hex()),
            ("gk-body-hash", &format!("1:{}", hex(&body.sha256))),
        ] {
            assert_eq!(header(out, name).as_deref(), Some(value), "{name}");
        }
    }
    assert_eq!(header(&records[0], "ce_id"), Some(decision().decision_id));
    assert_eq!(header(&records[0], "ce_type").as_deref(), Some("io.aigatekeeper.v1.TriageDecision"));
    assert_eq!(header(&records[1], "ce_type").as_deref(), Some("io.aigatekeeper.v1.EventFeedback"));
}

#[test]
fn feedback_has_one_id_for_each_record_read() {
    let (record, event) = (record(), full_event());
    let id_at = |topic, partition, offset| {
        let record = Record { offset, ..record.clone() };
        let source = Source { topic, partition, ..source(&record, Some(&event)) };
        let verdict = verdict(FeedbackStatus::Duplicate, ReasonCode::SameEvent);
        header(&publisher(Encoding::Avro).terminal(&source, &verdict)[0], "ce_id").expect("every output has an id")
    };
    assert_eq!(id_at("t", 1, 12), id_at("t", 1, 12));
    assert_ne!(id_at("t", 1, 12), id_at("t", 11, 2));
    assert_ne!(id_at("t", 1, 12), id_at("t", 1, 13));
    assert_ne!(id_at("t", 1, 12), id_at("u", 1, 12));
}

#[test]
fn feedback_tells_the_whole_story() {
    let (record, event) = (record(), full_event());
    let duplicate = Verdict {
        first_decision_id: Some("first".to_owned()),
        first_seen_at: Some(NOON),
        ..verdict(FeedbackStatus::Duplicate, ReasonCode::SameEvent)
    };
    let records = publisher(Encoding::Avro).terminal(&source(&record, Some(&event)), &duplicate);
    let feedback: EventFeedback = read("EventFeedback", &records[0]);
    assert_eq!(feedback.decision_id.as_deref(), Some("first"));
    assert_eq!((feedback.first_seen_at, feedback.decision_version), (Some(NOON), None));
    assert_eq!((feedback.event_id.as_deref(), feedback.tenant_id.as_deref()), (Some("evt-1"), Some("acme")));
    assert!(feedback.terminal && !feedback.dead_lettered);
    assert_eq!((feedback.processed_at, feedback.latency_ms), (Timestamp(NOON.0 + 250), 250));
    assert_eq!((feedback.origin.partition, feedback.origin.offset), (3, 4_711));

    let records = publisher(Encoding::Avro).terminal(&source(&record, Some(&event)), &accepted());
    let feedback: EventFeedback = read("EventFeedback", &records[1]);
    assert_eq!((feedback.decision_id, feedback.decision_version), (Some(decision().decision_id), Some(2)));
}

#[test]
fn an_unreadable_record_keeps_its_key_and_names_no_event() {
    let record = record();
    let verdict = verdict(FeedbackStatus::Rejected, ReasonCode::DecodeFailed);
    let records = publisher(Encoding::Avro).terminal(&source(&record, None), &verdict);
    assert_eq!(topics(&records), [TopicRole::Feedback, TopicRole::DeadLetters]);
    for out in &records {
        assert_eq!(out.key, record.key);
        assert_eq!(header(out, "gk-origin").as_deref(), Some(ORIGIN));
        assert_eq!((header(out, "gk-dedupe-key"), header(out, "ce_subject")), (None, None));
    }
    let feedback: EventFeedback = read("EventFeedback", &records[0]);
    assert_eq!((feedback.event_id, feedback.tenant_id, feedback.dead_lettered), (None, None, true));
}

#[test]
fn a_dead_letter_is_the_record_untouched_with_its_reason() {
    let (record, event) = (record(), full_event());
    let violation = |path: &str| Violation { path: path.into(), code: "EMPTY".into(), message: "must not be".into() };
    let verdict = Verdict {
        violations: vec![violation("a"), violation("b")],
        ..verdict(FeedbackStatus::Rejected, ReasonCode::ValidationFailed)
    };
    for encoding in [Encoding::Avro, Encoding::Json] {
        let out = publisher(encoding).terminal(&source(&record, Some(&event)), &verdict).remove(1);
        assert_eq!(out.key, record.key, "the original key, not the event's");
        assert_eq!(header(&out, "ce_id").as_deref(), Some(ORIGIN));
        let letter: DeadLetter = read("DeadLetter", &out);
        assert_eq!(letter.dead_letter_id, ORIGIN);
        assert_eq!(letter.value.map(|bytes| bytes.0), record.value.as_ref().map(|value| value.to_vec()));
        assert_eq!(letter.key.map(|bytes| bytes.0), Some(b"odd key".to_vec()));
        assert_eq!(letter.headers.len(), 3);
        assert_eq!((letter.headers[2].name.as_str(), &letter.headers[2].value), ("nothing", &None));
        assert_eq!(letter.detail.as_deref(), Some("a: must not be (EMPTY)\nb: must not be (EMPTY)"));
        assert_eq!((letter.stage, letter.replayable, letter.attempts), (Stage::Ingest, true, 1));
        assert_eq!((letter.first_failed_at, letter.last_failed_at), (verdict.processed_at, verdict.processed_at));
        assert_eq!((letter.schema_id, letter.value_sha256), (Some(1), None));
        assert_eq!(letter.consumer_group, "triage");
    }
}

#[test]
fn a_record_that_was_sent_again_is_the_same_dead_letter_once_more_and_its_outputs_name_it() {
    let first = Redrive { dead_letter_id: "events-3-11".to_owned(), count: 2, first_failed_at: Timestamp(1_000) };
    let record = Record { headers: first.headers(record().headers), ..record() };
    let verdict = verdict(FeedbackStatus::Rejected, ReasonCode::DecodeFailed);
    let outputs = publisher(Encoding::Avro).terminal(&source(&record, None), &verdict);
    assert!(outputs.iter().all(|out| header(out, "redrive-dead-letter").as_deref() == Some("events-3-11")));
    assert_eq!(header(&outputs[1], "ce_id").as_deref(), Some(ORIGIN), "another record than the first one");
    let letter: DeadLetter = read("DeadLetter", &outputs[1]);
    assert_eq!((&*letter.dead_letter_id, letter.replay_count, letter.attempts), ("events-3-11", 2, 3));
    assert_eq!((letter.first_failed_at, letter.last_failed_at), (Timestamp(1_000), verdict.processed_at));
    assert_eq!(letter.origin_offset, 4711, "where it stands now");

    let later = Redrive { first_failed_at: verdict.processed_at.after(Duration::from_secs(1)), ..first };
    let record = Record { headers: later.headers([]), ..record };
    let outputs = publisher(Encoding::Avro).terminal(&source(&record, None), &verdict);
    let letter: DeadLetter = read("DeadLetter", &outputs[1]);
    assert_eq!(letter.first_failed_at, verdict.processed_at, "anybody may write such a header");
}

#[test]
fn only_what_can_end_otherwise_is_replayable() {
    let (record, event) = (record(), full_event());
    for (code, stage, replayable) in [
        (ReasonCode::DecodeFailed, Stage::Ingest, true),
        (ReasonCode::UnknownSchema, Stage::Ingest, true),
        (ReasonCode::ValidationFailed, Stage::Ingest, true),
        (ReasonCode::EnvelopeMismatch, Stage::Ingest, true),
        (ReasonCode::TenantUnknown, Stage::Ingest, true),
        (ReasonCode::TenantDisabled, Stage::Ingest, true),
        (ReasonCode::PayloadTooLarge, Stage::Ingest, false),
        (ReasonCode::IdempotencyConflict, Stage::Dedupe, false),
    ] {
        let verdict = verdict(FeedbackStatus::Rejected, code);
        let records = publisher(Encoding::Avro).terminal(&source(&record, Some(&event)), &verdict);
        let letter: DeadLetter = read("DeadLetter", &records[1]);
        assert_eq!((letter.stage, letter.replayable), (stage, replayable), "{code}");
    }
}

#[test]
fn no_output_is_too_large_for_the_log_whatever_made_the_record_large() {
    const ROOM: usize = 1_000_000;
    let large = |bytes| Some(Payload::from(vec![b'x'; bytes]));
    let flood = || vec![Header { name: "flood".into(), value: large(600_000) }];
    let sha256 = |bytes: &[u8]| hex(&<sha2::Sha256 as sha2::Digest>::digest(bytes));
    // What stays of value, headers, the key inside and the key outside.
    let cases = [
        (Record { value: large(600_000), ..record() }, [true, true, true, true]),
        (Record { value: large(1_000_000), ..record() }, [false, true, true, true]),
        (Record { value: large(500_000), headers: flood(), ..record() }, [false, true, true, true]),
        (Record { value: large(500_000), key: large(600_000), ..record() }, [false, false, false, true]),
        (Record { value: large(10), headers: flood(), key: large(400_000), ..record() }, [false, false, false, true]),
        (Record { value: large(10), key: large(1_000_000), ..record() }, [false, false, false, false]),
    ];
    for encoding in [Encoding::Avro, Encoding::Json] {
        let mut publisher = publisher(encoding);
        publisher.limit(ROOM);
        for (record, [value, headers, key_inside, key]) in &cases {
            let verdict = verdict(FeedbackStatus::Rejected, ReasonCode::DecodeFailed);
            let outputs = publisher.terminal(&source(record, None), &verdict);
            assert_eq!(outputs.len(), 2);
            assert!(outputs.iter().all(|out| out.bytes() <= ROOM));
            let letter: DeadLetter = read("DeadLetter", &outputs[1]);
            let kept =
                [letter.value.is_some(), !letter.headers.is_empty(), letter.key.is_some(), outputs[1].key.is_some()];
            assert_eq!(kept, [*value, *headers, *key_inside, *key], "{encoding:?}");
            assert_eq!(letter.replayable, *value, "what is not there cannot be sent again");
            let says_of_headers = letter.detail.as_ref().is_some_and(|detail| detail.contains("headers of"));
            assert_eq!(says_of_headers, !headers);
            let original = record.value.as_deref().expect("set");
            assert_eq!(letter.value_sha256, (!value).then(|| sha256(original)));
            assert_eq!(letter.dead_letter_id, source(record, None).position());
            if !key {
                let key = sha256(record.key.as_deref().expect("set"));
                assert!(letter.detail.is_some_and(|detail| detail.contains(&key)));
            }
        }
    }
}

#[test]
fn a_header_never_carries_what_is_too_long_for_one() {
    let event = SupportEvent { correlation_id: Some("c".repeat(100_000)), ..full_event() };
    let mut record = record();
    record.headers = vec![Header::text("tracestate", &"t".repeat(100_000))];
    let verdict = verdict(FeedbackStatus::Rejected, ReasonCode::ValidationFailed);
    for out in publisher(Encoding::Avro).terminal(&source(&record, Some(&event)), &verdict) {
        assert_eq!((header(&out, "ce_correlationid"), header(&out, "tracestate")), (None, None));
    }
}

#[test]
fn a_chain_of_causes_begins_with_its_first_event() {
    let (record, event) = (record(), SupportEvent { correlation_id: None, ..full_event() });
    let records = publisher(Encoding::Avro).terminal(&source(&record, Some(&event)), &accepted());
    assert_eq!(header(&records[0], "ce_correlationid").as_deref(), Some("evt-1"));
}

#[test]
fn an_ops_event_is_keyed_by_its_tenant() {
    let out = publisher(Encoding::Avro).ops_event(&ops_event(), 5);
    assert_eq!((out.topic, out.partition, out.key.as_deref()), (TopicRole::Ops, 5, Some(b"acme".as_slice())));
    assert_eq!(header(&out, "ce_id").as_deref(), Some("ops-1"));
    assert_eq!(read::<OpsEvent>("OpsEvent", &out), ops_event());
}

#[test]
fn an_event_of_ours_is_keyed_by_its_ticket_and_speaks_for_its_source() {
    for encoding in [Encoding::Avro, Encoding::Json] {
        let out = publisher(encoding).event(&full_event(), 2);
        assert_eq!((out.topic, out.partition), (TopicRole::Events, 2));
        assert_eq!(out.key.as_deref(), Some(b"acme|4711".as_slice()));
        for (name, value) in [
            ("ce_id", "evt-1"),
            ("ce_source", "/zendesk/acme"),
            ("ce_subject", "4711"),
            ("ce_partitionkey", "acme|4711"),
            ("ce_correlationid", "corr-1"),
            ("ce_causationid", "cause-1"),
        ] {
            assert_eq!(header(&out, name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(read::<SupportEvent>("SupportEvent", &out), full_event());
    }
}
