//! The log for operators' commands, beside any number of processors and without taking part in their group.
//!
//! ```text
//!  topics.rs    which topics of ours there are            (describe)
//!  marks.rs     where a partition begins and ends         (list offsets)
//!  reader.rs    pages of records                          (one consumer, assigned by hand)
//!  follower.rs  records as they come                      (one consumer, all partitions of a topic)
//!  appender.rs  all of these or none                      (one producer, a transaction a call)
//!  positions.rs where a group goes on, on an operator's word (a commit that no member makes)
//!  creation.rs  the topics that are missing               (pure plan, then the admin client)
//!  cluster.rs   how the cluster is set up                 (describe configs)
//! ```
//!
//! librdkafka's calls block, so every method runs on a thread that may. What is read is committed: an open transaction
//! hides what comes after it, for as long as a burst takes. Offsets have gaps, where the cluster keeps its own marks.

mod appender;
mod cluster;
pub(super) mod creation;
mod error;
mod follower;
mod marks;
mod positions;
mod reader;
mod topics;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use rdkafka::consumer::BaseConsumer;
use tokio::sync::mpsc::UnboundedReceiver;

use self::appender::Appender;
use self::error::{browse_error, described, not_in};
use self::marks::Marks;
use self::reader::Reader;
use self::topics::KnownTopics;
use super::clients;
use super::entry::enter;
use super::login::{Client, Login};
use super::names::TopicNames;
use super::positions::Committed;
use super::preconditions::{self, Flaw};
use crate::domain::position::{Partition, Position, TopicRole};
use crate::domain::record::{OutRecord, Record};
use crate::operations::log_browser::{BrowseError, CommittedPosition, LogBrowser, ReadLimit, TopicInfo, Watermarks};
use crate::settings::kafka::Kafka;
use crate::settings::topics::Topics;

/// How long all positions are asked for at once: a coordinator answers in milliseconds if none of them is moving.
const ALL: Duration = Duration::from_millis(1_000);

/// How long one position is asked for: longer than a burst has it.
const ONE: Duration = Duration::from_millis(500);

/// The port's implementation.
pub struct KafkaBrowser {
    /// None while it is being dropped.
    shared: Option<Arc<Shared>>,
}

/// What the threads of calls share.
struct Shared {
    kafka: Login,
    names: TopicNames,
    topics: KnownTopics,
    marks: Marks,
    reader: Mutex<Reader>,
    appender: Mutex<Appender>,
    /// Appends without transactions.
    feeder: Mutex<Appender>,
    /// Reads, and asks for whatever is stable.
    consumer: Arc<Client<BaseConsumer>>,
}

impl KafkaBrowser {
    /// Come in, and make the clients.
    ///
    /// # Errors
    /// When the cluster does not answer or does not let us in, or librdkafka does not take what it is configured with.
    pub async fn open(kafka: &Kafka, topics: &Topics) -> Result<Self, BrowseError> {
        let (kafka, names) = (kafka.clone(), TopicNames::new(topics));
        let opened = on_a_thread(move || {
            let kafka = Login::new(&kafka).map_err(|error| not_in(&error.into()))?;
            enter(&kafka, kafka.request_timeout).map_err(|error| not_in(&error))?;
            let create = |isolation| kafka.open::<BaseConsumer>(&clients::browser(&kafka, isolation));
            let consumer = Arc::new(create("read_committed").map_err(|error| browse_error(&error))?);
            let uncommitted = create("read_uncommitted").map_err(|error| browse_error(&error))?;
            Ok(Shared {
                topics: KnownTopics::new(names.clone()),
                marks: Marks::new(uncommitted, consumer.clone()),
                reader: Mutex::new(Reader::new(consumer.clone())),
                appender: Mutex::new(Appender::new(&kafka)),
                feeder: Mutex::new(Appender::one_by_one(&kafka)),
                consumer,
                kafka,
                names,
            })
        });
        Ok(Self { shared: Some(Arc::new(opened.await?)) })
    }

    /// What is wrong with the cluster. `window`: how long the ledger remembers an event.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn flaws(&self, window: Duration) -> Result<Vec<Flaw>, BrowseError> {
        let runtime = tokio::runtime::Handle::current();
        let judge = move |shared: &Shared| {
            let cluster = cluster::cluster(shared, &runtime)?;
            Ok(preconditions::judge(&cluster, &shared.names, &shared.kafka, window))
        };
        self.call(judge).await
    }

    /// Committed records of a topic from its beginning, each as soon as it can be read, in the order of each of its
    /// partitions. What cannot be read ends it, and is its last word.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn follow(
        &self,
        topic: TopicRole,
    ) -> Result<UnboundedReceiver<Result<Record, BrowseError>>, BrowseError> {
        let follow = move |shared: &Shared| {
            let topics = shared.topics()?;
            let found = topics.iter().find(|found| found.role == topic);
            let found = found.ok_or_else(|| BrowseError::Missing(format!("no topic {}", shared.names.name(topic))))?;
            follower::follow(&shared.kafka, &found.name, found.partitions)
        };
        self.call(follow).await
    }

    /// Append these to partitions that exist, each by itself, and wait until the cluster has them.
    ///
    /// # Errors
    /// When it did not say so of every one.
    pub async fn append_one_by_one(&self, records: Vec<OutRecord>) -> Result<(), BrowseError> {
        let append = move |shared: &Shared| {
            let mut feeder = shared.feeder.lock().unwrap_or_else(PoisonError::into_inner);
            feeder.append(&shared.names, &records).map(drop)
        };
        self.call(append).await
    }

    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, BrowseError> + Send + 'static,
    ) -> Result<T, BrowseError> {
        let shared = self.shared.clone().expect("it is there until it is dropped");
        on_a_thread(move || work(&shared)).await
    }
}

