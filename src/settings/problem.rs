//! What can be wrong with settings, said so that a person can mend it, and never with a secret in it.
//!
//! A value is shown only for a key that exists and is no secret: what stands under a mistyped name may be anything, an
//! `apikey` for one.

use std::fmt;
use std::path::PathBuf;

use toml::Value;

use super::kafka_denied;
use super::layers::{KeyPath, Layer};

/// Why there are no settings. All of it is the operator's to mend: nothing is tried again.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// `--profile` names none of ours.
    #[error("there is no profile `{name}`; there are development and production")]
    UnknownProfile {
        /// As given.
        name: String,
    },
    /// `--config` cannot be read.
    #[error("cannot read the settings in {path}: {source}")]
    Unreadable {
        /// As given.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `--config` is not TOML. The line itself is not shown: it may hold a secret.
    #[error("{path}, line {line}: {message}")]
    Syntax {
        /// As given.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What the parser missed.
        message: String,
    },
    /// Everything that is wrong with keys and values.
    #[error("{}", list(.0))]
    Invalid(Vec<Problem>),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which key.
    pub key: KeyPath,
    /// Its value, if it may be shown.
    pub value: Option<String>,
    /// Where the value came from.
    pub layer: Option<Layer>,
    /// What is wrong with it.
    pub message: String,
    /// A key that may have been meant.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        if let Some(layer) = &self.layer {
            write!(f, " from {layer}")?;
        }
        write!(f, ": {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " (did you mean `{hint}`?)"),
            None => Ok(()),
        }
    }
}

fn list(problems: &[Problem]) -> String {
    match problems {
        [only] => only.to_string(),
        several => {
            let lines: String = several.iter().map(|problem| format!("\n  {problem}")).collect();
            format!("{} settings are wrong:{lines}", several.len())
        }
    }
}

/// Whether the value of this key is a secret. A property of librdkafka's that may be one is refused where it stands
/// ([`kafka_denied`]), and its value is not shown then either.
#[must_use]
pub fn is_secret(key: &KeyPath) -> bool {
    if is_property(key) {
        return kafka_denied::is_of_security(&key.0[PROPERTIES.len()..].join("."));
    }
    ["api_key", "password", "token", "secret"].iter().any(|secret| {
        let name = key.name().to_ascii_lowercase();
        name.strip_suffix(secret).is_some_and(|rest| rest.is_empty() || rest.ends_with(['_', '.']))
    })
}

/// Where librdkafka's own properties stand.
const PROPERTIES: [&str; 3] = ["log", "kafka", "client"];

/// Whether it is librdkafka's and not ours.
#[must_use]
pub fn is_property(key: &KeyPath) -> bool {
    key.0.len() > PROPERTIES.len() && key.0.iter().zip(PROPERTIES).all(|(segment, name)| segment == name)
}

/// A value as it may be shown: secrets masked, and what stands before the `@` of a URL.
#[must_use]
pub fn shown(key: &KeyPath, value: &Value) -> String {
    if is_secret(key) {
        return "[secret]".to_owned();
    }
    match value {
        Value::String(text) => Value::String(without_credentials(text)).to_string(),
        other => other.to_string(),
    }
}

fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    // A password may hold any of `/?#@` by mistake: then everything up to the last `@` goes.
    match authority.rfind('@').or_else(|| rest.rfind('@')) {
        Some(at) => format!("{scheme}://[secret]@{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

/// The known key that looks most like this one, if any does.
///
/// The right name in the wrong section counts more than a similar name in the right one.
#[must_use]
pub fn nearest<'a>(key: &KeyPath, known: impl IntoIterator<Item = &'a KeyPath>) -> Option<String> {
    let wanted = key.to_string();
    let distance = |candidate: &KeyPath| {
        let same_name = candidate.name() == key.name();
        if same_name { 0 } else { strsim::damerau_levenshtein(&wanted, &candidate.to_string()) }
    };
    // A third of the letters may be wrong: enough for two slips in a short key, too little for another word.
    let limit = (key.name().chars().count() / 3).max(2);
    known
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_string())
}

/// A rule that is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The keys it speaks of; the first is the one to change.
    pub keys: Vec<KeyPath>,
    /// What is wrong, with what would be right.
    pub message: String,
}

impl Violation {
    /// A violation by dotted keys.
    #[must_use]
    pub fn new(keys: &[&str], message: impl Into<String>) -> Self {
        Self { keys: keys.iter().map(|key| KeyPath::dotted(key)).collect(), message: message.into() }
    }
}

/// The line, from 1, at which TOML stops being TOML.
pub(super) fn line_of(text: &str, error: &toml::de::Error) -> usize {
    let start = error.span().map_or(0, |span| span.start);
    1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: &str, value: &str) -> String {
        shown(&KeyPath::dotted(key), &Value::String(value.to_owned()))
    }

    #[test]
    fn keys_of_secrets_are_recognised_and_token_counts_are_not() {
        for key in [
            "models.x.api_key",
            "a.password",
            "http.auth.token",
            "client_secret",
            "DB_PASSWORD",
            "log.kafka.security.key_password",
            "log.kafka.security.oauth.client_secret",
        ] {
            assert!(is_secret(&KeyPath::dotted(key)), "{key}");
        }
        let property = |name| KeyPath::dotted("log.kafka.client").join(name);
        for name in ["sasl.password", "ssl.key.pem", "sasl.oauthbearer.config", "SSL.key.pem"] {
            assert!(is_secret(&property(name)), "{name}");
        }
        assert!(!is_secret(&property("client.rack")));
        for key in ["models.x.max_completion_tokens", "secrets.min_length", "log.path"] {
            assert!(!is_secret(&KeyPath::dotted(key)), "{key}");
        }
    }

    #[test]
    fn the_password_in_a_url_is_not_shown_even_if_it_holds_the_characters_that_end_it() {
        assert_eq!(text("ledger.url", "postgres://me:pa@ss@db/x"), "\"postgres://[secret]@db/x\"");
        assert_eq!(text("ledger.url", "postgres://me:p/a?ss@db/x"), "\"postgres://[secret]@db/x\"");
        assert_eq!(text("ledger.url", "https://db/x"), "\"https://db/x\"");
        assert_eq!(text("models.a.api_key", "sk-1"), "[secret]");
    }

    #[test]
    fn the_hint_is_the_nearest_key_or_the_same_name_elsewhere_or_nothing() {
        let known: Vec<_> = ["pipeline.burst_interval", "pipeline", "ledger.window"].map(KeyPath::dotted).to_vec();
        let hint = |key| nearest(&KeyPath::dotted(key), &known);
        assert_eq!(hint("pipeline.burst_intervall").as_deref(), Some("pipeline.burst_interval"));
        assert_eq!(hint("pipelin").as_deref(), Some("pipeline"));
        assert_eq!(hint("triage.burst_interval").as_deref(), Some("pipeline.burst_interval"));
        assert_eq!(hint("pipeline.colour"), None);
    }
}
