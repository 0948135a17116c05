//! One request for one token: OAuth 2.0, client credentials (RFC 6749, section 4.4).
//!
//! TLS verified, no redirect followed, no proxy from the environment, one time-out over all of it, a body that is read no
//! further than its cap. Neither secret, token nor body is ever in an error: a token endpoint may repeat what it was sent.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;

use crate::adapters::kafka::raw::NativeClient;
use crate::domain::clock::{Clock as _, SystemClock, Timestamp};
use crate::settings::kafka_security::Security;
use crate::settings::secret::Secret;

/// A token has hundreds of bytes, a few thousand with many claims.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// A token.
#[derive(Debug, Clone)]
pub struct Token {
    text: Secret,
    principal: String,
    /// When brokers stop taking it.
    pub ends: Timestamp,
}

impl Token {
    /// From now on the client shows it.
    pub fn hand_to(&self, client: NativeClient) -> Result<(), String> {
        client.set_token(self.text.expose(), self.ends.0, &self.principal)
    }
}

/// Why there is no token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TokenError {
    /// The endpoint's authorities.
    #[error("log.kafka.security.oauth.ca_file: {}: {why}", .path.display())]
    NoAuthorities {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Neither client nor thread.
    #[error("tokens cannot be fetched: {0}")]
    NoClient(String),
    /// No connection, no proof of its name, or no end of the answer.
    #[error("the token endpoint does not answer: {0}")]
    NoAnswer(String),
    /// It does not know us.
    #[error(
        "the token endpoint refuses us ({status}): check log.kafka.security.oauth.client_id, client_secret and scope"
    )]
    Refused {
        /// Its status.
        status: u16,
    },
    /// It has trouble.
    #[error("the token endpoint answers {status}")]
    Status {
        /// Its status.
        status: u16,
    },
    /// It sends us elsewhere.
    #[error(
        "the token endpoint answers {status}, a redirect, which is not followed: \
         set log.kafka.security.oauth.token_endpoint to where it leads"
    )]
    Redirect {
        /// Its status.
        status: u16,
    },
    /// Its answer is not what RFC 6749 says, or not what a broker can be shown.
    #[error("the token endpoint's answer cannot be used: {0}")]
    Garbled(String),
    /// Clocks differ, or the endpoint gives what it kept for too long.
    #[error("the token that came has ended already: do the clocks agree?")]
    Ended,
}

/// Where tokens come from.
pub struct TokenEndpoint {
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    url: reqwest::Url,
    credentials: HeaderValue,
    client_id: String,
    body: String,
    timeout: Duration,
}

/// What RFC 6749 says that comes back.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    /// Seconds.
    expires_in: Option<u64>,
}

/// Of a token's claims.
#[derive(Deserialize)]
struct Claims {
    /// Seconds since the epoch.
    exp: f64,
}

