//! The processor on a Kafka cluster: one that takes less than a record has, and one that goes away.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gatekeeper::adapters::kafka::KafkaBrowser;
use gatekeeper::domain::dead_letter::DeadLetter;
use gatekeeper::domain::decision::TriageDecision;
use gatekeeper::domain::feedback::EventFeedback;
use gatekeeper::domain::identity::hex;
use gatekeeper::domain::position::{Partition, TopicRole};
use gatekeeper::domain::record::OutRecord;
use gatekeeper::domain::review::{DecisionReview, JoinStatus};
use gatekeeper::operations::log_browser::{LogBrowser, ReadLimit};
use gatekeeper::pipeline::schema_set::SchemaSet;
use gatekeeper::settings::{LoadOptions, Settings, load};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::gatekeeper::{PATIENCE, Running, program};
use super::human_feedback::{judgement, said};
use super::tickets::{event, record};
use super::waiting::{free_port, health_within, of, ready};

const ALL: ReadLimit = ReadLimit { max_records: 1_000, max_bytes: 64 << 20 };

/// An installation with topics of its own.
pub struct OnKafka {
    pub folder: TempDir,
    pub sets: Vec<String>,
    pub settings: Settings,
}

impl OnKafka {
    pub fn new(broker: &str, sets: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let prefix = format!("story-{}", uuid::Uuid::new_v4());
        let mut all = vec![
            "log.kind=kafka".to_owned(),
            format!("log.kafka.bootstrap_servers={broker}"),
            format!("log.kafka.transactional_id={prefix}-1"),
            format!("log.kafka.group_id={prefix}"),
            "log.kafka.partitions=1".to_owned(),
            format!("topics.deferred={prefix}.deferred.{{tier}}"),
            format!("ledger.url=sqlite:{}", folder.path().join("ledger.db").display()),
            "tenants.unknown=default".to_owned(),
            "http.enabled=false".to_owned(),
            "telemetry.log_format=json".to_owned(),
        ];
        for role in ["events", "human_feedback", "decisions", "feedback", "decision_reviews", "dead_letters"] {
            all.push(format!("topics.{role}={prefix}.{role}"));
        }
        all.extend(["decisions_shadow", "ops"].map(|role| format!("topics.{role}={prefix}.{role}")));
        all.extend(sets.iter().map(|set| (*set).to_owned()));
        let options = LoadOptions { sets: all.clone(), ..LoadOptions::default() };
        Self { folder, sets: all, settings: load(&options).expect("settings of a test").settings }
    }

    pub async fn browser(&self) -> KafkaBrowser {
        KafkaBrowser::open(&self.settings.log.kafka, &self.settings.topics).await.expect("clients are made")
    }

    fn serve(&self, arguments: &[&str]) -> Running {
        self.serve_into(&self.worker_log(), arguments)
    }

    /// With a log of its own.
    pub fn serve_into(&self, log: &Path, arguments: &[&str]) -> Running {
        let log = std::fs::File::create(log).expect("the folder is there");
        let mut command = self.command(&["serve"]);
        command.args(arguments).stdout(Stdio::null()).stderr(log);
        Running::start(&mut command, "the processor")
    }

    /// With a failpoint.
    #[cfg(feature = "failpoints")]
    fn serve_until(&self, failpoint: &str) -> Running {
        let log = std::fs::File::create(self.worker_log()).expect("the folder is there");
        let mut command = self.command(&["serve"]);
        command.env("GATEKEEPER_FAILPOINT", failpoint).stdout(Stdio::null()).stderr(log);
        Running::start(&mut command, "the processor")
    }

