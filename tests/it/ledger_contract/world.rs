//! Stores to open ledgers on, and short words for what is said to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use gatekeeper::adapters::memory::ledger::{MemoryLedger, Rows};
use gatekeeper::adapters::postgres::PostgresLedger;
use gatekeeper::adapters::sqlite::SqliteLedger;
use gatekeeper::domain::answer::{Answer, Findings, Versions};
use gatekeeper::domain::bytes::Bytes;
use gatekeeper::domain::clock::{Clock, Timestamp};
use gatekeeper::domain::feedback::FeedbackStatus;
use gatekeeper::domain::identity::{BodyHash, DedupeKey};
use gatekeeper::domain::position::Position;
use gatekeeper::domain::reason_code::ReasonCode;
use gatekeeper::domain::verdict::{SavedDecision, Verdict};
use gatekeeper::pipeline::dedupe::ledger::places::Entered;
use gatekeeper::pipeline::dedupe::ledger::restored::Restored;
use gatekeeper::pipeline::dedupe::ledger::{Claim, Entry, Ledger, Outcome, Row};
use gatekeeper::settings::{self, LoadOptions, load};

use crate::postgres::TestDatabase;

/// Wall-clock time that a test moves.
#[derive(Default)]
pub struct HandClock(AtomicI64);

