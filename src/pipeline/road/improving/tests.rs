//! Improve records on a road whose ledger says what the test wants.

use std::sync::Arc;

use tokio::time::{Instant, advance};

use crate::domain::better::{Better, Dropped, TRIES};
use crate::domain::clock::{Clock as _, SystemClock, Timestamp};
use crate::domain::deferral::Deferral;
use crate::domain::event::SupportEvent;
use crate::domain::identity::DedupeKey;
use crate::domain::position::{Partition, Position, TopicRole};
use crate::domain::reason_code::ReasonCode;
use crate::domain::record::{Payload, Record};
use crate::domain::tenant::Limits;
use crate::domain::verdict::Verdict;
use crate::pipeline::admit::Next;
use crate::pipeline::dedupe::ledger::places::Mark;
use crate::pipeline::dedupe::ledger::{Entry, Outcome, Row};
use crate::pipeline::log::{Assignment, Burst, Epoch, Happening};
use crate::pipeline::road::item::Plan;
use crate::pipeline::road::testing::{EVENTS, TestRoad, answer, decidable_event};
use crate::pipeline::triage::guard::{Bill, Job, Triaged, Way};

const fn tier(number: u8) -> Partition {
    Partition { topic: TopicRole::Deferred(number), number: 0 }
}

fn road() -> TestRoad {
    let mut test = TestRoad::improving();
    for partition in [EVENTS, tier(0), tier(1), tier(2), tier(3)] {
        test.assign(Assignment::never_read(partition, &partition.to_string()));
    }
    test
}

fn event(number: u64) -> SupportEvent {
    let mut event = decidable_event(number);
    event.occurred_at = SystemClock.now();
    event
}

fn record(event: &SupportEvent, offset: u64) -> Record {
    let value = Some(Payload::from(serde_json::to_vec(event).expect("an event can be written")));
    Record { offset, timestamp: Timestamp(0), key: None, value, headers: Vec::new() }
}

fn read(test: &mut TestRoad, partition: Partition, record: Record) {
    let happening = Happening::Records { epoch: Epoch(1), partition, records: vec![record] };
    test.road.happened(happening, Instant::now());
}

/// The improve record of this event, which stood at this offset, after so many tiers; it is due.
fn read_improve_record(test: &mut TestRoad, event: &SupportEvent, offset: u64, hop: u32) {
    let origin = Position { topic_id: EVENTS.to_string(), partition: 0, offset };
    let improves = Some("the fallback's".to_owned());
    let due = Timestamp(0);
    let deferral =
        Deferral { origin, timestamp: due, hop, not_before: due, turn: due, waits_for_room: false, improves };
    let original = record(event, offset);
    let copy = Record { headers: deferral.headers(&original), ..original };
    read(test, tier(u8::try_from(hop - 1).expect("a tier")), copy);
}

/// The ledger knows nothing, and has this against better decisions. Returns the verdicts it is to save.
fn serve(test: &mut TestRoad, against: Option<Dropped>) -> Vec<Arc<Verdict>> {
    let mut saved = Vec::new();
    while let Some((entries, batch)) = test.next_batch(10) {
        let mut outcome = |entry: &Entry| match entry {
            Entry::Claim(claim) => Outcome::Row(Arc::new(Row::left_by(claim))),
            Entry::Overtaken(_) => Outcome::Overtaken(against),
            Entry::Answer { answer, .. } => Outcome::Saved(answer.clone()),
            Entry::Verdict { verdict, .. } | Entry::Decide { verdict, .. } => {
                saved.push(verdict.clone());
                Outcome::Reached(verdict.clone())
            }
            Entry::Mark { .. } => Outcome::Marked(Mark::NONE),
            _ => Outcome::Changed(0),
        };
        let outcomes = entries.iter().map(&mut outcome).collect();
        test.road.ledger_said(batch, outcomes, Instant::now());
    }
    saved
}

fn next(test: &mut TestRoad) -> Option<Job> {
    test.road.next_job(Instant::now())
}

fn ends(test: &mut TestRoad, job: &Job, degraded: Option<ReasonCode>) {
    test.road.triaged(job.key, Triaged::Answered(answer(degraded), Bill { calls: 1, tokens: 1 }), Instant::now());
}

