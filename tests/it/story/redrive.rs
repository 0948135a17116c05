//! Dead letters that are sent again: once what stood against them is gone, once more in vain, and not for ever.

use gatekeeper::domain::dead_letter::DeadLetter;
use gatekeeper::domain::feedback::FeedbackStatus;
use gatekeeper::domain::position::TopicRole;
use gatekeeper::domain::record::Payload;
use gatekeeper::domain::redrive::DEAD_LETTER;
use serde_json::Value;

use super::gatekeeper::Gatekeeper;
use super::operating::said;
use super::tickets::{event, event_of, raw, record};

fn redrive(gatekeeper: &Gatekeeper, flags: &[&str]) -> Value {
    let mut command = gatekeeper.command(&["redrive", "--output", "json", "--actor", "ada"]);
    let said = said(command.args(flags));
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// How many of one code have which fate.
fn fates<'a>(counted: &'a Value, reason: &str) -> &'a Value {
    let groups = counted["groups"].as_array().expect("a list");
    let group = groups.iter().find(|group| group["reason_code"] == reason);
    &group.unwrap_or_else(|| panic!("no {reason} in {counted:#}"))["fates"]
}

async fn newest_letter(gatekeeper: &Gatekeeper, reason: &str) -> DeadLetter {
    let letters = gatekeeper.dead_letters().await;
    letters.into_iter().rfind(|letter| letter.reason_code == reason).expect("there is one")
}

#[tokio::test]
async fn a_dead_letter_is_sent_again_when_its_cause_is_gone_and_what_fails_again_only_so_often() {
    let gatekeeper = Gatekeeper::new().await;
    let garbage = raw("acme|T-1", Payload::from_static(b"\xffnot an event"), &[("trace", "kept")]);
    let places = gatekeeper
        .publish(vec![
            record(&event_of("later", 7)),
            garbage.clone(),
            record(&event(2)),
            record(&event_of("closed", 3)),
        ])
        .await;
    gatekeeper.serve_until_idle().await;

    // A dry run counts, and changes nothing.
    let counted = redrive(&gatekeeper, &[]);
    assert_eq!((&counted["held"], &counted["ready"]), (&3.into(), &3.into()), "{counted:#}");
    assert_eq!(fates(&counted, "TENANT_UNKNOWN")["ready"], 1);
    assert_eq!(gatekeeper.records(TopicRole::Events).await.len(), places.len());
    let listed = said(&mut gatekeeper.command(&["redrive", "--list", "--output", "json", "--tenant", "later"]));
    let listed: Value = serde_json::from_str(listed.trim()).expect("one line: one letter");
    assert_eq!((&listed["fate"], &listed["dead_letter"]["event_id"]), (&"ready".into(), &"event-7".into()));

    // The cause goes, and the event is decided where it stands now.
    let tenant = "id = \"later\"\nversion = \"test\"\n";
    std::fs::write(gatekeeper.folder.path().join("tenants/later.toml"), tenant).expect("the folder is there");
    let first = newest_letter(&gatekeeper, "TENANT_UNKNOWN").await;
    let sent = redrive(&gatekeeper, &["--reason", "tenant_unknown", "--send", "--note", "they signed"]);
    assert_eq!(sent["sent"], 1, "{sent:#}");
    gatekeeper.serve_until_idle().await;
    let ends = gatekeeper.terminals().await;
    let (again, end) = ends
        .iter()
        .find(|(place, end)| end.event_id.as_deref() == Some("event-7") && **place != places[0])
        .expect("it was sent again");
    assert_eq!(
        (end.status, again.0),
        (FeedbackStatus::Accepted, places[0].0),
        "in the partition it came from: {end:?}"
    );
    let decisions = gatekeeper.records(TopicRole::Decisions).await;
    let names_it = |header: Option<&[u8]>| header == Some(first.dead_letter_id.as_bytes());
    assert_eq!(decisions.iter().filter(|(_, decision)| names_it(decision.header(DEAD_LETTER))).count(), 1);

    // Another run has nothing to send of it.
    let counted = redrive(&gatekeeper, &[]);
    assert_eq!(fates(&counted, "TENANT_UNKNOWN")["decided"], 1, "{counted:#}");
    assert_eq!(counted["ready"], 2);

    // What cannot end otherwise keeps its dead letter, and is not sent for ever.
    let first = newest_letter(&gatekeeper, "DECODE_FAILED").await;
    for time in 1..=3 {
        assert_eq!(redrive(&gatekeeper, &["--reason", "DECODE_FAILED", "--send"])["sent"], 1);
        gatekeeper.serve_until_idle().await;
        let letter = newest_letter(&gatekeeper, "DECODE_FAILED").await;
        assert_eq!((letter.replay_count, letter.attempts), (time, time + 1));
        assert_eq!(letter.dead_letter_id, first.dead_letter_id);
        assert_eq!(letter.first_failed_at, first.first_failed_at);
        assert_ne!(letter.origin_offset, first.origin_offset, "it stands somewhere else now");
        assert_eq!((&letter.key, &letter.value), (&first.key, &first.value));
        let own: Vec<_> = letter.headers.iter().filter(|header| !header.name.starts_with("redrive-")).collect();
        assert_eq!(own, first.headers.iter().collect::<Vec<_>>());
    }
    let counted = redrive(&gatekeeper, &["--reason", "DECODE_FAILED", "--send"]);
    assert_eq!((&counted["ready"], &counted["earlier_failures"]), (&0.into(), &3.into()), "{counted:#}");
    assert_eq!(fates(&counted, "DECODE_FAILED")["too_often"], 1);
    assert_eq!(redrive(&gatekeeper, &["--max-redrives", "4"])["ready"], 2);

    let trail = said(&mut gatekeeper.command(&["trail", "--output", "json"]));
    let trail: Value = serde_json::from_str(&trail).expect("JSON");
    let acts = trail.as_array().expect("a list");
    assert_eq!(acts.len(), 4, "one for each that sent something: {trail:#}");
    assert_eq!(
        (&acts[3]["actor"], &acts[3]["note"], &acts[3]["act"]),
        (&"ada".into(), &"they signed".into(), &"sent".into())
    );
    gatekeeper.audit_finished().await;
}

