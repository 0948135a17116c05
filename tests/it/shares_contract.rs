//! What everything promises that keeps shared limits: one suite, run over each of them.

use std::sync::Arc;
use std::time::Duration;

use gatekeeper::adapters::memory::shares::{Accounts, MemoryShares};
use gatekeeper::adapters::postgres::PostgresLedger;
use gatekeeper::domain::clock::Clock;
use gatekeeper::domain::tenant::Limits;
use gatekeeper::pipeline::admit::shares::{Amount, Ask, LimitShares, Reply};

use crate::ledger_contract::world::HandClock;
use crate::postgres::{TestDatabase, Wire};

const LEASE: Duration = Duration::from_secs(5);

enum Store {
    Memory(Accounts),
    Postgres(TestDatabase),
}

/// Accounts and the time in which they stand; handles opened on it are instances.
struct World {
    store: Store,
    clock: Arc<HandClock>,
}

impl World {
    fn of_memory() -> Self {
        Self { store: Store::Memory(Accounts::default()), clock: Arc::default() }
    }

    async fn of_postgres() -> Self {
        Self { store: Store::Postgres(TestDatabase::with_hand_clock().await), clock: Arc::default() }
    }

    async fn pass(&self, millis: i64) {
        self.clock.pass(millis);
        if let Store::Postgres(database) = &self.store {
            database.set_clock(self.clock.now().0).await;
        }
    }

    async fn instance(&self, name: &str) -> Arc<dyn LimitShares> {
        match &self.store {
            Store::Memory(accounts) => {
                Arc::new(MemoryShares::open(accounts.clone(), name, Arc::clone(&self.clock) as Arc<dyn Clock>))
            }
            Store::Postgres(database) => {
                let ledger = PostgresLedger::open(&database.settings(), name, 1, true).await;
                Arc::new(ledger.expect("the server is fit"))
            }
        }
    }
}

fn ask_of(tenant: &str, held: i64, demand: i64) -> Ask {
    let amount = |requests: i64| Amount { requests, tokens: requests * 100 };
    Ask {
        tenant: tenant.into(),
        limits: Limits { requests_per_minute: Some(600), tokens_per_minute: Some(60_000), ..Limits::default() },
        held: amount(held),
        least: amount(demand.min(1)),
        demand: amount(demand),
        renews: false,
    }
}

fn ask(held: i64, demand: i64) -> Ask {
    ask_of("acme", held, demand)
}

async fn trip(instance: &Arc<dyn LimitShares>, ask: Ask) -> Reply {
    let replies = instance.trip(vec![ask], LEASE).await.expect("nothing is wrong with the store");
    *replies.first().expect("an answer each")
}

/// What it holds after it asked.
async fn granted(instance: &Arc<dyn LimitShares>, held: i64, demand: i64) -> i64 {
    held + trip(instance, ask(held, demand)).await.change.requests
}

async fn what_one_has_the_others_have_not(world: World) {
    let (a, b) = (world.instance("a").await, world.instance("b").await);
    assert_eq!(granted(&a, 0, 585).await, 600, "and a little in reserve");
    assert_eq!(granted(&b, 0, 100).await, 0);
    world.pass(1_000).await;
    assert_eq!(granted(&b, 0, 100).await, 5, "half of a second's worth");
    let reply = trip(&a, ask(90, 0)).await;
    assert_eq!((reply.change.requests, reply.change.tokens), (-90, -9_000));
    assert_eq!((reply.left.requests, reply.sharers), (95, 1));
    assert_eq!(granted(&b, 5, 80).await, 95, "what was given back is there for others");
}

async fn who_is_not_heard_of_is_not_counted(world: World) {
    let (a, b) = (world.instance("a").await, world.instance("b").await);
    trip(&a, ask(0, 9)).await;
    assert_eq!(trip(&b, ask(0, 9)).await.sharers, 2);
    world.pass(4_999).await;
    assert_eq!(trip(&b, ask(0, 9)).await.sharers, 2);
    world.pass(1).await;
    assert_eq!(trip(&b, ask(0, 9)).await.sharers, 1);
    assert_eq!(trip(&b, ask(0, 0)).await.sharers, 0, "who leaves is not counted either");
}

