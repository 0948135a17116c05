//! Records as publishers send them, well and badly made, and what is read from each.

use proptest::prelude::*;

use super::*;
use crate::domain::clock::Timestamp;
use crate::domain::event::{ChangeSet, EventType};
use crate::domain::record::{Header, Payload};
use crate::domain::samples::{NOON, any_event, decision, full_event, sparse_event};
use crate::settings::schemas::Encoding;

const MAX_PAYLOAD_BYTES: usize = 4_000;

fn schemas() -> SchemaSet {
    SchemaSet::numbered()
}

fn tenant(id: &str, enabled: bool) -> Tenant {
    serde_json::from_value(serde_json::json!({"id": id, "enabled": enabled})).expect("the rest has defaults")
}

pub(super) fn ingest_with(reject_foreign_keys: bool) -> Ingest {
    let book = TenantBook::new(vec![tenant("acme", true), tenant("closed", false)], None);
    Ingest::new(Arc::new(schemas()), watch::channel(Arc::new(book)).1, MAX_PAYLOAD_BYTES, reject_foreign_keys)
}

pub(super) fn record(value: Option<Vec<u8>>) -> Record {
    Record {
        offset: 7,
        timestamp: NOON,
        key: Some(Payload::from_static(b"acme|4711")),
        value: value.map(Payload::from),
        headers: Vec::new(),
    }
}

fn record_of(event: &SupportEvent) -> Record {
    record(Some(schemas().write("SupportEvent", event, Encoding::Avro)))
}

fn read(record: &Record) -> Ingested {
    ingest_with(false).read(record)
}

fn arrival(record: &Record) -> Arrival {
    match read(record) {
        Ingested::Event(arrival) => arrival,
        other => panic!("no event: {other:?}"),
    }
}

fn unreadable(record: &Record) -> Rejection {
    match read(record) {
        Ingested::Event(arrival) => panic!("read {arrival:?}"),
        Ingested::Unreadable(rejection) => rejection,
        other @ (Ingested::NotYetKnown { .. } | Ingested::Feedback(_)) => panic!("{other:?}"),
    }
}

fn rejection(record: &Record) -> Rejection {
    arrival(record).rejection.expect("it should have been rejected")
}

/// What is wrong with the full event after `change`, as `path CODE`.
fn findings(change: impl FnOnce(&mut SupportEvent)) -> Vec<String> {
    let mut event = full_event();
    change(&mut event);
    match read(&Record { key: None, ..record_of(&event) }) {
        Ingested::Event(Arrival { rejection: None, .. }) => Vec::new(),
        Ingested::Event(Arrival { rejection: Some(rejection), .. }) | Ingested::Unreadable(rejection) => {
            assert_eq!(rejection.code, ReasonCode::ValidationFailed);
            rejection.violations.iter().map(|violation| format!("{} {}", violation.path, violation.code)).collect()
        }
        other @ (Ingested::NotYetKnown { .. } | Ingested::Feedback(_)) => panic!("{other:?}"),
    }
}

#[test]
fn a_record_without_a_value_is_unreadable() {
    let tombstone = unreadable(&record(None));
    assert_eq!(tombstone.code, ReasonCode::DecodeFailed);
    assert_eq!(tombstone.reason, "the record has no value (a tombstone)");
    let empty = unreadable(&record(Some(Vec::new())));
    assert_eq!((empty.code, empty.reason.as_str()), (ReasonCode::DecodeFailed, "the value is empty"));
}

#[test]
fn a_record_whose_copy_would_not_fit_because_of_its_headers_is_too_large() {
    let mut large = record(Some(vec![b'?']));
    large.key = Some(vec![b'k'; 100].into());
    large.headers = vec![Header { name: "x".into(), value: Some(vec![b'x'; MAX_PAYLOAD_BYTES / 4 - 165].into()) }];
    assert_eq!(unreadable(&large).code, ReasonCode::DecodeFailed, "the bound itself is allowed");
    large.headers.push(Header { name: "y".into(), value: None });
    let rejection = unreadable(&large);
    assert_eq!(rejection.code, ReasonCode::PayloadTooLarge);
    assert_eq!(rejection.reason, "key and headers have 1065 bytes, 1000 are allowed");
}

