//! Kafka under the contract, on a broker that `tests/run` starts: topics and groups of its own for each test.

use std::sync::Arc;
use std::time::Duration;

use gatekeeper::adapters::kafka::{Counts, KafkaBrowser, KafkaLog, Reading, Remembered};
use gatekeeper::domain::position::TopicRole;
use gatekeeper::operations::log_browser::LogBrowser;
use gatekeeper::pipeline::frontier::codec;
use gatekeeper::pipeline::log::LogPort;
use gatekeeper::settings::kafka::Kafka as Settings;
use gatekeeper::settings::topics::Topics;
use gatekeeper::settings::{LoadOptions, load};
use uuid::Uuid;

use super::{LogUnderTest, PARTITIONS, READS, log_contract};

log_contract!(
    #[ignore = "needs Kafka: tests/run starts it"]
    KafkaUnderTest
);

/// Where the broker is.
const BROKER: &str = "GATEKEEPER_TEST_KAFKA";

/// Topics, groups and an instance that no other test uses.
pub struct KafkaUnderTest {
    /// The beginning of every name of this test.
    pub prefix: String,
    pub settings: Settings,
    pub topics: Topics,
    pub writers: Remembered,
    pub counts: Option<Arc<dyn Counts>>,
    pub outputs: Vec<TopicRole>,
}

impl KafkaUnderTest {
    pub fn new() -> Self {
        let broker = std::env::var(BROKER).unwrap_or_else(|_| panic!("{BROKER} says where a broker is"));
        Self::with(&[format!("log.kafka.bootstrap_servers={broker}")])
    }

    /// With these settings, which say where the broker is.
    pub fn with(more: &[String]) -> Self {
        let prefix = format!("test-{}", Uuid::new_v4());
        let mut sets = vec![
            "log.kind=kafka".to_owned(),
            format!("log.kafka.transactional_id={prefix}-1"),
            format!("log.kafka.group_id={prefix}-group"),
            format!("log.kafka.partitions={PARTITIONS}"),
        ];
        let names = ["events", "human_feedback", "decisions", "feedback", "decision_reviews", "dead_letters"];
        for name in names.iter().chain(&["decisions_shadow", "ops"]) {
            sets.push(format!("topics.{name}={prefix}.{name}"));
        }
        sets.push(format!("topics.deferred={prefix}.deferred.{{tier}}"));
        sets.extend_from_slice(more);
        let loaded = load(&LoadOptions { sets, ..LoadOptions::default() }).expect("the settings hold");
        let writers = Remembered { by_commit: codec::writer_of, elsewhere: None };
        let (settings, topics) = (loaded.settings.log.kafka, loaded.settings.topics);
        Self { prefix, settings, topics, writers, counts: None, outputs: Vec::new() }
    }

    /// With all topics.
    pub async fn created(self) -> Self {
        self.open_browser().await.create_topics().await.expect("topics");
        self
    }

    pub async fn open_browser(&self) -> KafkaBrowser {
        KafkaBrowser::open(&self.settings, &self.topics).await.expect("clients are made")
    }
}

impl LogUnderTest for KafkaUnderTest {
    async fn start() -> Self {
        Self::new().created().await
    }

    async fn open_processor(&self, group: &str) -> LogPort {
        let settings = Settings { group_id: self.group(group), ..self.settings.clone() };
        let reading = Reading {
            roles: READS.to_vec(),
            outputs: self.outputs.clone(),
            queue: 4,
            away_limit: Duration::from_secs(1),
            writers: self.writers.clone(),
            counts: self.counts.clone(),
        };
        KafkaLog::open_processor(&settings, &self.topics, reading).await.expect("the log opens")
    }

    async fn browser(&self) -> Box<dyn LogBrowser> {
        Box::new(self.open_browser().await)
    }

    fn group(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }
}
