//! Settings become parts.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::watch;

pub use super::given::{Misconfigured, settings};
use super::held::Held;
use super::log_memory::LogMemory;
use crate::adapters::embedded_log::{Access, EmbeddedBrowser, EmbeddedLog, Reading};
use crate::adapters::kafka::{self, KafkaBrowser, KafkaLog};
use crate::adapters::local_model::LocalModel;
use crate::adapters::openai::OpenAiModel;
use crate::adapters::postgres::PostgresLedger;
use crate::adapters::schema_registry::SchemaRegistry;
use crate::adapters::sqlite::{self, SqliteLedger};
use crate::cli::SettingsArgs;
use crate::domain::clock::{Clock, SystemClock};
use crate::domain::flags::FlagBook;
use crate::domain::position::TopicRole;
use crate::domain::tenant::TenantBook;
use crate::operations::flags::live::FlagReader;
use crate::operations::following::Changes;
use crate::operations::log_browser::LogBrowser;
use crate::operations::positions::GroupPositions;
use crate::operations::recreated;
use crate::operations::schemas::{LearningBrowser, SettleError, WRITTEN_BY_SERVE, settle};
use crate::pipeline::dedupe::ledger::Ledger;
use crate::pipeline::dedupe::no_ledger::NoLedger;
use crate::pipeline::frontier::codec;
use crate::pipeline::ingest::Ingest;
use crate::pipeline::log::LogPort;
use crate::pipeline::publish::Publisher;
use crate::pipeline::road::Fixtures;
use crate::pipeline::schema_set::SchemaSet;
use crate::pipeline::schema_set::registry::Lookup;
use crate::pipeline::triage::breaker::Listener;
use crate::pipeline::triage::guard::Guard;
use crate::pipeline::triage::model::Model;
use crate::pipeline::triage::prompt::Prompts;
use crate::pipeline::trips::SharedLimits;
use crate::settings::ledger_url::{Place, place};
use crate::settings::log::LogKind;
use crate::settings::models;
use crate::settings::schemas::Encoding;
use crate::settings::topics::Topics;
use crate::settings::{Settings, tenants};

/// `ce_source` of everything we write.
pub const OUR_SOURCE: &str = "/gatekeeper";

/// A command over the parts that the settings name. However it ends, the files that it opened are closed then.
pub async fn over<F>(args: &SettingsArgs, command: impl FnOnce(Parts) -> F) -> anyhow::Result<ExitCode>
where
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    let parts = Parts::new(settings(args)?.settings)?;
    let held = parts.held.clone();
    let ended = command(parts).await;
    held.let_go().await;
    ended
}

/// What outlives the process.
pub struct Memory {
    /// Events, answers, verdicts.
    pub ledger: Arc<dyn Ledger>,
    /// Tenants' limits, if several instances may work on this ledger.
    pub shared_limits: Option<SharedLimits>,
    /// What operators changed, if there is a database for it.
    pub changes: Option<Arc<dyn Changes>>,
}

/// The parts that need nothing but settings.
pub struct Parts {
    /// The settings themselves.
    pub settings: Settings,
    /// The files that were opened; whoever has the parts lets go of them at the end.
    pub held: Arc<Held>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Schemas and their ids.
    pub schemas: Arc<SchemaSet>,
    /// Where schemas and ids come from, if there is a registry.
    pub registry: Option<Arc<SchemaRegistry>>,
    /// Who may send events; whoever changes that says it here.
    pub tenants: watch::Sender<Arc<TenantBook>>,
    /// Which capabilities are switched; whoever changes that says it here.
    pub flags: watch::Sender<Arc<FlagBook>>,
}

impl Parts {
    /// From settings.
    pub fn new(settings: Settings) -> anyhow::Result<Self> {
        Self::of(settings).context(Misconfigured)
    }

    fn of(settings: Settings) -> anyhow::Result<Self> {
        Ok(Self {
            held: Arc::default(),
            clock: Arc::new(SystemClock),
            schemas: Arc::new(SchemaSet::new(&settings.schemas)?),
            registry: SchemaRegistry::new(&settings.schemas.registry)?.map(Arc::new),
            tenants: watch::Sender::new(Arc::new(tenants::load_book(&settings.tenants)?)),
            flags: watch::Sender::new(Arc::new(settings.flags.book())),
            settings,
        })
    }

