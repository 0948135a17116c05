//! `gatekeeper bench`, as it is called: real log, real ledger, a process of its own for the processor.

use std::collections::BTreeMap;

use assert_cmd::Command;
use serde_json::Value;

fn bench(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatekeeper"));
    command.args(["bench", "--seconds", "1", "--output", "json"]).args(arguments);
    command
}

#[test]
fn a_run_that_does_not_exist_is_refused_with_the_names_of_those_that_do() {
    let output = bench(&["--only", "sideways"]).output().expect("it runs");
    assert!(!output.status.success());
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("instant, lognormal, two-point, local"), "{words}");
}

#[test]
fn a_tiny_run_ends_with_plausible_figures() {
    let output = bench(&["--only", "lognormal", "--in-flight", "8"]).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    let run = &report["runs"][0];
    // 8 / 163 ms, for a second.
    assert_eq!(run["events"], 49);
    let figures: BTreeMap<&str, f64> = run["figures"]
        .as_array()
        .expect("figures")
        .iter()
        .map(|figure| (figure["name"].as_str().expect("a name"), figure["value"].as_f64().expect("a number")))
        .collect();
    let within = |name: &str, from: f64, to: f64| {
        let value = figures.get(name).unwrap_or_else(|| panic!("no {name:?} in {figures:?}"));
        assert!((from..=to).contains(value), "{name}: {value} is not from {from} to {to}");
    };
    within("steady rate", 1.0, 400.0);
    within("shortest possible / first to last", 0.01, 1.0);
    within("drawn latency, mean", 50.0, 500.0);
    within("added latency, p50", 0.1, 10_000.0);
    within("added latency, p99", figures["added latency, p50"], 60_000.0);
    within("peak memory", 5.0, 1_000.0);
    within("CPU per 1,000 events", 0.001, 100.0);
    assert!((figures["call as it was, mean"] - figures["drawn latency, mean"]).abs() < 50.0, "{figures:?}");
}