    /// `gatekeeper <arguments>` with this installation's settings; more of them may follow.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).current_dir(self.folder.path());
        for set in &self.sets {
            command.arg("--set").arg(set);
        }
        command
    }

    fn worker_log(&self) -> PathBuf {
        self.folder.path().join("worker.log")
    }

    fn what_the_worker_said(&self) -> String {
        std::fs::read_to_string(self.worker_log()).unwrap_or_default()
    }

    async fn decoded<T: DeserializeOwned>(&self, browser: &KafkaBrowser, topic: TopicRole, schema: &str) -> Vec<T> {
        self.decoded_of(0, browser, topic, schema).await
    }

    /// Everything in one partition.
    pub async fn decoded_of<T: DeserializeOwned>(
        &self,
        number: u32,
        browser: &KafkaBrowser,
        topic: TopicRole,
        schema: &str,
    ) -> Vec<T> {
        let schemas = SchemaSet::new(&self.settings.schemas).expect("ids of a test");
        let records = browser.read(Partition { topic, number }, 0, ALL).await.expect("it is readable");
        records
            .iter()
            .map(|record| schemas.read(schema, record.value.as_deref().unwrap_or_default()).expect("a record of ours"))
            .collect()
    }

    /// Waits until so many events have their end.
    async fn ended(&self, browser: &KafkaBrowser, events: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ends: Vec<EventFeedback> = self.decoded(browser, TopicRole::Feedback, "EventFeedback").await;
            if ends.len() >= events {
                return;
            }
            let said = || self.what_the_worker_said();
            assert!(Instant::now() < deadline, "{} of {events} ended: {}", ends.len(), said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A topic as brokers make it by default: 1 MiB a batch.
    async fn create_by_hand(&self, topic: &str) {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.settings.log.kafka.bootstrap_servers)
            .create()
            .expect("an admin client");
        let topic = NewTopic::new(topic, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "1048588");
        let created = admin.create_topics([&topic], &AdminOptions::new()).await.expect("an answer");
        assert!(created.iter().all(Result::is_ok), "{created:?}");
    }

    /// All topics have so many partitions from now on.
    async fn grow(&self, partitions: usize) {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.settings.log.kafka.bootstrap_servers)
            .create()
            .expect("an admin client");
        for topic in self.browser().await.topics().await.expect("topics") {
            let name = self.settings.topics.name(topic.role);
            let grown = admin.create_partitions([&NewPartitions::new(&name, partitions)], &AdminOptions::new()).await;
            let grown = grown.expect("an answer");
            assert!(grown.iter().all(Result::is_ok), "{grown:?}");
        }
    }
}

impl Drop for OnKafka {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the worker said:\n{}", self.what_the_worker_said());
        }
    }
}

fn to_the_only_partition(event: &serde_json::Value) -> OutRecord {
    OutRecord { partition: 0, ..record(event) }
}

/// Bytes that are no event, and that no compression makes fewer.
fn noise(bytes: usize) -> OutRecord {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let value: Vec<u8> = std::iter::repeat_with(next).take(bytes).collect();
    OutRecord { value: Some(value.into()), ..to_the_only_partition(&event(1)) }
}

