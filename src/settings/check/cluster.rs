//! Rules about the cluster: which times must be shorter than which, what an instance must have, what librdkafka may not
//! be told.

use std::time::Duration;

use super::super::Settings;
use super::super::kafka_denied::denied;
use super::super::kafka_security::Protocol;
use super::super::layers::KeyPath;
use super::super::ledger_url::is_loopback;
use super::super::log::LogKind;
use super::super::naming::is_name;
use super::super::problem::Violation;

/// Every rule about `log.kafka` that is broken.
pub(super) fn check(settings: &Settings, broken: &mut Vec<Violation>) {
    let kafka = &settings.log.kafka;
    for (property, why) in kafka.client.keys().filter_map(|property| Some((property, denied(property)?))) {
        let keys = vec![KeyPath::dotted("log.kafka.client").join(property)];
        broken.push(Violation { keys, message: format!("is not taken from here: {why}") });
    }
    let mut order = |shorter: (&str, Duration), longer: (&str, Duration), why: &str| {
        if shorter.1 >= longer.1 {
            broken.push(Violation::new(&[shorter.0, longer.0], format!("must be shorter than {}: {why}", longer.0)));
        }
    };
    let transaction = ("log.kafka.transaction_timeout", kafka.transaction_timeout);
    order(("log.kafka.request_timeout", kafka.request_timeout), transaction, "the broker would abort it meanwhile");
    order(("log.kafka.fence_after", kafka.fence_after), transaction, "there would be nothing left to fence");
    let session = ("log.kafka.session_timeout", kafka.session_timeout);
    order(("log.kafka.heartbeat_interval", kafka.heartbeat_interval * 3), session, "one lost heartbeat is no death");
    order(session, ("log.kafka.max_poll_interval", kafka.max_poll_interval), "as librdkafka has it");
    if settings.log.kind != LogKind::Kafka {
        return;
    }
    if kafka.bootstrap_servers.trim().is_empty() {
        broken.push(Violation::new(&["log.kafka.bootstrap_servers"], "expected host:port,host:port"));
    }
    // It travels in every commit's metadata, whose length is bounded.
    if !kafka.transactional_id.as_deref().is_some_and(|id| is_name(id, 64)) {
        broken.push(Violation::new(
            &["log.kafka.transactional_id"],
            "is required with log.kind = kafka: 1 to 64 of A-Z a-z 0-9 . _ -, another one for each instance",
        ));
    }
    let (retention, window) = (kafka.retention, settings.ledger.window);
    if retention < window {
        broken.push(Violation::new(
            &["log.kafka.retention", "ledger.window"],
            "must not be shorter than ledger.window: what is remembered must still be there to be audited",
        ));
    }
    if settings.ledger.rejected_window < retention {
        broken.push(Violation::new(
            &["ledger.rejected_window", "log.kafka.retention"],
            "must not be shorter than log.kafka.retention: a redrive finds its rejected event by this row",
        ));
    }
    let largest = settings.schemas.max_payload_bytes.saturating_add(settings.schemas.max_payload_bytes / 2);
    if kafka.max_message_bytes < largest {
        broken.push(Violation::new(
            &["log.kafka.max_message_bytes", "schemas.max_payload_bytes"],
            format!("must be at least {largest}: a dead letter carries the largest record with its envelope"),
        ));
    }
}

/// Whether records would travel in the clear to another machine.
pub(super) fn is_plaintext(settings: &Settings) -> bool {
    let kafka = &settings.log.kafka;
    let plaintext = kafka.security.protocol == Protocol::Plaintext;
    let elsewhere = |server: &str| !is_loopback(server.trim().rsplit_once(':').map_or(server, |(host, _)| host));
    settings.log.kind == LogKind::Kafka && plaintext && kafka.bootstrap_servers.split(',').any(elsewhere)
}

#[cfg(test)]
mod tests {
    use super::super::tests::refused;

    #[test]
    fn a_cluster_keeps_records_for_as_long_as_they_are_remembered_and_no_longer_than_their_rows() {
        let kafka = ["log.kind=kafka", "log.kafka.bootstrap_servers=k:9092", "log.kafka.transactional_id=gk-1"];
        let with = |set| refused(None, &[kafka[0], kafka[1], kafka[2], set]);
        assert_eq!(with("log.kafka.retention=72h"), [""; 0]);
        assert_eq!(with("log.kafka.retention=71h"), ["log.kafka.retention"]);
        assert_eq!(with("log.kafka.retention=169h"), ["ledger.rejected_window"]);
        assert_eq!(with("log.kafka.partitions=0"), ["log.kafka.partitions"]);
        let few = "log.kafka.replication_factor=2";
        assert_eq!(with(few), [""; 0]);
        let encrypted = "log.kafka.security.protocol=tls";
        let in_production = [kafka[0], kafka[1], kafka[2], encrypted, few];
        assert_eq!(refused(Some("production"), &in_production), ["log.kafka.replication_factor"]);
    }

    #[test]
    fn production_sends_nothing_to_another_machine_in_the_clear() {
        let with = |servers: &str, protocol: &str| {
            let servers = format!("log.kafka.bootstrap_servers={servers}");
            let protocol = format!("log.kafka.security.protocol={protocol}");
            let sets = ["log.kind=kafka", "log.kafka.transactional_id=gk-1", &servers, &protocol];
            refused(Some("production"), &sets)
        };
        assert_eq!(with("k1:9092,k2:9092", "tls"), [""; 0]);
        assert_eq!(with("127.0.0.1:9092", "plaintext"), [""; 0]);
        assert_eq!(with("127.0.0.1:9092,k2:9092", "plaintext"), ["log.kafka.security.protocol"]);
    }
}