fn burst(test: &mut TestRoad) -> Burst {
    test.wake();
    test.bursts().pop().expect("something is finished")
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_for_when_nobody_else_wants_a_model_and_of_the_first_one_only() {
    let mut test = road();
    read_improve_record(&mut test, &event(7), 0, 1);
    read(&mut test, EVENTS, record(&event(8), 1));
    read(&mut test, EVENTS, record(&event(9), 2));
    serve(&mut test, None);
    for number in [8, 9] {
        let job = next(&mut test).expect("there is room");
        assert_eq!((job.event.event_id.as_str(), job.way == Way::FirstOnly), (&*format!("e-{number}"), false));
        assert!(next(&mut test).is_none(), "one call at a time");
        drop(job);
    }
    let job = next(&mut test).expect("nobody else waits");
    assert_eq!((job.event.event_id.as_str(), job.way == Way::FirstOnly), ("e-7", true));
    assert_eq!(job.key, DedupeKey::of_better(DedupeKey::of_event(&job.event)), "paid for under its own key");
}

#[tokio::test(start_paused = true)]
async fn a_fallbacks_burst_carries_it_unless_its_event_is_too_large_for_a_delay_tier() {
    for (has_room, better) in [(true, Some(Better::Wanted)), (false, None)] {
        let mut test = road();
        let original = record(&event(7), 0);
        if !has_room {
            test.road.fixtures.publisher.limit(original.bytes());
        }
        read(&mut test, EVENTS, original);
        serve(&mut test, None);
        let job = next(&mut test).expect("there is room");
        ends(&mut test, &job, Some(ReasonCode::ProviderError));
        let saved = serve(&mut test, None);
        assert_eq!(saved.iter().map(|verdict| verdict.better).collect::<Vec<_>>(), [better]);
        let topics: Vec<_> = burst(&mut test).records.iter().map(|record| record.topic).collect();
        assert_eq!(topics.contains(&tier(0).topic), has_room, "{topics:?}");
        assert!(topics.contains(&TopicRole::Decisions), "{topics:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_goes_out_as_the_second_version_and_without_a_terminal() {
    let mut test = road();
    read_improve_record(&mut test, &event(7), 0, 1);
    serve(&mut test, None);
    let job = next(&mut test).expect("nobody else waits");
    ends(&mut test, &job, None);
    let saved = serve(&mut test, None);
    assert_eq!(saved.iter().map(|verdict| verdict.better).collect::<Vec<_>>(), [Some(Better::Given)]);
    let burst = burst(&mut test);
    let [decision] = &burst.records[..] else { panic!("{burst:?}") };
    let value: serde_json::Value =
        serde_json::from_slice(decision.value.as_ref().expect("a decision")).expect("written as JSON");
    assert_eq!((&value["decision_version"], &value["supersedes_decision_id"]), (&2.into(), &"the fallback's".into()));
    assert_eq!(value["decision_id"], saved[0].decision.as_ref().expect("decided").id);
    let key =
        decision.headers.iter().find(|header| header.name == "gk-dedupe-key").and_then(|key| key.value.as_deref());
    assert_eq!(
        key,
        Some(DedupeKey::of_event(&event(7)).to_hex().as_bytes()),
        "it is about the event, whatever it claimed"
    );
    assert_eq!((burst.positions.len(), burst.positions[0].partition), (1, tier(0)), "and finishes its record");
}

#[tokio::test(start_paused = true)]
async fn while_the_model_is_away_it_goes_from_tier_to_tier_and_is_dropped_after_the_last() {
    for hop in 1..=u32::try_from(TRIES).expect("few") {
        let mut test = road();
        read_improve_record(&mut test, &event(7), 0, hop);
        serve(&mut test, None);
        let job = next(&mut test).expect("nobody else waits");
        ends(&mut test, &job, Some(ReasonCode::BreakerOpen));
        let saved: Vec<_> = serve(&mut test, None).iter().map(|verdict| verdict.better).collect();
        let burst = burst(&mut test);
        if hop < u32::try_from(TRIES).expect("few") {
            let [copy] = &burst.records[..] else { panic!("{burst:?}") };
            assert_eq!(copy.topic, TopicRole::Deferred(u8::try_from(hop).expect("a tier")));
            let copy = Record { headers: copy.headers.clone(), ..record(&event(7), 0) };
            let deferral = Deferral::read(&copy, 0).expect("ours");
            assert_eq!((deferral.hop, deferral.improves.as_deref()), (hop + 1, Some("the fallback's")));
            assert_eq!(saved, [], "nothing is decided yet");
        } else {
            assert!(burst.records.is_empty(), "{burst:?}");
            assert_eq!(saved, [Some(Better::Dropped(Dropped::ModelAway))]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_waits_for_its_own_limits_keeps_no_better_decision_of_another_back() {
    let mut test = road();
    let limits = Limits { requests_per_minute: Some(1), ..Limits::NONE };
    let (now, loud) = (Instant::now(), Arc::from("loud"));
    for number in 0..2 {
        let ticket = Arc::from(format!("t-{number}"));
        test.road.admission.offer(now, &loud, limits, ticket, 1).expect("it may wait");
        let next = test.road.admission.next(now, |_| true);
        assert_eq!(matches!(next, Next::Go { .. }), number == 0, "the minute's one request is spent");
    }
    read_improve_record(&mut test, &event(7), 0, 1);
    serve(&mut test, None);
    let job = next(&mut test).expect("the model has nothing else to do");
    assert_eq!(job.way, Way::FirstOnly);
}

#[tokio::test(start_paused = true)]
async fn what_the_model_has_no_answer_to_is_not_asked_again() {
    let mut test = road();
    read_improve_record(&mut test, &event(7), 0, 1);
    serve(&mut test, None);
    let job = next(&mut test).expect("nobody else waits");
    ends(&mut test, &job, Some(ReasonCode::ContentFiltered));
    let saved = serve(&mut test, None);
    assert_eq!(saved[0].better, Some(Better::Dropped(Dropped::NoAnswer)));
    assert!(burst(&mut test).records.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_newer_event_of_its_ticket_or_a_person_drops_it_before_anything_is_paid() {
    let newer = SupportEvent { event_id: "e-newer".to_owned(), ..event(7) };
    let mut owned = newer.clone();
    owned.ticket.human_owned = true;
    for (behind, ledger, why) in [
        (Some(newer), None, Dropped::NewerEvent),
        (Some(owned), None, Dropped::PersonActed),
        (None, Some(Dropped::NewerEvent), Dropped::NewerEvent),
        (None, Some(Dropped::PersonActed), Dropped::PersonActed),
    ] {
        let mut test = road();
        read_improve_record(&mut test, &event(7), 0, 1);
        if let Some(behind) = &behind {
            read(&mut test, EVENTS, record(behind, 1));
        }
        let saved = serve(&mut test, ledger);
        assert_eq!(saved[0].better, Some(Better::Dropped(why)), "{why:?}");
        let jobs = std::iter::from_fn(|| next(&mut test));
        assert!(jobs.map(|job| job.way).all(|way| way != Way::FirstOnly), "{why:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_saved_answer_or_decision_that_comes_too_late_stays_where_it_is() {
    for say_so_before_the_answer in [true, false] {
        let mut test = road();
        read_improve_record(&mut test, &event(7), 0, 1);
        serve(&mut test, None);
        let job = next(&mut test).expect("nobody else waits");
        ends(&mut test, &job, None);
        if say_so_before_the_answer {
            let saved = serve(&mut test, Some(Dropped::PersonActed));
            assert_eq!(saved[0].better, Some(Better::Dropped(Dropped::PersonActed)));
        } else {
            let id = *test.road.items.keys().next().expect("it is on the road");
            let (verdict, _) = {
                let item = &test.road.items[&id];
                let event = item.event().expect("an event");
                let tenant = event.tenant.clone().expect("known");
                test.road.decided(item, event, &tenant, &answer(None), false)
            };
            test.road.calls.clear();
            test.road.replan(id, Plan::Improve(super::Better::Publish(Arc::new(verdict))));
            let ticket = test.road.items[&id].ticket().expect("an event").clone();
            test.road.lanes.rewind(&ticket);
            test.road.work(&ticket, Instant::now());
            assert!(serve(&mut test, Some(Dropped::NewerEvent)).is_empty(), "its end was saved before");
        }
        assert!(burst(&mut test).records.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_in_time_goes_to_the_next_tier() {
    let mut test = road();
    read(&mut test, EVENTS, record(&event(8), 2));
    serve(&mut test, None);
    let _busy = next(&mut test).expect("there is room for one");
    // One stands where tenants take turns, the other one behind it.
    for number in [0, 1] {
        read_improve_record(&mut test, &event(number), number, 1);
    }
    serve(&mut test, None);
    assert!(next(&mut test).is_none());
    assert_eq!(test.road.next_wake(Instant::now()), Some(Instant::now() + super::PATIENCE));
    advance(super::PATIENCE).await;
    let burst = burst(&mut test);
    let [copy] = &burst.records[..] else { panic!("{burst:?}") };
    assert_eq!(copy.topic, TopicRole::Deferred(1));
}
