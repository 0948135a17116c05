//! PORT: a model that can be asked about a ticket.
//!
//! An adapter makes exactly one attempt per [`Model::ask`]: no retries, no waiting, no caching; those are the guard's.
//! It owns its timeouts. Dropping the future ends the call.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::domain::event::SupportEvent;
use crate::domain::money::Money;
use crate::domain::tenant::Tenant;

/// The port.
pub trait Model: Send + Sync + 'static {
    /// What it is.
    fn card(&self) -> &ModelCard;

    /// One attempt.
    fn ask(&self, question: Question) -> BoxFuture<'_, Result<Reply, CallError>>;
}

/// A model as the chain knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCard {
    /// Its name in the settings.
    pub name: String,
    /// `gen_ai.provider.name`, e.g. `openai`, `local`.
    pub provider: String,
    /// The model that is asked for.
    pub request_model: String,
    /// Remote models cost money: they need a lease, buckets and a breaker. The local one needs none of it.
    pub remote: bool,
    /// Whether a tenant may say that its confidence was calibrated (`calibrated_fields`): not of weights in this process that
    /// were never held against an installation's feedback.
    pub calibrated: bool,
    /// Millionths of the currency per 1,000 prompt tokens.
    pub input_micros_per_1k: u64,
    /// Millionths of the currency per 1,000 completion tokens.
    pub output_micros_per_1k: u64,
    /// No attempt lasts longer: connect, first byte and body together.
    pub hard_deadline: Duration,
    /// How fast it may be asked.
    pub limits: CallLimits,
}

impl ModelCard {
    /// What so many tokens cost, rounded up.
    #[must_use]
    pub fn cost(&self, input_tokens: u64, output_tokens: u64) -> Money {
        let thousandths = u128::from(input_tokens) * u128::from(self.input_micros_per_1k)
            + u128::from(output_tokens) * u128::from(self.output_micros_per_1k);
        Money(u64::try_from(thousandths.div_ceil(1_000)).unwrap_or(u64::MAX))
    }

    /// Whether asking it costs money.
    #[must_use]
    pub fn is_priced(&self) -> bool {
        self.remote && (self.input_micros_per_1k, self.output_micros_per_1k) != (0, 0)
    }
}

/// How fast a remote model may be asked, all tenants together. By default as fast as there is work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallLimits {
    /// Requests a minute; `None`: unlimited.
    pub requests_per_minute: Option<u32>,
    /// Tokens a minute, prompt and completion; `None`: unlimited.
    pub tokens_per_minute: Option<u32>,
    /// Calls at once.
    pub at_once: Range,
}

/// Between which bounds the number of calls at once follows what the provider takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Never fewer; at least one.
    pub min: u32,
    /// To begin with.
    pub initial: u32,
    /// Never more.
    pub max: u32,
}

impl Default for Range {
    /// As many as there are.
    fn default() -> Self {
        Self { min: 1, initial: u32::MAX, max: u32::MAX }
    }
}

/// One question.
#[derive(Debug, Clone)]
pub struct Question {
    /// Names this attempt to the provider: `<event's dedupe key, hex>.<attempt>`.
    pub call_id: String,
    /// Whose taxonomy.
    pub tenant: Arc<Tenant>,
    /// The event, for a model in this process.
    pub event: Arc<SupportEvent>,
    /// What may leave the process; remote models get nothing else.
    pub prompt: Option<Arc<Prompt>>,
}

/// What leaves the process: rendered, redacted, delimited.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// Byte-identical for every ticket of a taxonomy, for provider caching.
    pub system: Arc<str>,
    /// The ticket, as data.
    pub user: String,
    /// Strict JSON schema of the answer.
    pub schema: Arc<serde_json::Value>,
    /// Prompt tokens this will take, roughly.
    pub estimated_tokens: u32,
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The words themselves; hostile until parsed.
    pub content: Content,
    /// The provider's id.
    pub response_id: Option<String>,
    /// The model that answered.
    pub response_model: Option<String>,
    /// Why it stopped.
    pub finish_reason: Option<String>,
    /// Prompt tokens billed.
    pub input_tokens: u64,
    /// Completion tokens billed.
    pub output_tokens: u64,
    /// What the provider says of its limits.
    pub rate: RateHints,
    /// From the first byte sent to the last byte read.
    pub latency: Duration,
}

/// The body of a reply.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Text that should be JSON of our schema.
    Text(String),
    /// The model declined, in its words.
    Refusal(String),
    /// Label probabilities of a model in this process, best first; empty with a reason when it abstains.
    Scores {
        /// Label and probability.
        categories: Vec<(String, f64)>,
        /// ISO 639-1 and confidence, if recognised.
        language: Option<(String, f64)>,
        /// Why it abstains.
        abstained: Option<crate::domain::answer::Abstention>,
    },
}

/// `x-ratelimit-*` of a reply, as far as they were there.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RateHints {
    /// Requests left in the window.
    pub remaining_requests: Option<u64>,
    /// Tokens left in the window.
    pub remaining_tokens: Option<u64>,
    /// Until all requests are back.
    pub reset_requests: Option<Duration>,
    /// Until all tokens are back.
    pub reset_tokens: Option<Duration>,
}

impl RateHints {
    /// How long another call of so many tokens had better wait; `None`: not at all. Waiting until all are back loses
    /// nothing: what comes back meanwhile is there afterwards.
    #[must_use]
    pub fn exhausted_for(&self, tokens: u64) -> Option<Duration> {
        let requests = self.reset_requests.filter(|_| self.remaining_requests == Some(0));
        let tokens = self.reset_tokens.filter(|_| self.remaining_tokens.is_some_and(|left| left < tokens.max(1)));
        requests.max(tokens)
    }
}

/// Why a call failed. Classes are types; nothing looks into strings.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CallError {
    /// No connection, or it broke before the reply was whole.
    #[error("connection failed: {0}")]
    Connection(String),
    /// Connect, first byte or total timeout.
    #[error("no reply within {after:?} ({phase})")]
    Timeout {
        /// connect, first byte, body.
        phase: &'static str,
        /// The limit that was hit.
        after: Duration,
    },
    /// 429, or a 402 that says when to come back.
    #[error("the provider limits its rate")]
    RateLimited {
        /// Wait at least this long.
        retry_after: Option<Duration>,
    },
    /// 402, or a 429 or 403 that says the account's quota or money is used up.
    #[error("the provider's quota is used up")]
    Quota,
    /// 401, or a 403 in the provider's own words.
    #[error("the provider refuses our credentials ({status})")]
    Auth {
        /// HTTP status.
        status: u16,
    },
    /// Other 4xx: our request is wrong, or somebody on the way refuses it.
    #[error("the provider refuses the request ({status})")]
    Request {
        /// HTTP status.
        status: u16,
    },
    /// 5xx, any other unexpected status (a redirect, say), and a completion that says that it failed.
    #[error("the provider failed ({status})")]
    Server {
        /// HTTP status.
        status: u16,
        /// Wait at least this long.
        retry_after: Option<Duration>,
    },
    /// The provider filtered prompt or answer.
    #[error("the provider filtered the content")]
    Filtered,
    /// The body is over the cap, or is not a completion.
    #[error("the reply is not usable: {0}")]
    Garbled(String),
}
