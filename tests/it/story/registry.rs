//! The schema registry: away, back, without the id, and without our schemas.

use gatekeeper::domain::event::SupportEvent;
use gatekeeper::domain::feedback::FeedbackStatus;
use gatekeeper::domain::ops_event::OpsKind;
use gatekeeper::domain::position::TopicRole;
use gatekeeper::domain::record::{OutRecord, Payload};
use gatekeeper::pipeline::schema_set::{RELEASED, SchemaSet, schema_id};
use gatekeeper::settings::schemas::Encoding;
use gatekeeper::settings::{LoadOptions, load};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::gatekeeper::{Gatekeeper, PATIENCE};
use super::pretend_registry::PretendRegistry;
use super::tickets::{event, record};

/// A newer version of an upstream: a field more than ours.
fn newer_version() -> String {
    let released = RELEASED.iter().find(|released| released.record == "SupportEvent").expect("a record of ours");
    let mut document: Value = serde_json::from_str(released.text).expect("a schema is JSON");
    let region = serde_json::json!({"name": "region", "type": ["null", "string"], "default": null});
    document["fields"].as_array_mut().expect("a record has fields").push(region);
    document.to_string()
}

/// In Avro, by that newer version.
fn framed(number: usize, id: u32) -> OutRecord {
    let defaults = load(&LoadOptions::default()).expect("the defaults").settings;
    let schemas = SchemaSet::new(&defaults.schemas).expect("the shipped ids");
    let document = event(number);
    let event: SupportEvent = serde_json::from_value(document.clone()).expect("an event");
    let mut bytes = schemas.write("SupportEvent", &event, Encoding::Avro);
    bytes[1..5].copy_from_slice(&id.to_be_bytes());
    // The field more: a null.
    bytes.push(0);
    OutRecord { value: Some(Payload::from(bytes)), ..record(&document) }
}

fn on(partition: u32, record: OutRecord) -> OutRecord {
    OutRecord { partition, ..record }
}

async fn with(registry: &PretendRegistry, sets: &[&str]) -> Gatekeeper {
    let settings = registry.settings();
    let sets: Vec<&str> = settings.iter().map(String::as_str).chain(sets.iter().copied()).collect();
    Gatekeeper::with(&sets).await
}

// The registry answers in this process while the audit runs as another: it needs a thread of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_with_an_unknown_id_holds_its_partition_until_the_registry_is_back_and_nothing_is_rejected_for_that() {
    let mut registry = PretendRegistry::away().await;
    registry.has(7, &newer_version());
    let http = ["schemas.output=json", "http.enabled=true", "http.bind=127.0.0.1:0"];
    let gatekeeper = with(&registry, &http).await;
    let before = gatekeeper.publish(vec![on(0, record(&event(1)))]).await;
    let behind = gatekeeper.publish(vec![on(0, framed(2, 7)), on(0, record(&event(3))), on(0, framed(4, 7))]).await;
    let beside =
        gatekeeper.publish((10..30).map(|number| on(1 + number as u32 % 3, record(&event(number)))).collect()).await;
    let mut processor = gatekeeper.serve();
    gatekeeper.ends_of(&before).await;
    gatekeeper.ends_of(&beside).await;

    gatekeeper.health_says(503, "events/0 waits for schema id 7: the schema registry cannot be reached").await;
    let more = gatekeeper.publish(vec![on(1, record(&event(31)))]).await;
    gatekeeper.ends_of(&more).await;
    let terminals = gatekeeper.terminals().await;
    assert!(behind.iter().all(|place| !terminals.contains_key(place)), "{terminals:?}");
    assert!(gatekeeper.dead_letters().await.is_empty());

    registry.comes().await;
    let ends = gatekeeper.ends_of(&behind).await;
    assert!(ends.iter().all(|end| end.status == FeedbackStatus::Accepted), "{ends:?}");
    assert_eq!(registry.asked_for(7), 1, "once it is known it is known");
    gatekeeper.health_says(200, "\"name\":\"registry\",\"state\":\"up\"").await;

    // What is known goes on without it; an id that nobody has waits for its return, then it is rejected.
    registry.goes();
    let known = gatekeeper.publish(vec![on(2, framed(40, 7))]).await;
    assert_eq!(gatekeeper.ends_of(&known).await[0].status, FeedbackStatus::Accepted);
    let unknown = gatekeeper.publish(vec![on(3, framed(41, 99)), on(3, record(&event(42)))]).await;
    gatekeeper.health_says(503, "events/3 waits for schema id 99").await;
    assert!(gatekeeper.dead_letters().await.is_empty());
    registry.comes().await;
    let ends = gatekeeper.ends_of(&unknown).await;
    assert_eq!((ends[0].status, ends[0].reason_code.as_str()), (FeedbackStatus::Rejected, "UNKNOWN_SCHEMA"));
    assert_eq!(ends[1].status, FeedbackStatus::Accepted);
    let letters = gatekeeper.dead_letters().await;
    assert_eq!(letters.iter().map(|letter| letter.reason_code.as_str()).collect::<Vec<_>>(), ["UNKNOWN_SCHEMA"]);
    processor.signal(Signal::SIGTERM);
    assert!(processor.ended().await.success());
    gatekeeper.audit_finished().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_registry_at_the_start_it_waits_alive_and_not_ready_and_then_writes_under_the_registrys_ids() {
    let mut registry = PretendRegistry::away().await;
    let gatekeeper = with(&registry, &["http.enabled=true", "http.bind=127.0.0.1:0"]).await;
    let places = gatekeeper.publish((0..5).map(|number| record(&event(number))).collect()).await;
    let mut processor = gatekeeper.serve();
    gatekeeper.health_says(503, "the ids of outputs are not known").await;
    assert!(processor.has_ended().is_none());
    registry.comes().await;
    let ends = gatekeeper.ends_of(&places).await;
    assert!(ends.iter().all(|end| end.status == FeedbackStatus::Accepted), "{ends:?}");
    gatekeeper.health_says(200, "\"name\":\"schemas\",\"state\":\"up\"").await;
    for (_, decision) in gatekeeper.records(TopicRole::Decisions).await {
        let id = schema_id(decision.value.as_deref().expect("a decision")).expect("it is Avro");
        assert!(id > 500, "{id} is an id of the fixed table");
    }
    let written = ["dead-letters", "decision-reviews", "decisions", "feedback", "ops"]
        .map(|name| format!("support.{name}.v1-value"));
    assert_eq!(registry.subjects(), written);
    gatekeeper.audit_finished().await;
}

