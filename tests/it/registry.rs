//! The client and `gatekeeper schemas` against a real registry.
//!
//! Each test has topics, and so subjects, of its own: what one leaves behind is not in another's way.

use std::process::{Command, Output};
use std::sync::Arc;

use gatekeeper::adapters::schema_registry::SchemaRegistry;
use gatekeeper::domain::event::SupportEvent;
use gatekeeper::domain::ops_event::OpsEvent;
use gatekeeper::domain::position::TopicRole;
use gatekeeper::operations::schemas::{
    Level, Subjects, WRITTEN_BY_PUBLISH, WRITTEN_BY_SERVE, check, list, register, settle, subjects,
};
use gatekeeper::pipeline::schema_set::registry::{Lookup, Registry, RegistryError};
use gatekeeper::pipeline::schema_set::{RELEASED, ReadError, Released, SchemaSet};
use gatekeeper::settings::schemas::Encoding;
use gatekeeper::settings::{LoadOptions, Settings, load};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::story::gatekeeper::program;

struct World {
    sets: Vec<String>,
    settings: Settings,
    registry: Arc<SchemaRegistry>,
}

impl World {
    fn new() -> Self {
        let url = std::env::var("GATEKEEPER_TEST_REGISTRY").expect("tests/services/run --registry says where it is");
        let id = Uuid::new_v4().simple().to_string();
        let mut sets = vec![format!("schemas.registry.url={url}"), "schemas.registry.request_timeout=30s".to_owned()];
        sets.extend(TopicRole::FIXED.map(|role| format!("topics.{}=t{id}.{}", role.key(), role.key())));
        let settings = load(&LoadOptions { sets: sets.clone(), ..LoadOptions::default() }).expect("settings").settings;
        // Once a process; another test may have been first.
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let registry = SchemaRegistry::new(&settings.schemas.registry).expect("a client").expect("there is a URL");
        Self { sets, settings, registry: Arc::new(registry) }
    }

    fn subject(&self, role: TopicRole) -> String {
        format!("{}-value", self.settings.topics.name(role))
    }

    fn lookup(&self, schemas: &Arc<SchemaSet>) -> Lookup {
        Lookup::new(schemas.clone(), self.registry.clone(), self.settings.schemas.registry.retry)
    }

    fn schemas(&self) -> Arc<SchemaSet> {
        Arc::new(SchemaSet::new(&self.settings.schemas).expect("with a registry"))
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(program());
        command.arg("schemas").args(arguments);
        command.args(self.sets.iter().flat_map(|set| ["--set", set]));
        command.output().expect("it runs")
    }

