//! What the system does to a process: nobody reads its logs, its files are taken away, a folder is not mounted.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use gatekeeper::domain::feedback::FeedbackStatus;
use nix::sys::signal::Signal;

use super::gatekeeper::{Gatekeeper, PATIENCE, Running, until};
use super::tickets::{event_of, record, records};

/// A command whose stdout and stderr are one pipe that is open and that nobody reads: it takes some 64 KiB.
fn unread(command: &Command) -> (Command, std::io::PipeReader) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut unread = Command::new(command.get_program());
    unread.args(command.get_args()).current_dir(command.get_current_dir().expect("it has a folder"));
    unread.stdout(writer.try_clone().expect("a copy")).stderr(writer);
    (unread, reader)
}

/// A line is logged of each.
fn rejected(count: usize) -> Vec<gatekeeper::domain::record::OutRecord> {
    (0..count).map(|number| record(&event_of("stranger", number))).collect()
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nothing_and_keeps_nobody_from_ending() {
    // With room for all lines, and with room for few of them.
    for queue in ["telemetry.log_queue=100000", "telemetry.log_queue=100"] {
        let gatekeeper = Gatekeeper::with(&[queue]).await;
        let places = gatekeeper.publish(rejected(1_000)).await;
        let (mut command, _reader) = unread(&gatekeeper.command(&["serve", "--until-idle"]));
        let ended = Running::start(&mut command, "the processor").ended_within(PATIENCE).await;
        assert!(ended.success(), "{ended}");
        let ends = gatekeeper.ends_of(&places).await;
        assert!(ends.iter().all(|end| end.status == FeedbackStatus::Rejected));
        gatekeeper.audit_finished().await;
    }
}

#[tokio::test]
async fn one_that_cannot_go_on_ends_though_nobody_hears_why() {
    let gatekeeper = Gatekeeper::new().await;
    let places = gatekeeper.publish(rejected(1_000)).await;
    let (mut command, _reader) = unread(&gatekeeper.command(&["serve"]));
    let mut worker = Running::start(&mut command, "the processor");
    gatekeeper.ends_of(&places).await;
    // The log's file goes: that ends it.
    let path = |name: &str| gatekeeper.folder.path().join(name);
    fs::rename(path("log.db"), path("moved.db")).expect("it is there");
    assert_eq!(worker.ended_within(PATIENCE).await.code(), Some(1));
}

#[tokio::test]
async fn a_ledger_that_is_taken_away_or_replaced_ends_the_processor_and_what_it_knew_is_put_back() {
    let gatekeeper = Gatekeeper::new().await;
    let places = gatekeeper.publish(records(0..3)).await;
    let mut worker = gatekeeper.serve();
    gatekeeper.ends_of(&places).await;
    let path = |name: &str| gatekeeper.folder.path().join(name);
    let files = ["ledger.db", "ledger.db-wal", "ledger.db-shm"];
    fs::create_dir(path("away")).expect("a folder");
    for file in files {
        fs::rename(path(file), path("away").join(file)).expect("it is there");
    }
    let more = gatekeeper.publish(records(3..6)).await;
    assert_eq!(worker.ended_within(PATIENCE).await.code(), Some(1));
    let said = gatekeeper.what_the_worker_said();
    assert!(said.contains("ledger.db was removed, or another file was put in its place"), "{said}");
    for file in files {
        if path("away").join(file).exists() {
            fs::rename(path("away").join(file), path(file)).expect("it is put back");
        }
    }
    gatekeeper.serve_until_idle().await;
    gatekeeper.ends_of(&more).await;
    gatekeeper.audit_finished().await;
}

#[tokio::test]
async fn what_customers_wrote_is_for_nobody_else_on_the_machine_to_read() {
    let gatekeeper = Gatekeeper::new().await;
    gatekeeper.publish(records(0..1)).await;
    let mut worker = gatekeeper.serve();
    let mode = |name: &str| {
        let about = fs::metadata(gatekeeper.folder.path().join(name)).ok()?;
        Some(about.permissions().mode() & 0o777)
    };
    for name in ["log.db", "log.db-wal", "ledger.db", "ledger.db-wal"] {
        assert_eq!(until("the file is there", || mode(name)).await, 0o600, "{name}");
    }
    worker.signal(Signal::SIGTERM);
    assert!(worker.ended_within(PATIENCE).await.success());
}

#[tokio::test]
async fn a_folder_of_tenants_that_is_not_mounted_rejects_nobody() {
    let gatekeeper = Gatekeeper::new().await;
    let places = gatekeeper.publish(records(0..2)).await;
    let empty = gatekeeper.folder.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    let mut command = gatekeeper.command(&["serve", "--until-idle"]);
    command.arg("--set").arg(format!("tenants.directory={}", empty.display())).stdout(Stdio::null());
    let refused = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(78) && said.contains("is it mounted?"), "{said}");

    // Nor does one that goes while it works.
    let mut worker = gatekeeper.serve();
    gatekeeper.ends_of(&places).await;
    let tenants = gatekeeper.folder.path().join("tenants");
    fs::rename(&tenants, gatekeeper.folder.path().join("unmounted")).expect("it is there");
    fs::create_dir(&tenants).expect("a folder");
    worker.signal(Signal::SIGHUP);
    let refused = || gatekeeper.what_the_worker_said().contains("is it mounted?").then_some(());
    until("it says what it thinks of that", refused).await;
    let more = gatekeeper.publish(records(2..4)).await;
    let ends = gatekeeper.ends_of(&more).await;
    assert!(ends.iter().all(|end| end.status == FeedbackStatus::Accepted), "{ends:#?}");
    worker.signal(Signal::SIGTERM);
    assert!(worker.ended_within(PATIENCE).await.success());
}
