//! A position that the log has forgotten, and a group that the ledger does not know.

use std::process::Output;

use gatekeeper::domain::ops_event::OpsKind;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::gatekeeper::{Gatekeeper, Place};
use super::tickets::records;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn go_on(gatekeeper: &Gatekeeper, position: &str) -> Output {
    said_to_go_on(gatekeeper, &["--position", position])
}

fn said_to_go_on(gatekeeper: &Gatekeeper, how: &[&str]) -> Output {
    let arguments = [&["topics", "--output", "json"], how].concat();
    gatekeeper.command(&arguments).output().expect("it runs")
}

/// As expired offsets do, or somebody's tool.
async fn forget_position(gatekeeper: &Gatekeeper, partition: u32) {
    let options = SqliteConnectOptions::new().filename(&gatekeeper.settings.log.embedded.path);
    let mut connection = options.connect().await.expect("the log is there");
    let forgotten = sqlx::query("DELETE FROM positions WHERE partition = ?").bind(partition);
    assert_eq!(forgotten.execute(&mut connection).await.expect("deleted").rows_affected(), 1);
    connection.close().await.expect("closed");
}

#[tokio::test]
async fn a_position_that_the_log_forgot_stops_its_partition_until_somebody_says_from_where() {
    let gatekeeper = Gatekeeper::new().await;
    let before = gatekeeper.publish(records(0..12)).await;
    gatekeeper.serve_until_idle().await;
    let partition = before[0].0;
    forget_position(&gatekeeper, partition).await;

    let after = gatekeeper.publish(records(12..24)).await;
    let (stopped, others): (Vec<Place>, Vec<Place>) = after.iter().partition(|place| place.0 == partition);
    assert!(!stopped.is_empty() && !others.is_empty(), "{after:?}");
    let ended = gatekeeper.serve_with(&["--until-idle"], None).ended().await;
    let told = gatekeeper.what_the_worker_said();
    assert!(ended.code() == Some(1) && told.contains("not everything could be read"), "{ended}\n{told}");
    gatekeeper.ends_of(&others).await;
    let terminals = gatekeeper.terminals().await;
    assert!(stopped.iter().all(|place| !terminals.contains_key(place)), "nothing of it was read");
    let log = gatekeeper.what_the_worker_said();
    let advice = format!("topics --position events:{partition}=after-ledger");
    assert!(log.contains("partition stopped") && log.contains(&advice), "{log}");

    for wrong in [format!("events:{partition}=4096"), "events:99=earliest".to_owned(), "feedback:0=earliest".to_owned()]
    {
        assert!(!go_on(&gatekeeper, &wrong).status.success(), "{wrong}");
    }
    let refused = go_on(&gatekeeper, &format!("events:{partition}=earliest"));
    assert!(!refused.status.success() && said(&refused).contains("--again"), "{}", said(&refused));
    let moved = go_on(&gatekeeper, &format!("events:{partition}=after-ledger"));
    assert!(moved.status.success(), "{}", said(&moved));
    let moved: Value = serde_json::from_slice(&moved.stdout).expect("JSON");
    let begins = before.iter().filter(|place| place.0 == partition).count();
    assert_eq!((&moved[0]["was"], &moved[0]["now"]), (&Value::Null, &Value::from(begins)), "{moved:#}");
    let ops = gatekeeper.ops().await;
    let set: Vec<_> = ops.iter().filter(|event| event.kind == OpsKind::PositionSet).collect();
    assert_eq!(set.len(), 1, "{ops:#?}");
    assert_eq!(set[0].current, Some(begins.to_string()));

    gatekeeper.serve_until_idle().await;
    gatekeeper.ends_of(&after).await;
    let report = gatekeeper.audit_finished().await;
    assert_eq!(report["calls"], 24, "every event was paid for once");
}

#[tokio::test]
async fn nobody_moves_a_position_under_a_running_processor() {
    let gatekeeper = Gatekeeper::new().await;
    let places = gatekeeper.publish(records(0..3)).await;
    let _running = gatekeeper.serve();
    gatekeeper.ends_of(&places).await;
    let refused = said_to_go_on(&gatekeeper, &["--position", "events:0=earliest", "--again"]);
    assert!(!refused.status.success() && said(&refused).contains("another processor"), "{}", said(&refused));
    let more = gatekeeper.publish(records(3..6)).await;
    gatekeeper.ends_of(&more).await;
    gatekeeper.audit_finished().await;
}

#[tokio::test]
async fn a_ledger_of_another_group_is_refused() {
    let gatekeeper = Gatekeeper::new().await;
    gatekeeper.publish(records(0..3)).await;
    gatekeeper.serve_until_idle().await;
    let mut command = gatekeeper.command(&["serve", "--until-idle", "--set", "log.embedded.group_id=another"]);
    let refused = command.output().expect("it runs");
    assert!(!refused.status.success());
    assert!(said(&refused).contains("belongs to the consumer group \"gatekeeper\""), "{}", said(&refused));
    assert!(said(&refused).contains("\"another\""), "{}", said(&refused));
    gatekeeper.audit_finished().await;
}
