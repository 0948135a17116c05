//! The listener, and how it ends.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::connections::Bounded;

/// How long open requests may take to end; then they are cut. All of ours answer from memory.
const GRACE: Duration = Duration::from_secs(2);

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address} (http.bind): {source}{}", perhaps_another(source))]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The listener broke.
    #[error("the HTTP listener broke: {0}")]
    Broken(#[from] std::io::Error),
}

/// Whoever starts a second processor in one folder meets this before the log's lock.
fn perhaps_another(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::AddrInUse => "; does another processor run on this machine? It may work on this very log",
        _ => "",
    }
}

/// Take the address; port 0 takes a free one, which [`TcpListener::local_addr`] tells.
///
/// # Errors
/// When the address cannot be had.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Bind { address, source })
}

/// Answer until `shutdown` is there; then take no more requests, and end when the open ones have, or
/// after two seconds.
///
/// # Errors
/// When the listener breaks.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let (tell, told) = oneshot::channel::<()>();
    let server = axum::serve(Bounded::new(listener), router).with_graceful_shutdown(async move {
        shutdown.await;
        drop(tell);
    });
    let server = async { server.await };
    // A client that holds its connection open in the middle of a request must not hold the process.
    let out_of_patience = async {
        let _gone = told.await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = server => Ok(ended?),
        () = out_of_patience => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpStream;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::http::health::{Health, State};
    use crate::http::router;
    use crate::telemetry::{metric_names, recorder};

    struct Running {
        address: SocketAddr,
        health: Health,
        stop: oneshot::Sender<()>,
        ended: JoinHandle<Result<(), ServeError>>,
        client: reqwest::Client,
    }

    impl Running {
        async fn start() -> Self {
            let (recorder, metrics) = recorder::local();
            metrics::with_local_recorder(&recorder, || metrics::counter!(metric_names::AWAY).increment(4));
            let health = Health::new();
            let listener = bind(([127, 0, 0, 1], 0).into()).await.expect("a free port");
            let address = listener.local_addr().expect("bound");
            let (stop, stopped) = oneshot::channel();
            let shutdown = async {
                let _told = stopped.await;
            };
            let ended = tokio::spawn(serve(listener, router(health.clone(), metrics), shutdown));
            let client = reqwest::Client::builder().no_proxy().build().expect("a client");
            Self { address, health, stop, ended, client }
        }

        async fn ask(&self, method: reqwest::Method, path: &str) -> reqwest::Response {
            let url = format!("http://{}{path}", self.address);
            self.client.request(method, url).send().await.expect("an answer")
        }

        async fn get(&self, path: &str) -> reqwest::Response {
            self.ask(reqwest::Method::GET, path).await
        }
    }

    #[tokio::test]
    async fn metrics_and_health_are_answered() {
        let running = Running::start().await;
        let page = running.get("/metrics").await;
        assert!(page.headers()["content-type"].to_str().expect("ASCII").starts_with("text/plain; version=0.0.4"));
        assert!(page.text().await.expect("a body").contains("gatekeeper_away_total 4"));

        running.health.expect("log", true);
        assert_eq!(running.get("/health/live").await.status(), 200);
        assert_eq!(running.get("/health/ready").await.status(), 503);
        running.health.set("log", State::Up { latency: Some(Duration::from_millis(2)) });
        running.health.set("model openai", State::Down { error: "no connection".to_owned() });
        assert_eq!(running.get("/health/ready").await.status(), 200);
        let report: Value = running.get("/health").await.json().await.expect("JSON");
        assert_eq!(report["status"], "degraded");
        assert_eq!(report["dependencies"][0]["name"], "log");
        assert_eq!(report["dependencies"][0]["latency_ms"], 2.0);
        assert_eq!(report["dependencies"][1]["last_error"], "no connection");
    }

    #[tokio::test]
    async fn errors_have_the_one_shape_and_repeat_no_query() {
        let running = Running::start().await;
        let found = running.get("/nothing?token=hidden").await;
        let missing = running.ask(reqwest::Method::POST, "/metrics").await;
        assert_eq!(missing.headers()["allow"], "GET,HEAD");
        for (response, status, code) in [(found, 404, "NOT_FOUND"), (missing, 405, "METHOD_NOT_ALLOWED")] {
            assert_eq!(response.status(), status);
            let id = response.headers()["x-request-id"].to_str().expect("ASCII").to_owned();
            let text = response.text().await.expect("a body");
            assert!(!text.contains("hidden"), "{text}");
            let body: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(body["error"]["code"], code);
            assert_eq!(body["error"]["request_id"], id);
            for key in ["message", "details", "timestamp"] {
                assert!(!body["error"][key].is_null(), "{key} is missing in {text}");
            }
        }
    }

    #[tokio::test]
    async fn every_response_carries_the_security_headers() {
        let running = Running::start().await;
        for path in ["/metrics", "/health", "/health/live", "/health/ready", "/nothing"] {
            let response = running.get(path).await;
            let header = |name: &str| response.headers()[name].to_str().expect("ASCII").to_owned();
            let policy = header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}");
            assert!(!policy.contains("unsafe"), "{path}");
            assert!(header("strict-transport-security").starts_with("max-age="), "{path}");
            assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
            assert_eq!(header("cache-control"), "no-store", "{path}");
        }
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_named() {
        let running = Running::start().await;
        let error = bind(running.address).await.expect_err("taken").to_string();
        assert!(error.contains(&running.address.to_string()), "{error}");
    }

    #[tokio::test]
    async fn it_ends_when_told_even_if_a_client_never_finishes_its_request() {
        let running = Running::start().await;
        let mut stuck = TcpStream::connect(running.address).await.expect("connected");
        stuck.write_all(b"GET /health HTTP/1.1\r\n").await.expect("half a request");
        assert_eq!(running.get("/health/live").await.status(), 200);
        running.stop.send(()).expect("it is running");
        let ended = tokio::time::timeout(GRACE * 5, running.ended).await.expect("it ends");
        assert!(ended.expect("no panic").is_ok());
        assert!(TcpStream::connect(running.address).await.is_err());
    }
}