#[tokio::test]
async fn a_process_that_waits_for_the_registry_ends_when_it_is_told_to() {
    let registry = PretendRegistry::away().await;
    let gatekeeper = with(&registry, &[]).await;
    let mut processor = gatekeeper.serve();
    super::gatekeeper::until("it waits", || {
        gatekeeper.what_the_worker_said().contains("the schema registry is away").then_some(())
    })
    .await;
    processor.signal(Signal::SIGTERM);
    assert!(processor.ended().await.success());
}

#[tokio::test]
async fn schemas_that_are_missing_are_registered_only_where_that_is_allowed() {
    let registry = PretendRegistry::there().await;
    let gatekeeper = with(&registry, &["schemas.registry.auto_register=false"]).await;
    let mut processor = gatekeeper.serve_with(&["--until-idle"], None);
    assert!(!processor.ended_within(PATIENCE).await.success());
    let said = gatekeeper.what_the_worker_said();
    assert!(said.contains("does not have TriageDecision.v1 under support.decisions.v1-value"), "{said}");
    assert!(said.contains("gatekeeper schemas --register"), "{said}");
    assert!(registry.subjects().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_compare_the_ledger_and_move_positions_under_the_registrys_ids() {
    let registry = PretendRegistry::there().await;
    let gatekeeper = with(&registry, &[]).await;
    gatekeeper.publish((0..5).map(|number| on(0, record(&event(number)))).collect()).await;
    gatekeeper.serve_until_idle().await;
    for what in ["--check", "--rebuild"] {
        let output = gatekeeper.command(&["ledger", what, "--output", "json"]).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what}: {said}");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((&report["published"], &report["missing"]), (&Value::from(5), &Value::from(0)), "{report:#}");
    }
    let again = ["topics", "--position", "events:0=earliest", "--again"];
    let moved = gatekeeper.command(&again).output().expect("it runs");
    assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stderr));
    let set = gatekeeper.ops().await.into_iter().filter(|event| event.kind == OpsKind::PositionSet).count();
    assert_eq!(set, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_registry_is_away_no_position_is_moved_that_nobody_could_be_told_of() {
    let mut registry = PretendRegistry::there().await;
    let gatekeeper = with(&registry, &[]).await;
    gatekeeper.publish(vec![on(0, record(&event(1)))]).await;
    gatekeeper.serve_until_idle().await;
    registry.goes();
    let stood = gatekeeper.log.positions("gatekeeper").await.expect("readable");
    let again = ["topics", "--position", "events:0=earliest", "--again"];
    let refused = gatekeeper.command(&again).output().expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("registry") && !said.contains("panicked"), "{said}");
    assert_eq!(gatekeeper.log.positions("gatekeeper").await.expect("readable"), stood);
}
