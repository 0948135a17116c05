//! What a cluster must be for the promises to hold, and what to do where it is not. Pure.
//!
//! Brokers from 3.6 on, as many replicas as the settings ask for (three in production) with two of them in sync, no
//! unclean election; topics of ours with equal partition counts, never compacted, deferred records kept for ever, and
//! room for the largest record with its envelope.

use std::collections::BTreeMap;
use std::time::Duration;

use super::names::TopicNames;
use crate::domain::position::TopicRole;
use crate::settings::kafka::Kafka;

/// The oldest brokers that keep the promises: older ones leave transactions hanging that nobody owns (KIP-890).
const OLDEST: (u32, u32) = (3, 6);

/// What a batch of one record takes besides key, value and headers: 61 bytes for the batch, up to 30 for the record, and
/// a few for each header.
pub const FRAMING: usize = 16_384;

/// The largest batch. What comes in is smaller than what goes out by half of itself: a dead letter or a deferred copy of
/// the largest record carries an envelope, and must fit.
pub fn max_message_bytes(kafka: &Kafka, role: TopicRole) -> usize {
    match role {
        TopicRole::Events | TopicRole::HumanFeedback => kafka.max_message_bytes / 3 * 2 + FRAMING,
        _ => kafka.max_message_bytes + FRAMING,
    }
}

/// How many replicas have a record before it counts.
pub fn min_insync_replicas(kafka: &Kafka) -> u16 {
    if kafka.replication_factor >= 3 { 2 } else { 1 }
}

/// How a cluster is set up.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Those of ours that exist.
    pub topics: Vec<Topic>,
    /// All of them.
    pub brokers: Vec<Broker>,
    /// Replicas of the cluster's own topics, where they are to be seen.
    pub internal: BTreeMap<String, usize>,
}

/// A topic of ours.
#[derive(Debug, Clone)]
pub struct Topic {
    /// What it is for.
    pub role: TopicRole,
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: u32,
    /// Replicas of the partition that has the fewest.
    pub replicas: Option<usize>,
    /// What is in force.
    pub config: Config,
}

/// A broker.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Its id.
    pub id: i32,
    /// What is in force.
    pub config: Config,
}

/// Settings of the cluster, if they could be asked for.
#[derive(Debug, Clone)]
pub enum Config {
    /// By name.
    Known(BTreeMap<String, String>),
    /// Why not.
    Refused(String),
}

impl Config {
    fn get(&self, key: &str) -> Option<&str> {
        match self {
            Self::Known(entries) => entries.get(key).map(String::as_str),
            Self::Refused(_) => None,
        }
    }

    fn number(&self, key: &str) -> Option<i64> {
        self.get(key)?.parse().ok()
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// What, and what it costs.
    pub what: String,
    /// What to do about it.
    pub cure: String,
}

/// Everything that is wrong. `window`: how long the ledger remembers an event.
pub fn judge(cluster: &Cluster, names: &TopicNames, kafka: &Kafka, window: Duration) -> Vec<Flaw> {
    let mut judge = Judge { kafka, window, flaws: Vec::new() };
    judge.presence(cluster, names);
    judge.partitions(cluster);
    for topic in &cluster.topics {
        judge.topic(topic);
    }
    judge.room_for_envelopes(cluster);
    for (topic, replicas) in &cluster.internal {
        judge.replicas(topic, *replicas);
    }
    for broker in &cluster.brokers {
        judge.broker(broker);
    }
    judge.flaws
}

struct Judge<'a> {
    kafka: &'a Kafka,
    window: Duration,
    flaws: Vec<Flaw>,
}

