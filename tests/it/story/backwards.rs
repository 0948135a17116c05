//! A ledger that was set back to a copy, or replaced by an empty one: nothing is decided before it knows again what was
//! published.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use gatekeeper::domain::feedback::FeedbackStatus;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::gatekeeper::Gatekeeper;
use super::tickets::{event, record, records};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn ledger_file(gatekeeper: &Gatekeeper) -> PathBuf {
    gatekeeper.folder.path().join("ledger.db")
}

async fn back_up(gatekeeper: &Gatekeeper) -> PathBuf {
    let copy = gatekeeper.folder.path().join("ledger.copy");
    let options = SqliteConnectOptions::new().filename(ledger_file(gatekeeper));
    let mut connection = options.connect().await.expect("the ledger is there");
    let into = sqlx::query("VACUUM INTO ?").bind(copy.display().to_string());
    into.execute(&mut connection).await.expect("copied");
    connection.close().await.expect("closed");
    copy
}

fn remove(gatekeeper: &Gatekeeper) {
    for suffix in ["", "-wal", "-shm"] {
        // The last two are there only if its process did not fold them back.
        fs::remove_file(format!("{}{suffix}", ledger_file(gatekeeper).display())).ok();
    }
    assert!(!ledger_file(gatekeeper).exists());
}

fn serve(gatekeeper: &Gatekeeper) -> Output {
    gatekeeper.command(&["serve", "--until-idle"]).output().expect("it runs")
}

fn compare(gatekeeper: &Gatekeeper, what: &str) -> (bool, Value) {
    let output = gatekeeper.command(&["ledger", what, "--output", "json"]).output().expect("it runs");
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)));
    (output.status.success(), report)
}

/// It refuses, is rebuilt, and then knows a resend of what it had lost.
async fn is_refused_until_rebuilt(gatekeeper: &Gatekeeper, lost: u64) {
    let terminals = gatekeeper.terminals().await.len();
    let more = gatekeeper.publish(records(12..14)).await;
    let refused = serve(gatekeeper);
    assert!(!refused.status.success(), "{}", said(&refused));
    assert!(said(&refused).contains("gone backwards"), "{}", said(&refused));
    assert!(said(&refused).contains("gatekeeper ledger --rebuild"), "{}", said(&refused));
    assert_eq!(gatekeeper.terminals().await.len(), terminals, "nothing was decided");

    let (whole, report) = compare(gatekeeper, "--check");
    assert!(!whole, "{report:#}");
    assert_eq!((&report["published"], &report["missing"]), (&Value::from(12), &Value::from(lost)), "{report:#}");
    let (whole, report) = compare(gatekeeper, "--rebuild");
    assert!(whole, "{report:#}");
    assert_eq!((&report["missing"], &report["without_decision"]), (&Value::from(lost), &Value::from(0)), "{report:#}");
    let (whole, report) = compare(gatekeeper, "--check");
    assert!(whole && report["missing"] == 0, "{report:#}");

    let again = gatekeeper.publish(records(8..11)).await;
    let mut other_body = event(11);
    other_body["message"]["body"] = "Something else".into();
    let conflict = gatekeeper.publish(vec![record(&other_body)]).await;
    gatekeeper.serve_until_idle().await;
    for end in gatekeeper.ends_of(&again).await {
        assert_eq!(end.status, FeedbackStatus::Duplicate, "{end:?}");
        assert!(end.decision_id.is_some(), "it names the first one's decision");
    }
    assert_eq!(gatekeeper.ends_of(&conflict).await[0].reason_code, "IDEMPOTENCY_CONFLICT");
    gatekeeper.ends_of(&more).await;
    let report = gatekeeper.audit_finished().await;
    assert_eq!(report["calls"], 14, "nothing was paid for twice");
}

#[tokio::test]
async fn a_ledger_that_was_set_back_decides_nothing_until_it_is_rebuilt() {
    let gatekeeper = Gatekeeper::new().await;
    gatekeeper.publish(records(0..6)).await;
    gatekeeper.serve_until_idle().await;
    let copy = back_up(&gatekeeper).await;
    gatekeeper.publish(records(6..12)).await;
    gatekeeper.serve_until_idle().await;
    remove(&gatekeeper);
    fs::rename(copy, ledger_file(&gatekeeper)).expect("it is there");
    is_refused_until_rebuilt(&gatekeeper, 6).await;
}

#[tokio::test]
async fn an_empty_ledger_decides_nothing_until_it_is_rebuilt() {
    let gatekeeper = Gatekeeper::new().await;
    gatekeeper.publish(records(0..12)).await;
    gatekeeper.serve_until_idle().await;
    remove(&gatekeeper);
    is_refused_until_rebuilt(&gatekeeper, 12).await;
}

#[tokio::test]
async fn a_ledger_is_not_rebuilt_under_a_running_processor() {
    let gatekeeper = Gatekeeper::new().await;
    let places = gatekeeper.publish(records(0..3)).await;
    let _running = gatekeeper.serve();
    gatekeeper.ends_of(&places).await;
    let refused = gatekeeper.command(&["ledger", "--rebuild"]).output().expect("it runs");
    assert!(!refused.status.success() && said(&refused).contains("another processor"), "{}", said(&refused));
    let looked = gatekeeper.command(&["ledger", "--check"]).output().expect("it runs");
    assert!(looked.status.success(), "{}", said(&looked));
}

#[tokio::test]
async fn an_audit_without_calls_needs_no_ledger() {
    let gatekeeper = Gatekeeper::new().await;
    gatekeeper.publish(records(0..3)).await;
    gatekeeper.serve_until_idle().await;
    remove(&gatekeeper);
    let audited = gatekeeper.command(&["audit", "--finished"]).output().expect("it runs");
    assert!(audited.status.success(), "{}", said(&audited));
}
