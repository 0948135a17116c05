//! What a rebuild asks of a ledger, and what it makes of events that were put off.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;

use super::*;
use crate::adapters::memory::ledger::{MemoryLedger, Rows};
use crate::domain::budget::{Day, Purse};
use crate::domain::clock::SystemClock;
use crate::domain::decision::Origin;
use crate::domain::deferral::Deferral;
use crate::domain::feedback::{EventFeedback, FeedbackStatus};
use crate::domain::identity::{BodyHash, RecordKind};
use crate::domain::record::Header;
use crate::domain::samples;
use crate::operations::log_browser::testing::Shelf;
use crate::pipeline::dedupe::ledger::decision_index::DecisionIndex;
use crate::pipeline::dedupe::ledger::places::{Counted, Places};
use crate::pipeline::dedupe::ledger::purses::Spending;
use crate::pipeline::dedupe::ledger::{LedgerError, Outcome, Row};
use crate::settings::load::{LoadOptions, load};

const TIER: TopicRole = TopicRole::Deferred(0);
const NUMBER: u32 = 1;

/// A ledger, and how often it was asked for rows.
struct Counting {
    ledger: MemoryLedger,
    questions: AtomicUsize,
}

impl Counting {
    fn new() -> Self {
        let ledger = MemoryLedger::open(Rows::default(), "a", 1, true, Arc::new(SystemClock));
        Self { ledger, questions: AtomicUsize::new(0) }
    }
}

impl Ledger for Counting {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'_, Result<Vec<Outcome>, LedgerError>> {
        self.ledger.commit(entries)
    }

    fn find_all(&self, keys: Vec<DedupeKey>) -> BoxFuture<'_, Result<HashMap<DedupeKey, Row>, LedgerError>> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        self.ledger.find_all(keys)
    }

    fn forget(&self, before: Timestamp, after: Timestamp, limit: u32) -> BoxFuture<'_, Result<u64, LedgerError>> {
        self.ledger.forget(before, after, limit)
    }
}

impl DecisionIndex for Counting {
    fn forget_decisions(&self, before: Timestamp, limit: u32) -> BoxFuture<'_, Result<u64, LedgerError>> {
        self.ledger.forget_decisions(before, limit)
    }
}

impl Spending for Counting {
    fn spent<'a>(&'a self, tenant: &'a str, day: Day) -> BoxFuture<'a, Result<Purse, LedgerError>> {
        self.ledger.spent(tenant, day)
    }
}

impl Places for Counting {
    fn bind<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<String, LedgerError>> {
        self.ledger.bind(group)
    }

    fn topic<'a>(&'a self, role: TopicRole, topic_id: &'a str) -> BoxFuture<'a, Result<String, LedgerError>> {
        self.ledger.topic(role, topic_id)
    }

    fn recreated<'a>(&'a self, role: TopicRole, old: &'a str, new: &'a str) -> BoxFuture<'a, Result<u64, LedgerError>> {
        self.ledger.recreated(role, old, new)
    }

    fn writer<'a>(&'a self, topic_id: &'a str, partition: u32) -> BoxFuture<'a, Result<Option<String>, LedgerError>> {
        self.ledger.writer(topic_id, partition)
    }

    fn counted<'a>(&'a self, topic_id: &'a str) -> BoxFuture<'a, Result<Option<Counted>, LedgerError>> {
        self.ledger.counted(topic_id)
    }

    fn count<'a>(
        &'a self,
        topic_id: &'a str,
        from: Option<&'a Counted>,
        to: &'a Counted,
    ) -> BoxFuture<'a, Result<Counted, LedgerError>> {
        self.ledger.count(topic_id, from, to)
    }

    fn first_open<'a>(&'a self, topic_id: &'a str, partition: u32) -> BoxFuture<'a, Result<Option<u64>, LedgerError>> {
        self.ledger.first_open(topic_id, partition)
    }
}

fn key(offset: u64) -> DedupeKey {
    DedupeKey::of(RecordKind::Event, "acme", "/zendesk/acme", "event_id", &format!("e-{offset}"))
}

/// What feedback says of the event at this offset.
fn tell(log: &mut Shelf, offset: u64, at: Timestamp, feedback: EventFeedback) {
    let topic = Shelf::name(TopicRole::Events).to_owned();
    let partition = i32::try_from(NUMBER).expect("small");
    let origin = Origin { topic, partition, offset: offset.cast_signed(), timestamp: Timestamp(0) };
    let body = BodyHash { form: 1, sha256: [1; 32] };
    let headers =
        [Header::text("gk-dedupe-key", &key(offset).to_hex()), Header::text("gk-body-hash", &body.to_string())];
    // What cannot be read has no identity.
    let headers = headers.into_iter().filter(|_| feedback.event_id.is_some()).collect();
    log.put_with(TopicRole::Feedback, NUMBER, at, &EventFeedback { origin, ..feedback }, headers);
}

