//! Topics that were deleted and created again under a call that was being made: nothing is read until somebody says so, and
//! what is sent again is decided.

use std::fs;
use std::sync::Arc;

use gatekeeper::adapters::embedded_log::{Access, EmbeddedBrowser};
use gatekeeper::domain::clock::SystemClock;
use gatekeeper::domain::feedback::FeedbackStatus;
use gatekeeper::operations::log_browser::LogBrowser as _;
use nix::sys::signal::Signal;
use serde_json::json;

use super::gatekeeper::Gatekeeper;
use super::tickets::records;

/// As somebody does who wants to begin anew, and forgets the ledger.
async fn create_anew(gatekeeper: &mut Gatekeeper) {
    let path = gatekeeper.settings.log.embedded.path.clone();
    for suffix in ["", "-wal", "-shm"] {
        // The last two are there only if nobody folded them back.
        fs::remove_file(format!("{}{suffix}", path.display())).ok();
    }
    let (embedded, topics) = (&gatekeeper.settings.log.embedded, &gatekeeper.settings.topics);
    let log = EmbeddedBrowser::open(embedded, topics, Access::Append, Arc::new(SystemClock)).await.expect("a new log");
    log.create_topics().await.expect("a new log");
    gatekeeper.log = Arc::new(log);
}

#[tokio::test]
async fn topics_that_were_created_anew_are_read_when_somebody_says_so_and_what_was_in_work_is_decided() {
    let mut gatekeeper = Gatekeeper::new().await;
    gatekeeper.publish(records(0..2)).await;
    gatekeeper.serve_until_idle().await;
    gatekeeper.control(json!({"latency": {"fixed": {"ms": 60_000}}})).await;
    gatekeeper.publish(records(2..3)).await;
    let mut worker = gatekeeper.serve();
    gatekeeper.calls_are_under_way(1).await;
    worker.signal(Signal::SIGKILL);
    worker.ended().await;
    gatekeeper.control(json!({})).await;

    create_anew(&mut gatekeeper).await;
    let places = gatekeeper.publish(records(0..3)).await;
    let refused = gatekeeper.command(&["serve", "--until-idle"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && said.contains("gatekeeper ledger --recreated"), "{said}");
    assert!(said.contains("events: its id was"), "{said}");
    assert!(gatekeeper.terminals().await.is_empty(), "nothing was decided");

    let let_go = gatekeeper.command(&["ledger", "--recreated"]).output().expect("it runs");
    let (said, errors) = (String::from_utf8_lossy(&let_go.stdout), String::from_utf8_lossy(&let_go.stderr));
    let of_events = said.lines().find(|line| line.starts_with("events: ")).unwrap_or_default();
    assert!(let_go.status.success() && of_events.contains("1 events of the old one were in work"), "{said}{errors}");

    gatekeeper.serve_until_idle().await;
    let statuses: Vec<_> = gatekeeper.ends_of(&places).await.into_iter().map(|end| end.status).collect();
    assert_eq!(statuses, [FeedbackStatus::Duplicate, FeedbackStatus::Duplicate, FeedbackStatus::Accepted]);
}
