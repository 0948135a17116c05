//! What must not get in, and what the operator is told: the reason, what to do, an exit code, and soon.

use std::time::Duration;

use super::broker::{Broker, Door, bootstrap, but, security};
use super::place::{Ended, Place};

/// Starting the process, one refusal, and second thoughts, on a busy machine.
const SOON: Duration = Duration::from_secs(25);

/// Neither processor nor command gets in, and both say why.
#[track_caller]
fn nobody_gets_in(door: &[String], words: &[&str]) {
    for command in [&["serve"][..], &["watch", "--until-end"], &["topics"]] {
        let Ended { code, stderr, took, .. } = Place::new().run(command, door, "");
        assert_eq!(code, Some(1), "{command:?}: {stderr}");
        let last = stderr.split("gatekeeper: ").last().unwrap_or_default();
        assert!(words.iter().all(|word| last.contains(word)), "{command:?} does not say {words:?}: {stderr}");
        assert!(took < SOON, "{command:?} took {took:?}");
        for secret in ["wrong-password", "wrong-secret", "eyJ"] {
            assert!(!stderr.contains(secret), "{stderr}");
        }
    }
}

#[test]
#[ignore = "needs a secured Kafka: tests/run starts it"]
fn a_wrong_password() {
    let broker = Broker::running();
    let door = but(broker.sets(Door::Scram), &[security("password=wrong-password-1")]);
    nobody_gets_in(&door, &["does not let us in", "SCRAM-SHA-512", "check log.kafka.security.username and password"]);
    let door = but(broker.sets(Door::Scram), &[security("username=nobody")]);
    nobody_gets_in(&door, &["does not let us in", "check log.kafka.security.username and password"]);
}

#[test]
#[ignore = "needs a secured Kafka: tests/run starts it"]
fn a_broker_whose_authority_is_not_ours() {
    let broker = Broker::running();
    let foreign = security(&format!("ca_file={}", broker.file("foreign-ca.pem").display()));
    for door in [Door::Scram, Door::OAuth, Door::Mutual] {
        let door = but(broker.sets(door), std::slice::from_ref(&foreign));
        nobody_gets_in(&door, &["does not let us in", "it comes from no authority in log.kafka.security.ca_file"]);
    }
    // The authorities of the system do not know it either.
    let of_system: Vec<String> = broker.sets(Door::Scram).into_iter().filter(|set| !set.contains("ca_file")).collect();
    nobody_gets_in(&of_system, &["does not let us in", "certificate verify failed"]);
}

#[test]
#[ignore = "needs a secured Kafka: tests/run starts it"]
fn a_broker_under_another_name() {
    let door = Broker::running().tls_at("wrong_name");
    nobody_gets_in(&door, &["does not let us in", "it is not for the name 127.0.0.2"]);
}

#[test]
#[ignore = "needs a secured Kafka: tests/run starts it"]
fn a_client_certificate_that_is_missing_or_foreign() {
    let broker = Broker::running();
    nobody_gets_in(&broker.tls_at("mtls"), &["does not let us in", "log.kafka.security.certificate_file"]);
    let foreign = broker.mutual_with("foreign-client.pem", "foreign-client.key");
    nobody_gets_in(&foreign, &["does not let us in", "log.kafka.security.certificate_file"]);
}

#[test]
#[ignore = "needs a secured Kafka: tests/run starts it"]
fn another_protocol_or_mechanism_than_the_listeners() {
    let broker = Broker::running();
    // Like a broker that restarts, so it is waited for: log.kafka.request_timeout, and half a minute for a processor.
    let in_the_clear = vec![bootstrap(broker.text("scram"))];
    let encrypted = but(broker.sets(Door::Scram), &[bootstrap(broker.text("plaintext"))]);
    let without_a_name = broker.tls_at("scram");
    for door in [in_the_clear, encrypted, without_a_name] {
        let Ended { code, stderr, took, .. } = Place::new().run(&["topics"], &door, "");
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("check log.kafka.security.protocol"), "{stderr}");
        assert!(took < SOON, "{took:?}");
    }
    let plain = but(broker.sets(Door::Scram), &[security("mechanism=plain")]);
    nobody_gets_in(&plain, &["log.kafka.security.mechanism"]);
}

#[test]
#[ignore = "needs a secured Kafka: tests/run starts it"]
fn a_file_that_is_not_there() {
    let broker = Broker::running();
    for key in ["ca_file", "certificate_file", "key_file"] {
        let door = but(broker.sets(Door::Mutual), &[security(&format!("{key}=/no/such/file.pem"))]);
        nobody_gets_in(&door, &[&format!("log.kafka.security.{key}"), "/no/such/file.pem", "No such file"]);
    }
}

#[test]
fn verification_cannot_be_switched_off() {
    for property in [
        "\"enable.ssl.certificate.verification\"=false",
        "\"ssl.endpoint.identification.algorithm\"=none",
        "\"enable.sasl.oauthbearer.unsecure.jwt\"=true",
        "\"security.protocol\"=plaintext",
    ] {
        let client = format!("log.kafka.client.{property}");
        let ended = Place::new().run(&["serve"], &[bootstrap("127.0.0.1:1"), client.clone()], "");
        assert_eq!(ended.code, Some(78), "{ended:#?}");
        let key = client.split('=').next().unwrap_or_default();
        assert!(ended.stderr.contains(key), "{ended:#?}");
    }
}