impl Drop for KafkaBrowser {
    fn drop(&mut self) {
        // Closing clients blocks, and whoever drops this stands on the runtime.
        let shared = self.shared.take();
        std::thread::spawn(move || drop(shared));
    }
}

/// Run what blocks where it may; what it panics with is ours.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BrowseError> + Send + 'static,
) -> Result<T, BrowseError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(BrowseError::Unavailable("the program ends".to_owned())),
        },
    }
}

/// The thread of a call may wait: it is not the runtime's.
fn pause(duration: Duration) {
    #[expect(clippy::disallowed_methods, reason = "a thread of the pool for blocking work")]
    std::thread::sleep(duration);
}

impl Shared {
    fn timeout(&self) -> Duration {
        self.kafka.request_timeout
    }

    fn topics(&self) -> Result<Vec<TopicInfo>, BrowseError> {
        self.topics.look(&self.consumer, self.timeout())
    }

    fn watermarks(&self, partition: Partition) -> Result<Watermarks, BrowseError> {
        let topic = self.topics.of(partition, &self.consumer, self.timeout())?;
        self.marks.of(&topic.name, partition, self.timeout()).or_else(|error| {
            // What is remembered may be gone, or be another topic by now, with fewer partitions.
            self.topics()?;
            self.topics.of(partition, &self.consumer, self.timeout())?;
            Err(error)
        })
    }

    fn read(&self, partition: Partition, from: u64, limit: ReadLimit) -> Result<Vec<Record>, BrowseError> {
        let topic = self.topics.of(partition, &self.consumer, self.timeout())?;
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let look = || self.watermarks(partition);
        let out_of_range = |watermarks| BrowseError::OutOfRange { partition, from, watermarks };
        let end = match reader.known_end(partition, from) {
            Some(end) => end,
            None => {
                let watermarks = look()?;
                if !(watermarks.log_start..=watermarks.end).contains(&from) {
                    return Err(out_of_range(watermarks));
                }
                watermarks.end
            }
        };
        reader.read(&topic.name, partition, from, end, limit, self.timeout()).or_else(|error| {
            // Retention may have been faster, or the topic was created anew.
            let watermarks = look()?;
            let readable = (watermarks.log_start..=watermarks.end).contains(&from);
            Err(if readable { error } else { out_of_range(watermarks) })
        })
    }

    fn append(&self, records: &[OutRecord]) -> Result<Vec<Position>, BrowseError> {
        let roles: BTreeSet<TopicRole> = records.iter().map(|record| record.topic).collect();
        if roles.is_empty() {
            return Ok(Vec::new());
        }
        // Looked up, not remembered: a topic that was created anew has another id, and a position must not name the old one.
        let topics = self.topics()?;
        let topic = |role| topics.iter().find(|topic| topic.role == role);
        for record in records {
            let partition = Partition { topic: record.topic, number: record.partition };
            if topic(record.topic).is_none_or(|topic| partition.number >= topic.partitions) {
                return Err(BrowseError::NoSuchPartition { partition });
            }
        }
        let offsets = self.appender.lock().unwrap_or_else(PoisonError::into_inner).append(&self.names, records)?;
        self.until_readable(records);
        let after = self.topics()?;
        for role in roles {
            if after.iter().find(|topic| topic.role == role).map(|topic| &topic.topic_id)
                != topic(role).map(|topic| &topic.topic_id)
            {
                let why = "was created anew while records were written to it: whether they are in it is not known";
                return Err(BrowseError::Unavailable(format!("{} {why}", self.names.name(role))));
            }
        }
        let places = records.iter().zip(offsets).filter_map(|(record, offset)| {
            let topic_id = topic(record.topic)?.topic_id.clone();
            Some(Position { topic_id, partition: record.partition, offset })
        });
        Ok(places.collect())
    }

