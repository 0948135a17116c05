//! A tenant over its limits: its events are put off and come back, in order, and nobody else waits.

use std::time::{Duration, Instant};

use gatekeeper::domain::deferral::Deferral;
use gatekeeper::domain::feedback::{EventFeedback, FeedbackStatus};
use gatekeeper::domain::position::TopicRole;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::gatekeeper::{Gatekeeper, PATIENCE, Place, place};
use super::tickets::{event_of, record, records};

const SHORTEST: TopicRole = TopicRole::Deferred(0);
const HASTY: &str = "pipeline.defer_after=\"500ms\"";

/// Two calls a second, and a minute's worth of them saved up.
const BUSY: &str = "id = \"busy\"\nversion = \"test\"\n[limits]\nrequests_per_minute = 120\n";

async fn installation() -> Gatekeeper {
    let gatekeeper = Gatekeeper::with(&[HASTY, "pipeline.superseding=false"]).await;
    std::fs::write(gatekeeper.folder.path().join("tenants/busy.toml"), BUSY).expect("the folder is there");
    gatekeeper
}

/// A minute's worth of calls, and ten more.
async fn too_many(gatekeeper: &Gatekeeper) -> Vec<Place> {
    gatekeeper.publish((0..130).map(|number| record(&event_of("busy", number))).collect()).await
}

async fn words_about(gatekeeper: &Gatekeeper, at: Place) -> Vec<(FeedbackStatus, String)> {
    let all: Vec<EventFeedback> = gatekeeper.decoded(TopicRole::Feedback, "EventFeedback").await;
    let about = all.into_iter().filter(|word| place(word.origin.partition, word.origin.offset) == at);
    about.map(|word| (word.status, word.reason_code)).collect()
}

#[tokio::test]
async fn what_a_tenants_limits_have_no_room_for_is_put_off_and_comes_back() {
    let gatekeeper = installation().await;
    let busy = too_many(&gatekeeper).await;
    let quiet = gatekeeper.publish(records(0..5)).await;
    gatekeeper.serve_until_idle().await;

    let decided = (FeedbackStatus::Accepted, "DECIDED".to_owned());
    let put_off = (FeedbackStatus::Deferred, "TENANT_RATE_LIMITED".to_owned());
    let mut deferred = Vec::new();
    for at in busy {
        let words = words_about(&gatekeeper, at).await;
        let (end, before) = words.split_last().expect("every event has its end");
        assert_eq!(*end, decided, "{at:?}");
        assert!(before.iter().all(|word| *word == put_off), "{at:?}: {before:?}");
        deferred.extend((!before.is_empty()).then_some(at));
    }
    assert!((2..=10).contains(&deferred.len()), "{} of 10 too many were put off", deferred.len());
    for at in quiet {
        assert_eq!(words_about(&gatekeeper, at).await, std::slice::from_ref(&decided), "nobody else is put off");
    }
    // A copy carries the original and where it stood; its partition is the original's.
    let copies = gatekeeper.records(SHORTEST).await;
    let mut origins: Vec<Place> = copies
        .iter()
        .map(|(partition, copy)| {
            let deferral = Deferral::read(copy, *partition).expect("a copy of ours");
            assert!(copy.header("ce_id").is_some());
            (deferral.origin.partition, deferral.origin.offset)
        })
        .collect();
    origins.sort_unstable();
    origins.dedup();
    deferred.sort_unstable();
    assert_eq!(origins, deferred);
    let report = gatekeeper.audit_finished().await;
    assert_eq!((&report["out_of_order"], &report["terminals"]), (&json!(0), &json!(135)));
    assert_eq!(gatekeeper.calls().0, 135, "what is put off is paid for once");
}

#[tokio::test]
async fn a_limit_in_shadow_mode_puts_nothing_off() {
    let gatekeeper = installation().await;
    let shadow = format!("{BUSY}mode = \"shadow\"\n");
    std::fs::write(gatekeeper.folder.path().join("tenants/busy.toml"), shadow).expect("the folder is there");
    let busy = too_many(&gatekeeper).await;
    gatekeeper.serve_until_idle().await;
    for at in busy {
        assert_eq!(words_about(&gatekeeper, at).await, [(FeedbackStatus::Accepted, "DECIDED".to_owned())]);
    }
    assert_eq!(gatekeeper.calls().0, 130);
    gatekeeper.audit_finished().await;
}

