//! The embedded log under the contract; what only a file can do is tested in `one_file`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use gatekeeper::adapters::embedded_log::{Access, EmbeddedBrowser, EmbeddedLog, Error, Reading};
use gatekeeper::domain::clock::{Clock, Timestamp};
use gatekeeper::domain::position::{Partition, TopicRole};
use gatekeeper::operations::log_browser::{LogBrowser, Watermarks};
use gatekeeper::pipeline::log::LogPort;
use gatekeeper::settings::log::EmbeddedLog as Settings;
use gatekeeper::settings::topics::Topics;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tempfile::TempDir;

use super::{LogUnderTest, PARTITIONS, READS, log_contract};

log_contract!(Embedded);

/// A clock that stands still until it is moved.
#[derive(Default)]
pub struct Moved {
    now: AtomicI64,
    passed: AtomicI64,
}

impl Moved {
    /// So much time has passed.
    pub fn to(&self, since_epoch: Duration) {
        self.set(since_epoch);
        self.passed.store(since_epoch.as_millis() as i64, Ordering::SeqCst);
    }

    /// Somebody sets it; no time passes.
    pub fn set(&self, since_epoch: Duration) {
        self.now.store(since_epoch.as_millis() as i64, Ordering::SeqCst);
    }
}

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn since_boot(&self) -> Duration {
        Duration::from_millis(self.passed.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// A log in a folder of its own.
pub struct Embedded {
    pub folder: TempDir,
    pub settings: Settings,
    pub topics: Topics,
    pub clock: Arc<Moved>,
}

impl Embedded {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Settings {
            group_id: "gatekeeper".to_owned(),
            path: folder.path().join("data/log.db"),
            partitions: PARTITIONS,
            poll_interval: Duration::from_millis(2),
            batch_max_records: 64,
            batch_max_bytes: 1 << 20,
            max_message_bytes: 1 << 21,
            retention: Duration::from_secs(3_600),
            retention_bytes: 0,
            retention_interval: Duration::from_millis(2),
            busy_timeout: Duration::from_secs(10),
        };
        let name = |name: &str| format!("support.{name}.v1");
        let topics = Topics {
            events: name("events"),
            human_feedback: name("human-feedback"),
            decisions: name("decisions"),
            feedback: name("feedback"),
            decision_reviews: name("decision-reviews"),
            dead_letters: name("dead-letters"),
            decisions_shadow: name("decisions.shadow"),
            ops: name("ops"),
            deferred: name("deferred.{tier}"),
        };
        Self { folder, settings, topics, clock: Arc::default() }
    }

    /// As in `config/default.toml`, or near it.
    pub fn use_production_batches(&mut self) {
        self.settings.batch_max_records = 512;
        self.settings.batch_max_bytes = 4 << 20;
        self.settings.poll_interval = Duration::from_millis(20);
        self.settings.retention_interval = Duration::from_secs(60);
    }

    pub async fn try_open(&self, group: &str, reads: &[TopicRole]) -> Result<LogPort, Error> {
        let reading = Reading { roles: reads.to_vec(), queue: 4, away_limit: Duration::from_secs(1) };
        EmbeddedLog::open_processor(&self.settings, &self.topics, group, reading, Arc::clone(&self.clock) as _).await
    }

    pub async fn open_browser(&self, access: Access) -> Result<EmbeddedBrowser, Error> {
        EmbeddedBrowser::open(&self.settings, &self.topics, access, Arc::clone(&self.clock) as _).await
    }

    /// The file, as somebody who should not touch it would open it.
    pub async fn tamper(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(&self.settings.path).connect().await.expect("the file opens")
    }

    pub async fn run(&self, sql: &'static str) {
        let mut connection = self.tamper().await;
        sqlx::query(sql).execute(&mut connection).await.expect("valid SQL");
        connection.close().await.expect("closed");
    }

    pub async fn marks(&self, partition: Partition) -> Watermarks {
        self.browser().await.watermarks(partition).await.expect("marks")
    }

    /// Wait until retention has moved this partition's start here.
    pub async fn starts_at(&self, partition: Partition, log_start: u64) {
        let moved = async {
            while self.marks(partition).await.log_start != log_start {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), moved).await.expect("retention comes by");
    }
}

impl LogUnderTest for Embedded {
    async fn start() -> Self {
        let log = Self::new();
        log.browser().await.create_topics().await.expect("topics");
        log
    }

    async fn open_processor(&self, group: &str) -> LogPort {
        let opened = async {
            loop {
                match self.try_open(group, &READS).await {
                    // A dropped processor gives its lock back a moment later.
                    Err(Error::SecondProcessor { .. }) => tokio::time::sleep(Duration::from_millis(1)).await,
                    opened => return opened.expect("the log opens"),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), opened).await.expect("the lock comes free")
    }

    async fn browser(&self) -> Box<dyn LogBrowser> {
        Box::new(self.open_browser(Access::Append).await.expect("the log opens"))
    }
}
