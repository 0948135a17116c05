//! `gatekeeper demo`, as it is called.

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::gatekeeper::{Running, processes_in, program, until};

#[tokio::test]
async fn the_demo_ends_green_with_the_audits_line_and_leaves_no_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept");
    let told = fs::File::create(folder.path().join("told")).expect("the folder is there");
    let mut command = Command::new(program());
    command.args(["demo", "--keep"]).arg(&kept).stdout(told).stderr(Stdio::inherit());
    let status = Running::start(&mut command, "the demo").ended_within(std::time::Duration::from_secs(90)).await;
    let told = fs::read_to_string(folder.path().join("told")).expect("what it told");
    assert!(status.success(), "{status}\n{told}");
    let last = told.lines().last().expect("a last line");
    for part in ["records 640", "terminals 640", "missing 0", "open 0", "twice 0", "out of order 0", "paid twice 0"] {
        assert!(last.contains(part), "{part} is not in {last:?}");
    }
    for part in ["closed -> open", "half_open -> closed", "degraded decisions", "killed", "duplicate", "0 differ"] {
        assert!(told.contains(part), "nothing of {part:?} in\n{told}");
    }
    assert!(!told.contains('\x1b'), "colour is for terminals");
    assert_eq!(processes_in(&kept), Vec::<String>::new());
}

#[tokio::test]
async fn an_interrupted_demo_takes_its_children_along() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept");
    let mut command = Command::new(program());
    command.args(["demo", "--keep"]).arg(&kept).stdout(Stdio::null()).stderr(Stdio::null());
    let mut demo = Running::start(&mut command, "the demo");
    let called = || fs::metadata(kept.join("calls.jsonl")).is_ok_and(|file| file.len() > 0).then_some(());
    until("the provider is called", called).await;
    demo.signal(Signal::SIGINT);
    assert_eq!(demo.ended().await.code(), Some(130));
    until("its children are gone", || processes_in(&kept).is_empty().then_some(())).await;
}
