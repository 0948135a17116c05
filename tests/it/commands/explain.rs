//! `explain`, on the real binary.

use super::place::{Place, event};

/// One event decided, the same again, one of nobody's, and one id of two tenants.
fn place() -> Place {
    let place = Place::new();
    let body = "I was charged twice for my order, please refund me";
    let no_message = "{\"event_id\":\"bad\",\"source\":\"/helpdesk\",\"tenant_id\":\"acme\"}\n".to_owned();
    let lines = [
        event("acme", "1", body),
        event("acme", "1", body),
        no_message,
        event("acme", "2", body),
        event("umbrella", "2", body),
    ];
    assert_eq!(place.run(&["publish", "-"], &lines.concat()).code, Some(0));
    place.serve();
    place
}

fn stage<'a>(copy: &'a serde_json::Value, name: &str) -> &'a str {
    let stages = copy["stages"].as_array().expect("a list");
    let stage = stages.iter().find(|stage| stage["stage"] == name).unwrap_or_else(|| panic!("no {name} in {copy}"));
    stage["says"].as_str().expect("a sentence")
}

#[test]
fn a_decided_event_and_its_duplicate_are_told_apart_stage_by_stage() {
    let place = place();
    let explained = place.json(&["explain", "1"]);
    let copies = explained["copies"].as_array().expect("a list");
    assert_eq!(copies.len(), 2, "{explained}");
    let (first, second) = (&copies[0], &copies[1]);
    let origin = first["origin"].as_str().expect("a position");
    assert!(stage(first, "dedupe").starts_with("the first copy"), "{first}");
    assert!(stage(first, "triage").contains(" answered, saved "), "{first}");
    assert!(stage(first, "decide").contains("decision "), "{first}");
    assert!(stage(second, "dedupe").starts_with(&format!("a copy of {origin}")), "{second}");
    assert!(stage(second, "publish").starts_with("DUPLICATE / SAME_EVENT"), "{second}");
    assert_eq!(explained["ledger"]["owner"], origin);
    assert!(explained["ledger"]["answered_at"].is_i64() && explained["ledger"]["published_at"].is_i64(), "{explained}");

    let id = explained["decision"]["decision_id"].as_str().expect("it was decided");
    assert_eq!(place.json(&["explain", id])["event"], explained["event"], "by decision id");
    let by_origin = place.json(&["explain", origin]);
    assert_eq!(by_origin["copies"].as_array().map(Vec::len), Some(1), "by origin: that copy");
    assert_eq!(by_origin["decision"]["decision_id"], id);
    let table = place.good(&["explain", "1"]);
    for word in [
        "read     support.events.v1-",
        "held back by uncalibrated:category",
        "queue ",
        " (threshold 0.",
        "DUPLICATE / SAME_EVENT",
    ] {
        assert!(table.contains(word), "{word:?} in {table}");
    }
}

#[test]
fn a_rejected_event_is_explained_with_its_violations_and_what_to_do() {
    let place = place();
    let table = place.good(&["explain", "bad"]);
    assert!(table.contains("rejected as VALIDATION_FAILED"), "{table}");
    assert!(table.contains("message: this type of event comes with its message (REQUIRED)"), "{table}");
    assert!(table.contains("dead letter support.events.v1-"), "{table}");
    assert!(table.contains("\nVALIDATION_FAILED\n") && table.contains("**What to do**"), "{table}");
}

#[test]
fn an_id_of_several_tenants_lists_them_and_an_unknown_one_says_so() {
    let place = place();
    let ended = place.run(&["explain", "2"], "");
    assert_eq!(ended.code, Some(1));
    for tenant in ["tenant acme, source /helpdesk", "tenant umbrella, source /helpdesk"] {
        assert!(ended.stderr.contains(tenant), "{}", ended.stderr);
    }
    assert_eq!(place.json(&["explain", "2", "--tenant", "umbrella"])["event"]["tenant_id"], "umbrella");
    let ended = place.run(&["explain", "nobody"], "");
    assert!(ended.code == Some(1) && ended.stderr.contains("\"nobody\""), "{ended:?}");
}

#[test]
fn an_event_that_waits_for_its_processor_is_explained_as_far_as_it_came() {
    let place = Place::new();
    place.run(&["publish", "-"], &event("acme", "1", "Where is my parcel?"));
    let ended = place.run(&["explain", "1"], "");
    assert!(ended.code == Some(1) && ended.stderr.contains("`gatekeeper migrate` creates it"), "{ended:?}");
    place.good(&["migrate"]);
    let explained = place.json(&["explain", "1"]);
    assert!(stage(&explained["copies"][0], "publish").starts_with("nothing yet"), "{explained}");
    assert!(explained["decision"].is_null() && explained["ledger"].is_null());
}
