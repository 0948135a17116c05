//! How topics are created: what each role's topic is configured with, and why.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::super::clients;
use super::super::login::{Client, Login};
use super::super::names::TopicNames;
use super::super::preconditions::{max_message_bytes, min_insync_replicas};
use super::browse_error;
use super::error::coded;
use crate::domain::position::TopicRole;
use crate::operations::log_browser::{BrowseError, TopicInfo};
use crate::settings::kafka::Kafka;

/// A topic to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What it is for.
    pub role: TopicRole,
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: u32,
    /// How many replicas of each.
    pub replicas: u16,
    /// Its configuration.
    pub config: Vec<(&'static str, String)>,
}

/// What is missing; `None`: nothing. All of our topics have the same number of partitions, so the ones that exist decide.
pub fn plan(kafka: &Kafka, names: &TopicNames, existing: &[TopicInfo]) -> Result<Option<Vec<Planned>>, BrowseError> {
    let missing = names.roles().filter(|role| !existing.iter().any(|topic| topic.role == *role));
    let mut missing: Vec<TopicRole> = missing.collect();
    missing.sort();
    if missing.is_empty() {
        return Ok(None);
    }
    let partitions = match existing.first() {
        None => kafka.partitions,
        Some(first) if existing.iter().all(|topic| topic.partitions == first.partitions) => first.partitions,
        Some(_) => {
            let counts: Vec<String> =
                existing.iter().map(|topic| format!("{} has {}", topic.name, topic.partitions)).collect();
            return Err(BrowseError::Unusable(format!(
                "nothing is created beside topics that differ in their number of partitions: {}",
                counts.join(", ")
            )));
        }
    };
    let planned = missing.into_iter().map(|role| Planned {
        role,
        name: names.name(role).to_owned(),
        partitions,
        replicas: kafka.replication_factor,
        config: config(kafka, role),
    });
    Ok(Some(planned.collect()))
}

/// The configuration of a role's topic, each value explicit so that a broker's default cannot undo it.
pub fn config(kafka: &Kafka, role: TopicRole) -> Vec<(&'static str, String)> {
    let retention = match role {
        // A record in it is work that is not done.
        TopicRole::Deferred(_) => "-1".to_owned(),
        _ => kafka.retention.as_millis().to_string(),
    };
    vec![
        // Every record counts: keys are tickets, and compaction would leave the last record of each.
        ("cleanup.policy", "delete".to_owned()),
        ("retention.ms", retention),
        ("retention.bytes", "-1".to_owned()),
        ("max.message.bytes", max_message_bytes(kafka, role).to_string()),
        ("min.insync.replicas", min_insync_replicas(kafka).to_string()),
        // A replica that was behind would become the log, and what was committed would be gone.
        ("unclean.leader.election.enable", "false".to_owned()),
    ]
}

