//! kill -9 at every labelled point of the road, and at random ones. What is proved: nothing missing, nothing twice, order
//! kept, nothing saved paid again, and what goes out is what was saved.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;

use gatekeeper::domain::decision::TriageDecision;
use gatekeeper::domain::record::OutRecord;
use gatekeeper::failpoints::{LABELS, OF_A_CLUSTER};
#[cfg(feature = "sabotage")]
use gatekeeper::sabotage::Sabotage;
use nix::sys::signal::Signal;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::story::gatekeeper::{Gatekeeper, IN_FLIGHT};
use crate::story::tickets::{event_of, record, records};

const TICKETS: &str = include_str!("../../demo/tickets.jsonl");

/// Passed once a record, or once a call: the seventh is in the middle of things. Others are passed once a batch or burst.
const OFTEN: &[&str] = &["decoded", "admitted", "request_sent", "reply_received", "answer_checked"];

/// Each of these tickets is of acme: no other tenant has a policy here.
fn mixed(count: usize) -> Vec<OutRecord> {
    let events = TICKETS.lines().take(count).map(|line| {
        let mut event: Value = serde_json::from_str(line).expect("a ticket that ships");
        event["tenant_id"] = json!("acme");
        event
    });
    events.map(|event| record(&event)).collect()
}

/// So small that whatever the timing there are several polls, batches and bursts: a point is passed twice for certain.
const SMALL_STEPS: &[&str] =
    &["log.embedded.batch_max_records=10", "ledger.batch_max_entries=10", "pipeline.burst_max_records=10"];

async fn dies_and_comes_back(label: &str, nth: usize) {
    let gatekeeper = Gatekeeper::with(SMALL_STEPS).await;
    let mut all = mixed(60);
    all.extend(mixed(10));
    let places = gatekeeper.publish(all).await;
    let failpoint = format!("{label}:{nth}:kill");
    let mut worker = if label == "drain_begun" {
        gatekeeper.control(json!({"latency": {"fixed": {"ms": 300}}})).await;
        let worker = gatekeeper.serve_with(&[], Some(&failpoint));
        gatekeeper.calls_are_under_way(IN_FLIGHT).await;
        worker.signal(Signal::SIGTERM);
        worker
    } else {
        gatekeeper.serve_with(&["--until-idle"], Some(&failpoint))
    };
    let status = worker.ended().await;
    assert_eq!(
        status.signal(),
        Some(Signal::SIGKILL as i32),
        "{label} was not passed {nth} times: {status}\n{}",
        gatekeeper.what_the_worker_said()
    );

    gatekeeper.control(json!({})).await;
    gatekeeper.serve_until_idle().await;
    gatekeeper.ends_of(&places).await;
    let report = gatekeeper.audit_finished().await;
    let count = |name: &str| report[name].as_u64().expect("a number");
    let (lost, cut_off) = (count("calls_lost"), count("calls_cut_off"));
    let in_vain = lost + cut_off;
    assert!(
        in_vain <= IN_FLIGHT as u64,
        "{label}: {lost} lost and {cut_off} cut off, {IN_FLIGHT} were under way at most"
    );
}

#[tokio::test]
async fn killed_at_any_point_of_the_road_it_comes_back_whole() {
    for label in LABELS.iter().filter(|label| !OF_A_CLUSTER.contains(label)) {
        let nth = match *label {
            "migration_half_done" | "assigned_before_restore" | "drain_begun" => 1,
            often if OFTEN.contains(&often) => 7,
            _ => 2,
        };
        dies_and_comes_back(label, nth).await;
    }
}

#[test]
fn what_is_listed_are_labels() {
    assert!(OFTEN.iter().chain(OF_A_CLUSTER).all(|label| LABELS.contains(label)));
}