    /// Where unknown ids are looked up, if there is a registry.
    pub fn lookup(&self) -> Option<Lookup> {
        let registry = self.registry.clone()?;
        Some(Lookup::new(self.schemas.clone(), registry, self.settings.schemas.registry.retry))
    }

    /// With a registry: the ids of what is written to these topics are known afterwards.
    pub async fn settle_ids(&self, roles: &[TopicRole]) -> Result<(), SettleError> {
        let Some(registry) = &self.registry else { return Ok(()) };
        // JSON carries no ids.
        if self.settings.schemas.output == Encoding::Json {
            return Ok(());
        }
        let auto_register = self.settings.schemas.registry.auto_register;
        settle(&**registry, &self.schemas, &self.settings.topics, roles, auto_register).await
    }

    /// Writes records under the name of this instance.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(
            self.schemas.clone(),
            self.settings.schemas.output,
            format!("{}/{}", self.settings.instance_name(), env!("CARGO_PKG_VERSION")),
            self.settings.log.group_id().to_owned(),
            OUR_SOURCE.to_owned(),
        )
    }

    /// The chain of models behind their guard.
    pub fn guard(&self, on_breaker_change: Listener) -> anyhow::Result<Guard> {
        self.guard_over(models(&self.settings).context(Misconfigured)?, on_breaker_change)
    }

    /// These models behind their guard.
    pub fn guard_over(&self, models: Vec<Arc<dyn Model>>, on_breaker_change: Listener) -> anyhow::Result<Guard> {
        let triage = &self.settings.triage;
        let prompts = Prompts::load(triage.prompts.as_deref(), triage.max_prompt_chars).context(Misconfigured)?;
        let guard =
            Guard::new(models, triage, Arc::new(prompts), self.clock.clone(), rand::random(), on_breaker_change);
        Ok(guard.under(Arc::new(FlagReader(self.flags.subscribe()))))
    }

    /// What the road needs.
    pub fn fixtures(&self, guard: Guard, incarnation: u64) -> Fixtures {
        Fixtures {
            settings: self.settings.pipeline.clone(),
            ingest: Ingest::new(
                self.schemas.clone(),
                self.tenants.subscribe(),
                self.settings.schemas.max_payload_bytes,
                self.settings.schemas.reject_foreign_keys,
            ),
            publisher: self.publisher(),
            guard: Arc::new(guard),
            clock: self.clock.clone(),
            writer: self.settings.instance_name().to_owned(),
            incarnation,
            topics: self.settings.topics.clone(),
            defers: self.settings.pipeline.deferral && self.settings.ledger.enabled,
            our_source: OUR_SOURCE.to_owned(),
        }
    }

    /// What a processor reads: events, what people made of decisions, and what was put off before, even if nothing is put
    /// off any more.
    pub fn reads(&self) -> Vec<TopicRole> {
        let tiers = Topics::roles().filter(|role| matches!(role, TopicRole::Deferred(_)));
        let tiers = tiers.filter(|_| self.settings.ledger.enabled);
        [TopicRole::Events, TopicRole::HumanFeedback].into_iter().chain(tiers).collect()
    }

    /// The log as a processor reads it. `memory`: remembers who owned a partition, and how many there were; without it
    /// commits say the first, and nobody the second.
    pub async fn log(&self, memory: Option<Arc<LogMemory>>) -> anyhow::Result<LogPort> {
        match self.settings.log.kind {
            LogKind::Embedded => {
                let reading = Reading {
                    roles: self.reads(),
                    queue: self.settings.pipeline.log_queue,
                    away_limit: self.settings.pipeline.away_limit,
                };
                let log = &self.settings.log;
                EmbeddedLog::open_processor(
                    &log.embedded,
                    &self.settings.topics,
                    log.group_id(),
                    reading,
                    self.clock.clone(),
                )
                .await
                .context("the log cannot be opened")
            }
            LogKind::Kafka => {
                let reading = kafka::Reading {
                    roles: self.reads(),
                    outputs: WRITTEN_BY_SERVE.to_vec(),
                    queue: self.settings.pipeline.log_queue,
                    away_limit: self.settings.pipeline.away_limit,
                    writers: kafka::Remembered {
                        by_commit: codec::writer_of,
                        elsewhere: memory.clone().map(|memory| memory as Arc<dyn kafka::Writers>),
                    },
                    counts: memory.map(|memory| memory as Arc<dyn kafka::Counts>),
                };
                KafkaLog::open_processor(&self.settings.log.kafka, &self.settings.topics, reading)
                    .await
                    .context("the log cannot be opened")
            }
        }
    }

    /// The log as an operator sees it, and where its groups stand. One that is not there is not made: it is another one that is
    /// meant.
    pub async fn operator(&self) -> anyhow::Result<(Arc<dyn LogBrowser>, Arc<dyn GroupPositions>)> {
        match self.settings.log.kind {
            LogKind::Embedded => {
                let (embedded, topics) = (&self.settings.log.embedded, &self.settings.topics);
                let browser = EmbeddedBrowser::open(embedded, topics, Access::Change, self.clock.clone());
                let browser = Arc::new(browser.await.context("the log cannot be opened")?);
                self.held.log(&browser);
                Ok((self.learning(browser.clone()), browser))
            }
            LogKind::Kafka => {
                let browser = KafkaBrowser::open(&self.settings.log.kafka, &self.settings.topics);
                let browser = Arc::new(browser.await.context("the log cannot be opened")?);
                Ok((self.learning(browser.clone()), browser))
            }
        }
    }

    /// The log as an operator sees it.
    pub async fn browser(&self, access: Access) -> anyhow::Result<Arc<dyn LogBrowser>> {
        let browser: Arc<dyn LogBrowser> = match self.settings.log.kind {
            LogKind::Embedded => {
                let embedded = &self.settings.log.embedded;
                let browser = EmbeddedBrowser::open(embedded, &self.settings.topics, access, self.clock.clone());
                let browser = Arc::new(browser.await.context("the log cannot be opened")?);
                self.held.log(&browser);
                browser
            }
            // What may be written there is granted by the cluster, not by how it was opened.
            LogKind::Kafka => {
                let browser = KafkaBrowser::open(&self.settings.log.kafka, &self.settings.topics);
                Arc::new(browser.await.context("the log cannot be opened")?)
            }
        };
        Ok(self.learning(browser))
    }

    /// With a registry: whatever is read through it, the ids of it are known afterwards.
    fn learning(&self, browser: Arc<dyn LogBrowser>) -> Arc<dyn LogBrowser> {
        match self.lookup() {
            Some(lookup) => Arc::new(LearningBrowser::new(browser, lookup)),
            None => browser,
        }
    }

    /// Whether the server of what remembers is there and fit, if it is one. Nothing is leased or taken over.
    pub async fn prepare_ledger(&self) -> anyhow::Result<()> {
        let settings = &self.settings.ledger;
        if settings.enabled && matches!(place(&settings.url), Ok(Place::Server(_))) {
            let prepared = PostgresLedger::prepare(settings, self.settings.instance_name()).await;
            prepared.context("the ledger cannot be opened")?;
        }
        Ok(())
    }

    /// What remembers, and what it has in common with other instances; created and migrated as needed, for whoever works with
    /// it. `predecessor_is_dead`: the log's lock has proved that no other process runs under our name.
    pub async fn memory(&self, incarnation: u64, predecessor_is_dead: bool) -> anyhow::Result<Memory> {
        self.remembering(Some((incarnation, predecessor_is_dead))).await
    }

    /// The same for commands that look, or change what operators change: what is there, as it is. No lease is taken over
    /// from anybody.
    pub async fn memory_as_it_is(&self) -> anyhow::Result<Memory> {
        self.remembering(None).await
    }

    /// The same, if there is a ledger at all: a file that nobody has made yet is none.
    pub async fn memory_if_there(&self) -> anyhow::Result<Option<Memory>> {
        if !self.settings.ledger.enabled {
            return Ok(None);
        }
        match self.memory_as_it_is().await {
            Err(error) if matches!(error.downcast_ref(), Some(sqlite::OpenError::Missing { .. })) => Ok(None),
            memory => memory.map(Some),
        }
    }

    /// `life`: of a processor, and whether the one before is dead.
    async fn remembering(&self, life: Option<(u64, bool)>) -> anyhow::Result<Memory> {
        if !self.settings.ledger.enabled {
            tracing::warn!(
                "ledger.enabled = false: no dedupe and no saved answers; a crash pays again, a resend is decided again"
            );
            return Ok(Memory {
                ledger: Arc::new(NoLedger::new(self.clock.clone())),
                shared_limits: None,
                changes: None,
            });
        }
        let (settings, instance) = (&self.settings.ledger, self.settings.instance_name());
        if matches!(place(&settings.url), Ok(Place::Server(_))) {
            let ledger = match life {
                Some((incarnation, is_alone)) => PostgresLedger::open(settings, instance, incarnation, is_alone).await,
                None => PostgresLedger::open_existing(settings, instance).await,
            };
            let ledger = Arc::new(ledger.context("the ledger cannot be opened")?);
            let limits = &self.settings.limits;
            let shared = || SharedLimits { shares: ledger.clone(), settings: limits.clone() };
            let shared_limits = limits.shared.then(shared);
            return Ok(Memory { ledger: ledger.clone(), shared_limits, changes: Some(ledger) });
        }
        let clock = self.clock.clone();
        let ledger = match life {
            Some((incarnation, is_alone)) => SqliteLedger::open(settings, instance, incarnation, is_alone, clock).await,
            None => SqliteLedger::open_existing(settings, instance, clock).await,
        };
        let ledger = Arc::new(ledger.context("the ledger cannot be opened")?);
        self.held.ledger(&ledger);
        Ok(Memory { ledger: ledger.clone(), shared_limits: None, changes: Some(ledger) })
    }
}