/// Create them; those that somebody else created meanwhile are not ours.
pub fn create(
    kafka: &Login,
    plan: &[Planned],
    runtime: &tokio::runtime::Handle,
) -> Result<Vec<TopicRole>, BrowseError> {
    let admin: Client<AdminClient<DefaultClientContext>> =
        kafka.open(&clients::base(kafka)).map_err(|error| browse_error(&error))?;
    let topics: Vec<NewTopic<'_>> = plan
        .iter()
        .map(|topic| {
            let partitions = i32::try_from(topic.partitions).unwrap_or(i32::MAX);
            let new = NewTopic::new(&topic.name, partitions, TopicReplication::Fixed(topic.replicas.into()));
            topic.config.iter().fold(new, |new, (key, value)| new.set(key, value))
        })
        .collect();
    let timeout: Option<Duration> = Some(kafka.request_timeout);
    let options = AdminOptions::new().request_timeout(timeout).operation_timeout(timeout);
    let results = runtime.block_on(admin.create_topics(&topics, &options)).map_err(|error| browse_error(&error))?;
    let mut created = Vec::new();
    for (topic, result) in plan.iter().zip(results) {
        match result {
            Ok(_) => created.push(topic.role),
            Err((_, Code::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(refused(kafka, &name, code)),
        }
    }
    Ok(created)
}

fn refused(kafka: &Kafka, name: &str, code: Code) -> BrowseError {
    let hint = match code {
        Code::InvalidReplicationFactor => {
            format!(": log.kafka.replication_factor is {}, are there as many brokers?", kafka.replication_factor)
        }
        _ => String::new(),
    };
    coded(Some(code), format!("{name} cannot be created: {code}{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::kafka::preconditions::FRAMING;
    use crate::settings::{LoadOptions, load};

    fn settings(sets: &[&str]) -> (Kafka, TopicNames) {
        let sets = sets.iter().map(|set| (*set).to_owned()).collect();
        let settings = load(&LoadOptions { sets, ..LoadOptions::default() }).expect("the settings hold").settings;
        (settings.log.kafka, TopicNames::new(&settings.topics))
    }

    fn existing(role: TopicRole, partitions: u32) -> TopicInfo {
        TopicInfo { role, name: format!("{role:?}"), topic_id: String::new(), partitions }
    }

    fn value(config: &[(&'static str, String)], key: &str) -> String {
        config.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone()).expect("it is set")
    }

    #[test]
    fn what_is_missing_gets_the_partitions_of_what_is_there() {
        let (kafka, names) = settings(&["log.kafka.partitions=8"]);
        let all = plan(&kafka, &names, &[]).expect("a plan").expect("everything is missing");
        assert_eq!(all.len(), 12);
        assert!(all.iter().all(|topic| topic.partitions == 8));
        let there = [existing(TopicRole::Events, 24), existing(TopicRole::Ops, 24)];
        let rest = plan(&kafka, &names, &there).expect("a plan").expect("some are missing");
        assert_eq!(rest.len(), 10);
        assert!(rest.iter().all(|topic| topic.partitions == 24));
    }

    #[test]
    fn nothing_is_created_beside_unequal_topics_and_nothing_when_all_are_there() {
        let (kafka, names) = settings(&[]);
        let unequal = [existing(TopicRole::Events, 8), existing(TopicRole::Ops, 1)];
        let refused = plan(&kafka, &names, &unequal).expect_err("unequal counts").to_string();
        assert!(refused.contains("Events has 8, Ops has 1"), "{refused}");
        let all: Vec<TopicInfo> = names.roles().map(|role| existing(role, 8)).collect();
        assert_eq!(plan(&kafka, &names, &all).expect("a plan"), None);
    }

    #[test]
    fn a_deferred_record_stays_and_every_other_goes_after_its_time() {
        let (kafka, _) = settings(&["log.kafka.retention=96h"]);
        assert_eq!(value(&config(&kafka, TopicRole::Deferred(2)), "retention.ms"), "-1");
        assert_eq!(value(&config(&kafka, TopicRole::Feedback), "retention.ms"), "345600000");
    }

    #[test]
    fn a_record_that_fits_comes_out_again_with_half_as_much_around_it() {
        let (kafka, _) = settings(&["log.kafka.max_message_bytes=3000000"]);
        let room = |role| max_message_bytes(&kafka, role) - FRAMING;
        assert_eq!((room(TopicRole::Events), room(TopicRole::DeadLetters)), (2_000_000, 3_000_000));
        assert_eq!(room(TopicRole::Deferred(0)), 3_000_000);
    }

    #[test]
    fn two_replicas_must_have_it_where_there_are_three() {
        let in_sync = |replicas: &str| {
            let (kafka, _) = settings(&[&format!("log.kafka.replication_factor={replicas}")]);
            value(&config(&kafka, TopicRole::Events), "min.insync.replicas")
        };
        assert_eq!((in_sync("1"), in_sync("2"), in_sync("3")), ("1".into(), "1".into(), "2".into()));
    }
}
