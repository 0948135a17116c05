//! Which topics there are, and where their partitions stand.

use std::collections::{BTreeMap, HashSet};

use sqlx::SqliteConnection;
use uuid::Uuid;

use super::error::Error;
use super::place::Stretch;
use crate::domain::clock::Timestamp;
use crate::domain::position::{Partition, TopicRole};
use crate::settings::topics::Topics;

/// A topic of ours that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Topic {
    /// Its number in the file, never used again after it.
    pub(super) number: i64,
    pub(super) name: String,
    pub(super) id: String,
    pub(super) partitions: u32,
}

/// The topics of our roles that exist.
#[derive(Debug, Clone, Default)]
pub(super) struct Catalog {
    topics: BTreeMap<TopicRole, Topic>,
}

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) log_start: u64,
    pub(super) next_offset: u64,
}

impl Marks {
    /// Reading can go on at this position.
    pub(super) fn hold(self, partition: Partition, position: u64) -> Result<(), Error> {
        let Self { log_start, next_offset: end } = self;
        if (log_start..=end).contains(&position) {
            return Ok(());
        }
        Err(Error::OutOfRange { partition, position, log_start, end })
    }
}

impl Catalog {
    /// As the file says now.
    pub(super) async fn load(connection: &mut SqliteConnection, names: &Topics) -> Result<Self, Error> {
        let rows: Vec<(i64, String, String, u32)> =
            sqlx::query_as("SELECT number, name, id, partitions FROM topics").fetch_all(connection).await?;
        let mut by_name: BTreeMap<String, Topic> = rows
            .into_iter()
            .map(|(number, name, id, partitions)| (name.clone(), Topic { number, name, id, partitions }))
            .collect();
        let topics = Topics::roles().filter_map(|role| Some((role, by_name.remove(&names.name(role))?))).collect();
        Ok(Self { topics })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TopicRole, &Topic)> {
        self.topics.iter().map(|(role, topic)| (*role, topic))
    }

    /// The topic of a partition that exists.
    pub(super) fn topic(&self, partition: Partition) -> Result<&Topic, Error> {
        let topic = self.topics.get(&partition.topic).filter(|topic| partition.number < topic.partitions);
        topic.ok_or(Error::Gone { partition })
    }

    /// The places of a partition that exists.
    pub(super) fn stretch(&self, partition: Partition) -> Result<Stretch, Error> {
        Stretch::of(self.topic(partition)?.number, partition.number).ok_or(Error::Gone { partition })
    }

    /// Partitions of one topic, in order.
    pub(super) fn partitions(&self, role: TopicRole) -> impl Iterator<Item = Partition> + use<> {
        let count = self.topics.get(&role).map_or(0, |topic| topic.partitions);
        (0..count).map(move |number| Partition { topic: role, number })
    }

    /// The role of a topic by its number.
    pub(super) fn role(&self, number: i64) -> Option<TopicRole> {
        self.iter().find(|(_, topic)| topic.number == number).map(|(role, _)| role)
    }

    /// Order per ticket, and outputs on their input's number, stand on this.
    pub(super) fn check_equal_counts(&self) -> Result<(), Error> {
        let mut topics = self.topics.values();
        let Some(first) = topics.next() else { return Ok(()) };
        match topics.find(|topic| topic.partitions != first.partitions) {
            None => Ok(()),
            Some(topic) => Err(Error::UnequalPartitions {
                name: topic.name.clone(),
                found: topic.partitions,
                other: first.name.clone(),
                expected: first.partitions,
            }),
        }
    }

    /// Where every partition in the file stands, ours or not, by topic number.
    pub(super) async fn marks(connection: &mut SqliteConnection) -> Result<BTreeMap<(i64, u32), Marks>, Error> {
        let rows: Vec<(i64, u32, i64, i64)> =
            sqlx::query_as("SELECT topic, partition, log_start, next_offset FROM partitions")
                .fetch_all(connection)
                .await?;
        let marks = |log_start: i64, next_offset: i64| Marks {
            log_start: log_start.unsigned_abs(),
            next_offset: next_offset.unsigned_abs(),
        };
        Ok(rows.into_iter().map(|(topic, number, start, end)| ((topic, number), marks(start, end))).collect())
    }
}

/// Create what is missing, inside the caller's transaction; the new ones come back.
pub(super) async fn create_missing(
    transaction: &mut SqliteConnection,
    names: &Topics,
    partitions: u32,
    now: Timestamp,
) -> Result<Vec<TopicRole>, Error> {
    if !(1..=super::place::MAX_PARTITIONS).contains(&partitions) {
        return Err(Error::PartitionCount { partitions });
    }
    let mut seen = HashSet::new();
    let mut created = Vec::new();
    for role in Topics::roles() {
        let name = names.name(role);
        if !seen.insert(name.clone()) {
            return Err(Error::SharedName { name });
        }
        if create(transaction, &name, partitions, now).await? {
            created.push(role);
        }
    }
    Ok(created)
}

async fn create(
    transaction: &mut SqliteConnection,
    name: &str,
    partitions: u32,
    now: Timestamp,
) -> Result<bool, Error> {
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM topics WHERE name = ?)")
        .bind(name)
        .fetch_one(&mut *transaction)
        .await?;
    if exists {
        return Ok(false);
    }
    let number: i64 = sqlx::query_scalar(
        "INSERT INTO topics (name, id, partitions, created_at) VALUES (?, ?, ?, ?) RETURNING number",
    )
    .bind(name)
    .bind(Uuid::new_v4().to_string())
    .bind(partitions)
    .bind(now.0)
    .fetch_one(&mut *transaction)
    .await
    .map_err(|error| match error.as_database_error().map(|error| error.kind()) {
        Some(sqlx::error::ErrorKind::CheckViolation) => Error::TooManyTopics { name: name.to_owned() },
        _ => error.into(),
    })?;
    sqlx::query(
        "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?2)
         INSERT INTO partitions (topic, partition) SELECT ?1, n FROM numbers",
    )
    .bind(number)
    .bind(partitions)
    .execute(transaction)
    .await?;
    Ok(true)
}
