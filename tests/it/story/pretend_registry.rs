//! A schema registry in this process that can be away: as much of Confluent's API as the processor uses. That the real
//! ones answer like this is what tests/it/registry.rs is for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What it holds outlives its absence.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    texts: BTreeMap<u32, String>,
    subjects: BTreeMap<String, Vec<u32>>,
    asked: Vec<u32>,
}

pub struct PretendRegistry {
    address: SocketAddr,
    shelf: Shelf,
    server: Option<JoinHandle<()>>,
}

impl PretendRegistry {
    /// It has an address, and nobody listens there yet.
    pub async fn away() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        Self { address, shelf: Shelf::default(), server: None }
    }

    pub async fn there() -> Self {
        let mut this = Self::away().await;
        this.comes().await;
        this
    }

    /// `schemas.registry.*`, with short pauses.
    pub fn settings(&self) -> [String; 3] {
        [
            format!("schemas.registry.url=http://{}", self.address),
            "schemas.registry.retry.base=50ms".to_owned(),
            "schemas.registry.retry.cap=200ms".to_owned(),
        ]
    }

    pub async fn comes(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("its own port");
        let routes = Router::new()
            .route("/schemas/ids/{id}", get(by_id))
            .route("/subjects/{subject}", post(find))
            .route("/subjects/{subject}/versions", post(register))
            .with_state(self.shelf.clone());
        self.server = Some(tokio::spawn(async move { axum::serve(listener, routes).await.expect("it serves") }));
    }

    pub fn goes(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
        }
    }

    /// Somebody else's schema.
    pub fn has(&self, id: u32, text: &str) {
        self.shelf.held().texts.insert(id, text.to_owned());
    }

    pub fn subjects(&self) -> Vec<String> {
        self.shelf.held().subjects.keys().cloned().collect()
    }

    /// How often it was asked for this id.
    pub fn asked_for(&self, id: u32) -> usize {
        self.shelf.held().asked.iter().filter(|asked| **asked == id).count()
    }
}

impl Drop for PretendRegistry {
    fn drop(&mut self) {
        self.goes();
    }
}

impl Shelf {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().expect("nobody panics with it")
    }
}

fn absent(code: u32) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({"error_code": code, "message": "not found"}))).into_response()
}

async fn by_id(State(shelf): State<Shelf>, Path(id): Path<u32>) -> Response {
    let mut held = shelf.held();
    held.asked.push(id);
    held.texts.get(&id).map_or_else(|| absent(40_403), |text| Json(json!({ "schema": text })).into_response())
}

async fn find(State(shelf): State<Shelf>, Path(subject): Path<String>, Json(body): Json<Value>) -> Response {
    let held = shelf.held();
    let Some(ids) = held.subjects.get(&subject) else { return absent(40_401) };
    match ids.iter().find(|id| held.texts[*id].as_str() == body["schema"]) {
        Some(id) => Json(json!({"subject": subject, "id": id, "version": 1, "schema": body["schema"]})).into_response(),
        None => absent(40_403),
    }
}

async fn register(State(shelf): State<Shelf>, Path(subject): Path<String>, Json(body): Json<Value>) -> Response {
    let mut held = shelf.held();
    // Not from 1, where the fixed table's ids are.
    let id = held.texts.keys().max().map_or(501, |last| last + 1);
    held.texts.insert(id, body["schema"].as_str().expect("a text").to_owned());
    held.subjects.entry(subject).or_default().push(id);
    Json(json!({ "id": id })).into_response()
}
