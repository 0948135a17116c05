//! What each client of the cluster is configured with. Everything that the promises rest on is set here and cannot be
//! overridden: `log.kafka.client` is laid under it, and checked against `settings::kafka_denied` besides.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::types::RDKafkaErrorCode;

use super::protection::protect;
use super::refusal::Refusal;
use crate::sabotage::{self, Sabotage};
use crate::settings::kafka::{GroupProtocol, Kafka};
use crate::telemetry::happenings::{ClientNotLetIn, ClientTroubled};

/// Reads the group's partitions.
pub fn consumer(kafka: &Kafka) -> ClientConfig {
    let mut config = reader(kafka, "read_committed");
    // End of a partition is an event; a position that is not there is an error, never a jump.
    config.set("enable.partition.eof", "true").set("auto.offset.reset", "error");
    // Static membership: a restart under the same name takes its partitions back without a rebalance.
    config.set("group.instance.id", instance(kafka));
    config.set("max.poll.interval.ms", millis(kafka.max_poll_interval));
    // A little of each partition, often: what is fetched ahead is memory, thrown away by every pause, and one long
    // backlog must not come before all others.
    default(&mut config, kafka, "fetch.wait.max.ms", "50");
    default(&mut config, kafka, "fetch.queue.backoff.ms", "10");
    default(&mut config, kafka, "fetch.message.max.bytes", "131072");
    default(&mut config, kafka, "queued.min.messages", "500");
    default(&mut config, kafka, "queued.max.messages.kbytes", "1024");
    // The same partition number of all co-read topics on the same member: only range does that.
    match kafka.group_protocol {
        GroupProtocol::Classic => config
            .set("partition.assignment.strategy", "range")
            .set("session.timeout.ms", millis(kafka.session_timeout))
            .set("heartbeat.interval.ms", millis(kafka.heartbeat_interval)),
        GroupProtocol::Consumer => config.set("group.protocol", "consumer").set("group.remote.assignor", "range"),
    };
    config
}

/// Asks for committed positions without taking part in the group. `isolation`: `read_committed` waits for positions in
/// an open transaction, `read_uncommitted` gives the last that were committed.
pub fn reader(kafka: &Kafka, isolation: &str) -> ClientConfig {
    let mut config = base(kafka);
    config
        .set("group.id", &kafka.group_id)
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("allow.auto.create.topics", "false");
    config
}

/// Reads any partition for a command, and never joins a group. `isolation` as for [`reader`].
pub fn browser(kafka: &Kafka, isolation: &str) -> ClientConfig {
    let mut config = reader(kafka, isolation);
    config.set("enable.partition.eof", "true").set("auto.offset.reset", "error");
    // The end of a partition is told by the first answer without records, which takes this long.
    default(&mut config, kafka, "fetch.wait.max.ms", "10");
    default(&mut config, kafka, "fetch.queue.backoff.ms", "5");
    // A few pages ahead.
    default(&mut config, kafka, "queued.min.messages", "10000");
    default(&mut config, kafka, "queued.max.messages.kbytes", "32768");
    config
}

/// Writes bursts under this transactional id.
pub fn transactional_producer(kafka: &Kafka, transactional_id: &str) -> ClientConfig {
    let mut config = producer(kafka);
    let transactional_id = match sabotage::on(Sabotage::RandomTransactionalId) {
        true => format!("{transactional_id}-{}", std::process::id()),
        false => transactional_id.to_owned(),
    };
    config
        .set("transactional.id", transactional_id)
        .set("transaction.timeout.ms", millis(kafka.transaction_timeout))
        .set("message.timeout.ms", millis(kafka.transaction_timeout));
    // The first offsets of a transaction otherwise wait 100 ms for a coordinator that answers at once.
    default(&mut config, kafka, "retry.backoff.ms", "10");
    // A connection that is lost is heard of in the log only (`producer.rs`), and is left out there unless this is on.
    let topics = kafka.client.get("debug").map_or_else(|| "broker".to_owned(), |chosen| format!("{chosen},broker"));
    config.set("debug", topics).set_log_level(RDKafkaLogLevel::Debug);
    config
}

/// Writes single records, each idempotently.
pub fn producer(kafka: &Kafka) -> ClientConfig {
    let mut config = base(kafka);
    config.set("enable.idempotence", "true").set("message.max.bytes", kafka.max_message_bytes.to_string());
    default(&mut config, kafka, "linger.ms", "1");
    default(&mut config, kafka, "compression.type", "lz4");
    // A burst with its outputs fits many times.
    default(&mut config, kafka, "queue.buffering.max.messages", "200000");
    config
}

/// What all of them share.
pub fn base(kafka: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (property, value) in &kafka.client {
        config.set(property, value);
    }
    config.set("bootstrap.servers", &kafka.bootstrap_servers);
    protect(&mut config, &kafka.security);
    default(&mut config, kafka, "client.id", instance(kafka));
    config
}

/// The name of this instance; the settings' check has seen to it that there is one.
pub fn instance(kafka: &Kafka) -> &str {
    kafka.transactional_id.as_deref().unwrap_or("gatekeeper")
}

/// Ours unless somebody chose another value.
fn default(config: &mut ClientConfig, kafka: &Kafka, property: &str, value: &str) {
    if !kafka.client.contains_key(property) {
        config.set(property, value);
    }
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// Say that a client of the cluster met an error. A cluster that does not let us in is said with what to do.
pub fn troubled(client: &'static str, code: Option<RDKafkaErrorCode>, reason: &str) {
    if let Some(refusal) = Refusal::of(code, reason) {
        ClientNotLetIn { client, why: refusal.name(), reason, cure: refusal.cure() }.record();
    }
    let code = code.map_or_else(|| "none".to_owned(), |code| format!("{code:?}"));
    ClientTroubled { client, code: &code, reason }.record();
}