impl Judge<'_> {
    fn find(&mut self, what: String, cure: String) {
        self.flaws.push(Flaw { what, cure });
    }

    fn presence(&mut self, cluster: &Cluster, names: &TopicNames) {
        let exists = |role: TopicRole| cluster.topics.iter().any(|topic| topic.role == role);
        let mut missing: Vec<TopicRole> = names.roles().filter(|role| !exists(*role)).collect();
        missing.sort();
        if !missing.is_empty() {
            let missing: Vec<&str> = missing.into_iter().map(|role| names.name(role)).collect();
            self.find(format!("there is no topic {}", missing.join(", ")), "gatekeeper topics --create".to_owned());
        }
    }

    fn partitions(&mut self, cluster: &Cluster) {
        let Some(most) = cluster.topics.iter().map(|topic| topic.partitions).max() else { return };
        let servers = &self.kafka.bootstrap_servers;
        for Topic { name, partitions, .. } in cluster.topics.iter().filter(|topic| topic.partitions < most) {
            let why = "order per ticket stands on equal counts, and `serve` refuses to start";
            let what = format!("{name} has {partitions} partitions and another of our topics has {most}: {why}");
            let command = format!("kafka-topics.sh --bootstrap-server '{servers}' --alter --topic {name}");
            let when = "while nothing is unfinished: new partitions take tickets away from old ones";
            self.flaws.push(Flaw { what, cure: format!("{command} --partitions {most} ({when})") });
        }
    }

    fn topic(&mut self, topic: &Topic) {
        let Topic { role, name, config, .. } = topic;
        if let Some(replicas) = topic.replicas {
            self.replicas(name, replicas);
        }
        if let Config::Refused(why) = config {
            self.find(
                format!("the configuration of {name} cannot be checked: {why}"),
                grant(&format!("--topic {name}")),
            );
            return;
        }
        if config.get("cleanup.policy").is_some_and(|policy| policy.contains("compact")) {
            let what = format!("{name} is compacted: keys are tickets, so all but the last record of each is lost");
            self.find(what, self.set(name, "cleanup.policy", "delete"));
        }
        if config.get("unclean.leader.election.enable") == Some("true") {
            let why = "a replica that was behind takes away what was committed";
            let what = format!("{name} allows unclean elections: {why}");
            self.find(what, self.set(name, "unclean.leader.election.enable", false));
        }
        self.in_sync(topic);
        match role {
            TopicRole::Events | TopicRole::HumanFeedback => self.input(name, config),
            TopicRole::Deferred(_) => {
                self.deferred(name, config);
                self.output(*role, name, config);
            }
            _ => self.output(*role, name, config),
        }
    }

    /// Of a topic of ours, or of the cluster's own.
    fn replicas(&mut self, name: &str, replicas: usize) {
        let wanted = self.kafka.replication_factor;
        if replicas < usize::from(wanted) {
            self.find(
                format!("{name} has {replicas} replicas, log.kafka.replication_factor is {wanted}"),
                "kafka-reassign-partitions.sh with more replicas for each of its partitions".to_owned(),
            );
        }
    }

    fn in_sync(&mut self, topic: &Topic) {
        let Some(in_sync) = topic.config.number("min.insync.replicas") else { return };
        let (name, key, wanted) = (&topic.name, "min.insync.replicas", i64::from(min_insync_replicas(self.kafka)));
        if in_sync < wanted {
            let what = format!("{name} counts a record when {in_sync} replica has it: losing a broker loses records");
            self.find(what, self.set(name, key, wanted));
        }
        let replicas = topic.replicas.and_then(|replicas| i64::try_from(replicas).ok()).unwrap_or_default();
        if replicas > 1 && in_sync >= replicas {
            let what = format!("{name} needs {in_sync} of {replicas} replicas: losing a broker stops the work");
            self.find(what, self.set(name, key, wanted.min(replicas - 1)));
        }
    }

    fn input(&mut self, name: &str, config: &Config) {
        let window = i64::try_from(self.window.as_millis()).unwrap_or(i64::MAX);
        if let Some(kept) = config.number("retention.ms").filter(|kept| (0..window).contains(kept)) {
            let why = "what is remembered could no longer be audited or replayed";
            let what = format!("{name} keeps records for {kept} ms and ledger.window is {window} ms: {why}");
            self.find(what, self.set(name, "retention.ms", self.kafka.retention.as_millis()));
        }
    }

    fn deferred(&mut self, name: &str, config: &Config) {
        for key in ["retention.ms", "retention.bytes"] {
            if let Some(limit) = config.number(key).filter(|limit| *limit >= 0) {
                let what = format!("{name} drops records ({key}={limit}): work that is not done would be lost");
                self.find(what, self.set(name, key, -1));
            }
        }
    }

    fn output(&mut self, role: TopicRole, name: &str, config: &Config) {
        let wanted = i64::try_from(max_message_bytes(self.kafka, role)).unwrap_or(i64::MAX);
        if let Some(room) = config.number("max.message.bytes").filter(|room| *room < wanted) {
            let what =
                format!("{name} takes batches of {room} bytes, the largest record with its envelope needs {wanted}");
            self.find(what, self.set(name, "max.message.bytes", wanted));
        }
    }

    /// A record that came in may have to wait, or be rejected, and takes its envelope with it.
    fn room_for_envelopes(&mut self, cluster: &Cluster) {
        let room = |topic: &Topic| topic.config.number("max.message.bytes");
        let largest = cluster.topics.iter().filter(|topic| topic.role == TopicRole::Events).filter_map(room).max();
        let Some(largest) = largest else { return };
        for topic in cluster.topics.iter().filter(|topic| matches!(topic.role, TopicRole::Deferred(_))) {
            let Some(room) = room(topic).filter(|room| *room <= largest) else { continue };
            let name = &topic.name;
            let what = format!(
                "{name} takes batches of {room} bytes and the events topic {largest}: the largest record with its \
                 envelope could not be deferred"
            );
            self.find(what, self.set(name, "max.message.bytes", largest.saturating_add(largest / 2)));
        }
        let ours = i64::try_from(self.kafka.max_message_bytes).unwrap_or(i64::MAX);
        if largest >= ours {
            let what = format!(
                "the events topic takes batches of {largest} bytes, log.kafka.max_message_bytes is {ours}: the dead \
                 letter of the largest record would go out without its value"
            );
            let wanted = largest.saturating_add(largest / 2);
            self.find(what, format!("log.kafka.max_message_bytes = {wanted}, then this check again"));
        }
    }

    fn broker(&mut self, broker: &Broker) {
        let Broker { id, config } = broker;
        if let Config::Refused(why) = config {
            self.find(format!("the version of broker {id} cannot be checked: {why}"), grant("--cluster"));
            return;
        }
        // Brokers from 4.0 on do not have this setting any more.
        if let Some(protocol) = config.get("inter.broker.protocol.version")
            && release(protocol).is_some_and(|release| release < OLDEST)
        {
            let (major, minor) = OLDEST;
            self.find(
                format!("broker {id} speaks {protocol}, the promises need {major}.{minor} or newer (4.1 advised)"),
                "upgrade the brokers, then their inter.broker.protocol.version or metadata.version".to_owned(),
            );
        }
        let wanted = i64::try_from(self.kafka.transaction_timeout.as_millis()).unwrap_or(i64::MAX);
        if let Some(most) = config.number("transaction.max.timeout.ms").filter(|most| *most < wanted) {
            self.find(
                format!("broker {id} allows transactions of {most} ms, log.kafka.transaction_timeout is {wanted} ms"),
                "shorten log.kafka.transaction_timeout, or raise transaction.max.timeout.ms".to_owned(),
            );
        }
    }

    fn set(&self, topic: &str, key: &str, value: impl std::fmt::Display) -> String {
        let servers = &self.kafka.bootstrap_servers;
        let at = format!("--alter --entity-type topics --entity-name {topic}");
        format!("kafka-configs.sh --bootstrap-server '{servers}' {at} --add-config {key}={value}")
    }
}

fn grant(on: &str) -> String {
    format!("grant it: kafka-acls.sh --add --operation DescribeConfigs {on} (`gatekeeper topics --acls`)")
}

/// `3.6-IV2`
fn release(protocol: &str) -> Option<(u32, u32)> {
    let mut numbers = protocol.split(['.', '-']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests;
