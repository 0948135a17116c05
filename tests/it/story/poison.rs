//! Every way to be rejected, end to end.

use std::collections::BTreeSet;

use gatekeeper::domain::feedback::FeedbackStatus;
use gatekeeper::domain::reason_code::{ReasonCode, STATUS_AND_CODES};
use gatekeeper::domain::record::Payload;
use serde_json::{Value, json};

use super::gatekeeper::Gatekeeper;
use super::tickets::{event, event_of, raw, record};

#[tokio::test]
async fn every_code_of_rejection_comes_with_its_dead_letter_and_stops_nothing_behind_it() {
    let gatekeeper = Gatekeeper::new().await;
    let without_message = {
        let mut event = event(3);
        event["message"] = Value::Null;
        record(&event)
    };
    let other_body = {
        let mut event = event(9);
        event["ticket"]["subject"] = json!("Another subject");
        record(&event)
    };
    let huge = {
        let mut event = event(8);
        event["message"]["body"] = json!("x".repeat(1_100_000));
        record(&event)
    };
    let mismatch = {
        let event = event(4);
        raw("acme|T-4", Payload::from(event.to_string()), &[("ce_id", "another")])
    };
    let tombstone = {
        let mut record = record(&event(10));
        record.value = None;
        record
    };
    let framed = Payload::from_static(&[0, 0, 0, 0, 99, 1, 2, 3]);
    let poison = [
        (raw("acme|T-1", Payload::from_static(b"\xffnot an event"), &[]), ReasonCode::DecodeFailed),
        (tombstone, ReasonCode::DecodeFailed),
        (raw("acme|T-2", framed, &[]), ReasonCode::UnknownSchema),
        (without_message, ReasonCode::ValidationFailed),
        (mismatch, ReasonCode::EnvelopeMismatch),
        (record(&event_of("stranger", 5)), ReasonCode::TenantUnknown),
        (record(&event_of("closed", 6)), ReasonCode::TenantDisabled),
        (huge, ReasonCode::PayloadTooLarge),
        (other_body, ReasonCode::IdempotencyConflict),
    ];
    let (_, all) = STATUS_AND_CODES.iter().find(|(status, _)| *status == FeedbackStatus::Rejected).expect("there is");
    let covered: BTreeSet<_> = poison.iter().map(|(_, code)| *code).collect();
    assert_eq!(covered, all.iter().copied().collect(), "every code has its record here");

    let mut records = vec![record(&event(9))];
    records.extend(poison.iter().map(|(record, _)| record.clone()));
    records.extend((20..30).map(|number| record(&event(number))));
    let places = gatekeeper.publish(records).await;
    gatekeeper.serve_until_idle().await;

    let ends = gatekeeper.ends_of(&places).await;
    let letters = gatekeeper.dead_letters().await;
    assert_eq!(letters.len(), poison.len());
    for ((end, place), (record, code)) in ends[1..].iter().zip(&places[1..]).zip(&poison) {
        assert_eq!((end.status, end.reason_code.as_str()), (FeedbackStatus::Rejected, code.as_str()), "{end:?}");
        assert!(end.dead_lettered);
        let letter = letters
            .iter()
            .find(|letter| (letter.origin_partition, letter.origin_offset) == (place.0 as i32, place.1 as i64))
            .expect("its dead letter");
        assert_eq!(letter.reason_code, code.as_str());
        let untouched = letter.value.as_ref().map(|value| value.0.as_slice());
        assert!(untouched == record.value.as_deref() || *code == ReasonCode::PayloadTooLarge, "{code}");
    }
    assert_eq!(ends[0].status, FeedbackStatus::Accepted);
    assert!(ends[poison.len() + 1..].iter().all(|end| end.status == FeedbackStatus::Accepted));
    gatekeeper.audit_finished().await;
}
