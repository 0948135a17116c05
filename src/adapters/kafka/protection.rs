//! `log.kafka.security` as properties of librdkafka's. Pure.
//!
//! What must hold: with TLS the broker's certificate and the name in it are verified, said here and not left to a default.

use std::path::Path;

use rdkafka::ClientConfig;

use crate::settings::kafka_security::{Mechanism, Protocol, Security};

/// Protect the connection.
pub fn protect(config: &mut ClientConfig, security: &Security) {
    let Security { protocol, mechanism, username, password, ca_file, certificate_file, key_file, key_password, .. } =
        security;
    config.set(
        "security.protocol",
        match protocol {
            Protocol::Plaintext => "plaintext",
            Protocol::Tls => "ssl",
            Protocol::SaslTls => "sasl_ssl",
        },
    );
    if *protocol == Protocol::Plaintext {
        return;
    }
    config.set("enable.ssl.certificate.verification", "true").set("ssl.endpoint.identification.algorithm", "https");
    // Our OpenSSL is built in, so it does not know where this system keeps its authorities: `probe` looks in the usual
    // places.
    config.set("ssl.ca.location", ca_file.as_deref().map_or("probe".into(), Path::to_string_lossy));
    let files = [("ssl.certificate.location", certificate_file), ("ssl.key.location", key_file)];
    for (property, file) in files {
        if let Some(file) = file {
            config.set(property, file.to_string_lossy());
        }
    }
    if let Some(password) = key_password {
        config.set("ssl.key.password", password.expose());
    }
    if *protocol == Protocol::Tls {
        return;
    }
    config.set(
        "sasl.mechanism",
        match mechanism {
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
            Mechanism::Plain => "PLAIN",
            Mechanism::OAuthBearer => "OAUTHBEARER",
        },
    );
    if let Some(username) = username {
        config.set("sasl.username", username);
    }
    if let Some(password) = password {
        config.set("sasl.password", password.expose());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{LoadOptions, load};

    fn protected(sets: &[&str]) -> ClientConfig {
        let sets = sets.iter().map(|set| format!("log.kafka.security.{set}")).collect();
        let settings = load(&LoadOptions { sets, ..LoadOptions::default() }).expect("the settings hold").settings;
        let mut config = ClientConfig::new();
        protect(&mut config, &settings.log.kafka.security);
        config
    }

    #[test]
    fn with_tls_certificate_and_name_are_verified_whatever_else_is_set() {
        for sets in [
            &["protocol=tls"][..],
            &["protocol=tls", "ca_file=ca.pem", "certificate_file=me.pem", "key_file=me.key"],
            &["protocol=sasl_tls", "username=me", "password=long-enough-1"],
            &["protocol=sasl_tls", "mechanism=plain", "username=me", "password=long-enough-1"],
        ] {
            let config = protected(sets);
            assert_eq!(config.get("enable.ssl.certificate.verification"), Some("true"), "{sets:?}");
            assert_eq!(config.get("ssl.endpoint.identification.algorithm"), Some("https"), "{sets:?}");
            assert!(config.get("ssl.ca.location").is_some_and(|at| !at.is_empty()), "{sets:?}");
            assert!(!format!("{config:?}").contains("long-enough-1"), "{sets:?}");
        }
        assert_eq!(protected(&[]).get("security.protocol"), Some("plaintext"));
    }

    #[test]
    fn librdkafka_is_built_with_every_way_in() {
        use rdkafka::consumer::BaseConsumer;
        for sets in [
            &["protocol=sasl_tls", "username=me", "password=long-enough-1"][..],
            &["protocol=sasl_tls", "mechanism=plain", "username=me", "password=long-enough-1"],
            &[
                "protocol=sasl_tls",
                "mechanism=oauthbearer",
                "oauth.token_endpoint=https://login.example/token",
                "oauth.client_id=me",
                "oauth.client_secret=long-enough-1",
            ],
        ] {
            let made: Result<BaseConsumer, _> = protected(sets).create();
            assert!(made.is_ok(), "{sets:?}: {:?}", made.err());
        }
    }
}
