//! The HTTP exchange of one call, below the client library.
//!
//! The library hands down a request and takes back a response. In between, here: the call's name as a header, the limit
//! on the first byte, a body that is read no further than its cap, every status as a [`CallError`], and a check that a
//! 200 is a completion, because the library logs what it cannot read, with the body.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::timeout;
use tower::Service;

use super::wire::{Completion, error_of, says_filtered, says_quota};
use super::{Heard, rate_hints, retry_after};
use crate::domain::clock::{Clock as _, SystemClock};
use crate::pipeline::triage::model::CallError;
use crate::settings::models::Timeouts;

const CALL_ID: HeaderName = HeaderName::from_static("x-client-request-id");

/// Of an error's body only a code is read.
const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;

/// The pool of connections of one model.
pub(super) fn http_client(connect: Duration) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .connect_timeout(connect)
        // Over HTTP/2 all calls would share one connection: as many at once as the provider allows on one, often a hundred, and
        // a reset would fail all of them.
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .user_agent(concat!("ai-gatekeeper/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// How calls are made.
#[derive(Clone)]
pub(super) struct Transport {
    http: reqwest::Client,
    timeouts: Timeouts,
    max_body_bytes: usize,
}

impl Transport {
    pub fn new(http: reqwest::Client, timeouts: Timeouts, max_body_bytes: usize) -> Self {
        Self { http, timeouts, max_body_bytes }
    }

    /// The service for one call of this name.
    pub fn service(
        &self,
        call_id: &str,
        heard: Heard,
    ) -> impl Service<
        HttpRequestFactory,
        Response = reqwest::Response,
        Error = OpenAIError,
        Future = BoxFuture<'static, Result<reqwest::Response, OpenAIError>>,
    > + Clone
    + Send
    + Sync
    + 'static {
        let (transport, call_id) = (self.clone(), HeaderValue::from_str(call_id).ok());
        tower::service_fn(move |request: HttpRequestFactory| {
            let (transport, call_id, heard) = (transport.clone(), call_id.clone(), Arc::clone(&heard));
            Box::pin(async move {
                let mut request = request.build().await?;
                // Shown as "Sensitive" wherever a layer below prints headers.
                if let Some(key) = request.headers_mut().get_mut(http::header::AUTHORIZATION) {
                    key.set_sensitive(true);
                }
                if let Some(call_id) = call_id {
                    request.headers_mut().insert(CALL_ID, call_id);
                }
                transport.exchange(request, &heard).await.map_err(|error| OpenAIError::Boxed(Box::new(error)))
            }) as BoxFuture<'static, _>
        })
    }

    async fn exchange(&self, request: reqwest::Request, heard: &Heard) -> Result<reqwest::Response, CallError> {
        let Timeouts { connect, first_byte, .. } = self.timeouts;
        let mut response = timeout(first_byte, self.http.execute(request))
            .await
            .map_err(|_| CallError::Timeout { phase: "first_byte", after: first_byte })?
            .map_err(|error| no_response(&error, connect))?;
        let status = response.status();
        if status != StatusCode::OK {
            // A body that cannot be read leaves the status, which says enough.
            let body = read(&mut response, MAX_ERROR_BODY_BYTES).await.unwrap_or_default();
            return Err(refusal(status, response.headers(), &body));
        }
        let hints = rate_hints::read(response.headers());
        let body = read(&mut response, self.max_body_bytes).await?;
        if serde_json::from_slice::<Completion>(&body).is_err() {
            return Err(CallError::Garbled(format!("{} bytes that are not a chat completion", body.len())));
        }
        heard.get_or_init(|| hints);
        Ok(http::Response::new(body).into())
    }
}

/// The body up to its cap. A longer one ends the call as soon as it is known to be longer.
async fn read(response: &mut reqwest::Response, max_bytes: usize) -> Result<Bytes, CallError> {
    let too_long = || CallError::Garbled(format!("a body over {max_bytes} bytes"));
    if response.content_length().is_some_and(|length| length > max_bytes as u64) {
        return Err(too_long());
    }
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > max_bytes => return Err(too_long()),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body.freeze()),
            Err(_) => return Err(CallError::Connection("it broke inside the body".to_owned())),
        }
    }
}

fn no_response(error: &reqwest::Error, connect: Duration) -> CallError {
    if error.is_connect() && error.is_timeout() {
        return CallError::Timeout { phase: "connect", after: connect };
    }
    let phase = if error.is_connect() { "cannot connect" } else { "it broke before the response" };
    // The innermost cause ("connection refused"), not reqwest's own text, which names the whole URL.
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    CallError::Connection(cause.map_or_else(|| phase.to_owned(), |cause| format!("{phase}: {cause}")))
}

fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> CallError {
    let value = headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = value.and_then(|value| retry_after::parse(value, SystemClock.now()));
    // Without the one header the others may still say when there is room again.
    let limited_for = retry_after.or_else(|| rate_hints::read(headers).exhausted_for(1));
    let (status, error) = (status.as_u16(), error_of(body));
    match status {
        402 | 403 | 429 if error.as_ref().is_some_and(says_quota) => CallError::Quota,
        // The money is spoken for by calls that run now.
        402 if retry_after.is_some() => CallError::RateLimited { retry_after },
        402 => CallError::Quota,
        400 | 403 if error.as_ref().is_some_and(says_filtered) => CallError::Filtered,
        401 => CallError::Auth { status },
        403 if error.is_some() => CallError::Auth { status },
        // Not the provider's own words: a firewall on the way takes offence at this ticket, and knows nothing of our key.
        403 => CallError::Request { status },
        429 => CallError::RateLimited { retry_after: limited_for },
        // The server gave up waiting for us: its trouble or the network's, not the request's.
        408 => CallError::Server { status, retry_after },
        400..=499 => CallError::Request { status },
        _ => CallError::Server { status, retry_after },
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn no_provider_can_choose_that_calls_share_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let client = http_client(Duration::from_secs(10)).expect("a client");
        let hello = async {
            let mut hello = vec![0; 16 * 1_024];
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let length = socket.read(&mut hello).await.expect("its first words");
            hello.truncate(length);
            hello
        };
        let hello = tokio::select! {
            hello = hello => hello,
            ended = client.get(format!("https://{address}/")).send() => panic!("nobody answers: {ended:?}"),
        };
        // The whole list of protocols, with its length.
        let offered = b"\x00\x09\x08http/1.1";
        assert!(hello.windows(offered.len()).any(|bytes| bytes == offered), "{hello:02x?}");
    }
}
