//! What an operator changes while the processor runs.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use gatekeeper::domain::feedback::{EventFeedback, FeedbackStatus};
use gatekeeper::domain::ops_event::OpsKind;
use gatekeeper::domain::position::TopicRole;
use gatekeeper::domain::record::OutRecord;
use gatekeeper::operations::log_browser::LogBrowser as _;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _};

use super::cluster::{OnKafka, broker};
use super::gatekeeper::{Gatekeeper, PATIENCE, until};
use super::tickets::{event_of, record};
use crate::postgres::TestDatabase;

/// A change is in force two seconds after its command has ended; the rest is for a machine that does other things too.
const SOON: Duration = Duration::from_secs(2 + 3);

/// What a command said; it must have gone well.
pub fn said(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("the binary starts");
    assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("text")
}

pub fn policy(gatekeeper: &Gatekeeper, name: &str, text: &str) -> PathBuf {
    let path = gatekeeper.folder.path().join(name);
    std::fs::write(&path, text).expect("the folder is there");
    path
}

/// Set this policy; its revision.
fn set(gatekeeper: &Gatekeeper, text: &str, note: &str) -> u64 {
    let path = policy(gatekeeper, "proposal.toml", text);
    let mut command = gatekeeper.command(&["tenants", "set", "--note", note, "--actor", "ada", "--output", "json"]);
    let told: Value = serde_json::from_str(&said(command.arg(path))).expect("JSON");
    told["revision"].as_u64().unwrap_or_else(|| panic!("nothing was set: {told}"))
}

/// Until the processor has taken this revision.
pub async fn taken(gatekeeper: &Gatekeeper, revision: u64) {
    let asked = Instant::now();
    until("the change is taken", || is_taken(&gatekeeper.what_the_worker_said(), revision).then_some(())).await;
    assert!(asked.elapsed() < SOON, "after {:?}", asked.elapsed());
}

fn is_taken(log: &str, revision: u64) -> bool {
    let says = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        let fields = if line["fields"].is_object() { &line["fields"] } else { &line };
        (fields["message"] == "took what operators changed").then(|| fields["revision"].as_u64())?
    };
    log.lines().filter_map(says).any(|taken| taken >= revision)
}

pub async fn end_of(gatekeeper: &Gatekeeper, tenant: &str, number: usize) -> EventFeedback {
    let places = gatekeeper.publish(vec![record(&event_of(tenant, number))]).await;
    gatekeeper.ends_of(&places).await.remove(0)
}

