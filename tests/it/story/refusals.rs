//! What it will not start with, and what it says then.

use std::fs;
use std::process::{Command, Output};

use gatekeeper::domain::feedback::FeedbackStatus;

use super::gatekeeper::Gatekeeper;
use super::tickets::records;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn serve(gatekeeper: &Gatekeeper, sets: &[&str]) -> Output {
    let mut command = gatekeeper.command(&["serve", "--until-idle"]);
    for set in sets {
        command.args(["--set", set]);
    }
    command.output().expect("it runs")
}

#[tokio::test]
async fn a_second_processor_is_refused_and_the_first_works_on() {
    let gatekeeper = Gatekeeper::new().await;
    let places = gatekeeper.publish(records(0..3)).await;
    let _first = gatekeeper.serve();
    gatekeeper.ends_of(&places).await;
    let second = serve(&gatekeeper, &[]);
    assert!(!second.status.success());
    assert!(said(&second).contains("another processor works on this log"), "{}", said(&second));
    let places = gatekeeper.publish(records(3..6)).await;
    gatekeeper.ends_of(&places).await;
    gatekeeper.audit_finished().await;
}

#[tokio::test]
async fn a_ledger_that_cannot_be_written_or_is_none_stops_it_at_the_start_and_loses_nothing() {
    let gatekeeper = Gatekeeper::new().await;
    let places = gatekeeper.publish(records(0..3)).await;
    let path = |name: &str| gatekeeper.folder.path().join(name).display().to_string();
    fs::write(path("letter.txt"), "no database, but long enough to be looked at ".repeat(200))
        .expect("the folder is there");
    fs::create_dir(path("folder")).expect("the folder is there");
    // No file can be made in /proc, not even by root, for whom a read-only file is none.
    for bad in ["/proc/none/ledger.db", &path("letter.txt"), &path("letter.txt/ledger.db"), &path("folder")] {
        let output = serve(&gatekeeper, &[&format!("ledger.url=sqlite:{bad}")]);
        assert!(!output.status.success(), "{bad}");
        assert!(said(&output).contains("ledger"), "{bad}: {}", said(&output));
        assert!(!said(&output).contains("panicked"), "{bad}: {}", said(&output));
    }
    assert!(gatekeeper.terminals().await.is_empty());
    gatekeeper.serve_until_idle().await;
    gatekeeper.ends_of(&places).await;
    gatekeeper.audit_finished().await;
}

#[tokio::test]
async fn wrong_settings_end_with_78_and_name_the_key() {
    let gatekeeper = Gatekeeper::new().await;
    for (set, named) in [
        ("pipeline.max_in_flight=0", "pipeline.max_in_flight"),
        ("pipeline.max_in_flite=8", "pipeline.max_in_flite"),
        ("pipeline.burst_interval=soon", "pipeline.burst_interval"),
        ("ledger.url=sqlite::memory:", "ledger.url"),
        ("triage.chain=[\"openai\", \"nobody\"]", "triage.chain"),
        ("telemetry.log_filter=gatekeeper=loud", "telemetry.log_filter"),
        ("tenants.directory=nowhere", "tenants.directory"),
        ("triage.prompts=nowhere", "nowhere/system.txt"),
        ("models.local.weights=nowhere.gkw", "models.local"),
    ] {
        let output = serve(&gatekeeper, &[set]);
        assert_eq!(output.status.code(), Some(78), "{set}: {}", said(&output));
        assert!(said(&output).contains(named), "{set}: {}", said(&output));
        assert!(!said(&output).contains("sk-simulated"), "no secret is printed");
    }
}

/// `serve` where the system lets it have so many files open; with a soft limit it may have more.
fn serve_with_files(gatekeeper: &Gatekeeper, limit: &str, sets: &[&str]) -> Output {
    let serve = gatekeeper.command(&["serve", "--until-idle"]);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limit} && exec \"$0\" \"$@\"")]).arg(serve.get_program()).args(serve.get_args());
    command.current_dir(gatekeeper.folder.path());
    for set in sets {
        command.args(["--set", set]);
    }
    command.output().expect("it runs")
}

#[tokio::test]
async fn calls_have_the_connections_that_they_need_or_it_does_not_start() {
    let gatekeeper = Gatekeeper::new().await;
    // As many at once as there are: without raising the limit there are no connections for them.
    let places = gatekeeper.publish(records(0..100)).await;
    let output = serve_with_files(&gatekeeper, "ulimit -n 300", &["pipeline.max_in_flight=100"]);
    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    assert!(said(&output).contains("needs 364 open files, and the system allows 300"), "{}", said(&output));
    let sets = ["pipeline.max_in_flight=100", "models.openai.limits.concurrency.initial=100"];
    let output = serve_with_files(&gatekeeper, "ulimit -S -n 64", &sets);
    assert!(output.status.success(), "{}", said(&output));
    let ends = gatekeeper.ends_of(&places).await;
    assert!(ends.iter().all(|end| end.status == FeedbackStatus::Accepted), "{ends:#?}");
    gatekeeper.audit_finished().await;
}
