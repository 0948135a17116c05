//! The log for a processor: checked and opened once, then some threads until it stops.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::runtime::Handle;

use super::clients;
use super::committer::{self, Committer};
use super::complaints::{self, Complaints};
use super::entry::{CannotEnter, enter};
use super::growth::{Counts, Growth};
use super::guarded;
use super::hung::{self, Heart, Life, Watched};
use super::login::{Client, Login};
use super::names::TopicNames;
use super::orders::Orders;
use super::orphans::Remembered;
use super::ownership::Ownership;
use super::poller::{CutOff, Outside, Poller, Unread};
use super::producer::BurstProducer;
use super::pulse::Pulse;
use super::raw::{self, DescribeError};
use super::restore::Restorer;
use super::room;
use crate::domain::clock::since_boot;
use crate::domain::position::TopicRole;
use crate::domain::silence::Silence;
use crate::pipeline::log::{LogAdapterEnd, LogPort, channels};
use crate::settings::kafka::Kafka;
use crate::settings::topics::Topics;

/// Longest wait of one attempt for the cluster's first answer. Whoever opens the log may try again.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

/// A thread gives no sign for as long as some questions in a row may take, and so much more: then it hangs.
const HUNG: Duration = Duration::from_secs(30);

/// Longest wait for a coordinator, of a cluster that answers.
const COORDINATOR: Duration = Duration::from_secs(30);

/// Until then.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(200);

/// The log of a processor.
#[derive(Debug, Clone, Copy)]
pub struct KafkaLog;

/// What a processor reads, and how.
#[derive(Clone)]
pub struct Reading {
    /// Which topics.
    pub roles: Vec<TopicRole>,
    /// Which topics are written besides.
    pub outputs: Vec<TopicRole>,
    /// Happenings that may wait for the road.
    pub queue: usize,
    /// Silence longer than this is told.
    pub away_limit: Duration,
    /// How the last writers of a partition are known.
    pub writers: Remembered,
    /// Remembers how many partitions are read; `None`: those that are added are read at once.
    pub counts: Option<Arc<dyn Counts>>,
}

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum CannotOpen {
    /// It does not answer, or does not let us in.
    #[error(transparent)]
    NotIn(#[from] CannotEnter),
    /// No answer, or a refusal.
    #[error("the cluster at {servers} does not answer: {source}")]
    Unreachable {
        /// Where it was looked for.
        servers: String,
        /// librdkafka's words.
        source: DescribeError,
    },
    /// librdkafka does not take what it was configured with.
    #[error("librdkafka refuses log.kafka: {0}")]
    Refused(KafkaError),
    /// Some are missing.
    #[error("there is no topic {}; `gatekeeper topics --create` creates what is missing", .0.join(", "))]
    NoTopics(Vec<String>),
    /// Only brokers of long ago have no ids for their topics.
    #[error(
        "the brokers give topic {0} no id, so a recreated one could not be told from it; brokers from 3.6 on are needed"
    )]
    NoTopicId(String),
    /// Order per ticket stands on equal counts.
    #[error("topics differ in their number of partitions: {}", .0.join(", "))]
    UnequalPartitions(Vec<String>),
    /// No thread.
    #[error("no thread can be started: {0}")]
    NoThread(std::io::Error),
    /// No producer under this name.
    #[error("cannot initialise transactional id {transactional_id}: {source}")]
    NoTransactions {
        /// log.kafka.transactional_id.
        transactional_id: String,
        /// librdkafka's words.
        source: KafkaError,
    },
    /// The runtime ended.
    #[error("the program ends")]
    Ending,
}

impl CannotOpen {
    /// Whether waiting may help: nobody answers, or a coordinator is not there yet.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NotIn(why) => why.may_pass(),
            Self::Unreachable { source, .. } => !is_refusal(source.code),
            Self::NoTransactions { source, .. } => passes(source),
            Self::Refused(_)
            | Self::NoTopics(_)
            | Self::NoTopicId(_)
            | Self::UnequalPartitions(_)
            | Self::NoThread(_)
            | Self::Ending => false,
        }
    }
}

/// Whether it is our credentials or our rights that are at fault.
fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
    )
}

impl KafkaLog {
    /// Check the cluster, end what a predecessor of our name left open, and join the group.
    ///
    /// The threads end after [`crate::pipeline::log::Errand::Stop`] or when the road drops its ends; the channel of
    /// happenings closes when the partitions are given back.
    pub async fn open_processor(settings: &Kafka, topics: &Topics, reading: Reading) -> Result<LogPort, CannotOpen> {
        let (settings, names) = (settings.clone(), TopicNames::new(topics));
        let runtime = Handle::current();
        let opening = tokio::task::spawn_blocking(move || open(&settings, names, reading, &runtime));
        opening.await.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(CannotOpen::Ending),
        })
    }
}