#[tokio::test]
async fn after_a_crash_nothing_that_was_put_off_is_lost_and_a_later_event_does_not_pass_it() {
    let gatekeeper = installation().await;
    let busy = too_many(&gatekeeper).await;
    let mut worker = gatekeeper.serve();
    let mut away = Vec::new();
    while away.is_empty() {
        away = gatekeeper.records(SHORTEST).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    worker.signal(Signal::SIGKILL);
    worker.ended().await;
    // An earlier event of its ticket stands in the tier: it must follow, although a new process has room for it.
    let first: Value =
        serde_json::from_slice(away[0].1.value.as_deref().expect("a copy")).expect("JSON, as it was sent");
    let mut next = event_of("busy", 999);
    next["ticket_id"] = first["ticket_id"].clone();
    next["event_type"] = json!("MESSAGE_ADDED");
    let next = gatekeeper.publish(vec![record(&next)]).await;
    gatekeeper.serve_until_idle().await;

    let ends = gatekeeper.ends_of(&[busy, next.clone()].concat()).await;
    assert!(ends.iter().all(|end| end.status == FeedbackStatus::Accepted), "{ends:?}");
    let about = words_about(&gatekeeper, next[0]).await;
    assert_eq!(about[0], (FeedbackStatus::Deferred, "WAITING_FOR_EARLIER_EVENT".to_owned()));
    let report = gatekeeper.audit_finished().await;
    assert_eq!((&report["out_of_order"], &report["twice"], &report["missing"]), (&json!(0), &json!(0), &json!(0)));
}

#[tokio::test]
async fn what_waits_for_a_breaker_beyond_the_bound_is_put_off_and_comes_back() {
    let gatekeeper = Gatekeeper::with(&["pipeline.max_held=4", "pipeline.superseding=false"]).await;
    gatekeeper.control(json!({"mode": "outage_500"})).await;
    let first = gatekeeper.publish(records(0..10)).await;
    let mut worker = gatekeeper.serve();
    let deadline = Instant::now() + PATIENCE;
    while gatekeeper.ops().await.is_empty() {
        assert!(Instant::now() < deadline, "the breaker does not open\n{}", gatekeeper.what_the_worker_said());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let later = gatekeeper.publish(records(10..30)).await;
    // Behind one that is put off: it must not pass.
    let mut next = event_of("acme", 999);
    (next["ticket_id"], next["event_type"]) = (json!("T-29"), json!("MESSAGE_ADDED"));
    let next = gatekeeper.publish(vec![record(&next)]).await;
    while words_about(&gatekeeper, next[0]).await.is_empty() {
        assert!(Instant::now() < deadline, "{}", gatekeeper.what_the_worker_said());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    gatekeeper.control(json!({})).await;
    let all = [first.clone(), later.clone(), next].concat();
    for end in gatekeeper.ends_of(&all).await {
        assert_eq!(end.status, FeedbackStatus::Accepted, "{end:?}");
    }
    let put_off = (FeedbackStatus::Deferred, "BREAKER_OPEN".to_owned());
    for at in first {
        assert!(!words_about(&gatekeeper, at).await.contains(&put_off), "they wait in memory");
    }
    for at in later {
        assert!(words_about(&gatekeeper, at).await.contains(&put_off), "{at:?}");
    }
    worker.signal(Signal::SIGTERM);
    assert!(worker.ended().await.success());
    let report = gatekeeper.audit_finished().await;
    assert_eq!(report["out_of_order"], json!(0));
}

/// Eight calls a second, and a road that forty events fill.
const NARROW: [&str; 6] = [
    "log.embedded.batch_max_records=8",
    "pipeline.max_in_flight=4",
    "pipeline.max_prepared=1",
    "pipeline.max_on_road=40",
    "pipeline.crowded_after=\"500ms\"",
    "pipeline.superseding=false",
];

#[tokio::test]
async fn a_tenant_that_sends_far_more_than_the_model_takes_keeps_nobody_back() {
    let gatekeeper = Gatekeeper::with(&NARROW).await;
    let loud = "id = \"loud\"\nversion = \"test\"\n";
    std::fs::write(gatekeeper.folder.path().join("tenants/loud.toml"), loud).expect("the folder is there");
    let slow = json!({"latency": {"fixed": {"ms": 500}}});
    gatekeeper.control(slow).await;
    let flood = (0..600).map(|number| record(&event_of("loud", number))).collect();
    let flood = gatekeeper.publish(flood).await;
    let quiet = gatekeeper.publish(records(0..3)).await;
    let mut worker = gatekeeper.serve();
    // At eight a second the flood alone takes longer than this.
    let deadline = Instant::now() + Duration::from_secs(30);
    let end = |words: &[(FeedbackStatus, String)]| words.iter().any(|(status, _)| *status != FeedbackStatus::Deferred);
    for at in &quiet {
        while !end(&words_about(&gatekeeper, *at).await) {
            assert!(Instant::now() < deadline, "{}", gatekeeper.what_the_worker_said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(words_about(&gatekeeper, *at).await, [(FeedbackStatus::Accepted, "DECIDED".to_owned())]);
    }
    gatekeeper.control(json!({})).await;
    let ends = gatekeeper.ends_of(&flood).await;
    assert!(ends.iter().all(|end| end.status == FeedbackStatus::Accepted), "{ends:?}");
    worker.signal(Signal::SIGTERM);
    assert!(worker.ended().await.success());
    let all: Vec<EventFeedback> = gatekeeper.decoded(TopicRole::Feedback, "EventFeedback").await;
    let put_off = all.iter().filter(|word| word.status == FeedbackStatus::Deferred);
    assert!(put_off.clone().count() >= 100 && put_off.clone().all(|word| word.reason_code == "PROVIDER_RATE_LIMITED"));
    let report = gatekeeper.audit_finished().await;
    assert_eq!((&report["out_of_order"], &report["terminals"]), (&json!(0), &json!(603)));
    assert_eq!(gatekeeper.calls().0, 603, "what is put off is paid for once");
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
