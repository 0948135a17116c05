//! A cluster that is silent for longer than a session, and speaks again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use gatekeeper::operations::log_browser::LogBrowser as _;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tempfile::TempDir;

use super::cluster::{OnKafka, to_the_only_partition};
use super::gatekeeper::{PATIENCE, Running, until};
use super::tickets::event;
use super::waiting::{free_port, health_within, of, ready};

/// A broker that is ours alone, to be frozen without harm to others.
struct OwnBroker {
    env_file: PathBuf,
    address: String,
    services: String,
    _folder: TempDir,
}

impl OwnBroker {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let env_file = folder.path().join("services.env");
        let started = Self::script("start").args(["--kafka", "--env-file"]).arg(&env_file).output().expect("it runs");
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        let text = std::fs::read_to_string(&env_file).expect("it was written");
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("export {name}=")));
            line.expect("it is set").trim_matches('\'').to_owned()
        };
        let (address, services) = (value("GATEKEEPER_TEST_KAFKA"), value("GATEKEEPER_TEST_SERVICES"));
        Self { env_file, address, services, _folder: folder }
    }

    fn script(name: &str) -> Command {
        Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services").join(name))
    }

    fn befalls(&self, action: &str) {
        let mut command = Self::script("fault");
        command.args([action, "kafka"]).env("GATEKEEPER_TEST_SERVICES", &self.services);
        assert!(command.status().expect("it runs").success(), "{action}");
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        let stopped = Self::script("stop").arg(&self.env_file).status();
        assert!(std::thread::panicking() || stopped.is_ok_and(|status| status.success()), "the broker is left behind");
    }
}

/// As long as two questions may take, and a busy machine.
const BOUND: Duration = Duration::from_secs(30);

/// A processor on a broker of its own, that has worked off one event: nothing but a freeze keeps anything from being read.
struct AtWork {
    worker: Running,
    kafka: OnKafka,
    http: u16,
    broker: OwnBroker,
}

impl AtWork {
    async fn start() -> Self {
        let broker = OwnBroker::start();
        let http = free_port();
        let kafka = OnKafka::new(&broker.address, &["http.enabled=true", &format!("http.bind=127.0.0.1:{http}")]);
        kafka.browser().await.create_topics().await.expect("topics");
        let worker = kafka.serve(&[]);
        let at_work = Self { worker, kafka, http, broker };
        at_work.works_off(0).await;
        at_work
    }

    /// The next event, after so many others.
    async fn works_off(&self, others: usize) {
        // With clients of its own: those from before a silence may know of no broker any more.
        let browser = self.kafka.browser().await;
        browser.append(vec![to_the_only_partition(&event(others))]).await.expect("it takes it");
        self.kafka.ended(&browser, others + 1).await;
    }
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn a_cluster_that_goes_away_is_seen_in_health_and_seen_again_when_it_is_back() {
    let at_work = AtWork::start().await;
    let http = at_work.http;
    let is = |state: &'static str| move |report: &serde_json::Value| of(report, "log")["state"] == state;
    let says = |report: &serde_json::Value| of(report, "log")["last_error"].as_str().unwrap_or_default().to_owned();
    let answers = |report: &serde_json::Value| is("up")(report) && of(report, "log")["latency_ms"].is_f64();
    health_within(BOUND, http, "the log answers", answers).await;
    assert_eq!(ready(http).await, 200);

    at_work.broker.befalls("freeze");
    let silent = |report: &serde_json::Value| is("down")(report) && says(report).contains("does not answer");
    health_within(BOUND, http, "the log does not answer", silent).await;
    assert_eq!(ready(http).await, 503);

    at_work.broker.befalls("thaw");
    let report = health_within(BOUND, http, "the log is back", is("up")).await;
    assert!(says(&report).contains("does not answer"), "the last error is kept: {report:#}");
    assert_eq!(ready(http).await, 200);
    at_work.works_off(1).await;
    health_within(BOUND, http, "it stays up", is("up")).await;
}

/// Joins the group under our name, as our own request from before a silence would, until that is answered by a fence.
fn joins_and_is_fenced(kafka: &OnKafka) -> rdkafka::error::RDKafkaErrorCode {
    let settings = &kafka.settings.log.kafka;
    let stranger: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &settings.bootstrap_servers)
        .set("group.id", &settings.group_id)
        .set("group.instance.id", settings.transactional_id.as_deref().expect("it is set"))
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", settings.session_timeout.as_millis().to_string())
        .set("heartbeat.interval.ms", settings.heartbeat_interval.as_millis().to_string())
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    stranger.subscribe(&[&kafka.settings.topics.events]).expect("it subscribes");
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        stranger.poll(Duration::from_millis(50)).and_then(Result::ok);
        if let Some((code, _)) = stranger.client().fatal_error() {
            return code;
        }
    }
    panic!("it was not fenced: {}", kafka.what_the_worker_said());
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn who_is_fenced_after_a_silence_of_the_cluster_joins_again_because_it_may_have_been_itself() {
    let mut at_work = AtWork::start().await;
    let said = || at_work.kafka.what_the_worker_said();
    let is_assigned = |line: &&str| line.contains("partitions assigned") && !line.contains("\"owned\":0");
    let before = said().lines().filter(is_assigned).count();
    at_work.broker.befalls("freeze");
    // Longer than a session.
    let down = |report: &serde_json::Value| of(report, "log")["state"] == "down";
    health_within(BOUND, at_work.http, "the log does not answer", down).await;
    at_work.broker.befalls("thaw");
    let joined_again = until("it has joined again", || said().lines().filter(is_assigned).nth(before).map(drop));
    joined_again.await;
    // Our own request from before the silence may have been read last, which we hear with one of the next heartbeats; if it was
    // not, somebody joins in its place.
    let fenced = || said().contains("fenced after the session was lost");
    let heard_by = Instant::now() + 6 * at_work.kafka.settings.log.kafka.heartbeat_interval;
    until("heartbeats are answered", || (fenced() || Instant::now() > heard_by).then_some(())).await;
    if !fenced() {
        let fence = joins_and_is_fenced(&at_work.kafka);
        assert_eq!(fence, rdkafka::error::RDKafkaErrorCode::FencedInstanceId, "{}", said());
    }
    at_work.works_off(1).await;
    assert!(fenced(), "{}", said());
    assert!(at_work.worker.has_ended().is_none(), "{}", said());
}