#[tokio::test]
async fn a_tenant_that_was_unknown_is_known_limited_and_removed_while_the_processor_runs() {
    let gatekeeper = Gatekeeper::with(&["pipeline.deferral=false"]).await;
    let worker = gatekeeper.serve();
    assert_eq!(end_of(&gatekeeper, "umbrella", 1).await.reason_code, "TENANT_UNKNOWN");

    let limited = "id = 'umbrella'\nversion = 'u1'\n[limits]\nrequests_per_minute = 1";
    taken(&gatekeeper, set(&gatekeeper, limited, "they pay now")).await;
    let places = gatekeeper.publish((2..6).map(|number| record(&event_of("umbrella", number))).collect()).await;
    let first = async {
        loop {
            let ends = gatekeeper.terminals().await;
            if places.iter().any(|place| ends.contains_key(place)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, first).await.expect("one a minute goes at once");
    assert_eq!(end_of(&gatekeeper, "acme", 7).await.status, FeedbackStatus::Accepted, "nobody else waits");
    let ends = gatekeeper.terminals().await;
    assert_eq!(places.iter().filter(|place| ends.contains_key(place)).count(), 1, "the others wait for their limit");

    // Another limit decides nothing: the version stays.
    taken(&gatekeeper, set(&gatekeeper, "id = 'umbrella'\nversion = 'u1'", "")).await;
    for end in gatekeeper.ends_of(&places).await {
        assert_eq!(end.status, FeedbackStatus::Accepted, "{end:?}");
    }
    let decisions = gatekeeper.decisions().await;
    assert!(places.iter().all(|place| decisions[place].policy.policy_version == "u1"));

    let removed = said(&mut gatekeeper.command(&["tenants", "remove", "umbrella"]));
    assert!(removed.contains("revision 3"), "{removed}");
    taken(&gatekeeper, 3).await;
    assert_eq!(end_of(&gatekeeper, "umbrella", 8).await.reason_code, "TENANT_UNKNOWN");

    let told = said(&mut gatekeeper.command(&["trail", "--subject", "umbrella", "--output", "json"]));
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let acts: Vec<_> = told.as_array().into_iter().flatten().map(|change| change["act"].as_str()).collect();
    assert_eq!(acts, [Some("removed"), Some("set"), Some("set")]);
    assert_eq!((&told[2]["actor"], &told[2]["note"]), (&"ada".into(), &"they pay now".into()));
    worker.signal(Signal::SIGTERM);
    drop(worker);
    let loaded = gatekeeper.ops().await.into_iter().filter(|event| event.kind == OpsKind::PolicyLoaded);
    let tenants: Vec<_> = loaded.filter_map(|event| event.tenant_id).collect();
    assert!(tenants.iter().all(|tenant| tenant == "umbrella") && tenants.len() >= 2, "{tenants:?}");
    gatekeeper.audit().await;
}

#[tokio::test]
async fn what_is_in_the_database_outlives_a_restart_and_what_was_put_there_by_hand_harms_nobody() {
    let gatekeeper = Gatekeeper::new().await;
    let too_early = gatekeeper.command(&["tenants"]).output().expect("the binary starts");
    let told = String::from_utf8_lossy(&too_early.stderr);
    assert!(!too_early.status.success() && told.contains("there is no ledger at"), "{told}");
    assert!(!gatekeeper.folder.path().join("ledger.db").exists(), "who only looks makes none");
    said(&mut gatekeeper.command(&["migrate"]));
    set(&gatekeeper, "id = 'acme'\nversion = 'db'", "");
    let listed = said(&mut gatekeeper.command(&["tenants"]));
    let acme = listed.lines().find(|line| line.starts_with("acme")).expect("it is there");
    assert!(acme.contains("database, revision 1, before the file"), "{listed}");
    assert!(listed.lines().any(|line| line.starts_with("noisy") && line.ends_with("file")), "{listed}");

    let worker = gatekeeper.serve();
    let places = gatekeeper.publish(vec![record(&event_of("acme", 1))]).await;
    gatekeeper.ends_of(&places).await;
    assert_eq!(gatekeeper.decisions().await[&places[0]].policy.policy_version, "db");

    let path = gatekeeper.folder.path().join("ledger.db");
    let mut file = SqliteConnectOptions::new().filename(path).connect().await.expect("the file is there");
    let by_hand = "INSERT INTO changes (revision, changed_at, actor, kind, subject, act, document)
                   VALUES (2, 0, 'me', 'tenant', 'acme', 'set', 'id = ''acme'' decide_by = ''soon''')";
    file.execute(by_hand).await.expect("nobody holds the file for long");
    taken(&gatekeeper, 2).await;
    let log = gatekeeper.what_the_worker_said();
    assert!(log.contains("tenant policies rejected"), "{log}");
    let places = gatekeeper.publish(vec![record(&event_of("acme", 2))]).await;
    gatekeeper.ends_of(&places).await;
    assert_eq!(gatekeeper.decisions().await[&places[0]].policy.policy_version, "db", "the one before goes on");
    drop(worker);
    let _again = gatekeeper.serve();
    let places = gatekeeper.publish(vec![record(&event_of("acme", 3))]).await;
    gatekeeper.ends_of(&places).await;
    assert_eq!(gatekeeper.decisions().await[&places[0]].policy.policy_version, "db", "after a restart too");
    gatekeeper.audit_finished().await;
}

#[tokio::test]
async fn files_that_changed_are_taken_on_a_hangup_as_a_whole_or_not_at_all() {
    let gatekeeper = Gatekeeper::with(&["ledger.enabled=false"]).await;
    let worker = gatekeeper.serve();
    assert_eq!(end_of(&gatekeeper, "umbrella", 1).await.reason_code, "TENANT_UNKNOWN");
    policy(&gatekeeper, "tenants/umbrella.toml", "id = 'umbrella'\nversion = ''");
    worker.signal(Signal::SIGHUP);
    let refused = || gatekeeper.what_the_worker_said().contains("tenant policies rejected").then_some(());
    until("the mistake is told", refused).await;
    policy(&gatekeeper, "tenants/umbrella.toml", "id = 'umbrella'\nversion = '1'");
    worker.signal(Signal::SIGHUP);
    until("it is taken", || gatekeeper.what_the_worker_said().contains("tenant changed").then_some(())).await;
    assert_eq!(end_of(&gatekeeper, "umbrella", 2).await.status, FeedbackStatus::Accepted);
}

#[tokio::test]
async fn a_policy_is_refused_with_all_its_mistakes_and_a_version_stands_for_one_policy() {
    let gatekeeper = Gatekeeper::new().await;
    said(&mut gatekeeper.command(&["migrate"]));
    let refused = |text: &str| {
        let path = policy(&gatekeeper, "proposal.toml", text);
        let Output { status, stderr, .. } =
            gatekeeper.command(&["tenants", "set"]).arg(path).output().expect("the binary starts");
        assert_eq!(status.code(), Some(78));
        String::from_utf8(stderr).expect("text")
    };
    let said_of_both = refused("id = 'acme'\ncurrency = 'eur'\ndecide_by = '0s'");
    assert!(said_of_both.contains("`currency`") && said_of_both.contains("`decide_by`"), "{said_of_both}");
    // The version of the file, and another policy.
    let taken = refused("id = 'acme'\nversion = 'test'\ndecide_by = '45s'");
    assert!(taken.contains("\"test\"") && taken.contains("in its file"), "{taken}");
    set(&gatekeeper, "id = 'acme'\nversion = 'a'\ndecide_by = '45s'", "");
    set(&gatekeeper, "id = 'acme'\nversion = 'b'", "");
    let taken = refused("id = 'acme'\nversion = 'a'\ndecide_by = '30s'");
    assert!(taken.contains("at revision 1"), "{taken}");
    set(&gatekeeper, "id = 'acme'\nversion = 'a'\ndecide_by = '45s'", "back to what it was");
    let shown = said(&mut gatekeeper.command(&["tenants", "show", "acme", "--revision", "2"]));
    assert_eq!(shown, "id = 'acme'\nversion = 'b'");
    let path = policy(&gatekeeper, "proposal.toml", &shown);
    let told = said(gatekeeper.command(&["tenants", "check"]).arg(path));
    assert!(told.contains("decide_by: \"45s\" -> \"1m\"") && !told.contains("set at"), "{told}");
}

async fn breaker_is(gatekeeper: &Gatekeeper, state: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = said(&mut gatekeeper.command(&["breaker", "--output", "json"]));
        let told: Value = serde_json::from_str(&told).expect("JSON");
        if told[0]["state"] == state {
            return told[0].clone();
        }
        assert!(Instant::now() < deadline, "never {state}: {told:#}");
    }
}

#[tokio::test]
async fn a_model_that_was_stopped_goes_on_after_a_reset_and_one_that_is_forced_open_is_not_asked() {
    let gatekeeper = Gatekeeper::new().await;
    gatekeeper.control(json!({"mode": "auth"})).await;
    let worker = gatekeeper.serve();
    let end = end_of(&gatekeeper, "acme", 1).await;
    assert_eq!((end.status, end.reason_code.as_str()), (FeedbackStatus::Degraded, "PROVIDER_AUTH"));
    let told = breaker_is(&gatekeeper, "stopped (PROVIDER_AUTH)").await;
    assert_eq!((&told["model"], &told["why"]), (&"openai".into(), &"credentials or quota refused".into()));

    gatekeeper.control(json!({})).await;
    assert_eq!(end_of(&gatekeeper, "acme", 2).await.status, FeedbackStatus::Degraded, "it stays stopped by itself");
    said(&mut gatekeeper.command(&["breaker", "reset", "openai", "--note", "the key works again"]));
    taken(&gatekeeper, 1).await;
    assert_eq!(end_of(&gatekeeper, "acme", 3).await.status, FeedbackStatus::Accepted);
    breaker_is(&gatekeeper, "closed").await;

    said(&mut gatekeeper.command(&["breaker", "open", "openai", "--for", "1h"]));
    taken(&gatekeeper, 2).await;
    let calls = gatekeeper.calls();
    let end = end_of(&gatekeeper, "acme", 4).await;
    assert_eq!((end.status, end.reason_code.as_str()), (FeedbackStatus::Degraded, "BREAKER_OPEN"));
    assert_eq!(gatekeeper.calls(), calls);
    // The order stands: who starts later takes it too.
    drop(worker);
    let _again = gatekeeper.serve();
    assert_eq!(end_of(&gatekeeper, "acme", 5).await.reason_code, "BREAKER_OPEN");
    assert_eq!(gatekeeper.calls(), calls);
    said(&mut gatekeeper.command(&["breaker", "release", "openai"]));
    breaker_is(&gatekeeper, "closed").await;
    assert_eq!(end_of(&gatekeeper, "acme", 6).await.status, FeedbackStatus::Accepted);
    let changes: Vec<_> = gatekeeper.ops().await.into_iter().filter_map(|event| event.current).collect();
    assert!(changes.iter().any(|state| state == "forced open"), "{changes:?}");
    let unknown = gatekeeper.command(&["breaker", "reset", "opnai"]).output().expect("the binary starts");
    assert!(!unknown.status.success() && String::from_utf8_lossy(&unknown.stderr).contains("openai"));
    gatekeeper.audit_finished().await;
}

#[tokio::test]
#[ignore = "needs Kafka and Postgres: tests/run starts it"]
async fn every_instance_on_a_cluster_takes_what_is_changed_and_says_how_its_breakers_are() {
    const INSTANCES: [&str; 2] = ["one", "two"];
    let database = TestDatabase::new().await;
    let url = format!("ledger.url={}", database.settings().url);
    let key = "models.openai.api_key=sk-simulated-0f6b1c";
    // Nobody listens there, and no call is made: the order comes first.
    let nowhere = "models.openai.base_url=http://127.0.0.1:9/v1";
    let kafka = OnKafka::new(&broker(), &[&url, key, nowhere, "tenants.unknown=reject", "log.kafka.partitions=2"]);
    let browser = kafka.browser().await;
    browser.create_topics().await.expect("topics");
    let too_early = kafka.command(&["breaker"]).output().expect("the binary starts");
    let told = String::from_utf8_lossy(&too_early.stderr);
    assert!(!too_early.status.success() && told.contains("`gatekeeper migrate`"), "{told}");
    said(&mut kafka.command(&["migrate"]));
    said(kafka.command(&["breaker", "open", "openai", "--note", "the provider is not to be asked"]).env("USER", "ada"));

    let group = &kafka.settings.log.kafka.group_id;
    let log = |name: &str| kafka.folder.path().join(format!("{name}.log"));
    let start = |name: &str| {
        let own = format!("log.kafka.transactional_id={group}-{name}");
        kafka.serve_into(&log(name), &["--set", &own])
    };
    let workers = INSTANCES.map(start);
    let spoken = |name: &str| std::fs::read_to_string(log(name)).unwrap_or_default();
    for name in INSTANCES {
        until("it owns a partition", || spoken(name).contains("partitions assigned").then_some(())).await;
        assert!(is_taken(&spoken(name), 1), "what was ordered before is in force before anything is read");
    }
    let path = kafka.folder.path().join("umbrella.toml");
    std::fs::write(&path, "id = 'umbrella'\nversion = 'u1'").expect("the folder is there");
    said(kafka.command(&["tenants", "set"]).arg(path));
    let asked = Instant::now();
    for name in INSTANCES {
        until("the change is taken", || is_taken(&spoken(name), 2).then_some(())).await;
    }
    assert!(asked.elapsed() < SOON, "after {:?}", asked.elapsed());
    let to = |partition: u32| OutRecord { partition, ..record(&event_of("umbrella", partition as usize)) };
    browser.append(vec![to(0), to(1)]).await.expect("the events topic takes them");
    for number in 0..2 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ends: Vec<EventFeedback> =
                kafka.decoded_of(number, &browser, TopicRole::Feedback, "EventFeedback").await;
            if let Some(end) = ends.iter().find(|end| end.terminal) {
                assert_eq!((end.status, end.reason_code.as_str()), (FeedbackStatus::Degraded, "BREAKER_OPEN"));
                break;
            }
            assert!(Instant::now() < deadline, "{}{}", spoken("one"), spoken("two"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let told = said(&mut kafka.command(&["breaker", "--output", "json"]));
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let told: Vec<_> = told.as_array().into_iter().flatten().collect();
    assert_eq!(told.len(), INSTANCES.len(), "{told:#?}");
    for (told, name) in told.iter().zip(INSTANCES) {
        assert_eq!((&told["instance"], &told["state"]), (&format!("{group}-{name}").into(), &"forced open".into()));
    }
    drop(workers);
}