    fn json(&self, arguments: &[&str]) -> (bool, Value) {
        let output = self.run(&[arguments, &["--output", "json"]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
        (output.status.success(), document)
    }
}

fn released(record: &str) -> &'static Released {
    RELEASED.iter().rfind(|released| released.record == record).expect("a record of ours")
}

fn changed(record: &str, change: impl FnOnce(&mut Vec<Value>)) -> String {
    let mut document: Value = serde_json::from_str(released(record).text).expect("a schema is JSON");
    change(document["fields"].as_array_mut().expect("a record has fields"));
    document.to_string()
}

#[tokio::test]
#[ignore = "needs a registry: tests/run starts it"]
async fn what_one_process_writes_under_settled_ids_another_reads_by_looking_them_up() {
    let world = World::new();
    let (writer, topics) = (world.schemas(), &world.settings.topics);
    for _ in 0..2 {
        settle(&*world.registry, &writer, topics, &WRITTEN_BY_SERVE, true).await.expect("it takes them");
    }
    settle(&*world.registry, &writer, topics, &WRITTEN_BY_PUBLISH, true).await.expect("it takes it");
    let event: OpsEvent = serde_json::from_value(json!({
        "ops_event_id": "o", "at": 1_763_366_402_431_i64, "kind": "BREAKER_STATE_CHANGED", "processor": "p",
        "attributes": {"why": "a test"},
    }))
    .expect("an event for operators");
    let value = writer.write("OpsEvent", &event, Encoding::Avro);

    let reader = world.schemas();
    let id = u32::from_be_bytes(*value[1..].first_chunk().expect("it is framed"));
    assert_eq!(reader.read::<OpsEvent>("OpsEvent", &value), Err(ReadError::NotYetKnown(id)));
    world.lookup(&reader).look_up(id).await.expect("it is there");
    assert_eq!(reader.read::<OpsEvent>("OpsEvent", &value), Ok(event));
    let registered = world.registry.schema(id).await.expect("it answers").expect("it is there");
    assert_eq!(registered.text, released("OpsEvent").text, "letter by letter");
}

#[tokio::test]
#[ignore = "needs a registry: tests/run starts it"]
async fn a_newer_version_of_a_writer_is_read_as_ours() {
    let world = World::new();
    let newer = changed("SupportEvent", |fields| {
        fields.push(json!({"name": "region", "type": ["null", "string"], "default": null}));
    });
    let subject = world.subject(TopicRole::Events);
    world.registry.register(&subject, released("SupportEvent").text).await.expect("it takes it");
    let id = world.registry.register(&subject, &newer).await.expect("it takes it");

    let (writer, reader) = (world.schemas(), world.schemas());
    settle(&*world.registry, &writer, &world.settings.topics, &WRITTEN_BY_PUBLISH, false).await.expect("it is there");
    let event: SupportEvent = serde_json::from_value(crate::story::tickets::event(1)).expect("an event");
    let mut value = writer.write("SupportEvent", &event, Encoding::Avro);
    value[1..5].copy_from_slice(&id.to_be_bytes());
    value.push(0);
    world.lookup(&reader).look_up(id).await.expect("it is there");
    assert_eq!(reader.read::<SupportEvent>("SupportEvent", &value), Ok(event));
}

#[tokio::test]
#[ignore = "needs a registry: tests/run starts it"]
async fn an_id_that_does_not_exist_is_absent_and_another_kind_of_schema_is_of_no_use() {
    let world = World::new();
    let schemas = world.schemas();
    assert_eq!(world.registry.schema(2_000_000_000).await, Ok(None));
    world.lookup(&schemas).look_up(2_000_000_000).await.expect("it answers");
    let framed = [&[0][..], &2_000_000_000_u32.to_be_bytes(), b"x"].concat();
    let unknown = Err(ReadError::UnknownSchema(2_000_000_000));
    assert_eq!(schemas.read::<SupportEvent>("SupportEvent", &framed), unknown);

    // What the client never does: a JSON schema.
    let url = format!(
        "{}/subjects/{}/versions",
        world.settings.schemas.registry.url.as_deref().expect("it is set"),
        Uuid::new_v4()
    );
    let body = json!({"schemaType": "JSON", "schema": json!({"$schema": "http://json-schema.org/draft-07/schema#", "title": Uuid::new_v4()}).to_string()});
    let said = reqwest::Client::new().post(url).json(&body).send().await.expect("it answers");
    let id = said.json::<Value>().await.expect("it takes it")["id"].as_u64().expect("an id") as u32;
    world.lookup(&schemas).look_up(id).await.expect("it answers");
    let framed = [&[0][..], &id.to_be_bytes(), b"x"].concat();
    let error = schemas.read::<SupportEvent>("SupportEvent", &framed).expect_err("it is no Avro");
    assert_eq!(error.to_string(), format!("schema id {id} cannot be used: its type is JSON, not AVRO"));
}

#[tokio::test]
#[ignore = "needs a registry: tests/run starts it"]
async fn what_is_missing_is_registered_gets_its_level_and_then_refuses_what_breaks_readers() {
    let world = World::new();
    let (registry, topics) = (&*world.registry, &world.settings.topics);
    let flaws = check(registry, topics).await.expect("it answers");
    assert_eq!(flaws.iter().filter(|flaw| flaw.what.ends_with("is not registered")).count(), 8, "{flaws:#?}");
    let first = register(registry, topics).await.expect("it takes them");
    let again = register(registry, topics).await.expect("it has them");
    assert!(first.iter().all(|one| one.new) && again.iter().all(|one| !one.new));
    assert!(first.iter().zip(&again).all(|(first, again)| first.id == again.id), "{first:#?} {again:#?}");
    for subject in subjects(topics) {
        registry.set_level(&subject.name, Level::FullTransitive).await.expect("it is there");
        let level = registry.level(&subject.name).await.expect("it answers");
        assert_eq!((level.level, level.own), (Level::FullTransitive, true));
    }
    assert_eq!(check(registry, topics).await, Ok(Vec::new()));
    let listed = list(registry, topics).await.expect("it answers");
    assert!(listed.iter().all(|listed| listed.missing.is_empty() && listed.versions[0].is.is_some()), "{listed:#?}");

    let subject = world.subject(TopicRole::Events);
    let breaking = changed("SupportEvent", |fields| fields.retain(|field| field["name"] != "event_id"));
    let error = registry.register(&subject, &breaking).await.expect_err("readers would break");
    assert!(matches!(error, RegistryError::Incompatible(_)), "{error:?}");
    assert!(!registry.objections(&subject, &breaking).await.expect("it answers").is_empty());
    let grown = changed("SupportEvent", |fields| {
        fields.push(json!({"name": "region", "type": ["null", "string"], "default": null}));
    });
    assert_eq!(registry.objections(&subject, &grown).await, Ok(Vec::new()));
    let invalid = registry.register(&subject, "{\"type\":").await.expect_err("it is no schema");
    assert!(matches!(invalid, RegistryError::Refused { .. }), "{invalid:?}");
}

#[tokio::test]
#[ignore = "needs a registry: tests/run starts it"]
async fn the_command_lists_checks_registers_and_sets_the_level() {
    let world = World::new();
    let (fine, flaws) = world.json(&["--check"]);
    assert!(!fine && flaws.as_array().is_some_and(|flaws| flaws.len() >= 8), "{flaws:#}");
    let (fine, registered) = world.json(&["--register"]);
    assert!(
        fine && registered.as_array().is_some_and(|all| all.iter().all(|one| one["new"] == true)),
        "{registered:#}"
    );
    let (fine, levels) = world.json(&["--compatibility", "FULL_TRANSITIVE"]);
    assert!(fine && levels.as_array().is_some_and(|all| all.iter().all(|one| one["level"] == "FULL_TRANSITIVE")));
    let (fine, flaws) = world.json(&["--check"]);
    assert!(fine && flaws == json!([]), "{flaws:#}");
    let (fine, listed) = world.json(&[]);
    assert!(fine, "{listed:#}");
    assert_eq!(listed[0]["subject"], world.subject(TopicRole::Events));
    assert_eq!(listed[0]["versions"][0]["is"], "SupportEvent.v1");
    let (fine, levels) = world.json(&["--compatibility"]);
    assert!(fine && levels[0]["own"] == true, "{levels:#}");

    let table = world.run(&["--list"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("SupportEvent.v1") && table.contains("FULL_TRANSITIVE"), "{table}");
    let wrong = world.run(&["--compatibility", "SOMEHOW"]);
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("there is no level SOMEHOW"));
}