impl HandClock {
    pub fn pass(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

pub enum Store {
    Sqlite(tempfile::TempDir),
    Memory(Rows),
    Postgres(TestDatabase),
}

/// A store and the time in which it stands. Handles opened on it are the processes that use it.
pub struct World {
    pub store: Store,
    pub clock: Arc<HandClock>,
}

impl World {
    pub fn of_sqlite() -> Self {
        let store = Store::Sqlite(tempfile::tempdir().expect("a temporary folder"));
        Self { store, clock: Arc::default() }
    }

    pub fn of_memory() -> Self {
        Self { store: Store::Memory(Rows::default()), clock: Arc::default() }
    }

    pub async fn of_postgres() -> Self {
        Self { store: Store::Postgres(TestDatabase::with_hand_clock().await), clock: Arc::default() }
    }

    /// Time passes, for the processes and for the store.
    pub async fn pass(&self, millis: i64) {
        self.clock.pass(millis);
        if let Store::Postgres(database) = &self.store {
            database.set_clock(self.clock.now().0).await;
        }
    }

    pub async fn process(&self, instance: &str, incarnation: u64, predecessor_is_dead: bool) -> Arc<dyn Ledger> {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        match &self.store {
            Store::Sqlite(folder) => {
                let settings = settings(folder.path());
                let ledger = SqliteLedger::open(&settings, instance, incarnation, predecessor_is_dead, clock);
                Arc::new(ledger.await.expect("the file can be opened"))
            }
            Store::Memory(rows) => {
                Arc::new(MemoryLedger::open(rows.clone(), instance, incarnation, predecessor_is_dead, clock))
            }
            Store::Postgres(database) => {
                let settings = database.settings();
                let ledger = PostgresLedger::open(&settings, instance, incarnation, predecessor_is_dead);
                Arc::new(ledger.await.expect("the server is fit"))
            }
        }
    }

    pub async fn ledger(&self) -> Arc<dyn Ledger> {
        self.process("gk-1", 1, true).await
    }
}

pub fn settings(folder: &std::path::Path) -> settings::ledger::Ledger {
    let mut ledger = load(&LoadOptions::default()).expect("the defaults are right").settings.ledger;
    ledger.url = format!("sqlite:{}", folder.join("state/ledger.db").display());
    ledger
}

pub fn key(number: u8) -> DedupeKey {
    DedupeKey([number; 32])
}

pub fn at(offset: u64) -> Position {
    Position { topic_id: "events".into(), partition: 0, offset }
}

pub fn claim(number: u8, offset: u64) -> Claim {
    Claim {
        key: key(number),
        position: at(offset),
        hop: 0,
        copy: None,
        ticket: "acme|7".into(),
        body: BodyHash { form: 1, sha256: [number; 32] },
        tenant_id: "acme \"quoted\" ☂".into(),
        event_id: format!("event-{number}").into(),
        at: Timestamp(i64::try_from(offset).expect("small")),
    }
}

pub fn answer(text: &str) -> Arc<Answer> {
    Arc::new(Answer {
        predicted: None,
        usage: None,
        degraded: Some(ReasonCode::BreakerOpen),
        tried: vec![],
        findings: Findings { pii_types: vec![text.into(), "\u{0}\\\"'☂".into()], ..Findings::default() },
        versions: Versions::default(),
        answered_at: Timestamp(7),
        flags: Vec::new(),
        first_look: None,
    })
}

pub fn verdict(status: FeedbackStatus, text: &str, processed_at: i64) -> Arc<Verdict> {
    Arc::new(Verdict {
        status,
        code: ReasonCode::Decided,
        reason: Some(text.into()),
        violations: vec![],
        decision: Some(SavedDecision { id: "d-1".into(), version: 1, bytes: Bytes(vec![0, 255, 10]) }),
        review: None,
        first_decision_id: None,
        first_seen_at: None,
        superseded_by_event_id: None,
        better: None,
        processed_at: Timestamp(processed_at),
        latency_ms: 3,
    })
}

pub fn accepted(text: &str) -> Arc<Verdict> {
    verdict(FeedbackStatus::Accepted, text, 8)
}

pub fn rejected(processed_at: i64) -> Arc<Verdict> {
    verdict(FeedbackStatus::Rejected, "invalid", processed_at)
}

// Entries about the event `number` as its copy at `offset` says them.

pub fn take_over(number: u8, offset: u64, from: u64) -> Entry {
    Entry::TakeOver { claim: claim(number, offset), from: at(from) }
}

pub fn lease(number: u8, offset: u64, millis: u64) -> Entry {
    Entry::Lease { key: key(number), owner: at(offset), lasts: Duration::from_millis(millis) }
}

pub fn release(number: u8, offset: u64) -> Entry {
    Entry::Release { key: key(number), owner: at(offset) }
}

pub fn answered(number: u8, offset: u64, text: &str) -> Entry {
    Entry::Answer { key: key(number), owner: at(offset), answer: answer(text), at: Timestamp(7) }
}

pub fn reached(number: u8, offset: u64, verdict: Arc<Verdict>) -> Entry {
    Entry::Verdict { key: key(number), owner: at(offset), verdict, decision: None }
}

pub fn published(number: u8, offset: u64, time: i64) -> Entry {
    Entry::Published { key: key(number), owner: at(offset), at: Timestamp(time) }
}

/// The claim of a copy that came back from a delay tier, where it stands at `copy`.
pub fn came_back(number: u8, offset: u64, hop: u32, copy: u64) -> Claim {
    let copy = Position { topic_id: "tier".to_owned(), ..at(copy) };
    Claim { hop, copy: Some(copy), ..claim(number, offset) }
}

pub fn put_off(number: u8, offset: u64, tier: u8) -> Entry {
    Entry::Defer { key: key(number), owner: at(offset), ticket: claim(number, offset).ticket, tier }
}

/// As [`repair`], for copies in the delay tier.
pub fn repair_copies(to: u64, unfinished: &[u64]) -> Entry {
    match repair(to, unfinished) {
        Entry::RepairPublished { partition, to, unfinished, at, .. } => {
            Entry::RepairPublished { topic_id: "tier".to_owned(), partition, to, unfinished, at }
        }
        other => other,
    }
}

pub fn vanished(from: u64, to: u64) -> Entry {
    Entry::Vanished { topic_id: "events".into(), partition: 0, from, to }
}

pub fn repair(to: u64, unfinished: &[u64]) -> Entry {
    let unfinished = unfinished.to_vec();
    Entry::RepairPublished { topic_id: "events".into(), partition: 0, to, unfinished, at: Timestamp(99) }
}

pub fn enter(topic_id: &str, partition: u32, writer: &str) -> Entry {
    Entry::Enter { topic_id: topic_id.to_owned(), partition, writer: writer.to_owned(), committed: None, last: None }
}

pub fn enter_at(partition: u32, base: u64) -> Entry {
    Entry::Enter {
        topic_id: "events".to_owned(),
        partition,
        writer: "gk-1".to_owned(),
        committed: Some(base),
        last: None,
    }
}

pub fn stands(partition: u32, base: u64) -> Entry {
    Entry::Stands { topic_id: "events".to_owned(), partition, base }
}

/// What the ledger knew of a partition when it was entered.
pub fn knew(stood_at: Option<u64>) -> Outcome {
    Outcome::Entered(Entered { stood_at, batches: 0 })
}

pub fn restore(number: u8, offset: u64, verdict: Arc<Verdict>, published_at: i64) -> Entry {
    let (claim, published_at) = (claim(number, offset), Timestamp(published_at));
    Entry::Restore(Restored { claim, verdict, published_at, decision: None })
}

pub async fn commit(ledger: &Arc<dyn Ledger>, entries: Vec<Entry>) -> Vec<Outcome> {
    ledger.commit(entries).await.expect("nothing is wrong with the store")
}

pub async fn one(ledger: &Arc<dyn Ledger>, entry: Entry) -> Outcome {
    commit(ledger, vec![entry]).await.pop().expect("one outcome an entry")
}

pub async fn row(ledger: &Arc<dyn Ledger>, number: u8) -> Row {
    find(ledger, number).await.expect("the row is there")
}

pub async fn find(ledger: &Arc<dyn Ledger>, number: u8) -> Option<Row> {
    ledger.find(key(number)).await.expect("nothing is wrong with the store")
}