fn ended(offset: u64) -> EventFeedback {
    EventFeedback {
        event_id: Some(format!("e-{offset}")),
        event_source: Some("/zendesk/acme".to_owned()),
        tenant_id: Some("acme".to_owned()),
        ticket_id: Some("7".to_owned()),
        status: FeedbackStatus::Ignored,
        terminal: true,
        reason_code: "INTERNAL_NOTE".to_owned(),
        ..samples::feedback()
    }
}

fn put_off(offset: u64) -> EventFeedback {
    let (status, reason_code) = (FeedbackStatus::Deferred, "TENANT_RATE_LIMITED".to_owned());
    EventFeedback { status, terminal: false, reason_code, ..ended(offset) }
}

/// Its copy in the delay tier.
fn copy(log: &mut Shelf, offset: u64, improves: Option<String>) {
    let topic_id = Shelf::name(TopicRole::Events).to_owned();
    let origin = Position { topic_id, partition: NUMBER, offset };
    let now = Timestamp(0);
    let copy = Deferral { origin, timestamp: now, hop: 1, not_before: now, turn: now, waits_for_room: false, improves };
    let original = Record { offset, timestamp: now, key: None, value: None, headers: Vec::new() };
    log.put_with(TIER, NUMBER, now, &(), copy.headers(&original));
}

async fn run_on(log: &Shelf, ledger: &dyn Ledger, since: Timestamp, mode: Mode) -> Report {
    run_in(log, ledger, Window { since, rejected_since: since }, mode).await
}

async fn run_in(log: &Shelf, ledger: &dyn Ledger, window: Window, mode: Mode) -> Report {
    let settings = load(&LoadOptions::default()).expect("the defaults are right").settings;
    let schemas = SchemaSet::new(&settings.schemas).expect("they are readable");
    let mut partitions = Vec::new();
    let mut tell = |partition: Partition, _: &Report| partitions.push(partition.number);
    let report = run(log, ledger, &schemas, "group", window, mode, &mut tell).await.expect("it is readable");
    assert_eq!(partitions, [0, 1], "each is told of");
    report
}

#[tokio::test]
async fn a_page_of_feedback_is_one_question() {
    let (mut log, ledger) = (Shelf::default(), Counting::new());
    for offset in 0..2_100 {
        tell(&mut log, offset, Timestamp(1), ended(offset));
    }
    let report = run_on(&log, &ledger, Timestamp(0), Mode::Check).await;
    assert_eq!((report.published, report.missing), (2_100, 2_100), "{report}");
    let questions = ledger.questions.load(Ordering::Relaxed);
    assert!(questions <= 3, "{questions} questions");
    assert!(run_on(&log, &ledger, Timestamp(0), Mode::Rebuild).await.is_whole());
    let report = run_on(&log, &ledger, Timestamp(0), Mode::Check).await;
    assert!(report.is_whole() && report.missing == 0, "{report}");
}

/// A claim as a processor would make it now, and how many it must not pass.
async fn ahead_of(ledger: &dyn Ledger, offset: u64) -> u64 {
    let position = Position { topic_id: Shelf::name(TopicRole::Events).to_owned(), partition: NUMBER, offset };
    let claim = Claim {
        key: key(offset),
        position,
        hop: 0,
        copy: None,
        ticket: "acme|7".into(),
        body: BodyHash { form: 1, sha256: [1; 32] },
        tenant_id: "acme".into(),
        event_id: format!("e-{offset}").into(),
        at: Timestamp(0),
    };
    let outcomes = ledger.commit(vec![Entry::Claim(claim)]).await.expect("nothing is wrong with it");
    let [Outcome::Row(row)] = &outcomes[..] else { panic!("{outcomes:?}") };
    row.ahead.map_or(0, |ahead| ahead.count)
}

#[tokio::test]
async fn who_was_put_off_and_has_no_copy_any_more_keeps_nobody_waiting() {
    let mut log = Shelf::default();
    // The last one long ago: what is not published is remembered whatever its age.
    for (offset, at) in [(0, 9), (1, 9), (2, 9), (3, 9), (4, 1)] {
        tell(&mut log, offset, Timestamp(at), put_off(offset));
    }
    // Retention takes the first copy, and somebody has moved the position past the second; the third stands there, and
    // beside it one of what the fourth was to be decided better by.
    for (offset, improves) in [(1, None), (2, None), (0, None), (3, Some("d-1".to_owned()))] {
        copy(&mut log, offset, improves);
    }
    log.begins_at(TIER, NUMBER, 1);
    log.commit(TIER, NUMBER, 2);

    // As if they had been put off yesterday, and once more with an empty ledger.
    let (whole, empty) = (Counting::new(), Counting::new());
    for offset in 0..5 {
        ahead_of(&whole, offset).await;
        let owner = Position { topic_id: Shelf::name(TopicRole::Events).to_owned(), partition: NUMBER, offset };
        let entry = Entry::Defer { key: key(offset), owner, ticket: "acme|7".into(), tier: 0 };
        whole.commit(vec![entry]).await.expect("nothing is wrong with it");
    }
    assert_eq!(ahead_of(&whole, 9).await, 5);
    for ledger in [&whole, &empty] {
        let looked = run_on(&log, ledger, Timestamp(5), Mode::Check).await;
        assert!(looked.lost.is_empty(), "a processor may hold them: {looked}");
        let report = run_on(&log, ledger, Timestamp(5), Mode::Rebuild).await;
        assert_eq!(report.lost, [(NUMBER, 1), (NUMBER, 2), (NUMBER, 3), (NUMBER, 4)], "{report}");
        assert!(report.to_string().contains("events:1@4"), "{report}");
        assert_eq!(ahead_of(ledger, 9).await, 1, "the first is still to come");
        assert!(!ledger.find(key(0)).await.expect("readable").expect("it waits").vanished);
    }
    assert!(whole.find(key(4)).await.expect("readable").expect("it waited").vanished);
}

