//! What the processor stands on is not there at the start.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::gatekeeper::{Gatekeeper, PATIENCE, Running, until};
use super::tickets::records;
use crate::postgres::{TestDatabase, Wire};

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// `/health` of a processor, asked until it looks like this.
pub async fn health(port: u16, what: &str, looks_right: impl Fn(&Value) -> bool) -> Value {
    health_within(PATIENCE, port, what, looks_right).await
}

pub async fn health_within(within: Duration, port: u16, what: &str, looks_right: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + within;
    let mut last = Value::Null;
    while Instant::now() < deadline {
        if let Ok(response) = reqwest::get(format!("http://127.0.0.1:{port}/health")).await {
            last = response.json().await.expect("it is JSON");
            if looks_right(&last) {
                return last;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("in {within:?} this was not to be seen: {what}\n{last:#}");
}

/// What `/health` says of a dependency.
pub fn of<'a>(report: &'a Value, name: &str) -> &'a Value {
    let all = report["dependencies"].as_array().expect("a list");
    all.iter().find(|dependency| dependency["name"] == name).unwrap_or(&Value::Null)
}

pub async fn ready(port: u16) -> u16 {
    reqwest::get(format!("http://127.0.0.1:{port}/health/ready")).await.expect("it listens").status().as_u16()
}

fn is_down(name: &'static str) -> impl Fn(&Value) -> bool {
    move |report| of(report, name)["state"] == "down"
}

async fn serving_on(http: u16, sets: &[&str]) -> Gatekeeper {
    let bind = format!("http.bind=127.0.0.1:{http}");
    let mut all = vec!["http.enabled=true", bind.as_str()];
    all.extend(sets);
    Gatekeeper::with(&all).await
}

async fn ends_well_when_asked(gatekeeper: &Gatekeeper, mut worker: Running, dependency: &str) {
    worker.signal(Signal::SIGTERM);
    assert!(worker.ended_within(Duration::from_secs(10)).await.success(), "{}", gatekeeper.what_the_worker_said());
    let said = gatekeeper.what_the_worker_said();
    let last = said.lines().last().unwrap_or_default();
    assert!(last.contains("asked to stop before this was there") && last.contains(dependency), "{said}");
    assert!(last.contains("refused"), "why: {last}");
}

#[tokio::test]
async fn asked_to_end_while_it_waits_for_the_database_it_ends_well_and_says_why() {
    let (http, closed) = (free_port(), free_port());
    let url = format!("ledger.url=postgres://me@127.0.0.1:{closed}/gk?sslmode=disable");
    let gatekeeper = serving_on(http, &[&url]).await;
    let worker = gatekeeper.serve();
    let report = health(http, "the database is down", is_down("database")).await;
    assert!(of(&report, "database")["last_error"].as_str().is_some_and(|why| why.contains("refused")), "{report:#}");
    assert_eq!((of(&report, "log")["state"].as_str(), ready(http).await), (Some("unknown"), 503));
    ends_well_when_asked(&gatekeeper, worker, "database").await;
}

#[tokio::test]
async fn asked_to_end_while_it_waits_for_the_cluster_it_ends_well_and_says_why() {
    let (http, closed) = (free_port(), free_port());
    let servers = format!("log.kafka.bootstrap_servers=127.0.0.1:{closed}");
    let sets = ["log.kind=kafka", &servers, "log.kafka.transactional_id=gk-1"];
    let gatekeeper = serving_on(http, &sets).await;
    let worker = gatekeeper.serve();
    let report = health(http, "the log is down", is_down("log")).await;
    assert!(of(&report, "log")["last_error"].as_str().is_some_and(|why| why.contains("refused")), "{report:#}");
    assert_eq!(ready(http).await, 503);
    ends_well_when_asked(&gatekeeper, worker, "log").await;
}

#[tokio::test]
async fn patience_ends_and_names_its_setting() {
    let closed = free_port();
    let url = format!("ledger.url=postgres://me@127.0.0.1:{closed}/gk?sslmode=disable");
    let gatekeeper = Gatekeeper::with(&[&url, "ledger.start_patience=1s"]).await;
    let mut worker = gatekeeper.serve();
    assert!(!worker.ended().await.success());
    let said = gatekeeper.what_the_worker_said();
    assert!(said.contains("ledger.start_patience = 1s") && said.contains("refused"), "{said}");
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn a_processor_without_work_says_that_its_database_is_away_and_that_it_is_back() {
    let database = TestDatabase::new().await;
    let (http, port) = (free_port(), free_port());
    let settings = database.settings_by(port);
    let wire = Wire::on(port, &database).await;
    let gatekeeper = serving_on(http, &[&format!("ledger.url={}", settings.url)]).await;
    let _worker = gatekeeper.serve();
    let begun = || gatekeeper.what_the_worker_said().contains("partitions assigned").then_some(());
    until("it has begun", begun).await;
    health(http, "everything is there", |report| report["status"] == "ready").await;
    // What it wrote when it began may find that out the first time.
    for _ in 0..3 {
        wire.cut(true);
        health(http, "the database is down", is_down("database")).await;
        assert_eq!(ready(http).await, 503);
        wire.cut(false);
        health(http, "everything is there again", |report| report["status"] == "ready").await;
        assert_eq!(ready(http).await, 200);
    }
}

#[tokio::test]
#[ignore = "needs Postgres: tests/run starts it"]
async fn a_database_that_is_away_at_the_start_is_waited_for_and_what_waiting_does_not_mend_is_not() {
    let database = TestDatabase::new().await;
    let (http, closed) = (free_port(), free_port());
    let settings = database.settings_by(closed);
    let gatekeeper = serving_on(http, &[&format!("ledger.url={}", settings.url)]).await;
    let places = gatekeeper.publish(records(0..3)).await;
    let _worker = gatekeeper.serve();
    health(http, "the database is down", is_down("database")).await;
    assert_eq!(ready(http).await, 503);
    let _wire = Wire::on(closed, &database).await;
    gatekeeper.ends_of(&places).await;
    let report = health(http, "everything is there", |report| report["status"] == "ready").await;
    assert!(of(&report, "database")["latency_ms"].is_f64(), "{report:#}");
    assert_eq!(ready(http).await, 200);
    let said = gatekeeper.what_the_worker_said();
    assert_eq!(said.matches("waiting for it before anything starts").count(), 1, "{said}");
    assert_eq!(said.matches("it is there").count(), 1, "{said}");

    let (there, _) = settings.url.rsplit_once('/').expect("a database");
    for (url, why) in [
        (format!("{there}/no_such_database"), "no_such_database"),
        (settings.url.replacen("//", "//nobody_of_this_name_", 1), "nobody_of_this_name_"),
    ] {
        let gatekeeper = Gatekeeper::with(&[&format!("ledger.url={url}")]).await;
        let mut worker = gatekeeper.serve();
        assert!(!worker.ended_within(Duration::from_secs(20)).await.success());
        let said = gatekeeper.what_the_worker_said();
        assert!(said.contains(why) && !said.contains("waiting for it"), "{said}");
    }
}
