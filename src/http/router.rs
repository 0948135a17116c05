//! Every route there is.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde_json::json;

use super::health::Health;
use super::{problem, security_headers};
use crate::telemetry::recorder::MetricsHandle;

/// What the routes answer from.
#[derive(Debug, Clone)]
struct Shared {
    health: Health,
    metrics: MetricsHandle,
}

/// The routes.
pub fn router(health: Health, metrics: MetricsHandle) -> Router {
    Router::new()
        .route("/metrics", get(metrics_page))
        .route("/health", get(health_page))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(middleware::from_fn(security_headers::apply))
        .with_state(Shared { health, metrics })
}

async fn metrics_page(State(shared): State<Shared>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], shared.metrics.render()).into_response()
}

/// 200 in any state: it is for people and dashboards. Orchestrators ask the two below.
async fn health_page(State(shared): State<Shared>) -> Response {
    Json(shared.health.report()).into_response()
}

async fn live() -> Response {
    Json(json!({ "status": "live" })).into_response()
}

async fn ready(State(shared): State<Shared>) -> Response {
    let report = shared.health.report();
    let status = if shared.health.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "status": report.status }))).into_response()
}