impl TokenEndpoint {
    /// Of these settings, if they use tokens.
    pub fn of(security: &Security) -> Result<Option<Self>, TokenError> {
        let oauth = &security.oauth;
        let (Some(endpoint), Some(id), Some(secret)) = (&oauth.token_endpoint, &oauth.client_id, &oauth.client_secret)
        else {
            return Ok(None);
        };
        if !security.uses_tokens() {
            return Ok(None);
        }
        let no_client = |error: &dyn std::fmt::Display| TokenError::NoClient(error.to_string());
        let url = reqwest::Url::parse(endpoint).map_err(|error| no_client(&error))?;
        let mut http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .https_only(url.scheme() == "https")
            .user_agent(concat!("ai-gatekeeper/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &oauth.ca_file {
            http = http.tls_certs_only(authorities(path)?);
        }
        let mut credentials = HeaderValue::from_str(&basic(id, secret)).map_err(|error| no_client(&error))?;
        credentials.set_sensitive(true);
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(oauth.scope.as_deref().map(|scope| ("scope", scope)));
        Ok(Some(Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| no_client(&error))?,
            http: http.build().map_err(|error| no_client(&error))?,
            url,
            credentials,
            client_id: id.clone(),
            body: encoded(&form),
            timeout: oauth.timeout,
        }))
    }

    /// How long one request may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Ask once. Blocks.
    pub fn fetch(&self) -> Result<Token, TokenError> {
        let too_long = |_| Err(TokenError::NoAnswer(format!("it takes longer than {:?}", self.timeout)));
        // Inside the block: a timer wants the runtime's clock.
        self.runtime
            .block_on(async { tokio::time::timeout(self.timeout, self.exchange()).await.unwrap_or_else(too_long) })
    }

    async fn exchange(&self) -> Result<Token, TokenError> {
        let request = self
            .http
            .post(self.url.clone())
            .header(AUTHORIZATION, self.credentials.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(self.body.clone());
        let mut response = request.send().await.map_err(|error| TokenError::NoAnswer(innermost(&error)))?;
        match response.status().as_u16() {
            200 => {}
            status @ 300..=399 => return Err(TokenError::Redirect { status }),
            status @ (400 | 401 | 403) => return Err(TokenError::Refused { status }),
            status => return Err(TokenError::Status { status }),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| TokenError::NoAnswer(innermost(&error)))? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(TokenError::Garbled(format!("it is longer than {MAX_BODY_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        self.token(&body, SystemClock.now())
    }

    fn token(&self, body: &[u8], now: Timestamp) -> Result<Token, TokenError> {
        let garbled = |what: &str| TokenError::Garbled(what.to_owned());
        let answer: Answer = serde_json::from_slice(body).map_err(|_| garbled("it is no JSON with an access_token"))?;
        let said = answer.expires_in.map(|seconds| now.after(Duration::from_secs(seconds)));
        let ends = [said, claimed_end(&answer.access_token)].into_iter().flatten().min();
        let ends = ends.ok_or_else(|| garbled("it says nowhere when the token ends (expires_in)"))?;
        if ends <= now {
            return Err(TokenError::Ended);
        }
        Ok(Token { text: Secret::new(answer.access_token), principal: self.client_id.clone(), ends })
    }
}

/// What the token itself says, if it can be read: brokers go by that. Nothing is trusted here, it is only not shown later.
fn claimed_end(token: &str) -> Option<Timestamp> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and no token lives that long")]
    let ends = (claims.exp * 1_000.0) as i64;
    Some(Timestamp(ends))
}

fn authorities(path: &Path) -> Result<Vec<reqwest::Certificate>, TokenError> {
    let unusable = |why: String| TokenError::NoAuthorities { path: path.to_owned(), why };
    let text = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let found = reqwest::Certificate::from_pem_bundle(&text).map_err(|error| unusable(error.to_string()))?;
    if found.is_empty() { Err(unusable("no certificate in it (PEM)".to_owned())) } else { Ok(found) }
}

/// RFC 6749, section 2.3.1: each part is encoded as in a form first, so that a colon in either stays what it is.
fn basic(id: &str, secret: &Secret) -> String {
    let part = |text: &str| encoded(&[("", text)])[1..].to_owned();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", part(id), part(secret.expose()))))
}

fn encoded(form: &[(&str, &str)]) -> String {
    // The only encoder of forms at hand is that of a URL's query.
    let mut url = reqwest::Url::parse("http://form").expect("a constant");
    url.query_pairs_mut().extend_pairs(form);
    url.query().unwrap_or_default().to_owned()
}

/// The innermost cause: reqwest's own text names the URL only.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let words = cause.to_string();
    if words.contains("peer certificate") {
        return format!(
            "{words}; its certificate must come from log.kafka.security.oauth.ca_file (or the system's authorities) and be \
             for its name"
        );
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{LoadOptions, load};

    fn endpoint() -> TokenEndpoint {
        let sets = [
            "protocol=sasl_tls",
            "mechanism=oauthbearer",
            "oauth.token_endpoint=https://login.example/token",
            "oauth.client_id=a:b",
            "oauth.client_secret=p%~ss word",
            "oauth.scope=a b",
        ];
        let sets = sets.iter().map(|set| format!("log.kafka.security.{set}")).collect();
        let settings = load(&LoadOptions { sets, ..LoadOptions::default() }).expect("the settings hold").settings;
        TokenEndpoint::of(&settings.log.kafka.security).expect("usable").expect("tokens are used")
    }

    const NOW: Timestamp = Timestamp(1_000_000);

    fn token(body: &str) -> Result<Timestamp, String> {
        endpoint().token(body.as_bytes(), NOW).map(|token| token.ends).map_err(|error| error.to_string())
    }

    fn with_claims(claims: &str, more: &str) -> String {
        format!("{{\"access_token\": \"e30.{}.sig\"{more}}}", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn credentials_and_scope_are_encoded_as_the_rfc_says() {
        let endpoint = endpoint();
        let header = endpoint.credentials.to_str().expect("text").strip_prefix("Basic ").expect("basic");
        assert_eq!(STANDARD.decode(header).expect("base64"), b"a%3Ab:p%25%7Ess+word");
        assert_eq!(endpoint.body, "grant_type=client_credentials&scope=a+b");
        assert!(!format!("{:?}", endpoint.credentials).contains("Basic"), "headers are printed by others");
    }

    #[test]
    fn a_token_ends_when_the_answer_or_the_token_says_whichever_is_sooner() {
        assert_eq!(token("{\"access_token\": \"opaque\", \"expires_in\": 60}"), Ok(Timestamp(1_060_000)));
        assert_eq!(token(&with_claims("{\"exp\": 1030}", "")), Ok(Timestamp(1_030_000)));
        assert_eq!(token(&with_claims("{\"exp\": 1030.5}", ", \"expires_in\": 60")), Ok(Timestamp(1_030_500)));
        assert_eq!(token(&with_claims("{\"exp\": 9999}", ", \"expires_in\": 60")), Ok(Timestamp(1_060_000)));
    }

    #[test]
    fn an_answer_that_cannot_be_used_is_refused_without_being_shown() {
        for (body, why) in [
            ("<html>hidden</html>", "no JSON"),
            ("{\"hidden\": 1}", "no JSON"),
            ("{\"access_token\": \"hidden\"}", "expires_in"),
            ("{\"access_token\": \"hidden\", \"expires_in\": 0}", "ended already"),
        ] {
            let error = token(body).expect_err(body);
            assert!(error.contains(why) && !error.contains("hidden"), "{body}: {error}");
        }
        assert!(token(&with_claims("{\"exp\": 999}", ", \"expires_in\": 60")).expect_err("over").contains("ended"));
    }
}
