//! A tenant's money for a day: what the provider bills is never more, whatever happens.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use gatekeeper::domain::budget::Day;
use gatekeeper::domain::clock::{Clock as _, SystemClock};
use gatekeeper::domain::decision::{DecidedBy, Disposition};
use gatekeeper::domain::feedback::{EventFeedback, FeedbackStatus};
use gatekeeper::domain::position::TopicRole;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::gatekeeper::{Gatekeeper, PATIENCE, Place, until};
use super::tickets::{event_of, record};

/// Millionths: room for about a dozen calls at the shipped prices.
const BUDGET: u64 = 2_000;
/// More than any call of these tests is expected to cost.
const ONE_CALL: u64 = 500;
const EVENTS: usize = 60;

async fn installation(sets: &[&str], when_spent: &str) -> Gatekeeper {
    // A day that ends in the middle of a test has two budgets.
    let ends_in = || Day::of(SystemClock.now()).ends_in(SystemClock.now());
    if ends_in() < PATIENCE * 3 {
        tokio::time::sleep(ends_in()).await;
    }
    let gatekeeper = Gatekeeper::with(sets).await;
    let policy = format!(
        "id = \"thrifty\"\nversion = \"1\"\ncurrency = \"EUR\"\n[limits]\nmoney_per_day = 0.002\n\
         when_budget_is_spent = \"{when_spent}\"\n"
    );
    std::fs::write(gatekeeper.folder.path().join("tenants/thrifty.toml"), policy).expect("the folder is there");
    gatekeeper
}

async fn publish(gatekeeper: &Gatekeeper, numbers: std::ops::Range<usize>) -> Vec<Place> {
    gatekeeper.publish(numbers.map(|number| record(&event_of("thrifty", number))).collect()).await
}

