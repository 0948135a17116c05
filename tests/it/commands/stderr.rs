//! What becomes of a command whose complaints cannot be written.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use super::place::{Place, event};

/// Runs a command whose stderr takes nothing.
fn unheard(place: &Place, args: &[&str]) -> (Option<i32>, String) {
    let full = OpenOptions::new().write(true).open("/dev/full").expect("Linux");
    let output = Command::new(env!("CARGO_BIN_EXE_gatekeeper"))
        .current_dir(place.path(""))
        .args(args)
        .stdin(Stdio::null())
        .stderr(full)
        .output()
        .expect("the binary starts");
    (output.status.code(), String::from_utf8(output.stdout).expect("output is UTF-8"))
}

#[test]
fn wrong_settings_end_with_78_also_when_nobody_can_be_told() {
    assert_eq!(unheard(&Place::new(), &["check-config", "--profile", "x"]).0, Some(78));
}

#[test]
fn bad_rows_that_nobody_can_be_told_of_take_no_good_ones_with_them() {
    let place = Place::new();
    let lines = [event("acme", "1", "a"), "not JSON\n".to_owned(), "nor this\n".to_owned(), event("acme", "2", "b")];
    let file = place.write("events.jsonl", lines.concat().as_bytes());
    let (code, said) = unheard(&place, &["publish", &file, "--output", "json", "--set", "log.embedded.path=log.db"]);
    let summary: serde_json::Value = serde_json::from_str(&said).expect("one document");
    assert_eq!((code, &summary["published"], &summary["skipped"]), (Some(1), &2.into(), &2.into()));
}