async fn what_was_used_without_asking_is_owed(world: World) {
    let a = world.instance("a").await;
    assert_eq!(granted(&a, 0, 300).await, 315);
    let reply = trip(&a, ask(-285, 0)).await;
    assert_eq!((reply.change.requests, reply.left.requests), (285, 0));
}

async fn tenants_have_nothing_in_common_and_are_answered_in_order(world: World) {
    let a = world.instance("a").await;
    let tenants = ["globex", "acme", "zeta", "\0\u{202e} \"quoted\" ☂"];
    let asks = tenants.iter().zip([600, 1, 9, 5]).map(|(tenant, demand)| ask_of(tenant, 0, demand)).collect();
    let replies = a.trip(asks, LEASE).await.expect("nothing is wrong with the store");
    let granted: Vec<_> = replies.iter().map(|reply| reply.change.requests).collect();
    assert_eq!(granted, [600, 16, 24, 20]);
    assert_eq!(a.trip(Vec::new(), LEASE).await.expect("nothing is asked"), []);
}

async fn a_handle_that_comes_later_finds_what_was_left(world: World) {
    assert_eq!(granted(&world.instance("a").await, 0, 585).await, 600);
    assert_eq!(granted(&world.instance("a").await, 0, 585).await, 0, "it lives in the store");
}

async fn many_at_once_get_no_more_than_there_is(world: World) {
    let mut instances = Vec::new();
    for name in ["a", "b", "c", "d"] {
        instances.push(world.instance(name).await);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for round in 0..5 {
        for instance in instances.clone() {
            tasks.spawn(async move {
                // In an order of their own: the store must not let them wait for each other in a circle.
                let mut asks = vec![ask_of("acme", 0, 100), ask_of("globex", 0, 100), ask_of("zeta", 0, 100)];
                asks.rotate_left(round % 3);
                let replies = instance.trip(asks, LEASE).await.expect("nobody is turned away");
                replies.iter().map(|reply| reply.change.requests).sum::<i64>()
            });
        }
    }
    let granted: i64 = tasks.join_all().await.iter().sum();
    assert!((1_750..=1_800).contains(&granted), "{granted} of three times 600");
}

macro_rules! suite {
    ($($test:ident,)*) => {
        mod memory {
            $(#[tokio::test] async fn $test() { super::$test(super::World::of_memory()).await; })*
        }

        mod postgres {
            $(
                #[tokio::test]
                #[ignore = "needs Postgres: tests/run starts it"]
                async fn $test() { super::$test(super::World::of_postgres().await).await; }
            )*
        }
    };
}

suite! {
    what_one_has_the_others_have_not,
    who_is_not_heard_of_is_not_counted,
    what_was_used_without_asking_is_owed,
    tenants_have_nothing_in_common_and_are_answered_in_order,
    a_handle_that_comes_later_finds_what_was_left,
    many_at_once_get_no_more_than_there_is,
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn a_trip_whose_answer_is_lost_is_an_error_and_its_connection_is_not_used_again() {
    let database = TestDatabase::new().await;
    let wire = Wire::to(&database).await;
    let ledger = PostgresLedger::open(&database.settings_through(&wire), "a", 1, true).await;
    let a: Arc<dyn LimitShares> = Arc::new(ledger.expect("the server is fit"));
    assert_eq!(granted(&a, 0, 1).await, 16);
    wire.cut_after_next_commit();
    a.trip(vec![ask(16, 1)], LEASE).await.expect_err("nobody knows");
    assert_eq!(granted(&a, 0, 1).await, 16, "on another connection");
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn rows_that_nobody_touches_go() {
    let database = TestDatabase::with_hand_clock().await;
    for (instance, tenant, at) in [("a", "acme", 0), ("b", "globex", 3_600_001)] {
        database.set_clock(at).await;
        let ledger = PostgresLedger::open(&database.settings(), instance, 1, true).await.expect("the server is fit");
        ledger.trip(vec![ask_of(tenant, 0, 1)], LEASE).await.expect("nothing is wrong with the store");
    }
    let mut connection = database.connect().await;
    let left: Vec<String> =
        sqlx::query_scalar("SELECT tenant FROM shared_limits").fetch_all(&mut connection).await.expect("a table");
    assert_eq!(left, ["globex"]);
}
