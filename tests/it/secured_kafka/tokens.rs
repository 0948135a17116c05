//! Tokens: refused ones, and a processor whose tokens end while it works.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use uuid::Uuid;

use super::broker::{Broker, Door, but, security};
use super::place::{Ended, Place, events};
use crate::story::gatekeeper::{Running, until};

/// A client of the token endpoint that no other test uses.
struct Client {
    broker: Broker,
    id: String,
    http: reqwest::Client,
}

impl Client {
    fn new() -> Self {
        let broker = Broker::running();
        let authority = fs::read(broker.file("ca.pem")).expect("it is there");
        let authority = reqwest::Certificate::from_pem(&authority).expect("a certificate");
        let http = reqwest::Client::builder().tls_certs_only([authority]).build().expect("a client");
        Self { broker, id: format!("client-{}", Uuid::new_v4()), http }
    }

    fn url(&self, what: &str) -> String {
        format!("{}/{what}/{}", self.broker.text("token_endpoint").trim_end_matches("/token"), self.id)
    }

    /// How the endpoint treats this client from now on.
    async fn is_treated(&self, how: Value) {
        let said = self.http.post(self.url("behave")).json(&how).send().await.expect("the endpoint listens");
        assert!(said.status().is_success(), "{how}: {}", said.status());
    }

    /// How often it asked.
    async fn asked(&self) -> u64 {
        let said = self.http.get(self.url("asked")).send().await.expect("the endpoint listens");
        let said: Value = said.json().await.expect("JSON");
        said["asked"].as_u64().expect("a number")
    }

    fn door(&self) -> Vec<String> {
        self.broker.oauth_as(&self.id)
    }
}

/// Neither processor nor command gets in, and both say why.
#[track_caller]
fn nobody_gets_in(door: &[String], words: &str) {
    for command in [&["serve"][..], &["topics"]] {
        let door = [door, &["log.kafka.start_patience=1s".to_owned()]].concat();
        let Ended { code, stderr, .. } = Place::new().run(command, &door, "");
        assert_eq!(code, Some(1), "{command:?}: {stderr}");
        let last = stderr.split("gatekeeper: ").last().unwrap_or_default();
        assert!(last.contains(words), "{command:?} does not say {words:?}: {stderr}");
        for secret in ["wrong-secret", "eyJ", "xxxx"] {
            assert!(!stderr.contains(secret), "{stderr}");
        }
    }
}

#[tokio::test]
#[ignore = "needs a secured Kafka: tests/run starts it"]
async fn a_token_that_is_not_to_be_had_or_not_taken_is_told_with_its_reason() {
    let client = Client::new();
    for (how, words) in [
        (json!({"status": 503}), "the token endpoint answers 503"),
        (json!({"status": 403}), "refuses us (403)"),
        (json!({"location": "http://127.0.0.1:1/"}), "a redirect, which is not followed"),
        (json!({"bytes": 100_000}), "longer than 65536 bytes"),
        (json!({"lifetime": -10}), "has ended already"),
        (json!({"forged": true}), "the broker does not take the token"),
    ] {
        client.is_treated(how).await;
        nobody_gets_in(&client.door(), words);
    }
    client.is_treated(json!({})).await;
    let with = |set: String| but(client.door(), &[security(&set)]);
    nobody_gets_in(&with("oauth.client_secret=wrong-secret-1".to_owned()), "refuses us (401)");
    let foreign = client.broker.file("foreign-ca.pem");
    nobody_gets_in(&with(format!("oauth.ca_file={}", foreign.display())), "log.kafka.security.oauth.ca_file");
    nobody_gets_in(&with("oauth.token_endpoint=https://127.0.0.1:1/token".to_owned()), "refused");
}

/// A processor whose health can be asked for.
struct Worker {
    running: Running,
    log: PathBuf,
    health: SocketAddr,
}

