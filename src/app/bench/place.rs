//! A folder for one run, with its settings; it goes away with the run. On Kafka, topics and a group of its own.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::{Child, Command};

use super::scenario::Run;
use super::terminals::{Followed, Terminals};
use super::usage::Worked;
use crate::adapters::embedded_log::Access;
use crate::adapters::kafka::KafkaBrowser;
use crate::app::out::complain;
use crate::app::wiring::{self, Parts};
use crate::cli::{BenchLog, BenchWork, SettingsArgs};
use crate::domain::position::TopicRole;
use crate::domain::record::OutRecord;
use crate::operations::log_browser::LogBrowser;
use crate::settings::Settings;
use crate::settings::log::LogKind;

/// High enough never to be reached: the buckets are asked, and let everybody through; and no call is cut off.
const TENANT: &str = "id = 'default'\ndecide_by = '5m'\n[limits]\nrequests_per_minute = 100_000_000\ntokens_per_minute = 4_000_000_000\n";

/// Appends events to the log of a run.
pub enum Feeder {
    Embedded(Arc<dyn LogBrowser>),
    Kafka(KafkaBrowser),
}

impl Feeder {
    /// In the log when this comes back.
    pub async fn append(&self, records: Vec<OutRecord>) -> anyhow::Result<()> {
        match self {
            Self::Embedded(log) => log.append(records).await.map(drop),
            Self::Kafka(browser) => browser.append_one_by_one(records).await,
        }
        .context("events cannot be appended")
    }
}

/// Where a run happens.
pub struct Place {
    folder: Folder,
    settings: SettingsArgs,
    /// Made of its settings.
    pub parts: Parts,
}

impl Place {
    /// A new one. What the command line says of settings holds here too, but for where things are.
    pub fn new(settings: &SettingsArgs, run: &Run) -> anyhow::Result<Self> {
        let folder = Folder::new()?;
        let tenants = folder.0.join("tenants");
        std::fs::create_dir(&tenants)?;
        std::fs::write(tenants.join("default.toml"), TENANT)?;
        let mut settings = settings.clone();
        let text = |path: PathBuf| toml::Value::from(path.display().to_string()).to_string();
        settings.sets.extend(match run.log {
            BenchLog::Embedded => in_folder(&folder),
            BenchLog::Kafka => in_cluster(&folder.1),
        });
        settings.sets.extend([
            format!("tenants.directory = {}", text(tenants)),
            "tenants.unknown = 'default'".to_owned(),
            format!("pipeline.max_in_flight = {}", run.in_flight),
            // Every event is decided, and when its turn comes, as the ideal has it.
            "pipeline.superseding = false".to_owned(),
            "pipeline.deferral = false".to_owned(),
            "telemetry.log_filter = 'warn'".to_owned(),
        ]);
        let parts = Parts::new(without_registry(wiring::settings(&settings)?.settings))?;
        Ok(Self { folder, settings, parts })
    }

    /// How many partitions its topics have.
    pub fn partitions(&self) -> u32 {
        match self.parts.settings.log.kind {
            LogKind::Embedded => self.parts.settings.log.embedded.partitions,
            LogKind::Kafka => self.parts.settings.log.kafka.partitions,
        }
    }

    /// Where its events say they come from: a ledger that is shared with other runs takes them for new ones.
    pub fn source(&self) -> String {
        format!("/bench/{}", self.folder.1)
    }

    /// Its log, with all topics.
    pub async fn log(&self) -> anyhow::Result<Arc<dyn LogBrowser>> {
        let browser = self.parts.browser(Access::Append).await?;
        browser.create_topics().await?;
        Ok(browser)
    }

    /// The same log, to be read beside a processor: a browser for each partition.
    pub async fn readers(&self) -> anyhow::Result<Vec<Arc<dyn LogBrowser>>> {
        let mut readers = Vec::new();
        for _ in 0..self.partitions() {
            readers.push(self.parts.browser(Access::ReadOnly).await?);
        }
        Ok(readers)
    }

