//! One seed's history: a log, a ledger, a provider, up to three instances, and bad luck.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use gatekeeper::adapters::memory::ledger::{Fault, MemoryLedger, Moment, Rows};
use gatekeeper::adapters::memory::log::{MemberHandle, MemoryLog, Weather, Witness, topic_id};
use gatekeeper::adapters::memory::registry::MemoryRegistry;
use gatekeeper::adapters::memory::shares::{Accounts, MemoryShares, TripFault};
use gatekeeper::domain::better::Better;
use gatekeeper::domain::clock::{Clock, Timestamp};
use gatekeeper::domain::dead_letter::DeadLetter;
use gatekeeper::domain::decision::TriageDecision;
use gatekeeper::domain::event::SupportEvent;
use gatekeeper::domain::feedback::EventFeedback;
use gatekeeper::domain::identity::DedupeKey;
use gatekeeper::domain::money::Money;
use gatekeeper::domain::position::{Partition, TopicRole};
use gatekeeper::domain::tenant::{Tenant, TenantBook, WhenSpent};
use gatekeeper::operations::audit::{
    self, CallEnd, Committed, History, Input, ProviderCall, Report, Reviewed, SavedAnswer, Seen,
};
use gatekeeper::operations::rebuild::{self, Mode, Window};
use gatekeeper::pipeline::dedupe::ledger::{Entry, Ledger};
use gatekeeper::pipeline::frontier::codec;
use gatekeeper::pipeline::ingest::Ingest;
use gatekeeper::pipeline::publish::{Publisher, partition_for};
use gatekeeper::pipeline::road::Fixtures;
use gatekeeper::pipeline::run_loop::{self, Outside, RunError, Stop};
use gatekeeper::pipeline::schema_set::SchemaSet;
use gatekeeper::pipeline::triage::guard::Guard;
use gatekeeper::pipeline::triage::model::{
    CallError, CallLimits, Content, Model, ModelCard, Question, Range, RateHints, Reply,
};
use gatekeeper::pipeline::triage::prompt::Prompts;
use gatekeeper::pipeline::trips::SharedLimits;
use gatekeeper::settings::Settings;
use gatekeeper::settings::load::{LoadOptions, load};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::browser::Browser;
use super::tickets::{TENANTS, Upstream};

const PARTITIONS: u32 = 4;
/// What an instance reads: events, what people made of decisions, and events that were put off.
pub const READS: [TopicRole; 6] = [
    TopicRole::Events,
    TopicRole::HumanFeedback,
    TopicRole::Deferred(0),
    TopicRole::Deferred(1),
    TopicRole::Deferred(2),
    TopicRole::Deferred(3),
];
const EPOCH: i64 = 1_790_000_000_000;

/// What really went wrong.
#[derive(Debug, Default, Clone)]
pub struct Faults {
    pub crashes: u64,
    pub rebalances: u64,
    pub failed_bursts: u64,
    pub deferrals: u64,
    /// Of these, for the sake of a busy model's other tenants.
    pub crowds: u64,
    pub lost_positions: u64,
    pub ledgers_gone_backwards: u64,
    pub freezes: u64,
    pub registry_outages: u64,
    /// Better decisions that were not given, by why.
    pub dropped: BTreeMap<&'static str, u64>,
}

/// Metadata so short that a handful of unfinished offsets in pieces does not fit. No setting allows it: it makes the rare
/// thing ordinary.
const CRAMPED_CHARS: usize = 38;

/// In millionths: 120 tokens at 100 a thousand. Ten times as much is expected of one, so that budgets are well used and much
/// is given back.
const COST_OF_A_CALL: u64 = 12;

/// Run one seed to its end and judge it.
pub fn history(seed: u64) -> (Report, Faults) {
    lived(|| World::new(seed))
}

/// The same history where commits seldom have room for what is unfinished.
pub fn cramped_history(seed: u64) -> (Report, Faults) {
    lived(|| {
        let mut world = World::new(seed);
        world.settings.pipeline.metadata_max_chars = CRAMPED_CHARS;
        world
    })
}

/// The same history on a road that a handful of events fills, with a model that takes one at a time.
pub fn crowded_history(seed: u64) -> (Report, Faults) {
    lived(|| {
        let mut world = World::new(seed);
        let pipeline = &mut world.settings.pipeline;
        (pipeline.max_in_flight, pipeline.max_on_road) = (1, 8);
        world
    })
}