/// A copy of the ledger that is older than the window: of what it says that it is put off, the end is out of the window.
#[tokio::test]
async fn who_was_put_off_in_an_old_copy_of_the_ledger_and_ended_long_ago_keeps_nobody_waiting() {
    let (mut log, ledger) = (Shelf::default(), Counting::new());
    tell(&mut log, 0, Timestamp(1), put_off(0));
    copy(&mut log, 0, None);
    assert_eq!(run_on(&log, &ledger, Timestamp(0), Mode::Rebuild).await.lost.len(), 0);
    assert_eq!(ahead_of(&ledger, 9).await, 1, "it waits");
    tell(&mut log, 0, Timestamp(2), ended(0));
    let report = run_on(&log, &ledger, Timestamp(5), Mode::Check).await;
    assert!(!report.is_whole() && report.unpublished == 1, "{report}");
    run_on(&log, &ledger, Timestamp(5), Mode::Rebuild).await;
    assert_eq!(ahead_of(&ledger, 9).await, 0);
    assert!(run_on(&log, &ledger, Timestamp(5), Mode::Check).await.is_whole());
}

#[tokio::test]
async fn a_copy_that_ended_as_unreadable_is_away_no_longer() {
    let (mut log, ledger) = (Shelf::default(), Counting::new());
    for offset in 0..3 {
        tell(&mut log, offset, Timestamp(9), put_off(offset));
        copy(&mut log, offset, None);
    }
    let rejected = |offset, code: &str| EventFeedback {
        status: FeedbackStatus::Rejected,
        reason_code: code.to_owned(),
        ..ended(offset)
    };
    let unreadable = EventFeedback { event_id: None, ..rejected(0, "UNKNOWN_SCHEMA") };
    tell(&mut log, 0, Timestamp(9), unreadable);
    // Of a reason that only a newer build knows.
    tell(&mut log, 1, Timestamp(9), rejected(1, "WRONG_MOON"));
    let report = run_on(&log, &ledger, Timestamp(0), Mode::Rebuild).await;
    assert_eq!((report.skipped, report.lost.len()), (1, 0), "{report}");
    assert_eq!(ahead_of(&ledger, 9).await, 1, "only the third is waited for");
}

/// Rejections are remembered longer than other ends. One whose later end was not would be decided once more.
#[tokio::test]
async fn who_was_rejected_and_decided_since_is_not_one_that_may_be_decided() {
    let (mut log, ledger) = (Shelf::default(), Counting::new());
    let rejected =
        EventFeedback { status: FeedbackStatus::Rejected, reason_code: "TENANT_UNKNOWN".to_owned(), ..ended(0) };
    tell(&mut log, 0, Timestamp(3), rejected);
    let letter_of = |key: DedupeKey| {
        vec![
            Header::text("gk-dedupe-key", &key.to_hex()),
            Header::text("gk-body-hash", &BodyHash { form: 1, sha256: [1; 32] }.to_string()),
        ]
    };
    log.put_with(TopicRole::DeadLetters, NUMBER, Timestamp(3), &samples::dead_letter(), letter_of(key(0)));
    tell(&mut log, 1, Timestamp(4), ended(1));
    // Sent again, to another offset.
    let origin = Origin {
        topic: Shelf::name(TopicRole::Events).to_owned(),
        partition: i32::try_from(NUMBER).expect("small"),
        offset: 7,
        timestamp: Timestamp(0),
    };
    let body = BodyHash { form: 1, sha256: [1; 32] };
    let headers =
        vec![Header::text("gk-dedupe-key", &key(0).to_hex()), Header::text("gk-body-hash", &body.to_string())];
    log.put_with(TopicRole::Feedback, NUMBER, Timestamp(5), &EventFeedback { origin, ..ended(0) }, headers);
    let window = Window { since: Timestamp(8), rejected_since: Timestamp(2) };
    run_in(&log, &ledger, window, Mode::Rebuild).await;
    let row = ledger.find(key(0)).await.expect("readable").expect("it is remembered");
    assert_eq!((row.owner.offset, row.verdict.map(|verdict| verdict.status)), (7, Some(FeedbackStatus::Ignored)));
    assert!(ledger.find(key(1)).await.expect("readable").is_none(), "it is out of its window");
}
