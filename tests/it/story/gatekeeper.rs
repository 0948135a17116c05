//! An installation in a folder of its own: log, ledger, provider, processor. It goes away without a trace.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatekeeper::adapters::embedded_log::{Access, EmbeddedBrowser};
use gatekeeper::adapters::schema_registry::SchemaRegistry;
use gatekeeper::adapters::sqlite::SqliteLedger;
use gatekeeper::domain::clock::SystemClock;
use gatekeeper::domain::dead_letter::DeadLetter;
use gatekeeper::domain::decision::TriageDecision;
use gatekeeper::domain::feedback::EventFeedback;
use gatekeeper::domain::identity::{DedupeKey, RecordKind};
use gatekeeper::domain::ops_event::OpsEvent;
use gatekeeper::domain::position::{Partition, TopicRole};
use gatekeeper::domain::record::{OutRecord, Record};
use gatekeeper::operations::log_browser::{LogBrowser, ReadLimit};
use gatekeeper::operations::schemas::LearningBrowser;
use gatekeeper::pipeline::dedupe::ledger::Ledger;
use gatekeeper::pipeline::schema_set::SchemaSet;
use gatekeeper::pipeline::schema_set::registry::Lookup;
use gatekeeper::settings::{LoadOptions, Settings, load};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;

pub const PARTITIONS: u32 = 4;
/// More than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(40);
const EVERY: Duration = Duration::from_millis(10);
const PAGE: ReadLimit = ReadLimit { max_records: 10_000, max_bytes: 64 << 20 };
/// Calls at once: what a crash may cost again at most.
pub const IN_FLIGHT: usize = 16;

/// Partition and offset of an event.
pub type Place = (u32, u64);

/// The binary under test: the one cargo built, or another one.
pub fn program() -> PathBuf {
    std::env::var_os("GATEKEEPER_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_gatekeeper").into(), PathBuf::from)
}

/// A running child; killed when it goes out of scope.
pub struct Running {
    child: Child,
    name: String,
}

impl Running {
    pub fn start(command: &mut Command, name: &str) -> Self {
        Self { child: command.spawn().expect("the binary starts"), name: name.to_owned() }
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it runs");
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// How it ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        self.ended_within(PATIENCE).await
    }

    pub async fn ended_within(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.has_ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "{} does not end", self.name);
            tokio::time::sleep(EVERY).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its end may have been waited for already; then there is nothing to kill.
        self.child.kill().ok();
        let waited = self.child.wait();
        if !std::thread::panicking() {
            waited.expect("it is our child");
            assert!(kill(self.pid(), None).is_err(), "{} is still there", self.name);
        }
    }
}

/// The installation.
pub struct Gatekeeper {
    pub folder: TempDir,
    pub settings: Settings,
    pub schemas: Arc<SchemaSet>,
    pub log: Arc<dyn LogBrowser>,
    sets: Vec<String>,
    _provider: Running,
    address: SocketAddr,
}