/// The same seed's upstream and weather, with the one misfortune that the ledger is set back to a copy. Nothing is put off:
/// with the ledger goes what kept later events from passing, until it is rebuilt. Nor does an id come up in two partitions:
/// whoever owns the other one need not have noticed yet. Nor do people judge anything: which of their feedback was reviewed
/// is not rebuilt. README says so among the limits.
pub fn backwards_history(seed: u64) -> (Report, Faults) {
    in_paused_time(|| async move {
        let mut world = World::new(seed);
        world.settings.pipeline.deferral = false;
        world.people_judge = false;
        world.upstream.ids_meet = false;
        // What was spent goes with the ledger: README says so among the limits.
        world.money_is_remembered = false;
        world.live_with_a_ledger_set_back().await
    })
}

fn lived(world: impl FnOnce() -> World) -> (Report, Faults) {
    in_paused_time(|| async { world().live().await })
}

fn in_paused_time<F: Future<Output = (Report, Faults)>>(history: impl FnOnce() -> F) -> (Report, Faults) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O");
    runtime.block_on(async { history().await })
}

#[derive(Debug)]
struct SimulatedClock {
    start: Instant,
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        Timestamp(EPOCH).after(self.start.elapsed())
    }

    fn since_boot(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A provider whose calls take their time, and that keeps its own ledger.
struct Provider {
    card: ModelCard,
    chance: Mutex<ChaCha8Rng>,
    clock: Arc<dyn Clock>,
    calls: Arc<Mutex<Vec<ProviderCall>>>,
    outage: Arc<Mutex<bool>>,
    slowest: Duration,
}

impl Model for Provider {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Result<Reply, CallError>> {
        Box::pin(async move {
            let key = question.call_id.split('.').next().unwrap_or_default().to_owned();
            let (index, latency, fails) = {
                let mut chance = self.chance.lock().expect("nobody panics while drawing");
                let mut calls = self.calls.lock().expect("nobody panics while writing");
                calls.push(ProviderCall { key, started_at: self.clock.now().0, end: CallEnd::CutOff });
                let slow = chance.random_ratio(1, 20);
                let longest = if slow { self.slowest } else { self.slowest / 20 };
                let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX).max(2);
                let latency = Duration::from_micros(chance.random_range(1..micros));
                let asked = Duration::from_millis(chance.random_range(0..3_000));
                let fails = match chance.random_range(0..50) {
                    0 => Some(CallError::Server { status: 500, retry_after: None }),
                    1 => Some(CallError::RateLimited { retry_after: Some(asked) }),
                    _ => None,
                };
                (calls.len() - 1, latency, fails)
            };
            sleep(latency).await;
            let ends = |end| self.calls.lock().expect("nobody panics while writing")[index].end = end;
            let outage = *self.outage.lock().expect("nobody panics while looking");
            let outage = outage.then_some(CallError::Server { status: 500, retry_after: None });
            if let Some(error) = fails.or(outage) {
                ends(CallEnd::Failed);
                return Err(error);
            }
            let response_id = format!("response-{index}");
            ends(CallEnd::Answered(response_id.clone()));
            Ok(Reply {
                content: Content::Text(good_answer()),
                response_id: Some(response_id),
                response_model: None,
                finish_reason: Some("stop".to_owned()),
                // [`COST_OF_A_CALL`]
                input_tokens: 100,
                output_tokens: 20,
                rate: RateHints::default(),
                latency,
            })
        })
    }
}

fn good_answer() -> String {
    serde_json::json!({
        "category": "billing_payment", "category_confidence": 0.8, "impact": "LOW", "impact_confidence": 0.7,
        "urgency": "LOW", "urgency_confidence": 0.7, "sentiment": "neutral", "sentiment_confidence": 0.7,
        "language": "en", "language_confidence": 0.9, "summary": "an invoice", "reply": null, "rationale": "it says so",
    })
    .to_string()
}

/// Whoever takes a partition over must be able to ask the ledger who may have left a burst of it open.
fn writers_are_remembered(rows: Rows, premature: Arc<Mutex<Vec<String>>>) -> Witness {
    Arc::new(move |burst| {
        for position in &burst.positions {
            let partition = position.partition;
            // A sabotaged one names nobody; then nothing is said about it.
            let Some(writer) = codec::writer_of(&position.metadata) else { continue };
            // Not necessarily the last one: a zombie's burst may come after its successor has entered.
            if !rows.was_entered_by(&topic_id(partition.topic), partition.number, &writer) {
                let what = format!("{writer} at {partition}, burst {}", burst.number);
                premature.lock().expect("nobody panics while writing").push(what);
            }
        }
    })
}