#[cfg(feature = "sabotage")]
#[tokio::test]
async fn offsets_committed_ahead_of_their_outputs_are_caught() {
    let gatekeeper = Gatekeeper::with(SMALL_STEPS).await;
    gatekeeper.publish(mixed(60)).await;
    let sabotage = ("GATEKEEPER_SABOTAGE", Sabotage::OffsetsBeforeOutputs.name());
    let failpoint = ("GATEKEEPER_FAILPOINT", "record_produced:2:kill");
    let status = gatekeeper.serve_in(&["--until-idle"], &[sabotage, failpoint]).ended().await;
    assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "{}", gatekeeper.what_the_worker_said());

    gatekeeper.serve_until_idle().await;
    let (green, report) = gatekeeper.judged();
    assert!(!green && report["missing"].as_u64() > Some(0), "{report:#}");
}

/// What must not depend on when a process died.
fn substance(decision: &TriageDecision) -> Value {
    json!({
        "disposition": decision.disposition, "category": decision.category, "priority": decision.priority,
        "queue": decision.routing.as_ref().map(|routing| &routing.queue), "decided_by": decision.decided_by,
        "id": decision.decision_id,
    })
}

async fn substances(gatekeeper: &Gatekeeper) -> BTreeMap<(String, String), Value> {
    let decisions = gatekeeper.decisions().await;
    decisions.values().map(|it| ((it.tenant_id.clone(), it.event_id.clone()), substance(it))).collect()
}

/// Superseding depends on what happens to wait together; without it, every event is decided.
const UNDER_THE_LOCAL_MODEL: &[&str] = &["triage.chain=[\"local\"]", "pipeline.superseding=false"];

#[tokio::test]
async fn twenty_random_kills_change_no_decision() {
    const KILLS: usize = 20;
    const A_ROUND: usize = 15;
    /// Points that are passed without a paid call, and how often before the end at most.
    const POINTS: &[(&str, usize)] = &[
        ("polled", 2),
        ("decoded", 15),
        ("claim_begun", 2),
        ("claim_committed", 2),
        ("admitted", 15),
        ("save_begun", 2),
        ("answer_saved", 2),
        ("verdict_saved", 2),
        ("burst_begun", 2),
        ("record_produced", 1),
        ("inside_commit", 1),
        ("committed_frontier_not_moved", 1),
    ];

    let mut chance = ChaCha8Rng::seed_from_u64(20);
    let disturbed = Gatekeeper::with(UNDER_THE_LOCAL_MODEL).await;
    let (mut all, mut kills, mut rounds) = (Vec::new(), 0, 0);
    while kills < KILLS {
        rounds += 1;
        assert!(rounds <= 3 * KILLS, "only {kills} of {rounds} rounds ended in a kill");
        let first = rounds * A_ROUND;
        let mut round = records(first..first + A_ROUND);
        round.extend(mixed(320).into_iter().skip((first) % 300).take(A_ROUND));
        round.push(record(&event_of("hurried", rounds)));
        all.extend(round.iter().cloned());
        disturbed.publish(round).await;
        let (label, most) = POINTS.choose(&mut chance).expect("not empty");
        let failpoint = format!("{label}:{}:kill", chance.random_range(1..=*most));
        let status = disturbed.serve_with(&["--until-idle"], Some(&failpoint)).ended().await;
        assert!(status.success() || status.signal() == Some(Signal::SIGKILL as i32), "{failpoint}: {status}");
        kills += usize::from(!status.success());
    }
    disturbed.serve_until_idle().await;
    disturbed.audit_finished().await;

    let quiet = Gatekeeper::with(UNDER_THE_LOCAL_MODEL).await;
    let count = all.len();
    quiet.publish(all).await;
    quiet.serve_until_idle().await;
    quiet.audit_finished().await;
    let (with, without) = (substances(&disturbed).await, substances(&quiet).await);
    assert!(count > 400 && without.len() > 300, "{} decisions of {count} records", without.len());
    assert_eq!(with.len(), without.len());
    for (event, decision) in &without {
        assert_eq!(with.get(event), Some(decision), "{event:?}");
    }
}