#[test]
fn headers_that_hold_nothing_are_too_large_where_there_are_thousands() {
    let book = watch::channel(Arc::new(TenantBook::new(vec![tenant("acme", true)], None))).1;
    let ingest = Ingest::new(Arc::new(schemas()), book, 1 << 20, false);
    let mut flood = record_of(&full_event());
    flood.headers = vec![Header { name: "".into(), value: None }; 5_000];
    match ingest.read(&flood) {
        Ingested::Unreadable(rejection) => assert_eq!(rejection.code, ReasonCode::PayloadTooLarge),
        other => panic!("{other:?}"),
    }
    flood.headers.truncate(4_000);
    assert!(matches!(ingest.read(&flood), Ingested::Event(_)));
}

#[test]
fn headers_that_cannot_be_taken_apart_are_not_the_same_as_none() {
    let mut flood = record_of(&full_event());
    flood.headers = vec![Header::text(HEADERS_UNREADABLE, "Local: Bad message format")];
    let rejection = unreadable(&flood);
    assert_eq!((rejection.code, rejection.violations.len()), (ReasonCode::DecodeFailed, 0));
    assert_eq!(rejection.reason, "the record has headers that cannot be taken apart");
}

#[test]
fn a_value_that_is_too_large_is_not_even_decoded() {
    let mut value = vec![0, 0, 0, 0, 1];
    value.resize(MAX_PAYLOAD_BYTES + 1, b'x');
    let rejection = unreadable(&record(Some(value.clone())));
    assert_eq!(rejection.code, ReasonCode::PayloadTooLarge);
    assert_eq!(rejection.reason, "the value has 4001 bytes, 4000 are allowed");
    assert_eq!(rejection.schema_id, Some(1));
    value.pop();
    assert_eq!(unreadable(&record(Some(value))).code, ReasonCode::DecodeFailed, "the bound itself is allowed");
}

#[test]
fn the_schema_id_is_kept_whatever_becomes_of_the_value() {
    let unknown = unreadable(&record(Some(vec![0, 0, 0, 3, 9, 1, 2])));
    assert_eq!((unknown.code, unknown.schema_id), (ReasonCode::UnknownSchema, Some(777)));
    let broken = unreadable(&record(Some(vec![0, 0, 0, 0, 1, 0xff])));
    assert_eq!((broken.code, broken.schema_id), (ReasonCode::DecodeFailed, Some(1)));
    let json = unreadable(&record(Some(b"{}".to_vec())));
    assert_eq!((json.code, json.schema_id), (ReasonCode::DecodeFailed, None));
}

#[test]
fn another_record_on_the_events_topic_is_refused() {
    let rejection = unreadable(&record(Some(schemas().write("TriageDecision", &decision(), Encoding::Avro))));
    assert_eq!(rejection.code, ReasonCode::DecodeFailed);
    assert_eq!(rejection.reason, "the value is a TriageDecision.v1 (schema id 3), not a SupportEvent");
}

#[test]
fn an_event_without_an_identity_is_unreadable() {
    let changes: [fn(&mut SupportEvent); 7] = [
        |event| event.tenant_id.clear(),
        |event| event.tenant_id = "acme|4711".to_owned(),
        |event| event.source.clear(),
        |event| event.event_id.clear(),
        |event| event.event_id = "evt\0".to_owned(),
        |event| event.ticket_id = "4".repeat(257),
        |event| event.idempotency_key = Some(String::new()),
    ];
    for change in changes {
        let mut event = full_event();
        change(&mut event);
        let rejection = unreadable(&record_of(&event));
        assert_eq!(rejection.code, ReasonCode::ValidationFailed);
        assert_eq!(rejection.violations.len(), 1, "{:?}", rejection.violations);
    }
}

