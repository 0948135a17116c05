//! What a fallback decided in an outage is decided better once the provider is back, if nobody was faster.

use std::time::{Duration, Instant};

use gatekeeper::domain::decision::{Automation, DecidedBy, TriageDecision};
use gatekeeper::domain::feedback::FeedbackStatus;
use gatekeeper::domain::position::TopicRole;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::gatekeeper::{Gatekeeper, PATIENCE, Place, Running, place};
use super::human_feedback::{judgement, said};
use super::tickets::{event_of, record};

/// Decides soon, and wants it better afterwards.
const IMPATIENT: &str = "id = \"impatient\"\nversion = \"test\"\ndecide_by = \"1s\"\nimprove_fallbacks = true\n";

async fn installation() -> Gatekeeper {
    let gatekeeper = Gatekeeper::new().await;
    let folder = gatekeeper.folder.path().join("tenants/impatient.toml");
    std::fs::write(folder, IMPATIENT).expect("the folder is there");
    gatekeeper
}

/// Events that a fallback decided, because the provider fails; it is well again afterwards.
async fn decided_in_an_outage(gatekeeper: &Gatekeeper, events: usize) -> (Running, Vec<Place>) {
    gatekeeper.control(json!({"mode": "outage_500"})).await;
    let events = (0..events).map(|number| record(&event_of("impatient", number))).collect();
    let places = gatekeeper.publish(events).await;
    let worker = gatekeeper.serve();
    for end in gatekeeper.ends_of(&places).await {
        assert_eq!(end.status, FeedbackStatus::Degraded, "{end:?}");
    }
    gatekeeper.control(json!({})).await;
    (worker, places)
}

/// All decisions about an event, in the order of the log.
async fn all_about(gatekeeper: &Gatekeeper, at: Place) -> Vec<TriageDecision> {
    let all: Vec<TriageDecision> = gatekeeper.decoded(TopicRole::Decisions, "TriageDecision").await;
    all.into_iter().filter(|one| place(one.origin.partition, one.origin.offset) == at).collect()
}

/// Until all of these have a better decision.
async fn improved(gatekeeper: &Gatekeeper, places: &[Place]) {
    let deadline = Instant::now() + PATIENCE;
    for at in places {
        while all_about(gatekeeper, *at).await.len() < 2 {
            assert!(Instant::now() < deadline, "{at:?} is not improved\n{}", gatekeeper.what_the_worker_said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn a_fallbacks_decision_is_superseded_by_the_models_own_unless_somebody_was_faster() {
    let gatekeeper = installation().await;
    let (mut worker, places) = decided_in_an_outage(&gatekeeper, 6).await;
    let [judged, taken, newer, rest @ ..] = places.as_slice() else { panic!("six") };

    // A person judges the first, another one has the ticket of the second, and the third hears more from the customer.
    let ids = all_about(&gatekeeper, *judged).await;
    let mut judgement = judgement("a-person", "T-0", Some(&ids[0].decision_id));
    judgement["tenant_id"] = json!("impatient");
    let message = |number: usize, change: fn(&mut Value)| {
        let mut event = event_of("impatient", number);
        (event["event_id"], event["event_type"]) = (json!(format!("more-{number}")), json!("MESSAGE_ADDED"));
        change(&mut event);
        record(&event)
    };
    let owned = message(1, |event| event["ticket"]["human_owned"] = json!(true));
    let more = gatekeeper.publish(vec![said(&judgement), owned, message(2, |_| ())]).await;
    let ends = gatekeeper.ends_of(&more[1..]).await;
    assert_eq!(ends[0].reason_code, "HUMAN_OWNED");

    improved(&gatekeeper, rest).await;
    for at in rest {
        let [fallback, better] = &all_about(&gatekeeper, *at).await[..] else { panic!("one better decision") };
        assert_eq!((fallback.decision_version, better.decision_version), (1, 2));
        assert_eq!(better.supersedes_decision_id.as_ref(), Some(&fallback.decision_id));
        assert_ne!(better.decision_id, fallback.decision_id);
        assert_eq!((fallback.decided_by, better.decided_by), (DecidedBy::Fallback, DecidedBy::Model));
        assert_eq!(better.degraded_reason, None);
        assert!(
            better.category.as_ref().is_some_and(|category| category.automation <= Automation::Select),
            "{better:?}"
        );
    }
    worker.signal(Signal::SIGTERM);
    worker.ended().await;
    gatekeeper.serve_until_idle().await;
    for at in [judged, taken, newer] {
        assert_eq!(all_about(&gatekeeper, *at).await.len(), 1, "somebody was faster at {at:?}");
    }
    let explained = |event: &str| {
        let output = gatekeeper.command(&["explain", event, "--tenant", "impatient"]).output().expect("it runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    for (event, says) in [
        ("event-0", "no better decision: a person has acted on the ticket"),
        ("event-1", "no better decision: a person has acted on the ticket"),
        ("event-2", "no better decision: a newer event of the ticket was decided"),
        ("event-3", "a better decision, version 2, supersedes"),
    ] {
        assert!(explained(event).contains(says), "{says:?} in {}", explained(event));
    }
    let report = gatekeeper.audit_finished().await;
    assert_eq!((&report["better"], &report["twice"], &report["terminals"]), (&json!(3), &json!(0), &json!(8)));
}

#[tokio::test]
async fn after_a_crash_in_the_middle_of_its_calls_each_better_decision_comes_once() {
    let gatekeeper = installation().await;
    let (mut worker, places) = decided_in_an_outage(&gatekeeper, 8).await;
    // In time for the decision, so that the breaker's probe is answered, after which the others are asked for at once.
    gatekeeper.control(json!({"latency": {"lognormal": {"p50_ms": 500, "p99_ms": 600}}})).await;
    let (before, _) = gatekeeper.calls();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (begun, ended) = gatekeeper.calls();
        if begun > ended && begun >= before + 2 {
            break;
        }
        assert!(Instant::now() < deadline, "better decisions are not asked for\n{}", gatekeeper.what_the_worker_said());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    worker.signal(Signal::SIGKILL);
    worker.ended().await;
    gatekeeper.control(json!({})).await;
    gatekeeper.serve_until_idle().await;
    for at in &places {
        assert_eq!(all_about(&gatekeeper, *at).await.len(), 2, "{at:?}");
    }
    let report = gatekeeper.audit_finished().await;
    assert_eq!((&report["better"], &report["paid_twice"], &report["twice"]), (&json!(8), &json!(0), &json!(0)));
}

#[tokio::test]
async fn a_tenant_that_does_not_want_it_keeps_its_fallbacks_decisions() {
    let gatekeeper = installation().await;
    gatekeeper.control(json!({"mode": "outage_500"})).await;
    let places = gatekeeper.publish((0..3).map(|number| record(&event_of("hurried", number))).collect()).await;
    gatekeeper.serve_until_idle().await;
    for end in gatekeeper.ends_of(&places).await {
        assert_eq!(end.status, FeedbackStatus::Degraded, "{end:?}");
    }
    assert!(gatekeeper.records(TopicRole::Deferred(0)).await.is_empty(), "nothing is to be improved");
    gatekeeper.audit_finished().await;
}
