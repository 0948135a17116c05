//! A tenant over its limits: its events are put off and come back, in order, and nobody else waits.

use std::time::Duration;

use gatekeeper::domain::deferral::Deferral;
use gatekeeper::domain::feedback::{EventFeedback, FeedbackStatus};
use gatekeeper::domain::position::TopicRole;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::gatekeeper::{Gatekeeper, Place, place};
use super::tickets::{event_of, record, records};

const SHORTEST: TopicRole = TopicRole::Deferred(0);
const HASTY: &str = "pipeline.defer_after=\"500ms\"";

/// The second event of a ticket of `noisy`, which may have 30 calls a minute.
fn follow_up(ticket: usize, number: usize) -> Value {
    let mut event = event_of("noisy", number);
    event["ticket_id"] = json!(format!("T-{ticket}"));
    event["event_type"] = json!("MESSAGE_ADDED");
    event
}

/// A minute's worth of calls, and three more: two events of one ticket, one of another.
async fn too_many(gatekeeper: &Gatekeeper) -> (Vec<Place>, Vec<Place>) {
    let mut all: Vec<_> = (0..30).map(|number| record(&event_of("noisy", number))).collect();
    all.extend([event_of("noisy", 100), follow_up(100, 101), event_of("noisy", 102)].iter().map(record));
    let mut places = gatekeeper.publish(all).await;
    let late = places.split_off(30);
    (places, late)
}

async fn words_about(gatekeeper: &Gatekeeper, at: Place) -> Vec<(FeedbackStatus, String)> {
    let all: Vec<EventFeedback> = gatekeeper.decoded(TopicRole::Feedback, "EventFeedback").await;
    let about = all.into_iter().filter(|word| place(word.origin.partition, word.origin.offset) == at);
    about.map(|word| (word.status, word.reason_code)).collect()
}

#[tokio::test]
async fn what_a_tenants_limits_have_no_room_for_is_put_off_and_comes_back_in_order() {
    let gatekeeper = Gatekeeper::with(&[HASTY, "pipeline.superseding=false"]).await;
    let (_, late) = too_many(&gatekeeper).await;
    let quiet = gatekeeper.publish(records(0..5)).await;
    gatekeeper.serve_until_idle().await;

    let decided = (FeedbackStatus::Accepted, "DECIDED".to_owned());
    let deferred = |code: &str| (FeedbackStatus::Deferred, code.to_owned());
    for (at, code) in late.iter().zip(["TENANT_RATE_LIMITED", "WAITING_FOR_EARLIER_EVENT", "TENANT_RATE_LIMITED"]) {
        assert_eq!(words_about(&gatekeeper, *at).await, [deferred(code), decided.clone()], "{at:?}");
    }
    for at in quiet {
        assert_eq!(words_about(&gatekeeper, at).await, std::slice::from_ref(&decided), "nobody else is put off");
    }
    // A copy carries the original and where it stood; its partition is the original's.
    let copies = gatekeeper.records(SHORTEST).await;
    let mut origins: Vec<Place> = copies
        .iter()
        .map(|(partition, copy)| {
            let deferral = Deferral::read(copy, *partition).expect("a copy of ours");
            assert_eq!((deferral.hop, copy.header("ce_id").is_some()), (1, true));
            (deferral.origin.partition, deferral.origin.offset)
        })
        .collect();
    origins.sort_unstable();
    let mut expected = late.clone();
    expected.sort_unstable();
    assert_eq!(origins, expected);
    let report = gatekeeper.audit_finished().await;
    assert_eq!((&report["out_of_order"], &report["terminals"]), (&json!(0), &json!(38)));
    assert_eq!(gatekeeper.calls().0, 38, "what is put off is paid for once");
}

#[tokio::test]
async fn a_crash_while_events_are_put_off_loses_none_and_a_later_event_does_not_pass() {
    let gatekeeper = Gatekeeper::with(&[HASTY, "pipeline.superseding=false"]).await;
    let (_, late) = too_many(&gatekeeper).await;
    let mut worker = gatekeeper.serve();
    let mut waited = Vec::new();
    while waited.len() < 3 {
        waited = gatekeeper.records(SHORTEST).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    worker.signal(Signal::SIGKILL);
    worker.ended().await;
    // Its ticket's earlier events stand in the tier: it must follow them, although the limits have room for it by now.
    let follower = gatekeeper.publish(vec![record(&follow_up(100, 103))]).await;
    gatekeeper.serve_until_idle().await;

    let ends = gatekeeper.ends_of(&[late.clone(), follower.clone()].concat()).await;
    assert!(ends.iter().all(|end| end.status == FeedbackStatus::Accepted), "{ends:?}");
    let about = words_about(&gatekeeper, follower[0]).await;
    assert_eq!(about[0], (FeedbackStatus::Deferred, "WAITING_FOR_EARLIER_EVENT".to_owned()));
    let report = gatekeeper.audit_finished().await;
    assert_eq!((&report["out_of_order"], &report["twice"], &report["missing"]), (&json!(0), &json!(0), &json!(0)));
}

#[tokio::test]
async fn a_record_that_somebody_else_wrote_to_a_delay_tier_is_a_dead_letter() {
    let gatekeeper = Gatekeeper::new().await;
    let mut stray = record(&event_of("acme", 1));
    stray.topic = SHORTEST;
    gatekeeper.log.append(vec![stray]).await.expect("the log takes it");
    gatekeeper.serve_until_idle().await;
    let letters = gatekeeper.dead_letters().await;
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!(
        (letter.reason_code.as_str(), letter.origin_topic.as_str()),
        ("DECODE_FAILED", "support.deferred.10s.v1")
    );
    assert_eq!(gatekeeper.calls(), (0, 0));
    gatekeeper.audit_finished().await;
}
