//! A schema registry for half of the histories: every instance begins without knowing what events are, and asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gatekeeper::adapters::memory::registry::MemoryRegistry;
use gatekeeper::pipeline::schema_set::registry::{Lookup, RegisteredSchema};
use gatekeeper::pipeline::schema_set::{RELEASED, SchemaSet};
use gatekeeper::settings::schemas::Schemas;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// What an instance knows of schemas at its start, and where it asks for more.
pub fn of_an_instance(
    settings: &Schemas,
    fixed: &Arc<SchemaSet>,
    registry: Option<&MemoryRegistry>,
) -> (Arc<SchemaSet>, Option<Lookup>) {
    let Some(registry) = registry else { return (fixed.clone(), None) };
    let mut settings = settings.clone();
    settings.registry.url = Some("http://in.memory".to_owned());
    let schemas = Arc::new(SchemaSet::new(&settings).expect("with a registry"));
    // As `serve` settles them before it reads; under the ids that the judge knows.
    for released in RELEASED.iter().filter(|released| released.record != "SupportEvent") {
        schemas.settle(released, settings.ids[&released.name()]).expect("ids of their own");
    }
    let lookup = Lookup::new(schemas.clone(), Arc::new(registry.clone()), settings.registry.retry);
    (schemas, Some(lookup))
}

/// With the same ids as the fixed table, so that everybody else need not know of it.
pub fn maybe(settings: &Schemas, chance: &mut ChaCha8Rng) -> Option<MemoryRegistry> {
    let there = chance.random_bool(0.5);
    let answers_after = Duration::from_micros(chance.random_range(100..200_000));
    let schemas: BTreeMap<_, _> = RELEASED
        .iter()
        .map(|released| {
            let text = released.text.to_owned();
            let schema = RegisteredSchema { kind: "AVRO".to_owned(), text, has_references: false };
            (settings.ids[&released.name()], schema)
        })
        .collect();
    there.then(|| MemoryRegistry::new(schemas, answers_after))
}