fn open(settings: &Kafka, names: TopicNames, reading: Reading, runtime: &Handle) -> Result<LogPort, CannotOpen> {
    let kafka = Login::new(settings).map_err(CannotEnter::from)?;
    enter(&kafka, FIRST_ANSWER)?;
    let topic_ids = check_topics(&kafka, &names, &reading)?;
    // Before joining the group: our own orphaned transaction must not keep our partitions unreadable.
    let transactional_id = clients::instance(&kafka).to_owned();
    let producer = first_producer(&kafka).map_err(|source| CannotOpen::NoTransactions { transactional_id, source })?;

    let (mut port, LogAdapterEnd { happenings, errands }) = channels(reading.queue.max(1));
    let outputs: Vec<&str> = reading.outputs.iter().map(|role| names.name(*role)).collect();
    port.topic_ids = topic_ids.clone();
    port.max_record_bytes = room::largest_record(&kafka, &outputs, runtime);
    let (orders, ownership) = (Arc::new(Orders::default()), Arc::new(Ownership::new()));
    let (to_committer, bursts) = mpsc::channel();
    let producer = committer::working(producer, &kafka, &names, &ownership).map_err(CannotOpen::NoThread)?;
    let committer = Committer {
        kafka: kafka.clone(),
        names: names.clone(),
        ownership: ownership.clone(),
        orders: orders.clone(),
        happenings: happenings.clone(),
        producer: Some(producer),
        last_burst: None,
        life: Life::default(),
    };
    // Whoever tells of a thread's end must not keep the channel open.
    let to_road = happenings.downgrade();
    let pulse = Pulse {
        kafka: kafka.clone(),
        topic_ids: topic_ids.iter().map(|(role, id)| (names.name(*role).to_owned(), id.clone())).collect(),
        orders: orders.clone(),
        happenings: to_road.clone(),
        life: Life::default(),
    };
    // The polling thread's, whoever works for it.
    let life = Life::default();
    let poller = Poller {
        growth: Growth {
            life: life.clone(),
            kafka: kafka.clone(),
            names: names.clone(),
            co_owned: reading.roles.iter().chain(&reading.outputs).copied().collect(),
            counts: reading.counts,
        },
        restorer: Restorer {
            kafka: kafka.clone(),
            names: names.clone(),
            topic_ids,
            writers: reading.writers,
            life: life.clone(),
            look: reading.away_limit / 5 * 4,
        },
        kafka,
        names,
        roles: reading.roles,
        orders: orders.clone(),
        ownership,
        happenings,
        silence: Heart { silence: Silence::new(reading.away_limit, since_boot()), life },
        cut_off: CutOff::default(),
        outside: Outside::since(Instant::now()),
        unread: Unread::default(),
    };
    let thread = |name, work: Box<dyn FnOnce() + Send>| {
        guarded::spawn(name, &to_road, &orders, work).map_err(CannotOpen::NoThread)
    };
    let watched = vec![
        Watched::new("kafka-poll", poller.silence.life.clone()),
        Watched::new("kafka-commit", committer.life.clone()),
        Watched::new("kafka-pulse", pulse.life.clone()),
    ];
    let token = poller.kafka.security.oauth.timeout;
    let limit = HUNG + poller.kafka.transaction_timeout + 4 * poller.kafka.request_timeout + token;
    let (watch_orders, watch_road) = (orders.clone(), to_road.clone());
    let desk = orders.clone();
    thread("kafka-desk", Box::new(move || desk.attend(errands, &to_committer)))?;
    thread("kafka-commit", Box::new(move || committer.run(&bursts)))?;
    thread("kafka-poll", Box::new(move || poller.run()))?;
    thread("kafka-pulse", Box::new(move || pulse.run()))?;
    thread("kafka-watch", Box::new(move || hung::watch(watched, limit, &watch_orders, &watch_road)))?;
    Ok(port)
}

/// A coordinator that is just starting, or moving, answers a moment later.
fn first_producer(kafka: &Login) -> KafkaResult<BurstProducer> {
    let until = Instant::now() + COORDINATOR;
    loop {
        match BurstProducer::initialise(kafka, clients::instance(kafka)) {
            Err(error) if passes(&error) && Instant::now() < until => {
                clients::troubled("producer", error.rdkafka_error_code(), &error.to_string());
            }
            done => return done,
        }
        #[expect(clippy::disallowed_methods, reason = "a blocking thread, before the runtime has anything to do")]
        std::thread::sleep(BETWEEN_ATTEMPTS);
    }
}

/// Whether waiting may help.
fn passes(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::CoordinatorLoadInProgress
                | Code::CoordinatorNotAvailable
                | Code::NotCoordinator
                | Code::ConcurrentTransactions
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::BrokerTransportFailure
                | Code::AllBrokersDown
        )
    )
}

/// Every topic is there, and all of them have the same number of partitions. The ids of those that are read.
fn check_topics(
    kafka: &Login,
    names: &TopicNames,
    reading: &Reading,
) -> Result<BTreeMap<TopicRole, String>, CannotOpen> {
    let client: Client<BaseConsumer<Complaints>> =
        kafka.open_with(&clients::base(kafka), Complaints::default()).map_err(CannotOpen::Refused)?;
    let roles: Vec<TopicRole> = reading.roles.iter().chain(&reading.outputs).copied().collect();
    let wanted: Vec<String> = roles.iter().map(|role| names.name(*role).to_owned()).collect();
    let described = raw::describe_topics(client.client().native_ptr(), &wanted, FIRST_ANSWER).map_err(|silence| {
        // "No answer" is all that a question says; why, the client knows.
        let source = complaints::heard(&client).unwrap_or(silence);
        CannotOpen::Unreachable { servers: kafka.bootstrap_servers.clone(), source }
    })?;
    let found = |role: &TopicRole| described.iter().find(|topic| topic.name == names.name(*role));
    let missing: Vec<String> =
        roles.iter().filter(|role| found(role).is_none()).map(|role| names.name(*role).to_owned()).collect();
    if !missing.is_empty() {
        return Err(CannotOpen::NoTopics(missing));
    }
    if let Some(nameless) = described.iter().find(|topic| topic.id == raw::NO_TOPIC_ID) {
        return Err(CannotOpen::NoTopicId(nameless.name.clone()));
    }
    if described.windows(2).any(|pair| pair[0].partitions != pair[1].partitions) {
        let counts = described.iter().map(|topic| format!("{} has {}", topic.name, topic.partitions)).collect();
        return Err(CannotOpen::UnequalPartitions(counts));
    }
    Ok(reading.roles.iter().filter_map(|role| Some((*role, found(role)?.id.clone()))).collect())
}
