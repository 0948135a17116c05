//! One request and its answer: how long it may take, how long it may be, and what each status means.

use std::error::Error as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, StatusCode};
use reqwest::{Method, Url};
use serde_json::Value;
use tokio::time::timeout;

use super::{SetupError, wire};
use crate::pipeline::schema_set::registry::RegistryError;
use crate::settings::schemas;

/// First in every list: what registries have always spoken; then what they are content with.
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Of an error's message: enough to act on, and it ends up in logs.
const MAX_MESSAGE_CHARS: usize = 300;

/// How requests are made.
pub(super) struct Transport {
    http: reqwest::Client,
    base: Url,
    credentials: Option<HeaderValue>,
    timeout: Duration,
    max_body_bytes: usize,
}

/// An answer of a registry that is well.
#[derive(Debug)]
pub(super) enum Reply {
    /// 200 with this body.
    Found(Bytes),
    /// There is no such thing, in the registry's own words; what kind of thing, says its code.
    NotFound {
        /// 40403: no such schema. A bare 404: no such path, or of a registry that tells no kinds apart.
        code: u32,
    },
}

impl Transport {
    pub fn new(url: &str, settings: &schemas::Registry) -> Result<Self, SetupError> {
        let base = Url::parse(url).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        let http = reqwest::Client::builder()
            .connect_timeout(settings.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("ai-gatekeeper/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            http,
            base: base.ok_or(SetupError::Url)?,
            credentials: credentials(settings)?,
            timeout: settings.request_timeout,
            max_body_bytes: settings.max_body_bytes,
        })
    }

    /// Ask at this path, and read the whole answer.
    pub async fn ask(&self, method: Method, path: &[&str], body: Option<Value>) -> Result<Reply, RegistryError> {
        self.ask_at(method, self.url(path), body).await
    }

    /// Each part is escaped: a topic's name cannot lead elsewhere.
    pub fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("http has paths").pop_if_empty().extend(path);
        url
    }

    /// Ask there, and read the whole answer.
    pub async fn ask_at(&self, method: Method, url: Url, body: Option<Value>) -> Result<Reply, RegistryError> {
        let late = |_| RegistryError::Timeout(self.timeout);
        timeout(self.timeout, self.exchange(method, url, body)).await.map_err(late)?
    }

    async fn exchange(&self, method: Method, url: Url, body: Option<Value>) -> Result<Reply, RegistryError> {
        let mut request = self.http.request(method, url).header(ACCEPT, format!("{CONTENT_TYPE}, application/json"));
        if let Some(credentials) = &self.credentials {
            request = request.header(AUTHORIZATION, credentials);
        }
        if let Some(body) = body {
            request = request.header(http::header::CONTENT_TYPE, CONTENT_TYPE).body(body.to_string());
        }
        let mut response = request.send().await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let body = self.read(&mut response).await;
        match status {
            StatusCode::OK => Ok(Reply::Found(body?)),
            // A body that cannot be read leaves the status, which says enough.
            _ => refusal(status, &body.unwrap_or_default()),
        }
    }

    /// The body up to its cap. A longer one ends the request as soon as it is known to be longer.
    async fn read(&self, response: &mut reqwest::Response) -> Result<Bytes, RegistryError> {
        let max = self.max_body_bytes;
        if response.content_length().is_some_and(|length| length > max as u64) {
            return Err(RegistryError::TooLarge { max });
        }
        let mut body = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > max => return Err(RegistryError::TooLarge { max }),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(body.freeze()),
                Err(_) => return Err(RegistryError::Unreachable("the connection broke inside the answer".to_owned())),
            }
        }
    }
}

fn credentials(settings: &schemas::Registry) -> Result<Option<HeaderValue>, SetupError> {
    use base64::Engine as _;
    let text = match (&settings.token, &settings.username, &settings.password) {
        (Some(token), ..) => format!("Bearer {}", token.expose()),
        (None, Some(username), Some(password)) => {
            let pair = format!("{username}:{}", password.expose());
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        }
        _ => return Ok(None),
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| SetupError::Credentials)?;
    // Shown as "Sensitive" wherever a layer below prints headers.
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The innermost cause ("connection refused"), not the client's own text, which names the whole URL.
fn unreachable(error: &reqwest::Error) -> RegistryError {
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    let phase = if error.is_connect() { "no connection" } else { "the connection broke before the answer" };
    RegistryError::Unreachable(cause.map_or_else(|| phase.to_owned(), |cause| format!("{phase}: {cause}")))
}

fn refusal(status: StatusCode, body: &[u8]) -> Result<Reply, RegistryError> {
    let said: Option<wire::Refusal> = serde_json::from_slice(body).ok();
    let code = said.as_ref().and_then(|said| said.error_code);
    if let (StatusCode::NOT_FOUND, Some(code)) = (status, code) {
        return Ok(Reply::NotFound { code });
    }
    let in_its_words = code.is_some();
    let message = said.and_then(|said| said.message).unwrap_or_default().chars().take(MAX_MESSAGE_CHARS).collect();
    let status_code = status.as_u16();
    match status_code {
        401 | 403 => Err(RegistryError::Credentials { status: status_code }),
        409 if in_its_words => Err(RegistryError::Incompatible(message)),
        // The server gave up waiting for us, has too much to do, or is not well.
        408 | 429 | 500..=599 => Err(RegistryError::Server { status: status_code }),
        400..=499 if in_its_words => Err(RegistryError::Refused { status: status_code, message }),
        _ => Err(RegistryError::Garbled(format!("status {status_code}, and not in a registry's words"))),
    }
}
