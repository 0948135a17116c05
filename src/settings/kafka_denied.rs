//! Properties of librdkafka that `log.kafka.client` may not set, and why: the promises rest on them, or a setting of ours
//! says it, checked and with its secrets kept.
//!
//! librdkafka's names are case-sensitive and it takes no others, so what is not denied here by its name is another
//! property. What must hold: nothing that is allowed weakens a promise, and nothing that is allowed is a secret, because
//! what stands in that table is printed.

const VERIFIED: &str = "certificates and names are verified, and that cannot be switched off";

/// Of everything that begins with `ssl.` only these: what is agreed on, never with whom.
const ALLOWED_SSL: [&str; 4] = ["ssl.cipher.suites", "ssl.curves.list", "ssl.sigalgs.list", "ssl.crl.location"];

/// Whole families, which have settings of ours. `https.` is for a token fetcher that is not built in.
const DENIED_FAMILIES: [&str; 3] = ["ssl.", "sasl.", "https."];

/// Why this property may not be set by hand; `None`: it may.
#[must_use]
pub fn denied(property: &str) -> Option<&'static str> {
    if let Some((_, why)) = DENIED.iter().find(|(denied, _)| *denied == property) {
        return Some(why);
    }
    if let Some((_, name)) = ALIASES.iter().find(|(alias, _)| *alias == property) {
        return Some(name);
    }
    let of_security = is_of_security(property) && !ALLOWED_SSL.contains(&property);
    of_security.then_some("it is one of log.kafka.security, where it is checked and secrets are kept")
}

/// Whether it is about who is talking to whom: then its value may be a secret.
#[must_use]
pub fn is_of_security(property: &str) -> bool {
    let property = property.trim().to_ascii_lowercase();
    DENIED_FAMILIES.iter().any(|family| property.starts_with(family))
}

/// By name.
const DENIED: &[(&str, &str)] = &[
    ("bootstrap.servers", "it is log.kafka.bootstrap_servers"),
    ("metadata.broker.list", "it is log.kafka.bootstrap_servers"),
    ("group.id", "it is log.kafka.group_id"),
    ("transactional.id", "it is log.kafka.transactional_id"),
    ("group.instance.id", "it is log.kafka.transactional_id"),
    ("group.protocol", "it is log.kafka.group_protocol"),
    ("group.remote.assignor", "co-read topics are assigned together by range only"),
    ("partition.assignment.strategy", "co-read topics are assigned together by range only"),
    ("session.timeout.ms", "it is log.kafka.session_timeout"),
    ("heartbeat.interval.ms", "it is log.kafka.heartbeat_interval"),
    ("max.poll.interval.ms", "it is log.kafka.max_poll_interval"),
    ("transaction.timeout.ms", "it is log.kafka.transaction_timeout"),
    ("message.max.bytes", "it is log.kafka.max_message_bytes"),
    ("enable.auto.commit", "offsets move only inside the transaction that carries their outputs"),
    ("auto.commit.enable", "offsets move only inside the transaction that carries their outputs"),
    ("auto.commit.interval.ms", "offsets move only inside the transaction that carries their outputs"),
    ("enable.auto.offset.store", "offsets move only inside the transaction that carries their outputs"),
    ("auto.offset.reset", "a lost position stops the processor; it never jumps"),
    ("isolation.level", "what was not committed is not read"),
    ("enable.partition.eof", "the end of a partition must be known"),
    ("enable.idempotence", "transactions are idempotent, always"),
    ("acks", "a record counts when all replicas have it"),
    ("request.required.acks", "a record counts when all replicas have it"),
    ("max.in.flight", "order and idempotence rest on it"),
    ("max.in.flight.requests.per.connection", "order and idempotence rest on it"),
    ("log.queue", "a producer's lost connections are heard of in its log"),
    ("enable.gapless.guarantee", "a transaction must fail as a whole"),
    ("retries", "librdkafka retries idempotently until the transaction's time is over"),
    ("message.send.max.retries", "librdkafka retries idempotently until the transaction's time is over"),
    ("message.timeout.ms", "it is log.kafka.transaction_timeout"),
    ("delivery.timeout.ms", "it is log.kafka.transaction_timeout"),
    ("enable.ssl.certificate.verification", VERIFIED),
    ("ssl.endpoint.identification.algorithm", VERIFIED),
    ("enable.sasl.oauthbearer.unsecure.jwt", "a token that nobody signed proves nothing"),
    ("security.protocol", "it is log.kafka.security.protocol"),
    ("plugin.library.paths", "no code of others runs in this process"),
    ("allow.auto.create.topics", "topics are created by `gatekeeper topics --create` only"),
    ("test.mock.num.brokers", "an imitation of a broker keeps no promise"),
];

/// librdkafka's other names of properties that we give a value unless somebody chose one. Under two names both would be set,
/// and which of them counts would be chance.
const ALIASES: &[(&str, &str)] = &[
    ("max.partition.fetch.bytes", "it is another name of fetch.message.max.bytes, which is to be used"),
    ("queue.buffering.max.ms", "it is another name of linger.ms, which is to be used"),
    ("compression.codec", "it is another name of compression.type, which is to be used"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_uses_another_name_is_told_the_one_to_use_and_that_one_is_taken() {
        for (alias, why) in ALIASES {
            let name = why.split(' ').find(|word| word.contains('.')).expect("it says which").trim_end_matches(',');
            assert_eq!((denied(alias), denied(name)), (Some(*why), None));
        }
    }

    #[test]
    fn whatever_switches_verification_off_or_says_who_we_are_is_denied_and_tuning_is_not() {
        for property in [
            "enable.ssl.certificate.verification",
            "ssl.endpoint.identification.algorithm",
            "ssl.ca.location",
            "ssl.key.pem",
            "sasl.password",
            "sasl.oauthbearer.config",
            "https.ca.location",
            "enable.sasl.oauthbearer.unsecure.jwt",
            "security.protocol",
            "isolation.level",
        ] {
            assert!(denied(property).is_some(), "{property}");
        }
        for property in ["ssl.cipher.suites", "socket.keepalive.enable", "client.rack", "fetch.min.bytes"] {
            assert_eq!(denied(property), None, "{property}");
        }
    }
}
