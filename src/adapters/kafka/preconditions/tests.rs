//! A cluster as `topics --create` leaves it has no flaw; each one that is put in is found, and only it.

use super::super::browser::creation;
use super::*;
use crate::settings::{LoadOptions, load};

const HOURS_72: Duration = Duration::from_secs(72 * 3_600);

struct World {
    kafka: Kafka,
    names: TopicNames,
    cluster: Cluster,
}

impl World {
    /// Three brokers, everything as it should be in production.
    fn good() -> Self {
        let sets = vec!["log.kafka.replication_factor=3".to_owned(), "log.kafka.bootstrap_servers=k:9092".to_owned()];
        let settings = load(&LoadOptions { sets, ..LoadOptions::default() }).expect("the settings hold").settings;
        let (kafka, names) = (settings.log.kafka, TopicNames::new(&settings.topics));
        let owned =
            |config: Vec<(&'static str, String)>| config.into_iter().map(|(key, value)| (key.to_owned(), value));
        let plan = creation::plan(&kafka, &names, &[]).expect("a plan").expect("everything is missing");
        let topics = plan.into_iter().map(|planned| Topic {
            role: planned.role,
            name: planned.name,
            partitions: planned.partitions,
            replicas: Some(planned.replicas.into()),
            config: Config::Known(owned(planned.config).collect()),
        });
        let broker = |id| {
            let config = [("transaction.max.timeout.ms", "900000"), ("inter.broker.protocol.version", "3.6-IV2")];
            let config = config.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
            Broker { id, config: Config::Known(config.collect()) }
        };
        let internal = ["__consumer_offsets", "__transaction_state"].map(|topic| (topic.to_owned(), 3));
        let cluster =
            Cluster { topics: topics.collect(), brokers: (1..=3).map(broker).collect(), internal: internal.into() };
        Self { kafka, names, cluster }
    }

    fn topic(&mut self, role: TopicRole) -> &mut Topic {
        self.cluster.topics.iter_mut().find(|topic| topic.role == role).expect("every role has one")
    }

    fn with(mut self, role: TopicRole, key: &str, value: &str) -> Vec<Flaw> {
        set(&mut self.topic(role).config, key, value);
        self.flaws()
    }

    fn flaws(&self) -> Vec<Flaw> {
        judge(&self.cluster, &self.names, &self.kafka, HOURS_72)
    }
}

fn set(config: &mut Config, key: &str, value: &str) {
    let Config::Known(entries) = config else { panic!("it is known") };
    entries.insert(key.to_owned(), value.to_owned());
}

/// Exactly one, whose text has all of these.
fn one(flaws: &[Flaw], words: &[&str]) {
    let [flaw] = flaws else { panic!("{flaws:?}") };
    for word in words {
        assert!(flaw.what.contains(word) || flaw.cure.contains(word), "{word} is not in {flaw:?}");
    }
}

#[test]
fn what_was_created_by_us_has_no_flaw() {
    assert_eq!(World::good().flaws(), []);
}

#[test]
fn missing_topics_are_named_together() {
    let mut world = World::good();
    world.cluster.topics.retain(|topic| !matches!(topic.role, TopicRole::Ops | TopicRole::Deferred(0)));
    one(&world.flaws(), &["support.ops.v1, support.deferred.10s.v1", "gatekeeper topics --create"]);
    world.cluster.topics.clear();
    assert_eq!(world.flaws().len(), 1);
}

#[test]
fn a_topic_with_fewer_partitions_is_named() {
    let mut world = World::good();
    world.topic(TopicRole::Decisions).partitions = 4;
    one(&world.flaws(), &["support.decisions.v1 has 4", "8", "--partitions 8"]);
}

#[test]
fn compaction_and_unclean_elections_are_found_on_any_topic() {
    for role in [TopicRole::Events, TopicRole::Feedback, TopicRole::Deferred(3)] {
        for policy in ["compact", "compact,delete"] {
            one(&World::good().with(role, "cleanup.policy", policy), &["compacted", "cleanup.policy=delete"]);
        }
        one(&World::good().with(role, "unclean.leader.election.enable", "true"), &["unclean"]);
    }
}

#[test]
fn too_few_replicas_are_found_on_our_topics_and_on_the_clusters_own() {
    let mut world = World::good();
    world.topic(TopicRole::Events).replicas = Some(2);
    // Two of two in sync is a flaw of its own.
    let flaws = world.flaws();
    assert_eq!(flaws.len(), 2);
    one(&flaws[..1], &["support.events.v1 has 2 replicas", "kafka-reassign-partitions.sh"]);
    one(&flaws[1..], &["stops the work", "min.insync.replicas=1"]);
    let mut world = World::good();
    world.cluster.internal.insert("__transaction_state".to_owned(), 1);
    one(&world.flaws(), &["__transaction_state has 1"]);
}

#[test]
fn writes_that_one_broker_has_and_writes_that_need_all_are_found() {
    one(&World::good().with(TopicRole::Feedback, "min.insync.replicas", "1"), &["loses records"]);
    one(
        &World::good().with(TopicRole::Feedback, "min.insync.replicas", "3"),
        &["stops the work", "min.insync.replicas=2"],
    );
}

#[test]
fn deferred_work_must_not_be_dropped_by_time_or_size() {
    one(&World::good().with(TopicRole::Deferred(1), "retention.ms", "604800000"), &["deferred.1m", "retention.ms=-1"]);
    one(&World::good().with(TopicRole::Deferred(1), "retention.bytes", "0"), &["retention.bytes=-1"]);
}

#[test]
fn an_input_must_be_there_for_as_long_as_it_is_remembered() {
    one(
        &World::good().with(TopicRole::Events, "retention.ms", "259199999"),
        &["ledger.window", "retention.ms=604800000"],
    );
    for enough in ["259200000", "-1"] {
        assert_eq!(World::good().with(TopicRole::Events, "retention.ms", enough), []);
    }
    assert_eq!(World::good().with(TopicRole::Ops, "retention.ms", "1"), []);
}

#[test]
fn room_for_the_largest_record_with_its_envelope_is_asked_for() {
    one(&World::good().with(TopicRole::DeadLetters, "max.message.bytes", "1048588"), &["max.message.bytes=2113536"]);
    // As brokers have it by default, and enough for what comes in.
    assert_eq!(World::good().with(TopicRole::Events, "max.message.bytes", "1048588"), []);
    let flaws = World::good().with(TopicRole::Events, "max.message.bytes", "3000000");
    assert_eq!(flaws.len(), 5, "one for each tier, and one for dead letters");
    one(&flaws[4..], &["without its value", "log.kafka.max_message_bytes = 4500000"]);
    one(&flaws[..1], &["could not be deferred", "max.message.bytes=4500000"]);
}

#[test]
fn old_brokers_and_short_transactions_are_found() {
    let with = |key: &str, value: &str| {
        let mut world = World::good();
        set(&mut world.cluster.brokers[1].config, key, value);
        world.flaws()
    };
    one(&with("inter.broker.protocol.version", "3.5-IV2"), &["broker 2 speaks 3.5-IV2", "3.6"]);
    one(&with("inter.broker.protocol.version", "2.8"), &["2.8"]);
    assert_eq!(with("inter.broker.protocol.version", "3.10-IV1"), []);
    one(&with("transaction.max.timeout.ms", "9999"), &["broker 2 allows transactions of 9999 ms"]);
}

#[test]
fn what_may_not_be_asked_for_is_no_pass() {
    let mut world = World::good();
    world.topic(TopicRole::Ops).config = Config::Refused("not authorized".to_owned());
    one(&world.flaws(), &["support.ops.v1 cannot be checked", "DescribeConfigs"]);
    let mut world = World::good();
    world.cluster.brokers[0].config = Config::Refused("not authorized".to_owned());
    one(&world.flaws(), &["broker 1 cannot be checked", "--cluster"]);
}
