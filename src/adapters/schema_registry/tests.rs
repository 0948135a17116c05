//! The client against a server that says, slowly or never, what it is told to say.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::operations::schemas::{Level, LevelOf, Subjects};
use crate::settings::load::{LoadOptions, load};

const PATIENCE: Duration = Duration::from_millis(400);

/// What it was asked, and where it listens.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

/// How it answers everything.
#[derive(Clone)]
enum Answer {
    /// This status and body.
    Says(u16, String),
    /// These bytes, and then nothing more while the other side waits.
    Raw(String),
    /// These bytes for ever.
    Endless(String),
    /// These bytes, and it hangs up.
    Breaks(String),
}

impl Server {
    async fn that(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone(), heard.clone()));
            }
        });
        Self { address, asked, task }
    }

    async fn says(status: u16, body: &str) -> Self {
        Self::that(Answer::Says(status, body.to_owned())).await
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panics with it").clone()
    }

    fn client(&self, sets: &[&str]) -> SchemaRegistry {
        client(&self.address, sets)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, answer: Answer, heard: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend_from_slice(&chunk[..read]),
        }
    }
    heard.lock().expect("nobody panics with it").push(String::from_utf8_lossy(&request).into_owned());
    // Whoever hangs up in the middle is part of some tests.
    match answer {
        Answer::Says(status, body) => {
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await.ok();
        }
        Answer::Raw(bytes) => {
            stream.write_all(bytes.as_bytes()).await.ok();
            std::future::pending::<()>().await;
        }
        Answer::Endless(head) => {
            stream.write_all(head.as_bytes()).await.ok();
            while stream.write_all(&[b' '; 4096]).await.is_ok() {}
        }
        Answer::Breaks(bytes) => {
            stream.write_all(bytes.as_bytes()).await.ok();
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn client(address: &str, sets: &[&str]) -> SchemaRegistry {
    // Once a process; another test may have been first.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let patience = format!("schemas.registry.request_timeout={}ms", PATIENCE.as_millis());
    let own = [
        format!("schemas.registry.url=http://{address}/apis/ccompat/v7/"),
        "schemas.registry.connect_timeout=200ms".to_owned(),
        patience,
        "schemas.registry.max_body_bytes=20000".to_owned(),
    ];
    let sets = own.into_iter().chain(sets.iter().map(|set| (*set).to_owned())).collect();
    let settings = load(&LoadOptions { sets, ..LoadOptions::default() }).expect("settings of a test").settings;
    SchemaRegistry::new(&settings.schemas.registry).expect("a usable client").expect("there is a URL")
}

async fn failure(answer: Answer) -> RegistryError {
    let server = Server::that(answer).await;
    let error = server.client(&[]).schema(7).await.expect_err("it is no answer");
    assert_eq!(server.asked().len(), 1, "one question is one request");
    error
}

#[tokio::test]
async fn an_id_is_asked_for_and_what_its_schema_is_comes_back() {
    let server = Server::says(200, r#"{"schema":"\"string\"","future":1}"#).await;
    let found = server.client(&[]).schema(4_000_000_000).await.expect("it answers").expect("it is there");
    assert_eq!((found.kind.as_str(), found.text.as_str(), found.has_references), ("AVRO", "\"string\"", false));
    let asked = server.asked().remove(0);
    assert!(asked.starts_with("GET /apis/ccompat/v7/schemas/ids/4000000000 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("accept: application/vnd.schemaregistry.v1+json"), "{asked}");
    assert!(!asked.contains("authorization"), "{asked}");

    let other = r#"{"schema":"syntax","schemaType":"PROTOBUF","references":[{"name":"a","subject":"b","version":1}]}"#;
    let found = Server::says(200, other).await.client(&[]).schema(7).await.expect("it answers").expect("it is there");
    assert_eq!((found.kind.as_str(), found.has_references), ("PROTOBUF", true));
}

/// A wrong URL answers 404 too, and nothing may be rejected for that.
#[tokio::test]
async fn only_a_registrys_own_404_means_that_there_is_no_such_id() {
    let absent = r#"{"error_code":40403,"message":"Schema 7 not found"}"#;
    assert_eq!(Server::says(404, absent).await.client(&[]).schema(7).await, Ok(None));
    // What a registry says that is well, of a path that is not its API's.
    let no_path = r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#;
    for other in ["", "<html>Not Found</html>", r#"{"status":404}"#, no_path] {
        let error = failure(Answer::Says(404, other.to_owned())).await;
        assert!(matches!(error, RegistryError::Garbled(_)), "{other}: {error}");
    }
}

#[tokio::test]
async fn every_status_has_its_meaning() {
    for (status, body, wanted) in [
        (401, "", RegistryError::Credentials { status: 401 }),
        (403, r#"{"error_code":40301,"message":"no"}"#, RegistryError::Credentials { status: 403 }),
        (429, "", RegistryError::Server { status: 429 }),
        (500, r#"{"error_code":50001,"message":"store"}"#, RegistryError::Server { status: 500 }),
        (503, "<html>", RegistryError::Server { status: 503 }),
        (
            422,
            r#"{"error_code":42201,"message":"Invalid schema"}"#,
            RegistryError::Refused { status: 422, message: "Invalid schema".to_owned() },
        ),
    ] {
        assert_eq!(failure(Answer::Says(status, body.to_owned())).await, wanted);
    }
}

#[tokio::test]
async fn what_is_no_registry_is_told_apart() {
    for (status, body) in [(200, "<html>Sign in</html>"), (200, ""), (200, "{}"), (204, ""), (418, "teapot")] {
        let error = failure(Answer::Says(status, body.to_owned())).await;
        assert!(matches!(error, RegistryError::Garbled(_)), "{status} {body}: {error}");
        assert!(!error.to_string().contains("Sign in"), "bodies are not quoted: {error}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::says(200, r#"{"schema":"\"string\""}"#).await;
    let head = format!("HTTP/1.1 302 Found\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", elsewhere.address);
    let error = failure(Answer::Raw(head)).await;
    assert!(matches!(error, RegistryError::Garbled(_)), "{error}");
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_read_whether_it_says_so_or_not() {
    let too_large = RegistryError::TooLarge { max: 20_000 };
    assert_eq!(failure(Answer::Says(200, "x".repeat(20_001))).await, too_large);
    let endless = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_owned();
    assert_eq!(failure(Answer::Endless(endless)).await, too_large);
}

#[tokio::test]
async fn a_slow_answer_ends_in_time_wherever_it_is_slow() {
    for said in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"schema\":"] {
        assert_eq!(failure(Answer::Raw(said.to_owned())).await, RegistryError::Timeout(PATIENCE));
    }
}

#[tokio::test]
async fn a_registry_that_is_down_or_hangs_up_is_unreachable() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = closed.local_addr().expect("it is bound").to_string();
    drop(closed);
    let error = client(&address, &[]).schema(7).await.expect_err("nobody listens");
    assert!(matches!(error, RegistryError::Unreachable(_)) && error.is_retryable(), "{error}");
    assert!(error.to_string().to_lowercase().contains("refused"), "{error}");
    for said in ["", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"schema\":"] {
        let error = failure(Answer::Breaks(said.to_owned())).await;
        assert!(matches!(error, RegistryError::Unreachable(_)), "{error}");
    }
}

#[tokio::test]
async fn what_we_log_in_with_is_sent_and_never_shown() {
    let server = Server::says(401, "").await;
    let basic =
        server.client(&["schemas.registry.username=me", "schemas.registry.password=correct-horse"]).schema(7).await;
    let bearer = server.client(&["schemas.registry.token=battery-staple"]).schema(7).await;
    let asked = server.asked();
    assert!(asked[0].contains("authorization: Basic bWU6Y29ycmVjdC1ob3JzZQ==\r\n"), "{}", asked[0]);
    assert!(asked[1].contains("authorization: Bearer battery-staple\r\n"), "{}", asked[1]);
    for error in [basic, bearer] {
        let error = error.expect_err("it refuses");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("horse") && !shown.contains("staple") && !shown.contains("bWU6"), "{shown}");
    }
}

#[tokio::test]
async fn subjects_are_asked_for_by_name_with_the_whole_text() {
    let text = "{\"type\": \"record\",\n \"name\": \"A\"}\n";
    let server = Server::says(200, r#"{"subject":"a","id":9,"version":2,"schema":"x"}"#).await;
    let registry = server.client(&[]);
    assert_eq!(registry.find("odd/../name-value", text).await, Ok(Some(9)));
    assert_eq!(registry.register("a-value", text).await, Ok(9));
    let asked = server.asked();
    assert!(asked[0].starts_with("POST /apis/ccompat/v7/subjects/odd%2F..%2Fname-value HTTP/1.1\r\n"), "{}", asked[0]);
    assert!(asked[1].starts_with("POST /apis/ccompat/v7/subjects/a-value/versions HTTP/1.1\r\n"), "{}", asked[1]);
    for asked in asked {
        let (_, body) = asked.split_once("\r\n\r\n").expect("a request has a body");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(body).expect("it is JSON"),
            serde_json::json!({"schema": text})
        );
    }
}

#[tokio::test]
async fn an_incompatible_schema_is_refused_with_the_registrys_reason() {
    let server = Server::says(409, r#"{"error_code":409,"message":"a field was removed"}"#).await;
    let incompatible = RegistryError::Incompatible("a field was removed".to_owned());
    assert_eq!(server.client(&[]).register("a-value", "x").await, Err(incompatible.clone()));
    assert!(!incompatible.is_retryable());
    assert_eq!(server.client(&[]).objections("a-value", "x").await, Ok(vec!["a field was removed".to_owned()]));
    let server = Server::says(200, r#"{"is_compatible":false}"#).await;
    assert_eq!(server.client(&[]).objections("a-value", "x").await.map(|reasons| reasons.len()), Ok(1));
    let server = Server::says(200, r#"{"is_compatible":true,"messages":[]}"#).await;
    assert_eq!(server.client(&[]).objections("a-value", "x").await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_level_is_read_in_either_spelling() {
    for body in [r#"{"compatibilityLevel":"FULL_TRANSITIVE"}"#, r#"{"compatibility":"FULL_TRANSITIVE"}"#] {
        let level = Server::says(200, body).await.client(&[]).level("a-value").await;
        assert_eq!(level, Ok(LevelOf { level: Level::FullTransitive, own: true }));
    }
    let server = Server::says(200, r#"{"compatibility":"FULL_TRANSITIVE"}"#).await;
    assert_eq!(server.client(&[]).set_level("a-value", Level::FullTransitive).await, Ok(()));
    assert!(server.asked()[0].ends_with(r#"{"compatibility":"FULL_TRANSITIVE"}"#));
}
