//! `models.<name>.*`: which models there are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::secret::Secret;

/// By name; names are what `triage.chain` lists.
pub type Models = BTreeMap<String, Model>;

/// One model.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Model {
    /// Any server that speaks OpenAI's chat completions.
    Openai(Box<OpenAi>),
    /// The linear model in this process.
    Local(Local),
}

/// A server that speaks OpenAI's chat completions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenAi {
    /// `https://host/v1`.
    pub base_url: String,
    /// Absent: the model is left out of the chain.
    #[serde(default)]
    pub api_key: Option<Secret>,
    /// Which model to ask for.
    pub model: String,
    /// `gen_ai.provider.name`.
    #[serde(default = "openai")]
    pub provider: String,
    /// Limits of one attempt.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// A longer body is not read.
    #[serde(default = "one_mebibyte")]
    pub max_body_bytes: usize,
    /// `max_completion_tokens` of each request.
    #[serde(default = "completion_tokens")]
    pub max_completion_tokens: u32,
    /// What it costs.
    #[serde(default)]
    pub price: Price,
    /// How fast it may be asked.
    #[serde(default)]
    pub limits: Limits,
}

/// Limits of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// TCP and TLS.
    #[serde(with = "humantime_serde")]
    pub connect: Duration,
    /// From the request to the response's headers.
    #[serde(with = "humantime_serde")]
    pub first_byte: Duration,
    /// All of it.
    #[serde(with = "humantime_serde")]
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(10), first_byte: seconds(30), total: seconds(60) }
    }
}

/// Millionths of the currency per 1,000 tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Price {
    /// Prompt.
    pub input_micros_per_1k: u64,
    /// Completion.
    pub output_micros_per_1k: u64,
}

/// How fast a model may be asked, all tenants together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests a minute; absent: unlimited.
    pub requests_per_minute: Option<u32>,
    /// Tokens a minute, prompt and completion; absent: unlimited.
    pub tokens_per_minute: Option<u32>,
    /// Calls at once.
    pub concurrency: Concurrency,
}

/// Between which bounds the number of calls at once follows what the provider takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Concurrency {
    /// Never fewer.
    pub min: u32,
    /// To begin with.
    pub initial: u32,
    /// Never more.
    pub max: u32,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { min: 1, initial: 32, max: 1_000 }
    }
}

/// The linear model in this process.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// Weights made by `gatekeeper train`; absent: the generic ones that ship with the product.
    #[serde(default)]
    pub weights: Option<PathBuf>,
    /// Below this share of known features it abstains.
    #[serde(default = "known_share")]
    pub min_known_share: f64,
}

fn openai() -> String {
    "openai".to_owned()
}

fn one_mebibyte() -> usize {
    1 << 20
}

fn completion_tokens() -> u32 {
    600
}

/// Above what a sentence of another language has, below what English of an unseen field has.
fn known_share() -> f64 {
    0.5
}
