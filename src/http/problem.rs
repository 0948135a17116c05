//! The one shape of an error: `{"error": {"code", "message", "details", "timestamp", "request_id"}}`.

use axum::Json;
use axum::extract::Extension;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::security_headers::RequestId;
use crate::domain::clock::{Clock, SystemClock};

/// An error as it leaves.
#[derive(Debug, Clone)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// A stable machine code.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// What is needed to act.
    pub details: Value,
    /// Stands in the response's header, too.
    pub request_id: RequestId,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let error = json!({
            "code": self.code,
            "message": self.message,
            "details": self.details,
            "timestamp": SystemClock.now().to_string(),
            "request_id": self.request_id.to_string(),
        });
        (self.status, Json(json!({ "error": error }))).into_response()
    }
}

/// There is no such route. The path is repeated, never the query: that may hold a token.
pub async fn not_found(Extension(request_id): Extension<RequestId>, uri: Uri) -> Problem {
    Problem {
        status: StatusCode::NOT_FOUND,
        code: "NOT_FOUND",
        message: "there is no such resource".to_owned(),
        details: json!({ "path": uri.path() }),
        request_id,
    }
}

/// The route knows other methods only.
pub async fn method_not_allowed(Extension(request_id): Extension<RequestId>, method: Method, uri: Uri) -> Problem {
    Problem {
        status: StatusCode::METHOD_NOT_ALLOWED,
        code: "METHOD_NOT_ALLOWED",
        message: "this resource does not know that method".to_owned(),
        details: json!({ "method": method.as_str(), "path": uri.path() }),
        request_id,
    }
}