#[test]
fn a_header_that_contradicts_the_body_is_an_envelope_mismatch() {
    let agreeing = [
        ("ce_specversion", "1.0"),
        ("ce_id", "evt-1"),
        ("ce_source", "/zendesk/acme"),
        ("ce_subject", "4711"),
        ("ce_partitionkey", "acme|4711"),
        ("ce_time", "whenever"),
    ];
    let with = |headers: &[(&'static str, &str)]| Record {
        headers: headers.iter().map(|&(name, value)| Header::text(name, value)).collect(),
        ..record_of(&full_event())
    };
    assert_eq!(arrival(&with(&agreeing)).rejection, None);
    for (name, _) in &agreeing[..5] {
        // Even beside one that agrees: two readers would pick different ones.
        let rejection = rejection(&with(&[agreeing.as_slice(), &[(name, "0.3")]].concat()));
        assert_eq!(rejection.code, ReasonCode::EnvelopeMismatch);
        let paths: Vec<&str> = rejection.violations.iter().map(|violation| violation.path.as_str()).collect();
        assert_eq!(paths, [format!("header:{name}")]);
    }
    let both = rejection(&with(&[("ce_id", "evt-2"), ("ce_subject", "1")]));
    assert_eq!(both.violations.len(), 2);
    assert_eq!(both.reason, "envelope and body disagree: header:ce_id (MISMATCH) and 1 more");
}

#[test]
fn a_header_that_is_null_says_nothing_and_one_that_is_no_text_contradicts() {
    let with = |value| Record { headers: vec![Header { name: "ce_id".into(), value }], ..record_of(&full_event()) };
    assert_eq!(arrival(&with(None)).rejection, None);
    assert_eq!(rejection(&with(Some(Payload::from_static(&[0xff])))).code, ReasonCode::EnvelopeMismatch);
}

#[test]
fn a_foreign_key_is_marked_or_by_setting_rejected() {
    assert!(!arrival(&record_of(&full_event())).foreign_key);
    for key in [None, Some("4711"), Some("acme|471"), Some("acme|47110"), Some("acme4711"), Some("")] {
        let record = Record { key: key.map(|key| Payload::from(key.to_owned())), ..record_of(&full_event()) };
        let marked = arrival(&record);
        assert!(marked.foreign_key, "{key:?}");
        assert_eq!(marked.rejection, None, "{key:?}");
        let Ingested::Event(Arrival { rejection: Some(rejected), .. }) = ingest_with(true).read(&record) else {
            panic!("{key:?} was let through");
        };
        assert_eq!((rejected.code, rejected.violations[0].path.as_str()), (ReasonCode::EnvelopeMismatch, "key"));
    }
}

#[test]
fn every_rule_names_its_field_and_all_are_reported() {
    let long = "x".repeat(257);
    assert_eq!(findings(|_| {}), Vec::<String>::new());
    assert_eq!(findings(|event| event.occurred_at = Timestamp(1_774_958_400)), ["occurred_at OUT_OF_RANGE"]);
    assert_eq!(findings(|event| event.expires_at = Some(Timestamp(i64::MAX))), ["expires_at OUT_OF_RANGE"]);
    assert_eq!(findings(|event| event.recorded_at = Some(Timestamp(-1))), ["recorded_at OUT_OF_RANGE"]);
    assert_eq!(findings(|event| event.correlation_id = Some(long.clone())), ["correlation_id TOO_LONG"]);
    assert_eq!(
        findings(|event| event.ticket.assignee_id = Some("a\nb".into())),
        ["ticket.assignee_id CONTROL_CHARACTER"]
    );
    assert_eq!(findings(|event| event.ticket.tags = vec![String::new(); 1_001]), ["ticket.tags TOO_MANY"]);
    assert_eq!(findings(|event| event.history[0].message_id.clear()), ["history[0].message_id EMPTY"]);
    assert_eq!(findings(|event| event.message = None), ["message REQUIRED"]);
    let change_set = |position, total| Some(ChangeSet { id: "c".to_owned(), position, total });
    assert_eq!(findings(|event| event.change_set = change_set(3, 2)), ["change_set.position OUT_OF_RANGE"]);
    assert_eq!(findings(|event| event.change_set = change_set(-1, 2)), ["change_set.position OUT_OF_RANGE"]);
    assert_eq!(findings(|event| event.change_set = change_set(0, 0)), ["change_set.position OUT_OF_RANGE"]);
    let several = findings(|event| {
        event.event_id.clear();
        event.tenant_id = "a b".to_owned();
        event.message = None;
    });
    assert_eq!(several, ["tenant_id FORMAT", "event_id EMPTY", "message REQUIRED"]);
}

#[test]
fn feedback_stays_small_however_much_is_wrong() {
    let many = findings(|event| {
        let mut message = event.history[0].clone();
        message.message_id.clear();
        message.attachments.clear();
        message.author = serde_json::from_str("{}").expect("an actor may say nothing");
        message.body.clear();
        message.dataref = None;
        event.history = vec![message; 90];
    });
    assert_eq!(many.len(), 50);
}

#[test]
fn what_the_contract_allows_passes() {
    assert_eq!(findings(|event| event.occurred_at = Timestamp(946_684_800_000)), Vec::<String>::new());
    assert_eq!(findings(|event| event.ticket.subject = Some("nul \0 in a text".into())), Vec::<String>::new());
    assert_eq!(findings(|event| event.ticket.assignee_id = Some(String::new())), Vec::<String>::new());
    assert_eq!(findings(|event| event.ticket.tags = vec![String::new(); 1_000]), Vec::<String>::new());
    assert_eq!(
        findings(|event| {
            event.event_type = EventType::Unknown;
            event.message = None;
        }),
        Vec::<String>::new(),
        "an unknown type is ignored later, not rejected"
    );
}

#[test]
fn a_tenant_that_is_unknown_or_disabled_is_turned_away() {
    let of_tenant = |id: &str| {
        let event = SupportEvent { tenant_id: id.to_owned(), ..full_event() };
        rejection(&Record { key: None, ..record_of(&event) })
    };
    assert_eq!(of_tenant("umbrella").code, ReasonCode::TenantUnknown);
    assert_eq!(of_tenant("umbrella").reason, "no tenant \"umbrella\" is configured");
    assert_eq!(of_tenant("closed").code, ReasonCode::TenantDisabled);
}

#[test]
fn an_unknown_tenant_may_run_under_a_default_policy() {
    let book = TenantBook::new(Vec::<Tenant>::new(), Some(tenant("default", true)));
    let ingest = Ingest::new(Arc::new(schemas()), watch::channel(Arc::new(book)).1, MAX_PAYLOAD_BYTES, false);
    let Ingested::Event(arrival) = ingest.read(&record_of(&full_event())) else { panic!("unreadable") };
    assert_eq!(arrival.rejection, None);
    assert_eq!(arrival.tenant.map(|tenant| tenant.id.clone()), Some("default".to_owned()));
}

#[test]
fn the_first_check_that_fails_names_the_code() {
    let event = SupportEvent { tenant_id: "umbrella".to_owned(), message: None, ..full_event() };
    let mut record = record_of(&event);
    record.headers.push(Header::text("ce_id", "evt-2"));
    assert_eq!(rejection(&record).code, ReasonCode::EnvelopeMismatch);
    record.headers.clear();
    assert_eq!(rejection(&record).code, ReasonCode::ValidationFailed);
}

#[test]
fn a_json_retry_of_an_avro_event_is_the_same_event() {
    let avro = arrival(&record_of(&full_event()));
    let json = arrival(&record(Some(schemas().write("SupportEvent", &full_event(), Encoding::Json))));
    assert_eq!((json.key, json.body), (avro.key, avro.body));
    assert_eq!(avro.tenant.map(|tenant| tenant.id.clone()), Some("acme".to_owned()));
}

#[test]
fn a_rejected_event_keeps_its_identity() {
    let event = SupportEvent { occurred_at: Timestamp(0), ..sparse_event() };
    let arrival = arrival(&record_of(&event));
    assert!(arrival.rejection.is_some());
    assert_eq!((arrival.key, arrival.body), (DedupeKey::of_event(&event), BodyHash::of_event(&event)));
}

proptest! {
    #[test]
    fn no_record_makes_ingest_panic_and_no_reason_quotes_it(event in any_event(), json in any::<bool>()) {
        let mut event = event;
        event.ticket.subject = Some("my secret".to_owned());
        let encoding = if json { Encoding::Json } else { Encoding::Avro };
        let record = record(Some(schemas().write("SupportEvent", &event, encoding)));
        if let Ingested::Event(Arrival { rejection: Some(rejection), .. }) | Ingested::Unreadable(rejection) = read(&record) {
            let said = format!("{rejection:?}");
            prop_assert!(!said.contains("secret"), "{}", said);
            prop_assert!(rejection.reason.len() < 500);
        }
        prop_assert_eq!(read(&record), read(&record));
    }
}