    /// Whoever publishes events while a processor runs. On a cluster that has no transaction: a commit is acknowledged some
    /// time before what it wrote can be read.
    pub async fn feeder(&self) -> anyhow::Result<Feeder> {
        let settings = &self.parts.settings;
        Ok(match settings.log.kind {
            LogKind::Embedded => Feeder::Embedded(self.log().await?),
            LogKind::Kafka => {
                let browser = KafkaBrowser::open(&settings.log.kafka, &settings.topics).await?;
                browser.create_topics().await?;
                Feeder::Kafka(browser)
            }
        })
    }

    /// Terminals as they come. The embedded log is looked at so often.
    pub async fn follow(&self, every: Duration) -> anyhow::Result<Followed> {
        let settings = &self.parts.settings;
        match settings.log.kind {
            LogKind::Embedded => Ok(Terminals::new(self.readers().await?).follow(every)),
            LogKind::Kafka => {
                let browser = KafkaBrowser::open(&settings.log.kafka, &settings.topics).await?;
                Ok(Followed::said(browser.follow(TopicRole::Feedback).await?))
            }
        }
    }

    /// The processor, as a process of its own.
    pub fn start(&self, run: &Run, work: BenchWork) -> anyhow::Result<Child> {
        let mut command = Command::new(std::env::current_exe().context("this program's own path")?);
        command.args(["bench", "--work", work.flag(), "--only", run.scenario.name]);
        command.args(["--in-flight", &run.in_flight.to_string(), "--seed", &run.seed.to_string()]);
        if run.log == BenchLog::Kafka {
            command.args(["--log", "kafka"]);
        }
        if let Some(profile) = &self.settings.profile {
            command.args(["--profile", profile]);
        }
        if let Some(file) = &self.settings.config {
            command.arg("--config").arg(file);
        }
        command.args(self.settings.sets.iter().flat_map(|set| ["--set", set]));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        command.spawn().with_context(|| format!("the processor cannot be started beside {}", self.folder.0.display()))
    }
}

/// The child's last words, once it has ended.
pub async fn ended(child: Child) -> anyhow::Result<Worked> {
    let output = child.wait_with_output().await?;
    anyhow::ensure!(output.status.success(), "the processor ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("the processor's last words")
}

/// Topics of a bench come and go; a registry would keep their subjects.
pub fn without_registry(mut settings: Settings) -> Settings {
    settings.schemas.registry.url = None;
    settings
}

fn in_folder(folder: &Folder) -> Vec<String> {
    let text = |value: String| toml::Value::from(value).to_string();
    let file = |name: &str| folder.0.join(name).display().to_string();
    vec![
        "log.kind = 'embedded'".to_owned(),
        format!("log.embedded.path = {}", text(file("log.db"))),
        "ledger.enabled = true".to_owned(),
        format!("ledger.url = {}", text(format!("sqlite:{}", file("ledger.db")))),
    ]
}

/// Whatever the settings say of the cluster and of the ledger, under names that nobody else uses.
fn in_cluster(id: &str) -> Vec<String> {
    let mut sets = vec![
        "log.kind = 'kafka'".to_owned(),
        format!("log.kafka.group_id = 'bench-{id}'"),
        format!("log.kafka.transactional_id = 'bench-{id}'"),
        format!("topics.deferred = 'bench-{id}.deferred.{{tier}}'"),
    ];
    sets.extend(TopicRole::FIXED.map(|role| format!("topics.{} = 'bench-{id}.{}'", role.key(), role.key())));
    sets
}

/// The folder, and the id in its name.
struct Folder(PathBuf, String);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let folder = std::env::temp_dir().join(format!("gatekeeper-bench-{id}"));
        std::fs::create_dir(&folder).with_context(|| format!("the folder {}", folder.display()))?;
        Ok(Self(folder, id))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            complain!("{} stays behind: {error}", self.0.display());
        }
    }
}
