//! A model behind any server that speaks OpenAI's chat completions.
//!
//! One attempt per question and nothing hidden: no retries (the library's and the HTTP client's are off), no redirects,
//! no proxy from the environment, no decompression (a bomb stays as small as it arrived), a capped body, three timeouts.
//! Every failure is a [`CallError`] by its class; neither headers nor bodies are ever logged, here or by the library,
//! which is only given bodies that were read and understood before (`transport`).
//!
//! Usage: a reply without usable token counts (missing, zero, negative, absurd) is counted by estimate, because a free call
//! would be a hole in the budget, and an answer that nobody paid for is not kept as one that somebody did.

mod rate_hints;
mod retry_after;
mod transport;
mod wire;

use std::sync::{Arc, OnceLock};

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout};

use self::transport::Transport;
use self::wire::Completion;
use crate::pipeline::triage::model::{CallError, CallLimits, Model, ModelCard, Question, Range, RateHints, Reply};
use crate::settings::models::{Concurrency, Limits, OpenAi, Timeouts};

/// A remote model.
pub struct OpenAiModel {
    card: ModelCard,
    client: Client<OpenAIConfig>,
    transport: Transport,
    timeouts: Timeouts,
    max_completion_tokens: u32,
}

/// Why a model cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address cannot be used.
    #[error("models.{model}.base_url must be http:// or https:// without user, query or fragment")]
    BaseUrl {
        /// The model's name in the settings.
        model: String,
    },
    /// The key cannot stand in a header.
    #[error("models.{model}.api_key is absent or holds characters that cannot stand in a header")]
    ApiKey {
        /// The model's name in the settings.
        model: String,
    },
    /// The HTTP client.
    #[error("models.{model}: the HTTP client cannot be made: {source}")]
    Client {
        /// The model's name in the settings.
        model: String,
        /// What it says.
        source: reqwest::Error,
    },
}

impl OpenAiModel {
    /// The model `models.<name>`.
    pub fn new(name: &str, settings: &OpenAi) -> Result<Self, SetupError> {
        let model = || name.to_owned();
        let url = reqwest::Url::parse(&settings.base_url).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        let url = url.ok_or_else(|| SetupError::BaseUrl { model: model() })?;
        // The library panics on a key that is no header value.
        let key = settings.api_key.as_ref().map(|key| key.expose()).unwrap_or_default();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SetupError::ApiKey { model: model() });
        }
        let http = transport::http_client(settings.timeouts.connect)
            .map_err(|source| SetupError::Client { model: model(), source })?;
        // Everything the environment could say is said here.
        let config = OpenAIConfig::new()
            .with_api_base(url.as_str().trim_end_matches('/'))
            .with_api_key(key)
            .with_org_id("")
            .with_project_id("");
        Ok(Self {
            card: ModelCard {
                name: model(),
                provider: settings.provider.clone(),
                request_model: settings.model.clone(),
                remote: true,
                // How far its confidence can be trusted is the tenant's to say, field by field.
                calibrated: true,
                input_micros_per_1k: settings.price.input_micros_per_1k,
                output_micros_per_1k: settings.price.output_micros_per_1k,
                hard_deadline: settings.timeouts.total,
                limits: limits(&settings.limits),
            },
            client: Client::build(http.clone(), config),
            transport: Transport::new(http, settings.timeouts, settings.max_body_bytes),
            timeouts: settings.timeouts,
            max_completion_tokens: settings.max_completion_tokens,
        })
    }

    async fn call(&self, question: &Question) -> Result<Reply, CallError> {
        // Nothing but a prompt may leave; a question without one is our own mistake, like a 400.
        let prompt = question.prompt.as_ref().ok_or(CallError::Request { status: 0 })?;
        let request = wire::request(&self.card.request_model, prompt, self.max_completion_tokens);
        let heard = Arc::new(OnceLock::new());
        // One service a call: it knows the call's name and where to leave what the library would throw away.
        let service = self.transport.service(&question.call_id, Arc::clone(&heard));
        let client = self.client.clone().with_http_service(service);
        let began = Instant::now();
        let completion: Completion = client.chat().create_byot(request).await.map_err(class)?;
        let hints = heard.get().copied().unwrap_or_default();
        completion.into_reply(prompt, hints, began.elapsed())
    }
}

impl Model for OpenAiModel {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Result<Reply, CallError>> {
        async move {
            let total = self.timeouts.total;
            timeout(total, self.call(&question))
                .await
                .unwrap_or(Err(CallError::Timeout { phase: "total", after: total }))
        }
        .boxed()
    }
}

/// As the guard counts them.
fn limits(settings: &Limits) -> CallLimits {
    let Concurrency { min, initial, max } = settings.concurrency;
    CallLimits {
        requests_per_minute: settings.requests_per_minute,
        tokens_per_minute: settings.tokens_per_minute,
        at_once: Range { min, initial, max },
    }
}

/// The transport's own errors come back boxed; anything else the library says is said without its words, which could
/// hold a body.
fn class(error: OpenAIError) -> CallError {
    match error {
        OpenAIError::Boxed(error) => match error.downcast::<CallError>() {
            Ok(ours) => *ours,
            Err(_) => CallError::Garbled("unknown failure below the client".to_owned()),
        },
        OpenAIError::Reqwest(_) => CallError::Connection("the request could not be made".to_owned()),
        OpenAIError::InvalidArgument(_) => CallError::Request { status: 0 },
        _ => CallError::Garbled("not a chat completion".to_owned()),
    }
}

/// What a call heard besides its body.
type Heard = Arc<OnceLock<RateHints>>;

/// No provider bills more for one of our prompts; a larger count is nonsense.
const MAX_PLAUSIBLE_TOKENS: u64 = 10_000_000;
