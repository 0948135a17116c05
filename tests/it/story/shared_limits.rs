//! One limit of a tenant, several instances on a cluster and a database: what the provider sees of it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gatekeeper::operations::log_browser::LogBrowser as _;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::cluster::{OnKafka, broker};
use super::gatekeeper::{PARTITIONS, Running, program, until};
use super::tickets::{event_of, record};
use crate::postgres::TestDatabase;

/// Five a second, and as many events as four times that would do in the time we look.
const LIMIT: usize = 300;
const EVENTS: usize = 1_600;

/// A minute that begins with all of it at once, and a steady piece of the next.
const WATCHED: Duration = Duration::from_secs(78);

const MINUTE: i64 = 60_000;

struct Provider {
    _running: Running,
    calls: std::path::PathBuf,
    address: String,
}

impl Provider {
    async fn start(folder: &std::path::Path) -> Self {
        let (calls, ready) = (folder.join("calls.jsonl"), folder.join("ready"));
        let mut command = Command::new(program());
        command.args(["simulate-provider", "--p50-ms", "20", "--p99-ms", "60"]);
        command.arg("--calls").arg(&calls).arg("--ready").arg(&ready).stdout(Stdio::null()).stderr(Stdio::null());
        let running = Running::start(&mut command, "the provider");
        let address = until("the provider listens", || std::fs::read_to_string(&ready).ok()).await;
        Self { _running: running, calls, address: address.trim().to_owned() }
    }

    /// When each call came in.
    fn calls(&self) -> Vec<i64> {
        let text = std::fs::read_to_string(&self.calls).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let starts = lines.filter(|line| line["what"] == "start");
        starts.map(|line| line["received_at"].as_i64().expect("a time")).collect()
    }
}

fn serve(kafka: &OnKafka, instance: &str, more: &[String]) -> Running {
    let log = std::fs::File::create(kafka.folder.path().join(format!("{instance}.log"))).expect("the folder is there");
    let mut command = Command::new(program());
    command.arg("serve").current_dir(kafka.folder.path()).stdout(Stdio::null()).stderr(log);
    let own = format!("log.kafka.transactional_id={}-{instance}", kafka.folder.path().display());
    let own = own.replace('/', "_");
    for set in kafka.sets.iter().chain(more).chain([&own]) {
        command.arg("--set").arg(set);
    }
    Running::start(&mut command, instance)
}

#[tokio::test]
#[ignore = "needs Kafka and Postgres: tests/run starts it"]
async fn three_instances_ask_no_more_than_one_tenants_limit_and_all_of_it() {
    let database = TestDatabase::new().await;
    let kafka = OnKafka::new(&broker(), &[&format!("log.kafka.partitions={PARTITIONS}")]);
    let tenants = kafka.folder.path().join("tenants");
    std::fs::create_dir(&tenants).expect("a new folder");
    let busy = format!("id = \"busy\"\nversion = \"test\"\n[limits]\nrequests_per_minute = {LIMIT}\n");
    std::fs::write(tenants.join("busy.toml"), busy).expect("the folder is there");
    let provider = Provider::start(kafka.folder.path()).await;
    let ledger = database.settings();
    let mut sets = vec![
        format!("ledger.url={}", ledger.url),
        format!("tenants.directory={}", tenants.display()),
        format!("models.openai.base_url=http://{}/v1", provider.address),
        "models.openai.api_key=sk-simulated-0f6b1c".to_owned(),
    ];
    if let Some(password) = &ledger.postgres.password {
        sets.push(format!("ledger.postgres.password={}", password.expose()));
    }
    let browser = kafka.browser().await;
    browser.create_topics().await.expect("topics");
    let mut workers: Vec<_> = ["gk-1", "gk-2", "gk-3"].map(|instance| serve(&kafka, instance, &sets)).into();
    let said = |instance: &str| {
        std::fs::read_to_string(kafka.folder.path().join(format!("{instance}.log"))).unwrap_or_default()
    };
    let all_own_some = || ["gk-1", "gk-2", "gk-3"].iter().all(|name| said(name).contains("partitions assigned"));
    until("all of them own partitions", || all_own_some().then_some(())).await;
    let events = (0..EVENTS).map(|number| record(&event_of("busy", number))).collect();
    browser.append(events).await.expect("the log takes them");
    let first = until("a call", || provider.calls().first().copied()).await;
    let looked = Instant::now();
    while looked.elapsed() < WATCHED {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(workers.iter_mut().all(|worker| worker.has_ended().is_none()), "{}", said("gk-1"));
    }
    let calls = provider.calls();
    for worker in &mut workers {
        worker.signal(Signal::SIGTERM);
    }
    for worker in &mut workers {
        assert!(worker.ended().await.success(), "an instance ends well");
    }
    let within = |from: i64| calls.iter().filter(|at| (from..from + MINUTE).contains(*at)).count();
    let worst = calls.iter().map(|from| within(*from)).max().unwrap_or_default();
    assert!(worst * 100 <= LIMIT * 105, "{worst} calls in a minute, {LIMIT} are allowed");
    let in_the_first = within(first);
    assert!(in_the_first * 100 >= LIMIT * 95, "{in_the_first} calls in the first minute of {LIMIT}");
    // The time that was watched is a minute and eighteen seconds; a part of the limit that nobody has would be missing.
    let next = calls.iter().filter(|at| **at >= first + MINUTE).count();
    assert!(next >= 15 * LIMIT / 60, "{next} calls after that, five a second are allowed");
    // That is not the doing of one of them.
    for instance in ["gk-1", "gk-2", "gk-3"] {
        assert!(!said(instance).contains("shared limits cannot be asked for"), "{}", said(instance));
    }
}
