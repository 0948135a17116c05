//! What becomes of an event, of its copies, and of a tenant that sends too many.

use gatekeeper::domain::feedback::FeedbackStatus;
use gatekeeper::domain::position::TopicRole;
use nix::sys::signal::Signal;
use serde_json::json;

use super::gatekeeper::{Gatekeeper, PATIENCE};
use super::tickets::{event, event_of, record, records};

#[tokio::test]
async fn an_event_becomes_one_decision_and_one_feedback_of_its_partition() {
    let gatekeeper = Gatekeeper::new().await;
    let places = gatekeeper.publish(vec![record(&event(1))]).await;
    gatekeeper.serve_until_idle().await;

    let end = &gatekeeper.ends_of(&places).await[0];
    assert_eq!((end.status, end.reason_code.as_str()), (FeedbackStatus::Accepted, "DECIDED"));
    let decision = &gatekeeper.decisions().await[&places[0]];
    assert_eq!(end.decision_id.as_ref(), Some(&decision.decision_id));
    assert_eq!(decision.category.as_ref().map(|category| category.value.as_str()), Some("billing_payment"));
    assert_eq!(decision.model.as_ref().map(|model| model.attempts), Some(1));
    for topic in [TopicRole::Decisions, TopicRole::Feedback] {
        let outputs = gatekeeper.records(topic).await;
        let [(partition, output)] = outputs.as_slice() else { panic!("{topic:?}: {outputs:?}") };
        assert_eq!(*partition, places[0].0);
        assert_eq!(output.key.as_deref(), Some(b"acme|T-1".as_slice()));
        assert_eq!(output.header("ce_causationid"), Some(b"event-1".as_slice()));
    }
    assert_eq!(gatekeeper.calls(), (1, 1));
    let report = gatekeeper.audit_finished().await;
    assert_eq!((&report["records"], &report["decisions"], &report["calls_lost"]), (&json!(1), &json!(1), &json!(0)));
}

#[tokio::test]
async fn a_copy_is_a_duplicate_also_after_a_restart_and_another_body_is_a_conflict() {
    let gatekeeper = Gatekeeper::new().await;
    let first = gatekeeper.publish(vec![record(&event(1)), record(&event(1))]).await;
    gatekeeper.serve_until_idle().await;
    let mut other = event(1);
    other["message"]["body"] = json!("Something else altogether.");
    let second = gatekeeper.publish(vec![record(&event(1)), record(&other)]).await;
    gatekeeper.serve_until_idle().await;

    let ends = gatekeeper.ends_of(&[first, second].concat()).await;
    let codes: Vec<_> = ends.iter().map(|end| end.reason_code.as_str()).collect();
    assert_eq!(codes, ["DECIDED", "SAME_EVENT", "SAME_EVENT", "IDEMPOTENCY_CONFLICT"]);
    assert_eq!(ends[2].decision_id, ends[0].decision_id, "a duplicate names the first one's decision");
    assert_eq!(gatekeeper.calls(), (1, 1), "no copy is paid for");
    gatekeeper.audit_finished().await;
}

#[tokio::test]
async fn a_tenant_over_its_limit_waits_and_the_others_do_not() {
    let gatekeeper = Gatekeeper::new().await;
    let mut all: Vec<_> = (0..45).map(|number| record(&event_of("noisy", number))).collect();
    all.extend(records(0..20));
    let places = gatekeeper.publish(all).await;
    let mut worker = gatekeeper.serve();
    let quiet = gatekeeper.ends_of(&places[45..]).await;
    assert!(quiet.iter().all(|end| end.status == FeedbackStatus::Accepted));

    let terminals = gatekeeper.terminals().await;
    let noisy = places[..45].iter().filter(|place| terminals.contains_key(place)).count();
    // 30 at once, and one every two seconds from then on.
    let allowed = 30 + usize::try_from(PATIENCE.as_secs() / 2).expect("small");
    assert!(noisy < 45.min(allowed), "{noisy} of 45 were let through");
    worker.signal(Signal::SIGTERM);
    assert!(worker.ended().await.success());
    let report = gatekeeper.audit().await;
    assert!(report["open"].as_u64() > Some(0), "what waited is read again, not lost: {report:#}");
}