    /// A commit is answered before its records can be read: whoever is told where they are shall find them, and a processor
    /// that is started then shall not find nothing to do.
    fn until_readable(&self, records: &[OutRecord]) {
        let partitions: BTreeSet<Partition> =
            records.iter().map(|record| Partition { topic: record.topic, number: record.partition }).collect();
        for partition in partitions {
            let topic = self.names.name(partition.topic);
            if let Err(error) = self.marks.of(topic, partition, self.timeout()) {
                // They are in the log all the same.
                tracing::debug!(%partition, %error, "it is not known whether what was appended can be read");
            }
        }
    }

    fn positions(&self, group: &str) -> Result<Vec<CommittedPosition>, BrowseError> {
        let other: Client<BaseConsumer>;
        let consumer: &BaseConsumer = if group == self.kafka.group_id {
            &self.consumer
        } else {
            let kafka = Kafka { group_id: group.to_owned(), ..Kafka::clone(&self.kafka) };
            let opened = self.kafka.open(&clients::reader(&kafka, "read_committed"));
            other = opened.map_err(|error| browse_error(&error))?;
            &other
        };
        let partitions = self.partitions()?;
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.stable_positions(consumer, &partitions)?;
        let committed = found.into_iter().filter_map(|(partition, committed)| {
            Some(CommittedPosition { partition, offset: committed.offset?, metadata: committed.metadata })
        });
        Ok(committed.collect())
    }

    fn partitions(&self) -> Result<Vec<Partition>, BrowseError> {
        Ok(self.topics()?.iter().flat_map(partitions_of).collect())
    }

    /// All at once; where processors are busy, some position is in a transaction at any time, so the rest one by one.
    fn stable_positions(
        &self,
        consumer: &BaseConsumer,
        partitions: &[Partition],
    ) -> Result<BTreeMap<Partition, Committed>, BrowseError> {
        let begun = Instant::now();
        let mut found = BTreeMap::new();
        let mut ask = |partitions: &[Partition], timeout| {
            let answer = super::positions::committed(consumer, &self.names, partitions, timeout);
            match answer.map_err(|error| browse_error(&error)) {
                Ok(answer) => found.extend(answer),
                // Unstable, or away: the next look tells.
                Err(BrowseError::Unavailable(_)) => {}
                Err(error) => return Err(error),
            }
            Ok(partitions.iter().copied().filter(|partition| !found.contains_key(partition)).collect::<Vec<_>>())
        };
        let mut missing = ask(partitions, ALL)?;
        while let Some(partition) = missing.pop() {
            let still_missing = ask(&[partition], ONE)?;
            if !still_missing.is_empty() && begun.elapsed() > self.timeout() {
                let why = format!("the position of {partition} cannot be read: no answer, or an open transaction");
                return Err(BrowseError::Unavailable(why));
            }
            // Behind the others.
            missing.splice(0..0, still_missing);
        }
        Ok(found)
    }

    fn create_topics(&self, runtime: &tokio::runtime::Handle) -> Result<Vec<TopicRole>, BrowseError> {
        let existing = self.topics()?;
        let Some(plan) = creation::plan(&self.kafka, &self.names, &existing)? else { return Ok(Vec::new()) };
        let created = creation::create(&self.kafka, &plan, runtime)?;
        // Until every broker knows them, writing to them fails.
        let begun = Instant::now();
        while self.topics()?.len() < existing.len() + plan.len() {
            if begun.elapsed() > self.timeout() {
                let why = "the topics were created, but not all brokers know them yet";
                return Err(BrowseError::Unavailable(why.to_owned()));
            }
            pause(Duration::from_millis(20));
        }
        Ok(created)
    }
}

fn partitions_of(topic: &TopicInfo) -> impl Iterator<Item = Partition> + use<> {
    let role = topic.role;
    (0..topic.partitions).map(move |number| Partition { topic: role, number })
}

impl LogBrowser for KafkaBrowser {
    fn topics(&self) -> BoxFuture<'_, Result<Vec<TopicInfo>, BrowseError>> {
        Box::pin(self.call(Shared::topics))
    }

    fn watermarks(&self, partition: Partition) -> BoxFuture<'_, Result<Watermarks, BrowseError>> {
        Box::pin(self.call(move |shared| shared.watermarks(partition)))
    }

    fn read(
        &self,
        partition: Partition,
        from: u64,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<Vec<Record>, BrowseError>> {
        Box::pin(self.call(move |shared| shared.read(partition, from, limit)))
    }

    fn append(&self, records: Vec<OutRecord>) -> BoxFuture<'_, Result<Vec<Position>, BrowseError>> {
        Box::pin(self.call(move |shared| shared.append(&records)))
    }

    fn positions<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<Vec<CommittedPosition>, BrowseError>> {
        let group = group.to_owned();
        Box::pin(self.call(move |shared| shared.positions(&group)))
    }

    fn create_topics(&self) -> BoxFuture<'_, Result<Vec<TopicRole>, BrowseError>> {
        Box::pin(async {
            let runtime = tokio::runtime::Handle::current();
            self.call(move |shared| shared.create_topics(&runtime)).await
        })
    }
}
