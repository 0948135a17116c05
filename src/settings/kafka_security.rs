//! `log.kafka.security.*`: how the connection to the cluster is protected, and who we are to it.
//!
//! The same for every client: consumer, producers, commands. With TLS the broker's certificate and the name in it are
//! verified, always; there is no key that says otherwise.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::secret::Secret;

/// How the connection is protected.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// What the broker's listener speaks.
    pub protocol: Protocol,
    /// How we say who we are with `sasl_tls`.
    pub mechanism: Mechanism,
    /// Who we are, to SCRAM and PLAIN.
    #[serde(default)]
    pub username: Option<String>,
    /// And how we prove it.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Authorities that the broker's certificate may come from; absent: the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Our own certificate, for brokers that ask for one.
    #[serde(default)]
    pub certificate_file: Option<PathBuf>,
    /// Its key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Opens the key.
    #[serde(default)]
    pub key_password: Option<Secret>,
    /// Where tokens come from, to OAUTHBEARER.
    pub oauth: OAuth,
}

/// What the broker's listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Anybody can read and write along.
    Plaintext,
    /// TLS; a client certificate says who we are, if the broker asks for one (mTLS).
    Tls,
    /// TLS, and inside of it a mechanism that says who we are.
    SaslTls,
}

/// How we say who we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Mechanism {
    /// A password that is never sent.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
    /// A password that is sent, inside TLS.
    #[serde(rename = "plain")]
    Plain,
    /// A token that is fetched, and renewed before it ends.
    #[serde(rename = "oauthbearer")]
    OAuthBearer,
}

/// Where tokens come from: OAuth 2.0, client credentials.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth {
    /// `https://host/token`.
    #[serde(default)]
    pub token_endpoint: Option<String>,
    /// Who we are to it.
    #[serde(default)]
    pub client_id: Option<String>,
    /// And how we prove it.
    #[serde(default)]
    pub client_secret: Option<Secret>,
    /// What is asked for; absent: the endpoint decides.
    #[serde(default)]
    pub scope: Option<String>,
    /// Authorities that the endpoint's certificate may come from; absent: the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// How long one request may take.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Security {
    /// Whether tokens are needed.
    #[must_use]
    pub fn uses_tokens(&self) -> bool {
        self.protocol == Protocol::SaslTls && self.mechanism == Mechanism::OAuthBearer
    }
}