impl Gatekeeper {
    /// With these settings on top; everything else as it comes, but small.
    pub async fn with(sets: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::create_dir(path("tenants")).expect("an empty folder");
        let tenant = |id: &str, more: &str| {
            let text = format!("id = \"{id}\"\nversion = \"test\"\n{more}\n");
            fs::write(folder.path().join(format!("tenants/{id}.toml")), text).expect("the folder is there");
        };
        tenant("acme", "");
        tenant("hurried", "decide_by = \"1s\"");
        tenant("noisy", "[limits]\nrequests_per_minute = 30");
        tenant("closed", "enabled = false");

        let (calls, ready) = (folder.path().join("calls.jsonl"), folder.path().join("ready"));
        let mut command = Command::new(program());
        command.args(["simulate-provider", "--p50-ms", "20", "--p99-ms", "60"]);
        command.arg("--calls").arg(&calls).arg("--ready").arg(&ready).stdout(Stdio::null()).stderr(Stdio::null());
        let provider = Running::start(&mut command, "the provider");
        let address = until("the provider listens", || fs::read_to_string(&ready).ok()).await;
        let address: SocketAddr = address.trim().parse().expect("an address");

        let mut all = vec![
            format!("log.embedded.path={}", path("log.db")),
            format!("log.embedded.partitions={PARTITIONS}"),
            format!("ledger.url=sqlite:{}", path("ledger.db")),
            format!("tenants.directory={}", path("tenants")),
            format!("pipeline.max_in_flight={IN_FLIGHT}"),
            format!("models.openai.base_url=http://{address}/v1"),
            "models.openai.api_key=sk-simulated-0f6b1c".to_owned(),
            "triage.breaker.open_for=1s".to_owned(),
            "http.enabled=false".to_owned(),
            "telemetry.log_format=json".to_owned(),
        ];
        all.extend(sets.iter().map(|set| (*set).to_owned()));
        let options = LoadOptions { sets: all.clone(), ..LoadOptions::default() };
        let settings = load(&options).expect("settings of a test").settings;
        let clock = Arc::new(SystemClock);
        let log = EmbeddedBrowser::open(&settings.log.embedded, &settings.topics, Access::Append, clock);
        let log: Arc<dyn LogBrowser> = Arc::new(log.await.expect("a new log"));
        log.create_topics().await.expect("a new log");
        let schemas = Arc::new(SchemaSet::new(&settings.schemas).expect("ids of a test"));
        let registry = SchemaRegistry::new(&settings.schemas.registry).expect("a client");
        let log: Arc<dyn LogBrowser> = match registry {
            Some(registry) => {
                let lookup = Lookup::new(schemas.clone(), Arc::new(registry), settings.schemas.registry.retry);
                Arc::new(LearningBrowser::new(log, lookup))
            }
            None => log,
        };
        Self { folder, settings, schemas, log, sets: all, _provider: provider, address }
    }

    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// `gatekeeper <arguments>` with this installation's settings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).env_remove("GATEKEEPER_FAILPOINT").current_dir(self.folder.path());
        for set in &self.sets {
            command.arg("--set").arg(set);
        }
        command
    }

    /// The processor; its log is `worker.log`.
    pub fn serve(&self) -> Running {
        self.serve_with(&[], None)
    }

    pub fn serve_with(&self, arguments: &[&str], failpoint: Option<&str>) -> Running {
        let failpoint = failpoint.map(|failpoint| ("GATEKEEPER_FAILPOINT", failpoint));
        self.serve_in(arguments, failpoint.as_slice())
    }

    /// With these variables in its environment.
    pub fn serve_in(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.worker_log()).expect("the folder is there");
        let mut command = self.command(&["serve"]);
        command.args(arguments).envs(environment.iter().copied()).stdout(Stdio::null()).stderr(log);
        Running::start(&mut command, "the processor")
    }

    /// The processor works until everything has its terminal, and ends well.
    pub async fn serve_until_idle(&self) {
        let status = self.serve_with(&["--until-idle"], None).ended().await;
        assert!(status.success(), "{status}\n{}", self.what_the_worker_said());
    }

    pub fn worker_log(&self) -> PathBuf {
        self.folder.path().join("worker.log")
    }

    pub fn what_the_worker_said(&self) -> String {
        fs::read_to_string(self.worker_log()).unwrap_or_default()
    }

    /// Until `/health/ready` answers with this status, and `/health` says this.
    pub async fn health_says(&self, status: u16, words: &str) {
        let address = until("it listens", || {
            let said = self.what_the_worker_said();
            let line = said.lines().rfind(|line| line.contains("metrics and health"))?;
            let line: Value = serde_json::from_str(line).ok()?;
            Some(line["fields"]["address"].as_str().or(line["address"].as_str())?.to_owned())
        })
        .await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let get = |path: &str| reqwest::get(format!("http://{address}{path}"));
            let ready = get("/health/ready").await.expect("it listens").status().as_u16();
            let health = get("/health").await.expect("it listens").text().await.expect("a page");
            if ready == status && health.contains(words) {
                return;
            }
            assert!(Instant::now() < deadline, "{ready}: {health}");
            tokio::time::sleep(EVERY).await;
        }
    }

    /// How the provider behaves from now on.
    pub async fn control(&self, control: Value) {
        let url = format!("http://{}/control", self.address);
        let said = reqwest::Client::new().post(url).json(&control).send().await.expect("the provider listens");
        assert!(said.status().is_success(), "{control}: {}", said.status());
    }

    pub async fn publish(&self, records: Vec<OutRecord>) -> Vec<Place> {
        let positions = self.log.append(records).await.expect("the log takes them");
        positions.iter().map(|position| (position.partition, position.offset)).collect()
    }

    /// All records of a topic, by partition.
    pub async fn records(&self, topic: TopicRole) -> Vec<(u32, Record)> {
        let mut records = Vec::new();
        for number in 0..PARTITIONS {
            let page = self.log.read(Partition { topic, number }, 0, PAGE).await.expect("the log is readable");
            records.extend(page.into_iter().map(|record| (number, record)));
        }
        records
    }

    pub async fn decoded<T: DeserializeOwned>(&self, topic: TopicRole, schema: &str) -> Vec<T> {
        let read = |(_, record): (u32, Record)| {
            self.schemas.read(schema, record.value.as_deref().unwrap_or_default()).expect("a record of ours")
        };
        self.records(topic).await.into_iter().map(read).collect()
    }

    pub async fn terminals(&self) -> HashMap<Place, EventFeedback> {
        let all: Vec<EventFeedback> = self.decoded(TopicRole::Feedback, "EventFeedback").await;
        let terminal = all.into_iter().filter(|feedback| feedback.terminal);
        terminal.map(|feedback| (place(feedback.origin.partition, feedback.origin.offset), feedback)).collect()
    }

    pub async fn decisions(&self) -> HashMap<Place, TriageDecision> {
        let all: Vec<TriageDecision> = self.decoded(TopicRole::Decisions, "TriageDecision").await;
        all.into_iter().map(|decision| (place(decision.origin.partition, decision.origin.offset), decision)).collect()
    }

    pub async fn dead_letters(&self) -> Vec<DeadLetter> {
        self.decoded(TopicRole::DeadLetters, "DeadLetter").await
    }

    pub async fn ops(&self) -> Vec<OpsEvent> {
        self.decoded(TopicRole::Ops, "OpsEvent").await
    }

    /// Until all of these have their terminal; answered with them, in that order.
    pub async fn ends_of(&self, places: &[Place]) -> Vec<EventFeedback> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let terminals = self.terminals().await;
            let ends: Vec<_> = places.iter().filter_map(|place| terminals.get(place).cloned()).collect();
            if ends.len() == places.len() {
                return ends;
            }
            assert!(
                Instant::now() < deadline,
                "{} of {} have their terminal\n{}",
                ends.len(),
                places.len(),
                self.what_the_worker_said()
            );
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Calls the provider saw: how many began, how many have ended.
    pub fn calls(&self) -> (usize, usize) {
        let text = fs::read_to_string(self.calls_file()).unwrap_or_default();
        let count =
            |what: &str| text.lines().filter(|line| line.starts_with(&format!("{{\"what\":\"{what}\""))).count();
        (count("start"), count("end"))
    }

    pub async fn calls_are_under_way(&self, wanted: usize) {
        until("calls are under way", || {
            let (begun, ended) = self.calls();
            (begun - ended == wanted).then_some(())
        })
        .await;
    }

    fn calls_file(&self) -> PathBuf {
        self.folder.path().join("calls.jsonl")
    }

    /// The audit's report, and whether it is green.
    pub fn judged(&self) -> (bool, Value) {
        let calls = self.calls_file();
        let calls = calls.to_str().expect("UTF-8");
        let output = self.command(&["audit", "--output", "json", "--calls", calls]).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
        (output.status.success(), report)
    }

    /// The audit's report; it must be green.
    pub async fn audit(&self) -> Value {
        let (green, report) = self.judged();
        assert!(green, "{report:#}\n{}", self.what_the_worker_said());
        self.decisions_are_the_saved_ones().await;
        report
    }

    /// The same, and nothing is left open.
    pub async fn audit_finished(&self) -> Value {
        let report = self.audit().await;
        assert_eq!(report["open"], 0, "{report:#}");
        report
    }

    pub async fn ledger(&self) -> SqliteLedger {
        let clock = Arc::new(SystemClock);
        SqliteLedger::open(&self.settings.ledger, "checker", 0, false, clock).await.expect("the ledger is readable")
    }

    /// What went out is, byte for byte, what was saved.
    async fn decisions_are_the_saved_ones(&self) {
        if !self.settings.ledger.enabled {
            return;
        }
        let ledger = self.ledger().await;
        for (partition, record) in self.records(TopicRole::Decisions).await {
            let value = record.value.as_deref().expect("a decision");
            let decision: TriageDecision = self.schemas.read("TriageDecision", value).expect("a decision");
            let row = ledger.find(key_of(&decision)).await.expect("readable").expect("a decision has its row");
            let verdict = row.verdict.expect("a published verdict is saved");
            let saved = &verdict.decision.as_ref().expect("a decided verdict has its decision").bytes;
            assert!(saved.0 == value, "{partition}@{}: other bytes than the saved ones", record.offset);
        }
        ledger.close().await;
    }
}

fn key_of(decision: &TriageDecision) -> DedupeKey {
    let (scope, id) = match &decision.idempotency_key {
        Some(key) => ("idempotency_key", key),
        None => ("event_id", &decision.event_id),
    };
    let key = DedupeKey::of(RecordKind::Event, &decision.tenant_id, &decision.event_source, scope, id);
    if decision.decision_version > 1 { DedupeKey::of_better(key) } else { key }
}

pub fn place(partition: i32, offset: i64) -> Place {
    (u32::try_from(partition).expect("not negative"), u64::try_from(offset).expect("not negative"))
}

/// Until it is there.
pub async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "in {PATIENCE:?} this did not happen: {what}");
        tokio::time::sleep(EVERY).await;
    }
}

/// Processes whose command line names this path.
pub fn processes_in(path: &Path) -> Vec<String> {
    let path = path.display().to_string();
    let entries = fs::read_dir("/proc").expect("Linux").flatten();
    let lines = entries.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(&path)).collect()
}
