//! The processor on a Kafka cluster that takes less than a record has, that grows, and whose client breaks.

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
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::gatekeeper::{PATIENCE, Running, program};
use super::human_feedback::{judgement, said};
use super::tickets::{event, record};

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

    pub fn serve(&self, arguments: &[&str]) -> Running {
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

    pub fn what_the_worker_said(&self) -> String {
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
    pub async fn ended(&self, browser: &KafkaBrowser, events: usize) {
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
        // The controller has answered; a broker may hear of it later.
        let (browser, deadline) = (self.browser().await, Instant::now() + PATIENCE);
        loop {
            let topics = browser.topics().await.expect("topics");
            if topics.iter().all(|topic| topic.partitions as usize >= partitions) {
                return;
            }
            assert!(Instant::now() < deadline, "{topics:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
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

pub fn to_the_only_partition(event: &serde_json::Value) -> OutRecord {
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
async fn a_dead_letter_of_a_cluster_is_sent_again_to_where_it_came_from() {
    let kafka = OnKafka::new(&broker(), &[]);
    let browser = kafka.browser().await;
    browser.create_topics().await.expect("topics");
    let garbage = OutRecord { value: Some(vec![0xff, 7].into()), ..to_the_only_partition(&event(1)) };
    browser.append(vec![to_the_only_partition(&event(0)), garbage]).await.expect("it takes them");
    let to_idle = async || kafka.serve(&["--until-idle"]).ended_within(PATIENCE).await;
    assert!(to_idle().await.success(), "{}", kafka.what_the_worker_said());
    let told = super::operating::said(&mut kafka.command(&["redrive", "--send"]));
    assert_eq!(told, "sent again   1\nrefused      0\ngone         0\n");
    assert!(to_idle().await.success(), "{}", kafka.what_the_worker_said());
    let letters: Vec<DeadLetter> = kafka.decoded(&browser, TopicRole::DeadLetters, "DeadLetter").await;
    let found: Vec<_> = letters.iter().map(|letter| (&*letter.dead_letter_id, letter.replay_count)).collect();
    assert_eq!(found, [(&*letters[0].dead_letter_id, 0), (&*letters[0].dead_letter_id, 1)]);
    assert_eq!(letters[0].value, letters[1].value);
    let ends: Vec<EventFeedback> = kafka.decoded(&browser, TopicRole::Feedback, "EventFeedback").await;
    assert_eq!(ends.len(), 3);
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

/// Where an operator would see nothing but silence.
#[cfg(feature = "failpoints")]
#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn a_polling_thread_that_hangs_ends_the_process() {
    let kafka = OnKafka::new(&broker(), &["log.kafka.transaction_timeout=2s", "log.kafka.request_timeout=1s"]);
    let browser = kafka.browser().await;
    browser.create_topics().await.expect("topics");
    browser.append(vec![to_the_only_partition(&event(0))]).await.expect("it takes it");
    // Half a minute of patience, and what questions may take.
    let ended = kafka.serve_until("polled:1:hang").ended_within(Duration::from_secs(36) + PATIENCE).await;
    let said = kafka.what_the_worker_said();
    assert!(ended.code() == Some(1) && said.contains("kafka-poll has not come back"), "{ended}: {said}");
    assert!(kafka.serve(&["--until-idle"]).ended_within(PATIENCE).await.success(), "{}", kafka.what_the_worker_said());
    kafka.ended(&browser, 1).await;
}

#[cfg(feature = "failpoints")]
#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn a_transaction_that_hangs_is_left_behind_and_its_burst_published_once() {
    for (failpoint, events) in [("offsets_sent", 3), ("inside_commit", 3)] {
        let kafka = OnKafka::new(&broker(), &["log.kafka.transaction_timeout=2s", "log.kafka.request_timeout=1s"]);
        let browser = kafka.browser().await;
        browser.create_topics().await.expect("topics");
        let mut worker = kafka.serve_until(&format!("{failpoint}:1:hang"));
        for others in 0..events {
            browser.append(vec![to_the_only_partition(&event(others))]).await.expect("it takes it");
            kafka.ended(&browser, others + 1).await;
        }
        let said = kafka.what_the_worker_said();
        assert!(said.contains("the transaction did not end in 3s"), "{said}");
        assert!(worker.has_ended().is_none(), "{said}");
        let ends: Vec<EventFeedback> = kafka.decoded(&browser, TopicRole::Feedback, "EventFeedback").await;
        assert_eq!(ends.len(), events, "{failpoint}: {ends:#?}");
    }
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