struct Instance {
    member: MemberHandle,
    task: JoinHandle<()>,
    _stop: watch::Sender<Stop>,
}

struct World {
    chance: ChaCha8Rng,
    clock: Arc<dyn Clock>,
    settings: Settings,
    schemas: Arc<SchemaSet>,
    registry: Option<MemoryRegistry>,
    log: MemoryLog,
    rows: Rows,
    accounts: Accounts,
    ledger_trouble: Arc<AtomicU64>,
    calls: Arc<Mutex<Vec<ProviderCall>>>,
    outage: Arc<Mutex<bool>>,
    tenants: Arc<TenantBook>,
    instances: BTreeMap<&'static str, Instance>,
    incarnations: u64,
    faults: Faults,
    upstream: Upstream,
    /// What instances said that ended themselves over a ledger that has gone backwards.
    ended: Arc<Mutex<Vec<String>>>,
    /// Whether people make anything of decisions.
    people_judge: bool,
    /// Whether the ledger still knows what was spent.
    money_is_remembered: bool,
    /// Bursts that should not have been sent.
    premature: Arc<Mutex<Vec<String>>>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let clock: Arc<dyn Clock> = Arc::new(SimulatedClock { start: Instant::now() });
        let settings = settings(&mut chance);
        let schemas = Arc::new(SchemaSet::new(&settings.schemas).expect("the shipped schemas"));
        let registry = super::registry::maybe(&settings.schemas, &mut chance);
        let weather = Weather {
            abort: chance.random_range(0..30),
            slow: chance.random_range(0..30),
            longest_burst: Duration::from_millis(chance.random_range(2..40)),
            longest_poll: Duration::from_millis(chance.random_range(2..60)),
            largest_batch: chance.random_range(1..40),
            revoke_deadline: Duration::from_millis(chance.random_range(20..2_000)),
        };
        let outputs = [
            TopicRole::Decisions,
            TopicRole::Feedback,
            TopicRole::DecisionReviews,
            TopicRole::DeadLetters,
            TopicRole::Ops,
        ];
        let roles: Vec<_> = READS.into_iter().chain(outputs).collect();
        let log = MemoryLog::new(&roles, PARTITIONS, ChaCha8Rng::seed_from_u64(seed ^ 0x10c), weather);
        let (rows, premature) = (Rows::default(), Arc::default());
        let log = log.watched_by(writers_are_remembered(rows.clone(), Arc::clone(&premature)));
        let upstream = Upstream::new(chance.random_range(3..40));
        Self {
            upstream,
            log,
            schemas,
            registry,
            settings,
            clock,
            rows,
            accounts: Accounts::default(),
            premature,
            people_judge: true,
            money_is_remembered: true,
            ended: Arc::default(),
            ledger_trouble: Arc::default(),
            calls: Arc::default(),
            outage: Arc::default(),
            tenants: Arc::new(tenants(&mut chance)),
            instances: BTreeMap::new(),
            incarnations: 0,
            faults: Faults::default(),
            chance,
        }
    }

    async fn live(mut self) -> (Report, Faults) {
        let names = &["a", "b", "c"][..self.chance.random_range(1..=3)];
        for name in names {
            self.start(name);
        }
        self.rebalance(false).await;
        for _ in 0..self.chance.random_range(5..25) {
            for _ in 0..self.chance.random_range(1..15) {
                self.write();
            }
            sleep(Duration::from_millis(self.chance.random_range(1..300))).await;
            self.bad_luck(names).await;
        }
        self.heal(names).await;
        let finished = self.finish().await;
        self.faults.failed_bursts = self.log.failed_bursts();
        let tiers = READS.iter().skip(2).flat_map(|topic| (0..PARTITIONS).map(|number| (*topic, number)));
        self.faults.deferrals =
            tiers.map(|(topic, number)| self.log.records(Partition { topic, number }).len() as u64).sum();
        for number in 0..PARTITIONS {
            let said = self.seen::<EventFeedback>(Partition { topic: TopicRole::Feedback, number }, "EventFeedback");
            let made_room = said.iter().filter(|seen| seen.record.reason_code == "PROVIDER_RATE_LIMITED");
            self.faults.crowds += made_room.count() as u64;
        }
        let premature = self.premature.lock().expect("the end").clone();
        assert!(premature.is_empty(), "before their writer was known: {premature:#?}");
        let mut report = self.judge().await;
        if !finished {
            report.open = report.open.max(1);
        }
        (report, self.faults)
    }

    async fn live_with_a_ledger_set_back(mut self) -> (Report, Faults) {
        let names = &["a", "b", "c"][..self.chance.random_range(1..=3)];
        self.start_all(names).await;
        self.go_about_it().await;
        let copy = self.rows.back_up();
        self.go_about_it().await;
        names.iter().for_each(|name| self.crash(name));
        self.rows.set_back_to(&copy);
        self.start_all(names).await;
        sleep(Duration::from_millis(500)).await;
        names.iter().for_each(|name| self.crash(name));
        self.faults.ledgers_gone_backwards += u64::from(!self.ended.lock().expect("the end").is_empty());
        self.rebuild().await;
        self.heal(names).await;
        self.go_about_it().await;
        let finished = self.finish().await;
        let mut report = self.judge().await;
        report.open = report.open.max(u64::from(!finished));
        (report, self.faults)
    }

    async fn go_about_it(&mut self) {
        for _ in 0..self.chance.random_range(2..10) {
            for _ in 0..self.chance.random_range(1..15) {
                self.write();
            }
            sleep(Duration::from_millis(self.chance.random_range(1..300))).await;
        }
    }

    async fn rebuild(&mut self) {
        let (log, events_topic) = (self.log.clone(), self.settings.topics.events.clone());
        let browser = Browser { log, partitions: PARTITIONS, events_topic };
        let ledger = self.ledger("rebuilder");
        // This log's outputs bear no time.
        let window = Window { since: Timestamp(0), rejected_since: Timestamp(0) };
        let mut nobody = |_, _: &_| ();
        let rebuilt = rebuild::run(&browser, &*ledger, &self.schemas, "group", window, Mode::Rebuild, &mut nobody);
        let rebuilt = rebuilt.await.expect("the log is readable");
        assert!(rebuilt.is_whole() && rebuilt.lost.is_empty(), "{rebuilt}");
    }

    fn write(&mut self) {
        let avro = publisher(&self.settings, &self.schemas, gatekeeper::settings::schemas::Encoding::Avro, "upstream");
        let json = publisher(&self.settings, &self.schemas, gatekeeper::settings::schemas::Encoding::Json, "upstream");
        let now = self.clock.now();
        let (key, record) = self.upstream.next(&mut self.chance, &avro, &json, now);
        let number = partition_for(key.as_bytes(), PARTITIONS);
        self.log.append(Partition { topic: TopicRole::Events, number }, record);
        if self.people_judge && self.chance.random_range(0..4) == 0 {
            self.judge_something(now);
        }
    }

    /// A person reads the log as everybody does, and makes something of it.
    fn judge_something(&mut self, now: Timestamp) {
        let number = self.chance.random_range(0..PARTITIONS);
        let decided = self.seen(Partition { topic: TopicRole::Decisions, number }, "TriageDecision");
        let decided: Vec<TriageDecision> = decided.into_iter().map(|seen| seen.record).collect();
        let (key, record) = self.upstream.judge(&mut self.chance, &self.schemas, &decided, now);
        let number = partition_for(key.as_bytes(), PARTITIONS);
        self.log.append(Partition { topic: TopicRole::HumanFeedback, number }, record);
    }

    async fn bad_luck(&mut self, names: &[&'static str]) {
        let name = names[self.chance.random_range(0..names.len())];
        match self.chance.random_range(0..15) {
            0 => {
                self.crash(name);
                self.start(name);
                self.rebalance(false).await;
            }
            1 => {
                self.crash(name);
                sleep(Duration::from_millis(self.chance.random_range(1..3_000))).await;
                self.start(name);
                self.rebalance(true).await;
            }
            2 => self.rebalance(false).await,
            3 => self.rebalance(true).await,
            4 => self.ledger_trouble.store(self.chance.random_range(1..60), Ordering::SeqCst),
            5 => {
                let outage = self.outage.clone();
                *outage.lock().expect("nobody panics while setting") = true;
                let lasts = Duration::from_millis(self.chance.random_range(10..20_000));
                tokio::spawn(async move {
                    sleep(lasts).await;
                    *outage.lock().expect("nobody panics while setting") = false;
                });
            }
            6 => {
                let silent = Duration::from_millis(self.chance.random_range(500..5_000));
                if let Some(instance) = self.instances.get(name) {
                    self.log.say_away(instance.member, silent).await;
                }
            }
            7 => self.lose_a_position(names).await,
            // Everybody stands still while time goes on.
            8 => {
                self.faults.freezes += 1;
                tokio::time::advance(Duration::from_millis(self.chance.random_range(1_001..30_000))).await;
            }
            9 => {
                if let Some(registry) = self.registry.clone() {
                    registry.set_away(true);
                    self.faults.registry_outages += 1;
                    let lasts = Duration::from_millis(self.chance.random_range(10..20_000));
                    tokio::spawn(async move {
                        sleep(lasts).await;
                        registry.set_away(false);
                    });
                }
            }
            _ => {}
        }
    }

    /// The log forgets where the group stood, and later an operator says it. Meanwhile nothing of that partition may be
    /// decided again.
    async fn lose_a_position(&mut self, names: &[&'static str]) {
        let partition = Partition { topic: TopicRole::Events, number: self.chance.random_range(0..PARTITIONS) };
        names.iter().for_each(|name| self.crash(name));
        // A crash right after the very first commit: then nobody but the log knows of it.
        let is_known = self.rows.stood_at(&topic_id(partition.topic), partition.number).is_some();
        let Some(position) = self.log.position(partition).filter(|_| is_known) else {
            return self.start_all(names).await;
        };
        self.log.set_position(partition, None);
        self.start_all(names).await;
        sleep(Duration::from_millis(self.chance.random_range(1..500))).await;
        names.iter().for_each(|name| self.crash(name));
        // What was on its way when they crashed may have been committed since.
        if self.log.position(partition).is_none() {
            self.log.set_position(partition, Some(position));
            self.faults.lost_positions += 1;
        }
        self.start_all(names).await;
    }

    async fn start_all(&mut self, names: &[&'static str]) {
        names.iter().for_each(|name| self.start(name));
        self.rebalance(true).await;
    }

    async fn heal(&mut self, names: &[&'static str]) {
        self.ledger_trouble.store(0, Ordering::SeqCst);
        self.log.set_weather(Weather::fair());
        *self.outage.lock().expect("nobody panics while setting") = false;
        if let Some(registry) = &self.registry {
            registry.set_away(false);
        }
        for name in names {
            if !self.instances.contains_key(name) {
                self.start(name);
            }
        }
        self.rebalance(false).await;
    }

    /// Everything gets its terminal, in bounded time.
    async fn finish(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(4 * 3_600);
        while Instant::now() < deadline {
            assert!(self.instances.values().all(|instance| !instance.task.is_finished()), "an instance ended itself");
            let everything = READS.iter().flat_map(|topic| (0..PARTITIONS).map(|number| (*topic, number)));
            let done = everything.into_iter().all(|(topic, number)| {
                let partition = Partition { topic, number };
                let end = self.log.records(partition).len() as u64;
                end == 0 || self.log.position(partition).is_some_and(|(base, _)| base == end)
            });
            if done {
                return true;
            }
            sleep(Duration::from_millis(20)).await;
        }
        false
    }

    fn start(&mut self, name: &'static str) {
        self.incarnations += 1;
        let (member, port) = self.log.join(self.settings.pipeline.log_queue);
        let (stop, stopped) = watch::channel(Stop::No);
        let (schemas, lookup) =
            super::registry::of_an_instance(&self.settings.schemas, &self.schemas, self.registry.as_ref());
        let (_asides, asides) = mpsc::channel(1);
        let outside = Outside {
            log: port,
            ledger: self.ledger(name),
            lookup,
            shared_limits: self.shared_limits(name),
            ledger_batch_max_entries: self.settings.ledger.batch_max_entries,
            ledger_batch_interval: self.settings.ledger.interval(),
            asides,
            stop: stopped,
            until_idle: false,
            on_health: Arc::new(|_, _| {}),
        };
        let (fixtures, ended) = (self.fixtures(name, &schemas), Arc::clone(&self.ended));
        let task = tokio::spawn(async move {
            match run_loop::run(fixtures, outside).await {
                Ok(_) | Err(RunError::LogGone) => {}
                Err(RunError::Failed(why)) if why.contains("ledger --rebuild") => {
                    ended.lock().expect("nobody panics while writing").push(why);
                }
                Err(error) => panic!("an instance ended itself: {error}"),
            }
        });
        self.instances.insert(name, Instance { member, task, _stop: stop });
    }

    fn crash(&mut self, name: &'static str) {
        if let Some(instance) = self.instances.remove(name) {
            instance.task.abort();
            self.log.forget(instance.member);
            self.faults.crashes += 1;
        }
    }

    async fn rebalance(&mut self, at_once: bool) {
        let members: Vec<_> = self.instances.values().map(|instance| instance.member).collect();
        if !members.is_empty() {
            self.faults.rebalances += 1;
            self.log.rebalance(&READS, &members, at_once).await;
        }
    }

    fn ledger(&mut self, name: &str) -> Arc<dyn Ledger> {
        let chance = Mutex::new(ChaCha8Rng::seed_from_u64(self.chance.random()));
        let trouble = self.ledger_trouble.clone();
        let faults = move |moment: Moment, _: &[Entry]| {
            let mut chance = chance.lock().expect("nobody panics while drawing");
            let troubled = trouble.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
            Fault {
                delay: Duration::from_micros(chance.random_range(1..3_000)),
                fails: troubled && (moment == Moment::BeforeApply || chance.random_bool(0.3)),
            }
        };
        let ledger = MemoryLedger::open(self.rows.clone(), name, self.incarnations, true, self.clock.clone());
        Arc::new(ledger.with_faults(Arc::new(faults)))
    }

    /// In some histories limits are shared; the choice draws nothing, so that seeds mean what they meant.
    fn shared_limits(&self, name: &str) -> Option<SharedLimits> {
        let limit = self.tenants.known().find_map(|tenant| tenant.limits.requests_per_minute)?;
        let trouble = self.ledger_trouble.clone();
        let fault = move || match trouble.load(Ordering::SeqCst) {
            0 => None,
            even if even.is_multiple_of(2) => Some(TripFault::Lost),
            _ => Some(TripFault::AnswerLost),
        };
        let shares = MemoryShares::open(self.accounts.clone(), name, self.clock.clone()).with_trouble(Arc::new(fault));
        let shared = SharedLimits { shares: Arc::new(shares), settings: self.settings.limits.clone() };
        limit.is_multiple_of(2).then_some(shared)
    }

    fn fixtures(&mut self, name: &str, schemas: &Arc<SchemaSet>) -> Fixtures {
        let limited = self.chance.random_bool(0.3);
        let limits = CallLimits {
            requests_per_minute: limited.then(|| self.chance.random_range(200..2_000)),
            tokens_per_minute: None,
            at_once: Range { min: 1, initial: self.chance.random_range(1..40), max: 40 },
        };
        let card = |name: &str, remote| ModelCard {
            name: name.to_owned(),
            provider: name.to_owned(),
            request_model: name.to_owned(),
            remote,
            calibrated: false,
            input_micros_per_1k: 100,
            output_micros_per_1k: 100,
            hard_deadline: Duration::from_secs(10),
            limits,
        };
        let mut provider = |card: ModelCard, slowest| Provider {
            card,
            chance: Mutex::new(ChaCha8Rng::seed_from_u64(self.chance.random())),
            clock: self.clock.clone(),
            calls: self.calls.clone(),
            outage: self.outage.clone(),
            slowest,
        };
        let models: Vec<Arc<dyn Model>> = vec![Arc::new(provider(card("remote", true), Duration::from_secs(4)))];
        let prompts = Arc::new(Prompts::load(None, 4_000).expect("the shipped prompts"));
        let guard = Guard::new(
            models,
            &self.settings.triage,
            prompts,
            self.clock.clone(),
            self.chance.random(),
            Arc::new(|_| {}),
        );
        Fixtures {
            settings: self.settings.pipeline.clone(),
            ingest: Ingest::new(
                schemas.clone(),
                watch::channel(self.tenants.clone()).1,
                self.settings.schemas.max_payload_bytes,
                false,
            ),
            publisher: publisher(&self.settings, schemas, self.settings.schemas.output, name),
            guard: Arc::new(guard),
            clock: self.clock.clone(),
            writer: name.to_owned(),
            incarnation: self.incarnations,
            topics: self.settings.topics.clone(),
            defers: self.settings.pipeline.deferral,
            our_source: "/gatekeeper".to_owned(),
        }
    }

    fn committed(&self, partition: Partition) -> Option<Committed> {
        let (base, metadata) = self.log.position(partition)?;
        let finished = match codec::decode(&metadata) {
            Ok(codec::Metadata::Ours(decoded)) => decoded.finished().collect(),
            _ => Default::default(),
        };
        Some(Committed { base, finished })
    }

    fn reviewed(&self, letters: Vec<Seen<DeadLetter>>) -> Reviewed {
        let mut reviewed = Reviewed { dead_letters: letters, ..Reviewed::default() };
        for number in 0..PARTITIONS {
            let partition = |topic| Partition { topic, number };
            for record in self.log.records(partition(TopicRole::HumanFeedback)) {
                let value = record.value.as_ref();
                let feedback = value.and_then(|value| self.schemas.read("HumanFeedback", value).ok());
                reviewed.inputs.push(Seen { partition: number, offset: record.offset, record: feedback });
            }
            reviewed.reviews.extend(self.seen(partition(TopicRole::DecisionReviews), "DecisionReview"));
            if let Some(committed) = self.committed(partition(TopicRole::HumanFeedback)) {
                reviewed.committed.insert(number, committed);
            }
        }
        reviewed
    }

    async fn judge(&mut self) -> Report {
        let mut history = History { calls: self.calls.lock().expect("the end").clone(), ..History::default() };
        let mut events: HashMap<DedupeKey, String> = HashMap::new();
        for number in 0..PARTITIONS {
            let partition = |topic| Partition { topic, number };
            let schemas = self.schemas.clone();
            for record in self.log.records(partition(TopicRole::Events)) {
                let value = record.value.as_ref();
                let event: Option<SupportEvent> = value.and_then(|value| schemas.read("SupportEvent", value).ok());
                events.extend(event.as_ref().map(|event| (DedupeKey::of_event(event), event.tenant_id.clone())));
                history.inputs.push(Seen { partition: number, offset: record.offset, record: event.map(Input::from) });
            }
            history.decisions.extend(self.seen(partition(TopicRole::Decisions), "TriageDecision"));
            history.feedback.extend(self.seen(partition(TopicRole::Feedback), "EventFeedback"));
            history.dead_letters.extend(self.seen(partition(TopicRole::DeadLetters), "DeadLetter"));
            if let Some(committed) = self.committed(partition(TopicRole::Events)) {
                history.committed.insert(number, committed);
            }
        }
        let of_events = |seen: &Seen<DeadLetter>| seen.record.origin_topic == self.settings.topics.events;
        let (of_events, of_feedback) = std::mem::take(&mut history.dead_letters).into_iter().partition(of_events);
        history.dead_letters = of_events;
        history.reviewed = self.reviewed(of_feedback);
        let topic = &self.settings.topics.human_feedback;
        let reviews = std::mem::take(&mut history.reviewed.reviews).into_iter();
        (history.reviewed.reviews, history.changes_reviewed) =
            reviews.partition(|seen| seen.record.origin.topic == *topic);
        history.answers = self.answers(events.keys().copied()).await;
        if self.money_is_remembered {
            self.no_budget_was_overspent(&history, &events);
        }
        audit::check(&history)
    }

    /// All histories are of one day.
    fn no_budget_was_overspent(&self, history: &History, events: &HashMap<DedupeKey, String>) {
        let tenants: HashMap<String, &str> = events.iter().map(|(key, tenant)| (key.to_hex(), &**tenant)).collect();
        for tenant in self.tenants.known() {
            let Some(budget) = tenant.limits.money_per_day else { continue };
            let is_paid = |call: &&ProviderCall| {
                matches!(call.end, CallEnd::Answered(_)) && tenants.get(&call.key) == Some(&&*tenant.id)
            };
            let spent = history.calls.iter().filter(is_paid).count() as u64 * COST_OF_A_CALL;
            assert!(spent <= budget.0, "{} spent {spent} of {budget:?}", tenant.id);
        }
    }

    fn seen<T: serde::de::DeserializeOwned>(&self, partition: Partition, name: &str) -> Vec<Seen<T>> {
        let decode = |value: &[u8]| self.schemas.read(name, value).expect("our own output is readable");
        self.log
            .records(partition)
            .iter()
            .map(|record| Seen {
                partition: partition.number,
                offset: record.offset,
                record: decode(record.value.as_ref().expect("our outputs have values")),
            })
            .collect()
    }

    /// Of these events, and of the better decisions about them.
    async fn answers(&mut self, events: impl Iterator<Item = DedupeKey>) -> HashMap<String, SavedAnswer> {
        let ledger = self.ledger("judge");
        let mut answers = HashMap::new();
        for key in events.flat_map(|event| [event, DedupeKey::of_better(event)]) {
            let row = ledger.find(key).await.expect("no trouble any more");
            let better = row.as_ref().and_then(|row| row.verdict.as_ref()?.better);
            if let Some(Better::Dropped(why)) = better {
                *self.faults.dropped.entry(why.as_str()).or_default() += 1;
            }
            if let Some((row, answer)) = row.and_then(|row| row.answer.clone().map(|answer| (row, answer))) {
                let answered_at = row.answered_at.map_or(0, |at| at.0);
                let response_id = answer.usage.as_ref().and_then(|usage| usage.response_id.clone());
                answers.insert(key.to_hex(), SavedAnswer { answered_at, response_id });
            }
        }
        answers
    }
}

fn publisher(
    settings: &Settings,
    schemas: &Arc<SchemaSet>,
    encoding: gatekeeper::settings::schemas::Encoding,
    processor: &str,
) -> Publisher {
    Publisher::new(
        schemas.clone(),
        encoding,
        processor.to_owned(),
        settings.log.group_id().to_owned(),
        "/gatekeeper".to_owned(),
    )
}

fn settings(chance: &mut ChaCha8Rng) -> Settings {
    let burst = chance.random_range(5..120);
    let sets = [
        format!("pipeline.burst_interval=\"{burst}ms\""),
        format!("pipeline.burst_max_records={}", chance.random_range(1..60)),
        format!("pipeline.max_in_flight={}", chance.random_range(1..40)),
        format!("pipeline.max_on_road={}", chance.random_range(40..200)),
        format!("pipeline.metadata_max_chars={}", chance.random_range(256..512)),
        // Drawn above.
        format!("pipeline.max_held={burst}"),
        format!("pipeline.max_over_limits={burst}"),
        format!("pipeline.crowded_after=\"{}ms\"", 100 + burst),
        format!("pipeline.superseding={}", chance.random_bool(0.7)),
        format!("pipeline.defer_after=\"{}ms\"", chance.random_range(100..5_000)),
        format!("ledger.batch_max_entries={}", chance.random_range(1..80)),
        format!("ledger.batch_interval=\"{}ms\"", burst % 20),
        format!("pipeline.max_prepared={}", burst % 7),
        "triage.chain=[\"openai\"]".to_owned(),
        "models.openai.api_key=\"only-a-simulation-0000\"".to_owned(),
    ];
    let options = LoadOptions { profile: None, file: None, environment: Vec::new(), sets: sets.to_vec() };
    load(&options).expect("settings of the simulation").settings
}

fn tenants(chance: &mut ChaCha8Rng) -> TenantBook {
    let tenant = |id: &str| -> Tenant {
        serde_json::from_value(serde_json::json!({"id": id})).expect("a tenant with everything by default")
    };
    let mut tenants: Vec<_> = TENANTS.into_iter().map(tenant).collect();
    for tenant in &mut tenants {
        tenant.decide_by = Duration::from_millis(chance.random_range(500..60_000));
        if chance.random_bool(0.2) {
            tenant.limits.requests_per_minute = Some(chance.random_range(5..100));
        }
        // Chosen by what was drawn already, so that seeds mean what they meant. Nobody waits for another day here.
        let drawn = u64::try_from(tenant.decide_by.as_millis()).unwrap_or_default();
        if drawn.is_multiple_of(4) {
            tenant.limits.money_per_day = Some(Money(150 + drawn % 300));
            tenant.limits.when_budget_is_spent = if drawn % 8 == 0 { WhenSpent::Human } else { WhenSpent::Degrade };
        }
        // Drawn from what was drawn, so that seeds mean what they meant. Where there is seldom room for one, an hour's tier
        // makes a history a hundred times as long.
        let has_room = tenant.limits.requests_per_minute.is_none_or(|limit| limit >= 60);
        tenant.improve_fallbacks = has_room && tenant.decide_by.as_millis() % 3 > 0;
    }
    TenantBook::new(tenants, None)
}