impl Worker {
    async fn start(place: &Place, door: &[String]) -> Self {
        let log = PathBuf::from(place.write("worker.log", ""));
        let stderr = fs::OpenOptions::new().append(true).open(&log).expect("it is there");
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatekeeper"));
        command.args(["--profile", "development", "serve"]).stdout(Stdio::null()).stderr(stderr);
        let listening = ["http.enabled=true".to_owned(), "http.bind=127.0.0.1:0".to_owned()];
        for set in place.sets().iter().chain(door).chain(&listening) {
            command.args(["--set", set]);
        }
        let running = Running::start(&mut command, "the processor");
        let listens = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            line["address"].as_str()?.parse().ok()
        };
        let health = until("it listens", || fs::read_to_string(&log).ok()?.lines().find_map(listens)).await;
        Self { running, log, health }
    }

    async fn get(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.health);
        reqwest::get(url).await.expect("it listens").text().await.expect("text")
    }

    async fn status(&self) -> String {
        let health: Value = serde_json::from_str(&self.get("/health").await).expect("JSON");
        health["status"].as_str().expect("a status").to_owned()
    }

    async fn becomes(&self, status: &str) {
        let deadline = Instant::now() + Duration::from_secs(90);
        while self.status().await != status {
            assert!(Instant::now() < deadline, "never {status}: {}\n{}", self.get("/health").await, self.said());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Publishes, and waits until everything published so far is decided.
async fn decides(place: &Place, worker: &Worker, door: &[String], upto: usize) {
    let all: String = events(upto);
    let new: String = all.lines().skip(upto - 5).map(|line| format!("{line}\n")).collect();
    place.good(&["publish", "-"], door, &new);
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let seen = place.good(&["watch", "--from-beginning", "--until-end", "--output", "json"], door, "");
        if seen.lines().count() == upto {
            return;
        }
        assert!(Instant::now() < deadline, "{} of {upto}: {}", seen.lines().count(), worker.said());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a secured Kafka: tests/run starts it"]
async fn a_processor_goes_on_over_the_ends_of_its_tokens_and_over_an_endpoint_that_is_away() {
    const LIFE: u64 = 10;
    let (client, place) = (Client::new(), Place::new());
    let lasting = client.broker.sets(Door::OAuth);
    place.good(&["topics", "--create"], &lasting, "");
    client.is_treated(json!({"lifetime": LIFE})).await;
    let mut worker = Worker::start(&place, &client.door()).await;
    decides(&place, &worker, &lasting, 5).await;

    // Three tokens later.
    let asked = client.asked().await;
    let deadline = Instant::now() + Duration::from_secs(10 * LIFE);
    while client.asked().await < asked + 3 {
        assert!(Instant::now() < deadline, "no new tokens are asked for: {}", worker.said());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    decides(&place, &worker, &lasting, 10).await;
    assert_eq!(worker.status().await, "ready", "{}", worker.said());

    // The endpoint goes away: nothing happens to begin with, but it is said.
    client.is_treated(json!({"status": 503})).await;
    until("the failure is said", || worker.said().contains("the old one still serves").then_some(())).await;
    assert!(worker.running.has_ended().is_none());
    // The last token ends: the cluster does not let us in any more, which health, log and metrics say.
    worker.becomes("unavailable").await;
    let health = worker.get("/health").await;
    // Whoever notices first: nobody answers, nobody can be asked, or no burst gets in.
    let reasons = ["does not answer", "the token endpoint answers 503", "Authentication failure"];
    assert!(reasons.iter().any(|reason| health.contains(reason)), "{health}");
    let metrics = worker.get("/metrics").await;
    assert!(metrics.contains("gatekeeper_kafka_tokens_total{outcome=\"failed\"}"), "{metrics}");
    assert!(metrics.contains("gatekeeper_kafka_refusals_total"), "{metrics}");
    assert!(worker.running.has_ended().is_none(), "{}", worker.said());

    // It is back: so are we, without a restart.
    client.is_treated(json!({"lifetime": 3_600})).await;
    worker.becomes("ready").await;
    decides(&place, &worker, &lasting, 15).await;
    worker.running.signal(Signal::SIGTERM);
    assert!(worker.running.ended().await.success(), "{}", worker.said());
    assert!(!worker.said().contains("eyJ") && !worker.said().contains(client.broker.text("token_secret")));
}