impl Parts {
    /// The ledger remembers for this group from now on. One that remembers for another is refused: its positions are of
    /// other readings, and its duplicates would be dropped here.
    pub async fn bind(&self, ledger: &dyn Ledger) -> anyhow::Result<()> {
        let group = self.settings.log.group_id();
        let bound = ledger.bind(group).await.context("the ledger does not say whose it is")?;
        anyhow::ensure!(
            bound == group,
            "ledger.url: this ledger belongs to the consumer group {bound:?}, and this processor works as {group:?}; a \
             ledger is bound to one group: give this one a ledger of its own, or set the group's name back"
        );
        Ok(())
    }

    /// What this log reads is what the ledger remembers of it.
    pub async fn check_topics(&self, ledger: &dyn Ledger, log: &LogPort) -> anyhow::Result<()> {
        let recreated = recreated::of(ledger, &log.topic_ids).await.context("the ledger does not say what was read")?;
        anyhow::ensure!(recreated.is_empty(), recreated::refusal(&recreated));
        Ok(())
    }

    /// The ledger for commands that only look.
    pub async fn ledger_to_read(&self) -> anyhow::Result<Arc<dyn Ledger>> {
        Ok(self.memory_as_it_is().await?.ledger)
    }

    /// What operators changed, for commands; none without a ledger.
    pub async fn changes(&self) -> anyhow::Result<Option<Arc<dyn Changes>>> {
        if !self.settings.ledger.enabled {
            return Ok(None);
        }
        Ok(self.memory_as_it_is().await?.changes)
    }
}

/// The models of the chain, in order; one without a key is left out.
fn models(settings: &Settings) -> anyhow::Result<Vec<Arc<dyn Model>>> {
    let mut chain: Vec<Arc<dyn Model>> = Vec::new();
    let active = settings.active_chain();
    for name in active.left_out {
        tracing::info!(model = %name, "left out of the chain: models.{name}.api_key is not set");
    }
    for name in &active.asked {
        match settings.models.get(name) {
            Some(models::Model::Openai(openai)) => {
                let model = OpenAiModel::new(name, openai);
                chain.push(Arc::new(model.with_context(|| format!("models.{name} cannot be used"))?));
            }
            Some(models::Model::Local(local)) => {
                let model = LocalModel::load(name, local);
                chain.push(Arc::new(model.with_context(|| format!("models.{name} cannot be used"))?));
            }
            None => anyhow::bail!("triage.chain names {name:?}, but there is no models.{name}"),
        }
    }
    anyhow::ensure!(!chain.is_empty(), "triage.chain has no model that can be used: set a key, or add a local one");
    Ok(chain)
}
