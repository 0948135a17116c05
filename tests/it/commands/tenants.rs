//! `tenants check`, on the real binary.

use super::place::Place;

#[test]
fn a_policy_is_checked_before_there_is_a_ledger_and_every_mistake_is_told() {
    let place = Place::new();
    let good = place.write("acme.toml", b"id = 'acme'\nversion = '2'");
    assert_eq!(place.json(&["tenants", "check", &good])["tenant"], "acme");
    let bad = place.write("bad.toml", b"id = 'acme'\ncolour = 1\nsize = 2\ndefault_queue = ''");
    let ended = place.run(&["tenants", "check", &bad, "--output", "json"], "");
    assert_eq!(ended.code, Some(78), "{ended:?}");
    let told: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let keys: Vec<_> = told["mistakes"].as_array().expect("a list").iter().map(|mistake| &mistake["key"]).collect();
    assert_eq!(keys, ["colour", "size", "default_queue"], "{told}");
    let one = place.write("one.toml", b"id = 'acme'\ncolour = 1");
    let ended = place.run(&["tenants", "check", &one], "");
    assert!(ended.stderr.contains("one.toml: 1 mistake:") && ended.stderr.contains("`colour`"), "{ended:?}");
    assert!(!place.path("ledger.db").exists(), "who only checks makes none");
    assert_eq!(place.run(&["tenants", "set", &good], "").code, Some(1), "what is set stands in a ledger");
}