pub fn broker() -> String {
    std::env::var("GATEKEEPER_TEST_KAFKA").expect("GATEKEEPER_TEST_KAFKA says where a broker is")
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn a_rejected_record_of_more_than_a_megabyte_has_one_dead_letter_and_holds_nobody_up() {
    let large = noise(1_200_000);
    let value = large.value.clone().expect("noise");
    for by_hand in [false, true] {
        let kafka = OnKafka::new(&broker(), &[]);
        if by_hand {
            kafka.create_by_hand(&kafka.settings.topics.dead_letters).await;
        }
        let browser = kafka.browser().await;
        browser.create_topics().await.expect("topics");
        let records = vec![to_the_only_partition(&event(0)), large.clone(), to_the_only_partition(&event(2))];
        browser.append(records).await.expect("the events topic takes it");
        let ended = kafka.serve(&["--until-idle"]).ended_within(Duration::from_secs(90)).await;
        assert!(ended.success(), "{}", kafka.what_the_worker_said());

        let ends: Vec<EventFeedback> = kafka.decoded(&browser, TopicRole::Feedback, "EventFeedback").await;
        let mut codes: Vec<_> = ends.iter().map(|end| end.reason_code.as_str()).collect();
        codes.sort_unstable();
        assert_eq!((codes.len(), codes.contains(&"PAYLOAD_TOO_LARGE")), (3, true), "{codes:?}");
        let letters: Vec<DeadLetter> = kafka.decoded(&browser, TopicRole::DeadLetters, "DeadLetter").await;
        let [letter] = &letters[..] else { panic!("one dead letter, not {}", letters.len()) };
        assert_eq!((letter.origin_topic.as_str(), letter.origin_offset), (kafka.settings.topics.events.as_str(), 1));
        let (kept, sha256) = (letter.value.as_ref().map(|value| &value.0[..]), letter.value_sha256.as_deref());
        if by_hand {
            assert_eq!((kept, sha256), (None, Some(hex(&Sha256::digest(&value)).as_str())));
        } else {
            assert!(kept == Some(&value[..]) && sha256.is_none(), "a topic of ours has room for all of it");
        }
    }
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn what_people_make_of_decisions_is_reviewed_once_on_a_cluster() {
    let kafka = OnKafka::new(&broker(), &[]);
    let browser = kafka.browser().await;
    browser.create_topics().await.expect("topics");
    browser.append(vec![to_the_only_partition(&event(1))]).await.expect("it takes it");
    assert!(kafka.serve(&["--until-idle"]).ended_within(PATIENCE).await.success(), "{}", kafka.what_the_worker_said());
    let decisions: Vec<TriageDecision> = kafka.decoded(&browser, TopicRole::Decisions, "TriageDecision").await;
    let [decision] = &decisions[..] else { panic!("one decision: {decisions:#?}") };

    let feedback = said(&judgement("f-1", "T-1", Some(&decision.decision_id)));
    let feedback = OutRecord { partition: 0, ..feedback };
    let broken = OutRecord { value: Some(b"\xffnot feedback".as_slice().into()), ..feedback.clone() };
    browser.append(vec![feedback.clone(), feedback, broken]).await.expect("it takes them");
    assert!(kafka.serve(&["--until-idle"]).ended_within(PATIENCE).await.success(), "{}", kafka.what_the_worker_said());
    let reviews: Vec<DecisionReview> = kafka.decoded(&browser, TopicRole::DecisionReviews, "DecisionReview").await;
    let [review] = &reviews[..] else { panic!("one review: {reviews:#?}") };
    assert_eq!(review.join_status, JoinStatus::JoinedById);
    let predicted = decision.category.as_ref().map(|category| &category.value);
    assert_eq!((review.fields[0].predicted.as_ref(), review.fields[0].actual.as_str()), (predicted, "refund_cancel"));
    let letters: Vec<DeadLetter> = kafka.decoded(&browser, TopicRole::DeadLetters, "DeadLetter").await;
    let [letter] = &letters[..] else { panic!("one dead letter: {letters:#?}") };
    assert_eq!(
        (letter.origin_topic.as_str(), letter.origin_offset),
        (kafka.settings.topics.human_feedback.as_str(), 2)
    );
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn partitions_that_were_added_while_nobody_ran_are_read_before_a_run_until_idle_ends() {
    let kafka = OnKafka::new(&broker(), &[]);
    let browser = kafka.browser().await;
    browser.create_topics().await.expect("topics");
    browser.append(vec![to_the_only_partition(&event(0))]).await.expect("it takes it");
    let to_idle = async || kafka.serve(&["--until-idle"]).ended_within(PATIENCE).await;
    assert!(to_idle().await.success(), "{}", kafka.what_the_worker_said());

    // The old one is not worked off when the added one is seen.
    browser.append(vec![to_the_only_partition(&event(1))]).await.expect("it takes it");
    kafka.grow(2).await;
    let browser = kafka.browser().await;
    browser.append(vec![OutRecord { partition: 1, ..record(&event(2)) }]).await.expect("it takes it");
    assert!(to_idle().await.success(), "{}", kafka.what_the_worker_said());
    let mut ends = Vec::new();
    for number in [0, 1] {
        ends.push(
            kafka.decoded_of::<EventFeedback>(number, &browser, TopicRole::Feedback, "EventFeedback").await.len(),
        );
    }
    assert_eq!(ends, [2, 1], "{}", kafka.what_the_worker_said());
}

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

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn a_cluster_that_goes_away_is_seen_in_health_and_seen_again_when_it_is_back() {
    // As long as two questions may take, and a busy machine.
    let bound = Duration::from_secs(30);
    let own = OwnBroker::start();
    let http = free_port();
    let kafka = OnKafka::new(&own.address, &["http.enabled=true", &format!("http.bind=127.0.0.1:{http}")]);
    let browser = kafka.browser().await;
    browser.create_topics().await.expect("topics");
    let _worker = kafka.serve(&[]);
    let is = |state: &'static str| move |report: &serde_json::Value| of(report, "log")["state"] == state;
    let says = |report: &serde_json::Value| of(report, "log")["last_error"].as_str().unwrap_or_default().to_owned();
    let answers = |report: &serde_json::Value| is("up")(report) && of(report, "log")["latency_ms"].is_f64();
    // One that was worked off: nothing but the freeze keeps anything from being read.
    browser.append(vec![to_the_only_partition(&event(0))]).await.expect("it takes it");
    kafka.ended(&browser, 1).await;
    health_within(bound, http, "the log answers", answers).await;
    assert_eq!(ready(http).await, 200);

    own.befalls("freeze");
    let silent = |report: &serde_json::Value| is("down")(report) && says(report).contains("does not answer");
    let why = says(&health_within(bound, http, "the log does not answer", silent).await);
    assert_eq!(ready(http).await, 503);

    own.befalls("thaw");
    let report = health_within(bound, http, "the log is back", is("up")).await;
    assert_eq!(says(&report), why, "the last error is kept");
    assert_eq!(ready(http).await, 200);
    browser.append(vec![to_the_only_partition(&event(1))]).await.expect("it is back");
    kafka.ended(&browser, 2).await;
    health_within(bound, http, "it stays up", is("up")).await;
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
    let bound = Duration::from_secs(30);
    let own = OwnBroker::start();
    let http = free_port();
    let kafka = OnKafka::new(&own.address, &["http.enabled=true", &format!("http.bind=127.0.0.1:{http}")]);
    let browser = kafka.browser().await;
    browser.create_topics().await.expect("topics");
    browser.append(vec![to_the_only_partition(&event(0))]).await.expect("it takes it");
    let mut worker = kafka.serve(&[]);
    kafka.ended(&browser, 1).await;

    own.befalls("freeze");
    // Longer than a session.
    let down = |report: &serde_json::Value| of(report, "log")["state"] == "down";
    health_within(bound, http, "the log does not answer", down).await;
    own.befalls("thaw");
    let fence = joins_and_is_fenced(&kafka);
    assert_eq!(fence, rdkafka::error::RDKafkaErrorCode::FencedInstanceId, "{}", kafka.what_the_worker_said());
    browser.append(vec![to_the_only_partition(&event(1))]).await.expect("it takes it");
    kafka.ended(&browser, 2).await;
    assert!(worker.has_ended().is_none(), "{}", kafka.what_the_worker_said());
    assert!(kafka.what_the_worker_said().contains("fenced after the session was lost"));
}

#[cfg(feature = "failpoints")]
#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn a_bug_on_a_thread_of_the_log_ends_the_process() {
    let kafka = OnKafka::new(&broker(), &[]);
    let browser = kafka.browser().await;
    browser.create_topics().await.expect("topics");
    browser.append(vec![to_the_only_partition(&event(0))]).await.expect("it takes it");
    for (failpoint, thread) in [("polled", "kafka-poll"), ("inside_commit", "kafka-commit")] {
        let ended = kafka.serve_until(&format!("{failpoint}:1:panic")).ended_within(PATIENCE).await;
        let said = kafka.what_the_worker_said();
        assert!(ended.code() == Some(1) && said.contains(thread), "{ended}: {said}");
    }
    assert!(kafka.serve(&["--until-idle"]).ended_within(PATIENCE).await.success(), "{}", kafka.what_the_worker_said());
    let ends: Vec<EventFeedback> = kafka.decoded(&browser, TopicRole::Feedback, "EventFeedback").await;
    assert_eq!(ends.len(), 1, "{ends:#?}");
}
