//! How many events a second each ledger takes through their whole life, by hand:
//! `cargo test --release --test it ledger_contract::speed -- --ignored --nocapture` (its figure depends on the machine).

use std::sync::Arc;
use std::time::Instant;

use gatekeeper::domain::clock::Timestamp;
use gatekeeper::domain::identity::{DedupeKey, hash_parts};
use gatekeeper::pipeline::dedupe::ledger::{Claim, Entry};

use super::world::{World, accepted, answer, at, claim, commit};

const BATCH: u64 = 500;
const ROUNDS: u64 = 40;

async fn events_a_second(world: World) -> f64 {
    let ledger = world.ledger().await;
    let (answer, verdict) = (answer("a"), accepted("v"));
    let key = |number: u64| DedupeKey(hash_parts(&[&number.to_string()]));
    let started = Instant::now();
    // As on the road: a batch holds the claims of new events and the later entries of older ones. An event is claimed
    // in one batch, leased in the next, then answered, judged and published.
    let round = |number: u64| (number * BATCH..(number + 1) * BATCH).map(|event| (key(event), at(event)));
    for now in 0..ROUNDS + 4 {
        let of = |age: u64| now.checked_sub(age).filter(|round| *round < ROUNDS).into_iter().flat_map(round);
        let mut batch: Vec<Entry> = Vec::new();
        batch.extend(of(0).map(|(key, position)| Entry::Claim(Claim { key, position, ..claim(0, 0) })));
        let lasts = std::time::Duration::from_secs(60);
        batch.extend(of(1).map(|(key, owner)| Entry::Lease { key, owner, lasts }));
        let answered = |(key, owner)| Entry::Answer { key, owner, answer: Arc::clone(&answer), at: Timestamp(7) };
        batch.extend(of(2).map(answered));
        batch.extend(of(3).map(|(key, owner)| Entry::Verdict {
            key,
            owner,
            verdict: Arc::clone(&verdict),
            decision: None,
        }));
        batch.extend(of(4).map(|(key, owner)| Entry::Published { key, owner, at: Timestamp(9) }));
        commit(&ledger, batch).await;
    }
    (BATCH * ROUNDS) as f64 / started.elapsed().as_secs_f64()
}

#[tokio::test]
#[ignore = "a measurement, run by hand"]
async fn speed_of_sqlite() {
    println!("SQLite: {:.0} events a second", events_a_second(World::of_sqlite()).await);
}

#[tokio::test]
#[ignore = "a measurement, run by hand"]
async fn speed_of_postgres() {
    println!("Postgres: {:.0} events a second", events_a_second(World::of_postgres().await).await);
}
