//! The first contact: does the cluster answer, and does it let us in?
//!
//! Asked before anything else, by a client of its own that is listened to. Everything later is asked by clients that try
//! again by themselves, for ever and without a word; here a refusal ends the start, with its reason and what to do.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::login::{Client, Login, TokenError};
use super::refusal::Refusal;
use super::{certificate, clients};
use crate::settings::kafka_security::Security;

/// One question.
const QUESTION: Duration = Duration::from_millis(100);

/// After the first refusal: another of several brokers may let us in, and one that is just starting may in a moment.
const SECOND_THOUGHTS: Duration = Duration::from_secs(2);

/// Why there is no way in.
#[derive(Debug, thiserror::Error)]
pub enum CannotEnter {
    /// A file of ours.
    #[error("log.kafka.security.{key}: {}: {source}", .path.display())]
    NoFile {
        /// Which setting names it.
        key: &'static str,
        /// Which file.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Nothing to show.
    #[error("{0}")]
    NoToken(#[from] TokenError),
    /// librdkafka does not take what it was configured with.
    #[error("librdkafka refuses log.kafka: {why}{}", hint(.why))]
    Settings {
        /// Its words.
        why: KafkaError,
    },
    /// It answers, but does not let us in.
    #[error("the cluster at {servers} does not let us in: {words}\n{}", .refusal.cure())]
    Refused {
        /// Where it was looked for.
        servers: String,
        /// Why.
        refusal: Refusal,
        /// librdkafka's words.
        words: String,
    },
    /// No answer.
    #[error("the cluster at {servers} does not answer: {words}")]
    NoAnswer {
        /// Where it was looked for.
        servers: String,
        /// librdkafka's words.
        words: String,
    },
}

impl CannotEnter {
    /// Whether the same may work later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::NoToken(why) => matches!(why, TokenError::NoAnswer(_) | TokenError::Status { .. }),
            Self::NoFile { .. } | Self::Settings { .. } | Self::Refused { .. } => false,
        }
    }
}

/// Come in, or say why not. Blocks for `patience` at most.
pub fn enter(login: &Login, patience: Duration) -> Result<(), CannotEnter> {
    check_files(&login.security)?;
    login.have_token()?;
    let heard = Heard::default();
    let mut config = clients::base(login);
    // Whatever is logged elsewhere: a broker that hangs up is said at this level.
    config.set_log_level(RDKafkaLogLevel::Info);
    let opened = login.open_with(&config, heard.clone());
    let client: Client<BaseConsumer<Heard>> = opened.map_err(|why| CannotEnter::Settings { why })?;
    let begun = Instant::now();
    loop {
        // Known from the first answer to a question about the cluster, which needs no permission but being in.
        if client.client().fetch_cluster_id(QUESTION).is_some() {
            return Ok(());
        }
        // What went wrong comes by its queue; an event is either heard or an error that says less.
        while client.poll(Duration::ZERO).is_some() {}
        let servers = || login.bootstrap_servers.clone();
        let heard = heard.lock();
        match &heard.refused {
            Some((since, refusal, words)) if since.elapsed() > SECOND_THOUGHTS => {
                let (refusal, mut words) = (*refusal, words.clone());
                if refusal == Refusal::BrokerCertificate
                    && let Some(why) = certificate::why_not(&words, login.security.ca_file.as_deref())
                {
                    words = format!("{words}\nthe broker's certificate: {why}");
                }
                return Err(CannotEnter::Refused { servers: servers(), refusal, words });
            }
            None if begun.elapsed() > patience => {
                return Err(CannotEnter::NoAnswer { servers: servers(), words: heard.last_words() });
            }
            _ => {}
        }
    }
}

/// librdkafka's own words about files name neither the setting nor always the file.
fn check_files(security: &Security) -> Result<(), CannotEnter> {
    let Security { ca_file, certificate_file, key_file, .. } = security;
    let files = [("ca_file", ca_file), ("certificate_file", certificate_file), ("key_file", key_file)];
    for (key, path) in files.into_iter().filter_map(|(key, path)| Some((key, path.as_deref()?))) {
        let path: &Path = path;
        std::fs::File::open(path).map_err(|source| CannotEnter::NoFile { key, path: path.to_owned(), source })?;
    }
    Ok(())
}

/// The settings that librdkafka's words about files are about.
fn hint(error: &KafkaError) -> &'static str {
    let words = error.to_string();
    let about = |property: &str| words.contains(property);
    if about("ssl.key.") {
        "; check log.kafka.security.key_file and key_password"
    } else if about("ssl.certificate.") {
        "; check log.kafka.security.certificate_file"
    } else if about("ssl.ca.") {
        "; check log.kafka.security.ca_file"
    } else {
        ""
    }
}

/// What the client was told.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Words>>);

#[derive(Default)]
struct Words {
    refused: Option<(Instant, Refusal, String)>,
    last: String,
}

impl Words {
    /// Why there is no answer. A listener that speaks something else hangs up; so does a broker that restarts.
    fn last_words(&self) -> String {
        match self.last.as_str() {
            "" => "no connection".to_owned(),
            last if last.contains("Disconnected") => {
                format!(
                    "{last}\nif it always hangs up, its listener speaks something else: check log.kafka.security.protocol"
                )
            }
            last => last.to_owned(),
        }
    }
}

impl Heard {
    fn lock(&self) -> MutexGuard<'_, Words> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, code: Option<Code>, words: &str) {
        tracing::debug!(?code, "{words}");
        let mut heard = self.lock();
        if let (None, Some(refusal)) = (&heard.refused, Refusal::of(code, words)) {
            heard.refused = Some((Instant::now(), refusal, words.to_owned()));
        }
        // "All brokers are down" says less than what came before it.
        if code != Some(Code::AllBrokersDown) {
            words.clone_into(&mut heard.last);
        }
    }
}

impl ClientContext for Heard {
    /// A broker that hangs up on us is no error to librdkafka, only a line of its log.
    fn log(&self, _: RDKafkaLogLevel, facility: &str, line: &str) {
        if facility == "FAIL" {
            // Each line names its thread first, which nobody needs.
            self.hear(None, line.split_once("]: ").map_or(line, |(_, words)| words));
        }
    }

    fn error(&self, error: KafkaError, words: &str) {
        self.hear(error.rdkafka_error_code(), words);
    }
}

impl ConsumerContext for Heard {}
