//! Where the secured broker is, and how each of its doors is opened (tests/services/kafka_secure.py).

use std::path::PathBuf;

use serde_json::Value;

const ABOUT: &str = "GATEKEEPER_TEST_KAFKA_SECURE";

/// One of its listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// SASL_SSL, SCRAM-SHA-512.
    Scram,
    /// SASL_SSL, OAUTHBEARER.
    OAuth,
    /// SSL with a client certificate.
    Mutual,
}

pub const DOORS: [Door; 3] = [Door::Scram, Door::OAuth, Door::Mutual];

/// What is known about it.
#[derive(Debug, Clone)]
pub struct Broker(Value);

impl Broker {
    pub fn running() -> Self {
        let path = std::env::var(ABOUT).unwrap_or_else(|_| panic!("{ABOUT} says where a secured broker is"));
        let text = std::fs::read_to_string(&path).expect("the file is there");
        Self(serde_json::from_str(&text).expect("it is JSON"))
    }

    pub fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_else(|| panic!("{key} is not in {}", self.0))
    }

    pub fn password(&self, user: &str) -> &str {
        self.0["users"][user].as_str().expect("it has that user")
    }

    /// A certificate or key of its.
    pub fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(self.text("secrets")).join(name)
    }

    fn file_set(&self, key: &str, name: &str) -> String {
        security(&format!("{key}={}", self.file(name).display()))
    }

    /// What opens this door.
    pub fn sets(&self, door: Door) -> Vec<String> {
        match door {
            Door::Scram => self.scram_as("gatekeeper"),
            Door::OAuth => self.oauth_as("gatekeeper-oauth"),
            Door::Mutual => self.mutual_with("client.pem", "client.key"),
        }
    }

    pub fn scram_as(&self, user: &str) -> Vec<String> {
        vec![
            bootstrap(self.text("scram")),
            security("protocol=sasl_tls"),
            security(&format!("username={user}")),
            security(&format!("password={}", self.password(user))),
            self.file_set("ca_file", "ca.pem"),
        ]
    }

    pub fn oauth_as(&self, client: &str) -> Vec<String> {
        vec![
            bootstrap(self.text("oauth")),
            security("protocol=sasl_tls"),
            security("mechanism=oauthbearer"),
            self.file_set("ca_file", "ca.pem"),
            security(&format!("oauth.token_endpoint={}", self.text("token_endpoint"))),
            security(&format!("oauth.client_id={client}")),
            security(&format!("oauth.client_secret={}", self.text("token_secret"))),
            self.file_set("oauth.ca_file", "ca.pem"),
        ]
    }

    pub fn mutual_with(&self, certificate: &str, key: &str) -> Vec<String> {
        let mut sets = self.tls_at("mtls");
        sets.push(self.file_set("certificate_file", certificate));
        sets.push(self.file_set("key_file", key));
        sets
    }

    pub fn tls_at(&self, door: &str) -> Vec<String> {
        vec![bootstrap(self.text(door)), security("protocol=tls"), self.file_set("ca_file", "ca.pem")]
    }
}

pub fn bootstrap(servers: &str) -> String {
    format!("log.kafka.bootstrap_servers={servers}")
}

pub fn security(set: &str) -> String {
    format!("log.kafka.security.{set}")
}

/// These settings, with some of them said differently, or besides.
pub fn but(mut sets: Vec<String>, others: &[String]) -> Vec<String> {
    sets.extend_from_slice(others);
    sets
}