/// What the provider says that it billed, at the shipped prices.
fn billed(gatekeeper: &Gatekeeper) -> u64 {
    let text = std::fs::read_to_string(gatekeeper.folder.path().join("calls.jsonl")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let cost = |line: Value| {
        let tokens = |name: &str| line["end"][name].as_u64().unwrap_or_default();
        (tokens("prompt_tokens") * 150 + tokens("completion_tokens") * 600).div_ceil(1_000)
    };
    lines.filter(|line| line["what"] == "end").map(cost).sum()
}

fn shown(gatekeeper: &Gatekeeper) -> Value {
    let output = gatekeeper.command(&["tenants", "show", "thrifty", "--output", "json"]).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Millionths, as `tenants show` has them.
fn micros(value: &Value) -> u64 {
    (value.as_f64().expect("a number") * 1e6).round() as u64
}

fn by_code(ends: &[EventFeedback]) -> HashMap<(FeedbackStatus, String), usize> {
    ends.iter().fold(HashMap::new(), |mut counts, end| {
        *counts.entry((end.status, end.reason_code.clone())).or_default() += 1;
        counts
    })
}

#[tokio::test]
async fn a_budget_is_spent_down_to_less_than_a_call_and_not_beyond_it_and_a_restart_brings_nothing_back() {
    let gatekeeper = installation(&[], "degrade").await;
    let places = publish(&gatekeeper, 0..EVENTS).await;
    gatekeeper.serve_until_idle().await;
    let (calls, _) = gatekeeper.calls();
    let spent = billed(&gatekeeper);
    assert!(spent <= BUDGET && BUDGET - spent < ONE_CALL, "{calls} calls cost {spent}");
    let ends = by_code(&gatekeeper.ends_of(&places).await);
    let degraded = (FeedbackStatus::Degraded, "BUDGET_EXHAUSTED".to_owned());
    let accepted = (FeedbackStatus::Accepted, "DECIDED".to_owned());
    assert_eq!(ends, HashMap::from([(accepted, calls), (degraded.clone(), EVENTS - calls)]));
    let said = gatekeeper.what_the_worker_said();
    assert_eq!(said.matches("a tenant's budget is spent").count(), 1, "{said}");
    let changes: Vec<_> = gatekeeper.ops().await.into_iter().map(|event| (event.tenant_id, event.current)).collect();
    assert_eq!(changes, [(Some("thrifty".to_owned()), Some("exhausted".to_owned()))]);
    let budget = &shown(&gatekeeper)["budget"];
    assert_eq!((micros(&budget["spent"]), micros(&budget["of_running_calls"])), (spent, 0), "{budget}");
    assert_eq!((&budget["money_per_day"], &budget["currency"]), (&json!(0.002), &json!("EUR")));

    let later = publish(&gatekeeper, 100..110).await;
    gatekeeper.serve_until_idle().await;
    assert_eq!(by_code(&gatekeeper.ends_of(&later).await), HashMap::from([(degraded, 10)]));
    assert_eq!((gatekeeper.calls().0, billed(&gatekeeper)), (calls, spent));
    gatekeeper.audit_finished().await;
}

#[tokio::test]
async fn calls_that_a_crash_cut_off_are_counted_and_the_provider_never_bills_more_than_the_budget() {
    let gatekeeper = installation(&[], "degrade").await;
    let places = publish(&gatekeeper, 0..EVENTS).await;
    let mut worker = gatekeeper.serve();
    until("calls have begun", || (gatekeeper.calls().0 >= 3).then_some(())).await;
    worker.signal(Signal::SIGKILL);
    worker.ended().await;
    gatekeeper.serve_until_idle().await;
    let spent = billed(&gatekeeper);
    assert!(spent <= BUDGET, "{spent}");
    let counted = micros(&shown(&gatekeeper)["budget"]["spent"]);
    assert!(
        (spent..=BUDGET).contains(&counted) && BUDGET - counted < ONE_CALL,
        "{counted} are counted, {spent} billed"
    );
    assert_eq!(gatekeeper.ends_of(&places).await.len(), EVENTS);
    gatekeeper.audit_finished().await;
}

#[tokio::test]
async fn a_tenant_that_wants_people_when_its_money_is_spent_gets_handoffs() {
    let gatekeeper = installation(&[], "human").await;
    let places = publish(&gatekeeper, 0..EVENTS).await;
    gatekeeper.serve_until_idle().await;
    let calls = gatekeeper.calls().0;
    let ends = gatekeeper.ends_of(&places).await;
    let decisions = gatekeeper.decisions().await;
    let mut handed_off = 0;
    for (place, end) in places.iter().zip(&ends).filter(|(_, end)| end.status == FeedbackStatus::Degraded) {
        assert_eq!(end.reason_code, "BUDGET_EXHAUSTED");
        let decision = &decisions[place];
        assert_eq!((decision.disposition, decision.decided_by), (Disposition::Handoff, DecidedBy::Fallback));
        assert!(decision.category.is_none(), "nobody guessed: {decision:?}");
        handed_off += 1;
    }
    assert_eq!((handed_off, calls > 0), (EVENTS - calls, true));
    gatekeeper.audit_finished().await;
}

#[tokio::test]
async fn a_tenant_that_would_rather_wait_has_its_events_put_off_until_the_next_day_in_the_order_of_their_tickets() {
    let gatekeeper = installation(&["pipeline.superseding=false"], "defer").await;
    let places = publish(&gatekeeper, 0..EVENTS).await;
    let mut worker = gatekeeper.serve();
    let words = async |wanted: &[Place]| -> Vec<EventFeedback> {
        let all: Vec<EventFeedback> = gatekeeper.decoded(TopicRole::Feedback, "EventFeedback").await;
        let is_wanted = |word: &EventFeedback| {
            wanted.contains(&super::gatekeeper::place(word.origin.partition, word.origin.offset))
        };
        all.into_iter().filter(is_wanted).collect()
    };
    let deadline = Instant::now() + PATIENCE;
    let mut said = Vec::new();
    while said.len() < EVENTS {
        assert!(Instant::now() < deadline, "{} words\n{}", said.len(), gatekeeper.what_the_worker_said());
        tokio::time::sleep(Duration::from_millis(20)).await;
        said = words(&places).await;
    }
    let accepted = said.iter().filter(|word| word.status == FeedbackStatus::Accepted).count();
    let put_off: Vec<_> = said.iter().filter(|word| word.status == FeedbackStatus::Deferred).collect();
    assert_eq!((accepted, put_off.len()), (gatekeeper.calls().0, EVENTS - accepted));
    let next_day = Day::of(SystemClock.now()).next().begins();
    let sure = put_off.iter().filter(|word| word.retry_at.is_some_and(|at| at >= next_day)).count();
    assert!(sure > 0 && put_off.iter().all(|word| word.reason_code == "BUDGET_EXHAUSTED"), "{put_off:?}");
    let first = put_off[0];
    let mut next = event_of("thrifty", 999);
    next["ticket_id"] = json!(first.ticket_id);
    next["event_type"] = json!("MESSAGE_ADDED");
    let next = gatekeeper.publish(vec![record(&next)]).await;
    let follows = loop {
        if let Some(word) = words(&next).await.pop() {
            break word;
        }
        assert!(Instant::now() < deadline + PATIENCE, "{}", gatekeeper.what_the_worker_said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((follows.status, follows.reason_code.as_str()), (FeedbackStatus::Deferred, "WAITING_FOR_EARLIER_EVENT"));
    assert!(billed(&gatekeeper) <= BUDGET);
    worker.signal(Signal::SIGTERM);
    assert!(worker.ended().await.success());
    let budget = shown(&gatekeeper)["budget"].clone();
    assert_eq!((micros(&budget["spent"]), micros(&budget["of_running_calls"])), (billed(&gatekeeper), 0));
    gatekeeper.audit().await;
}
