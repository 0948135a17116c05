//! Which dead letters would be sent, and why not the others.

use std::sync::Arc;

use super::*;
use crate::adapters::memory::ledger::{MemoryLedger, Rows};
use crate::domain::bytes::Bytes;
use crate::domain::clock::SystemClock;
use crate::domain::feedback::EventFeedback;
use crate::domain::identity::BodyHash;
use crate::domain::position::Position;
use crate::domain::reason_code::ReasonCode;
use crate::domain::record::Header;
use crate::domain::redrive::DEAD_LETTER;
use crate::domain::samples;
use crate::domain::verdict::Verdict;
use crate::operations::log_browser::testing::Shelf;
use crate::pipeline::dedupe::ledger::{Claim, Entry as LedgerEntry};
use crate::settings::{LoadOptions, load};

fn schemas() -> SchemaSet {
    SchemaSet::new(&load(&LoadOptions::default()).expect("the defaults").settings.schemas).expect("no ids")
}

/// One that can be sent: of the second partition of events.
fn letter(id: &str) -> DeadLetter {
    DeadLetter {
        dead_letter_id: id.to_owned(),
        origin_topic: Shelf::name(TopicRole::Events).to_owned(),
        origin_partition: 1,
        value: Some(Bytes(b"no event".to_vec())),
        value_sha256: None,
        replayable: true,
        replay_count: 0,
        ..samples::dead_letter()
    }
}

async fn planned(asked: &Asked, letters: &[DeadLetter]) -> Plan {
    let mut shelf = Shelf::default();
    for letter in letters {
        shelf.put(TopicRole::DeadLetters, 1, letter.last_failed_at, letter);
    }
    plan(asked, &shelf, None, &schemas()).await.expect("readable")
}

fn any() -> Asked {
    Asked { max_redrives: 3, ..Asked::default() }
}

#[tokio::test]
async fn what_cannot_be_sent_says_why() {
    let letters = [
        letter("ready"),
        DeadLetter { value: None, value_sha256: Some("ab".to_owned()), ..letter("too large to keep") },
        DeadLetter { value: None, ..letter("tombstone") },
        DeadLetter { replayable: false, ..letter("conflict") },
        DeadLetter { origin_topic: "another".to_owned(), ..letter("renamed") },
        DeadLetter { origin_topic: Shelf::name(TopicRole::Feedback).to_owned(), ..letter("an output") },
        DeadLetter { origin_partition: 2, ..letter("fewer partitions") },
        DeadLetter { replay_count: 3, ..letter("a loop") },
        DeadLetter { origin_topic: Shelf::name(TopicRole::HumanFeedback).to_owned(), ..letter("an opinion") },
    ];
    let plan = planned(&any(), &letters).await;
    let fates: Vec<Fate> = plan.letters.iter().map(|letter| letter.fate).collect();
    use Fate::{NoValue, NotRead, Ready, SameEnd, TooOften};
    assert_eq!(fates, [Ready, NoValue, SameEnd, SameEnd, NotRead, NotRead, NotRead, TooOften, Ready]);
    assert_eq!((plan.held, plan.ready()), (9, 2));
}

#[tokio::test]
async fn of_each_record_the_newest_failure_counts_whatever_clocks_say() {
    let at =
        |failed_at, replay_count, id| DeadLetter { last_failed_at: Timestamp(failed_at), replay_count, ..letter(id) };
    let plan = planned(&any(), &[at(9, 0, "a"), at(2, 0, "b"), at(3, 1, "a"), at(1, 2, "a")]).await;
    let found: Vec<(&str, u32)> = plan.letters.iter().map(|letter| (&*letter.id, letter.redrives)).collect();
    assert_eq!((found, plan.earlier), (vec![("b", 0), ("a", 2)], 2));
}

