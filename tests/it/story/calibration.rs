//! From what people said of decisions to decisions that may act: nothing on the way happens by itself.

use std::process::Output;

use gatekeeper::domain::decision::{Automation, Disposition, TriageDecision};
use gatekeeper::domain::record::OutRecord;
use serde_json::{Value, json};

use super::gatekeeper::{Gatekeeper, Place};
use super::human_feedback::said;
use super::tickets::records;

/// Two steps of a table, with room: each rests on thirty.
const DECIDED: usize = 100;
/// What the model is surer of is always right here, all else is always wrong.
const HONEST_FROM: f64 = 0.80;

/// What a command said; it must have gone well.
fn command(gatekeeper: &Gatekeeper, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = gatekeeper.command(arguments).output().expect("the binary starts");
    assert!(status.success(), "{arguments:?}: {status}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("text")
}

fn json_of(gatekeeper: &Gatekeeper, arguments: &[&str]) -> Value {
    serde_json::from_str(&command(gatekeeper, arguments)).expect("JSON")
}

/// Confidence of the category, as the model said it and as it counted, and what may be done with it.
fn category(decision: &TriageDecision) -> Option<(f64, f64, Automation)> {
    let category = decision.category.as_ref()?;
    Some((category.raw_confidence.expect("the model said it"), category.confidence, category.automation))
}

/// Accepted where the model was sure, set otherwise where it was not.
fn judged(decision: &TriageDecision) -> OutRecord {
    let (raw, ..) = category(decision).expect("the simulated model is always sure enough to be shown");
    let mut feedback = json!({
        "feedback_id": format!("on-{}", decision.event_id), "source": "/zendesk/acme", "tenant_id": "acme",
        "ticket_id": decision.ticket_id, "decision_id": decision.decision_id, "occurred_at": decision.decided_at.0 + 60_000,
        "actor": {"type": "AGENT", "id": "agent-1"}, "kind": "ACCEPTED",
    });
    if raw < HONEST_FROM {
        feedback["kind"] = json!("OVERRIDE");
        feedback["overrides"] = json!([{"field": "category", "actual": "refund_cancel"}]);
    }
    said(&feedback)
}

async fn decided(gatekeeper: &Gatekeeper, numbers: std::ops::Range<usize>) -> Vec<TriageDecision> {
    let places: Vec<Place> = gatekeeper.publish(records(numbers)).await;
    gatekeeper.serve_until_idle().await;
    let mut decisions = gatekeeper.decisions().await;
    places.iter().map(|place| decisions.remove(place).expect("it is decided")).collect()
}

#[tokio::test]
async fn a_field_may_be_applied_once_people_have_said_enough_and_somebody_has_installed_what_that_comes_to() {
    let gatekeeper = Gatekeeper::with(&["calibration.min_reviews=60"]).await;
    let before = decided(&gatekeeper, 0..DECIDED).await;
    for decision in &before {
        let (raw, confidence, automation) = category(decision).expect("a category");
        assert_eq!(raw, confidence, "nothing is calibrated yet");
        assert!(automation <= Automation::Select, "{decision:#?}");
    }
    let too_early = gatekeeper.command(&["calibration", "install", "acme"]).output().expect("it runs");
    assert!(!too_early.status.success(), "nobody has said anything");

    gatekeeper.publish(before.iter().map(judged).collect()).await;
    gatekeeper.serve_until_idle().await;
    let svg = gatekeeper.folder.path().join("reliability.svg");
    let drawn = ["calibration", "--field", "category", "--output", "json", "--svg", svg.to_str().expect("UTF-8")];
    let report = json_of(&gatekeeper, &drawn);
    let [group] = &report["groups"].as_array().expect("a list")[..] else { panic!("one tenant: {report:#}") };
    let overridden = before.iter().filter(|it| category(it).is_some_and(|(raw, ..)| raw < HONEST_FROM)).count();
    assert_eq!((&group["shown"]["reviews"], &group["overridden"]), (&json!(DECIDED), &json!(overridden)));
    let table = &report["tables"][0];
    let off = |of: &str| table[of]["ece"].as_f64().expect("a figure");
    assert!(off("before") > 0.2 && off("held_out") < 0.1, "{table:#}");
    assert!(std::fs::read_to_string(&svg).expect("it is drawn").contains("acme category"));
    let by_label = json_of(&gatekeeper, &["calibration", "--field", "category", "--by", "label", "--output", "json"]);
    assert_eq!(by_label["groups"][0]["by"], "billing_payment", "{by_label:#}");

    // Knowing is not doing.
    for decision in decided(&gatekeeper, DECIDED..DECIDED + 30).await {
        assert!(category(&decision).expect("a category").2 <= Automation::Select);
    }
    let printed = command(&gatekeeper, &["calibration", "install", "acme", "--only", "category", "--print"]);
    assert!(printed.contains("[[calibration]]") && json_of(&gatekeeper, &["trail", "--output", "json"]) == json!([]));

    let install = ["calibration", "install", "acme", "--only", "category", "--actor", "ada", "--output", "json"];
    let installed = json_of(&gatekeeper, &install);
    assert_eq!((&installed["version"], &installed["tables"][0]["reviews"]), (&json!("test-cal1"), &json!(DECIDED)));
    let again = gatekeeper.command(&install).output().expect("it runs");
    assert!(again.status.success() && String::from_utf8_lossy(&again.stderr).contains("nothing is changed"));
    let history = json_of(&gatekeeper, &["tenants", "history", "acme", "--output", "json"]);
    assert_eq!((history.as_array().map(Vec::len), &history[0]["actor"]), (Some(1), &json!("ada")));
    assert!(
        history[0]["note"].as_str().is_some_and(|note| note.starts_with("calibration: category of ")),
        "{history:#}"
    );
    assert!(command(&gatekeeper, &["tenants", "show", "acme"]).contains("version = \"test-cal1\""));

    let after = decided(&gatekeeper, 200..260).await;
    let mut applied = 0;
    for decision in &after {
        assert_eq!(decision.policy.policy_version, "test-cal1");
        match category(decision) {
            Some((raw, confidence, automation)) => {
                assert!(raw >= HONEST_FROM - 0.01 && confidence >= 0.9, "{decision:#?}");
                assert_eq!(automation, Automation::Apply);
                applied += 1;
            }
            None => assert_eq!(decision.disposition, Disposition::Handoff, "never right so far: people decide"),
        }
    }
    assert!((1..after.len()).contains(&applied), "{applied} of {}", after.len());

    let acted = after.iter().find(|decision| decision.category.is_some()).expect("one was applied");
    let explained = command(&gatekeeper, &["explain", &acted.event_id]);
    let raw = category(acted).expect("a category").0;
    let says = format!("1.00 (raw {raw:.2}, by table test-cal1 of {DECIDED} reviews)");
    assert!(explained.contains(&says), "{says} is not in {explained}");
    gatekeeper.audit_finished().await;
}

/// What another model says is not what was measured.
#[tokio::test]
async fn what_is_known_of_one_model_says_nothing_about_another() {
    let gatekeeper = Gatekeeper::with(&["calibration.min_reviews=60"]).await;
    let before = decided(&gatekeeper, 0..DECIDED).await;
    gatekeeper.publish(before.iter().map(judged).collect()).await;
    gatekeeper.serve_until_idle().await;
    command(&gatekeeper, &["calibration", "install", "acme", "--only", "category"]);

    gatekeeper.publish(records(200..230)).await;
    let mut other = gatekeeper.serve_with(&["--until-idle", "--set", "models.openai.model=another"], None);
    assert!(other.ended().await.success());
    let decisions = gatekeeper.decisions().await;
    let of_other: Vec<_> = decisions
        .values()
        .filter(|decision| decision.model.as_ref().is_some_and(|model| model.request_model == "another"))
        .collect();
    assert_eq!(of_other.len(), 30);
    for decision in of_other {
        let (raw, confidence, automation) = category(decision).expect("a category");
        assert!(raw == confidence && automation <= Automation::Select, "{decision:#?}");
    }
}