#[tokio::test]
async fn dead_letters_that_are_sent_twice_are_decided_once() {
    let gatekeeper = Gatekeeper::new().await;
    gatekeeper.publish((0..40).map(|number| record(&event_of("later", number))).collect()).await;
    gatekeeper.serve_until_idle().await;
    let tenant = "id = \"later\"\nversion = \"test\"\n";
    std::fs::write(gatekeeper.folder.path().join("tenants/later.toml"), tenant).expect("the folder is there");
    assert_eq!(redrive(&gatekeeper, &["--send", "--limit", "10"])["sent"], 10);
    // Before anybody has read them.
    assert_eq!(redrive(&gatekeeper, &["--send", "--rate", "1000"])["sent"], 40);
    gatekeeper.serve_until_idle().await;
    let ends = gatekeeper.terminals().await;
    let of = |status| ends.values().filter(|end| end.status == status).count();
    assert_eq!(
        (of(FeedbackStatus::Accepted), of(FeedbackStatus::Duplicate), of(FeedbackStatus::Rejected)),
        (40, 10, 40)
    );
    assert_eq!(gatekeeper.decisions().await.len(), 40);
    assert_eq!(redrive(&gatekeeper, &["--send"])["ready"], 0);
    gatekeeper.audit_finished().await;
}

#[tokio::test]
async fn without_a_ledger_what_was_published_since_says_what_was_decided() {
    let gatekeeper = Gatekeeper::with(&["ledger.enabled=false"]).await;
    gatekeeper.publish(vec![record(&event_of("later", 1)), record(&event_of("later", 2))]).await;
    gatekeeper.serve_until_idle().await;
    let tenant = "id = \"later\"\nversion = \"test\"\n";
    std::fs::write(gatekeeper.folder.path().join("tenants/later.toml"), tenant).expect("the folder is there");
    assert_eq!(redrive(&gatekeeper, &["--send", "--ticket", "T-1"])["sent"], 1);
    gatekeeper.serve_until_idle().await;
    let counted = redrive(&gatekeeper, &[]);
    assert_eq!(fates(&counted, "TENANT_UNKNOWN"), &serde_json::json!({"decided": 1, "ready": 1}));
}