#[tokio::test]
async fn an_id_alone_makes_no_letter_an_earlier_failure() {
    let forged = DeadLetter { replay_count: i32::MAX, value: Some(Bytes(b"garbage".to_vec())), ..letter("a") };
    let plan = planned(&any(), &[letter("a"), forged]).await;
    let fates: Vec<Fate> = plan.letters.iter().map(|letter| letter.fate).collect();
    assert_eq!((fates, plan.earlier), (vec![Fate::Ready, Fate::TooOften], 0));
}

#[tokio::test]
async fn what_is_no_dead_letter_is_counted_and_keeps_nothing_back() {
    let mut shelf = Shelf::default();
    shelf.put(TopicRole::DeadLetters, 0, Timestamp(1), &"somebody else's");
    shelf.put(TopicRole::DeadLetters, 0, Timestamp(1), &letter("a"));
    let plan = plan(&any(), &shelf, None, &schemas()).await.expect("readable");
    assert_eq!((plan.held, plan.unreadable, plan.ready()), (2, 1, 1));
}

fn claim(key: DedupeKey) -> Claim {
    Claim {
        key,
        position: Position { topic_id: "events".into(), partition: 3, offset: 11 },
        hop: 0,
        copy: None,
        ticket: "acme|1".into(),
        body: BodyHash { form: 1, sha256: [1; 32] },
        tenant_id: "acme".into(),
        event_id: "e-1".into(),
        at: Timestamp(1),
    }
}

#[tokio::test]
async fn of_what_was_claimed_the_ledger_knows_or_nobody_does() {
    let ledger = MemoryLedger::open(Rows::default(), "a", 1, true, Arc::new(SystemClock));
    let (known, forgotten) = (DedupeKey([1; 32]), DedupeKey([2; 32]));
    ledger.commit(vec![LedgerEntry::Claim(claim(known))]).await.expect("nothing is wrong with it");
    let mut shelf = Shelf::default();
    for (id, key) in [("known", known), ("forgotten", forgotten)] {
        let headers = vec![Header::text("gk-dedupe-key", &key.to_hex())];
        let letter = DeadLetter { last_failed_at: Timestamp(5), ..letter(id) };
        shelf.put_with(TopicRole::DeadLetters, 0, Timestamp(5), &letter, headers);
    }
    for at in [4, 6] {
        shelf.put(TopicRole::Feedback, 0, Timestamp(at), &samples::feedback());
    }
    let fates = async |asked: Asked, shelf: &Shelf| {
        let plan = plan(&asked, shelf, Some(&ledger), &schemas()).await.expect("readable");
        plan.letters.iter().map(|letter| letter.fate).collect::<Vec<_>>()
    };
    assert_eq!(fates(any(), &shelf).await, [Fate::InWork, Fate::Ready], "feedback reaches back, and knows of no end");
    // Retention takes what was there when it failed.
    shelf.begins_at(TopicRole::Feedback, 0, 1);
    assert_eq!(fates(any(), &shelf).await, [Fate::InWork, Fate::Forgotten]);
    assert_eq!(fates(Asked { forgotten: true, ..any() }, &shelf).await, [Fate::InWork, Fate::Ready]);
    shelf.begins_at(TopicRole::Feedback, 0, 2);
    assert_eq!(fates(any(), &shelf).await, [Fate::InWork, Fate::Forgotten], "nothing is left of it");
}

#[tokio::test]
async fn of_what_could_not_be_read_it_counts_what_was_published_since() {
    let mut shelf = Shelf::default();
    let names = ["decided", "rejected", "waiting", "of people", "nothing"];
    for name in names {
        let letter = DeadLetter { last_failed_at: Timestamp(100_000), value: Some(Bytes(name.into())), ..letter(name) };
        shelf.put(TopicRole::DeadLetters, 1, Timestamp(100_000), &letter);
    }
    let feedback = |status, terminal| EventFeedback { status, terminal, ..samples::feedback() };
    let mut tell = |topic, at, id: &str, feedback: &EventFeedback| {
        shelf.put_with(topic, 1, Timestamp(at), feedback, vec![Header::text(DEAD_LETTER, id)]);
    };
    // Long before the first of them: not even looked at.
    for at in 0..100 {
        tell(TopicRole::Feedback, at, "nothing", &feedback(FeedbackStatus::Accepted, true));
    }
    for (id, status, terminal) in [
        ("decided", FeedbackStatus::Ignored, true),
        ("rejected", FeedbackStatus::Rejected, true),
        ("waiting", FeedbackStatus::Deferred, false),
        ("another", FeedbackStatus::Accepted, true),
    ] {
        tell(TopicRole::Feedback, 100_000, id, &feedback(status, terminal));
    }
    tell(TopicRole::DecisionReviews, 100_000, "of people", &feedback(FeedbackStatus::Accepted, true));
    let plan = plan(&any(), &shelf, None, &schemas()).await.expect("readable");
    let fates: Vec<Fate> = plan.letters.iter().map(|letter| letter.fate).collect();
    use Fate::{Decided, Ready};
    assert_eq!(fates, [Decided, Ready, Ready, Decided, Ready], "{names:?}");
}

