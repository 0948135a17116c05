//! A cluster that answers and names no brokers, as one does whose controller has just fenced all of them.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gatekeeper::adapters::kafka::KafkaBrowser;
use gatekeeper::operations::log_browser::LogBrowser as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::cluster::{OnKafka, broker, to_the_only_partition};
use super::gatekeeper::PATIENCE;
use super::tickets::event;
use super::waiting::{free_port, health_within};

/// From Kafka's protocol guide.
const METADATA: i16 = 3;

/// The first version of a metadata response with compact arrays.
const COMPACT: i16 = 9;

/// Length, correlation id, no tags, throttle time: what comes before the brokers in such a response.
const BEFORE_BROKERS: usize = 4 + 1 + 4;

/// Clients survive one moment by chance, three times of four.
const ROUNDS: usize = 6;

/// What the front door has been told to do, and has done.
#[derive(Default)]
struct Orders {
    hides_brokers: AtomicBool,
    hidden: AtomicUsize,
}

/// The broker's front door: whoever comes in by it is told of no other, and it can hide that there is a broker at all.
struct Front {
    address: String,
    orders: Arc<Orders>,
}

impl Front {
    async fn open(behind: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let orders = Arc::new(Orders::default());
        let road = Road { behind, front: address.clone(), orders: Arc::clone(&orders) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(road.clone().lead(client));
            }
        });
        Self { address, orders }
    }

    /// Answers name no broker until so many have been given.
    async fn hide_brokers(&self, answers: usize) {
        self.orders.hides_brokers.store(true, Ordering::SeqCst);
        let deadline = Instant::now() + PATIENCE;
        while self.orders.hidden.load(Ordering::SeqCst) < answers {
            assert!(Instant::now() < deadline, "nobody asks for the brokers");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.orders.hides_brokers.store(false, Ordering::SeqCst);
    }
}

/// Which request of which version has this correlation id, until it is answered.
type Asked = Mutex<HashMap<[u8; 4], (i16, i16)>>;

#[derive(Clone)]
struct Road {
    behind: String,
    front: String,
    orders: Arc<Orders>,
}

impl Road {
    /// Until one side hangs up; then the other one is hung up on.
    async fn lead(self, client: TcpStream) -> io::Result<()> {
        let (from_client, to_client) = client.into_split();
        let (from_broker, to_broker) = TcpStream::connect(&self.behind).await?.into_split();
        let asked = Asked::default();
        tokio::try_join!(self.there(from_client, to_broker, &asked), self.back(from_broker, to_client, &asked))?;
        Ok(())
    }

    /// Requests: what was asked is remembered by its correlation id.
    async fn there(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, asked: &Asked) -> io::Result<()> {
        loop {
            let request = frame(&mut from).await?;
            let number = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
            let id = [request[4], request[5], request[6], request[7]];
            asked.lock().expect("nobody panics with it").insert(id, (number(0), number(2)));
            send(&mut to, &request).await?;
        }
    }

    async fn back(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, asked: &Asked) -> io::Result<()> {
        loop {
            let mut response = frame(&mut from).await?;
            let id = [response[0], response[1], response[2], response[3]];
            let question = asked.lock().expect("nobody panics with it").remove(&id);
            if let Some((METADATA, version)) = question
                && self.orders.hides_brokers.load(Ordering::SeqCst)
            {
                assert!(version >= COMPACT, "metadata of version {version} is of another form");
                response = without_brokers(&response);
                self.orders.hidden.fetch_add(1, Ordering::SeqCst);
            }
            self.name_the_front(&mut response);
            send(&mut to, &response).await?;
        }
    }

    /// Wherever the broker's host and port stand, ours stand afterwards: both hosts are the same.
    fn name_the_front(&self, response: &mut [u8]) {
        let (broker, front) = (host_and_port(&self.behind), host_and_port(&self.front));
        let places: Vec<usize> = (0..response.len()).filter(|at| response[*at..].starts_with(&broker)).collect();
        for at in places {
            response[at..at + broker.len()].copy_from_slice(&front);
        }
    }
}

/// As they follow each other in a response.
fn host_and_port(address: &str) -> Vec<u8> {
    let (host, port) = address.rsplit_once(':').expect("host and port");
    let port: i32 = port.parse().expect("a port");
    [host.as_bytes(), &port.to_be_bytes()].concat()
}

async fn frame(from: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let length = usize::try_from(from.read_i32().await?).expect("a length");
    let mut frame = vec![0; length];
    from.read_exact(&mut frame).await?;
    Ok(frame)
}

async fn send(to: &mut OwnedWriteHalf, frame: &[u8]) -> io::Result<()> {
    let length = i32::try_from(frame.len()).expect("a length").to_be_bytes();
    // In one piece: the rest of a frame in two would wait until the first one is acknowledged.
    to.write_all(&[&length, frame].concat()).await
}

/// The same response, its array of brokers empty.
fn without_brokers(response: &[u8]) -> Vec<u8> {
    let mut at = BEFORE_BROKERS;
    // All lengths are less than 128: a byte each, and one more than it says.
    let length = |at: &mut usize| {
        *at += 1;
        usize::from(response[*at - 1].saturating_sub(1))
    };
    for _ in 0..length(&mut at) {
        at += 4;
        at += length(&mut at);
        at += 4;
        at += length(&mut at);
        assert_eq!(response[at], 0, "no tags");
        at += 1;
    }
    [&response[..BEFORE_BROKERS], &[1], &response[at..]].concat()
}

#[tokio::test]
#[ignore = "needs Kafka: tests/run starts it"]
async fn a_cluster_that_names_no_brokers_for_a_moment_is_worked_with_afterwards() {
    let front = Front::open(broker()).await;
    let http = free_port();
    let kafka = OnKafka::new(
        &front.address,
        &[
            "http.enabled=true",
            &format!("http.bind=127.0.0.1:{http}"),
            // What hangs in the middle of a transaction is waited for as long as one may last.
            "log.kafka.transaction_timeout=3s",
            "log.kafka.request_timeout=2s",
            "log.kafka.client.\"topic.metadata.refresh.interval.ms\"=300",
        ],
    );
    let direct = &OnKafka::new(&broker(), &[]).settings.log.kafka;
    let browser = KafkaBrowser::open(direct, &kafka.settings.topics).await.expect("clients are made");
    browser.create_topics().await.expect("topics");
    let mut worker = kafka.serve(&[]);
    for round in 0..ROUNDS {
        browser.append(vec![to_the_only_partition(&event(round))]).await.expect("it takes it");
        kafka.ended(&browser, round + 1).await;
        front.hide_brokers(front.orders.hidden.load(Ordering::SeqCst) + 8).await;
        health_within(PATIENCE, http, "it is well", |report| report["status"] == "ready").await;
    }
    browser.append(vec![to_the_only_partition(&event(ROUNDS))]).await.expect("it takes it");
    kafka.ended(&browser, ROUNDS + 1).await;
    assert!(worker.has_ended().is_none(), "{}", kafka.what_the_worker_said());
}