#[tokio::test]
async fn copies_of_one_event_are_one_record_whatever_their_dead_letters() {
    let key = DedupeKey([7; 32]).to_hex();
    let mut shelf = Shelf::default();
    for id in ["first", "resent by its publisher"] {
        let headers = vec![Header::text("gk-dedupe-key", &key)];
        shelf.put_with(TopicRole::DeadLetters, 0, Timestamp(1), &letter(id), headers);
    }
    let plan = plan(&any(), &shelf, None, &schemas()).await.expect("readable");
    assert_eq!(plan.letters.iter().map(|letter| &*letter.id).collect::<Vec<_>>(), ["resent by its publisher"]);
}

#[test]
fn who_was_decided_or_is_in_work_is_not_sent() {
    let claim = claim(DedupeKey([1; 32]));
    let row = |status: Option<FeedbackStatus>, vanished| {
        let verdict = |status| Verdict::of(status, ReasonCode::Decided, Timestamp(1), Timestamp(2));
        Row { verdict: status.map(|status| Arc::new(verdict(status))), vanished, ..Row::left_by(&claim) }
    };
    assert_eq!(fate_of(&row(Some(FeedbackStatus::Rejected), false)), None);
    assert_eq!(fate_of(&row(Some(FeedbackStatus::Accepted), false)), Some(Fate::Decided));
    assert_eq!(fate_of(&row(Some(FeedbackStatus::Ignored), false)), Some(Fate::Decided));
    assert_eq!(fate_of(&row(None, false)), Some(Fate::InWork));
    assert_eq!(fate_of(&row(None, true)), None, "its owner is gone for good");
}

#[tokio::test]
async fn only_what_is_asked_for_is_looked_at_and_only_so_many_are_sent() {
    let of = |id: &str, tenant: &str, code: &str, at| DeadLetter {
        tenant_id: Some(tenant.to_owned()),
        reason_code: code.to_owned(),
        last_failed_at: Timestamp(at),
        ..letter(id)
    };
    let letters = [of("1", "a", "X", 10), of("2", "a", "Y", 20), of("3", "b", "X", 30), of("4", "a", "X", 40)];
    let names = async |asked: Asked| {
        let plan = planned(&asked, &letters).await;
        let ready = plan.letters.into_iter().filter(|letter| letter.fate == Fate::Ready);
        ready.map(|letter| letter.id).collect::<Vec<_>>().join("")
    };
    assert_eq!(names(any()).await, "1234");
    assert_eq!(names(Asked { reasons: vec!["X".to_owned()], ..any() }).await, "134");
    assert_eq!(names(Asked { tenant: Some("a".to_owned()), ..any() }).await, "124");
    assert_eq!(names(Asked { ids: vec!["2".to_owned(), "3".to_owned()], ..any() }).await, "23");
    let since = Asked { since: Some(Timestamp(20)), until: Some(Timestamp(40)), ..any() };
    assert_eq!(names(since).await, "23");
    assert_eq!(names(Asked { limit: Some(2), ..any() }).await, "12");
    assert_eq!(names(Asked { ticket: Some("none".to_owned()), ..any() }).await, "");
}
