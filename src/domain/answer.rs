//! What a model said about a ticket, after it was distrusted and before it is judged.
//!
//! An answer is saved before it is judged, with everything a decision needs, so that a decision is a pure function of
//! the event and this value.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::event::Level;
use super::flags::{Evaluation, Flag};
use super::reason_code::ReasonCode;

/// The outcome of triage: an answer, or nobody's (then people decide).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What was predicted; `None`: no model could, people decide.
    pub predicted: Option<Predicted>,
    /// Who answered; with `predicted: None` the model that was paid last without a usable answer, so that no cost is
    /// lost; `None`: nothing was billed.
    pub usage: Option<Usage>,
    /// Why the first model of the chain did not answer; `None`: it did.
    pub degraded: Option<ReasonCode>,
    /// Every model that was tried and failed, in order.
    pub tried: Vec<Tried>,
    /// What was found in the text before it left.
    pub findings: Findings,
    /// The versions it was made under.
    pub versions: Versions,
    /// When it arrived.
    pub answered_at: Timestamp,
    /// What rules said about flags when it was asked for; every other flag was on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Evaluation>,
    /// What the local model said, if it was asked first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_look: Option<FirstLook>,
}

impl Answer {
    /// Whether a capability was there when it was asked for.
    #[must_use]
    pub fn is_on(&self, flag: Flag) -> bool {
        self.flags.iter().all(|evaluation| evaluation.flag != flag || evaluation.on)
    }
}

/// The local model was asked before any remote one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FirstLook {
    /// Its name in the settings.
    pub model: String,
    /// In its category; `None`: it named none of the tenant's.
    pub confidence: Option<f64>,
    /// What it needed for its answer to stand.
    pub threshold: f64,
}

impl FirstLook {
    /// Whether its answer stands.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        self.confidence.is_some_and(|confidence| confidence >= self.threshold)
    }
}

impl fmt::Display for FirstLook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, confidence, threshold } = self;
        match confidence {
            Some(confidence) if self.is_sure() => {
                write!(
                    f,
                    "{model} was asked first and was sure, {confidence:.3} of {threshold:.3}: no remote model was asked"
                )
            }
            Some(confidence) => {
                write!(f, "{model} was asked first and was in doubt, {confidence:.3} of {threshold:.3}")
            }
            None => write!(f, "{model} was asked first and named no category"),
        }
    }
}

/// Predictions, each with the model's own confidence in 0..=1.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Predicted {
    /// A label of the tenant's taxonomy; `None`: the model abstained or said "none of these".
    pub category: Option<Scored<String>>,
    /// Next best categories, best first.
    pub alternatives: Vec<Scored<String>>,
    /// How much of the business is affected.
    pub impact: Option<Scored<Level>>,
    /// How fast it hurts.
    pub urgency: Option<Scored<Level>>,
    /// positive, neutral or negative.
    pub sentiment: Option<Scored<String>>,
    /// ISO 639-1 code of the text's language.
    pub language: Option<Scored<String>>,
    /// One or two sentences for the person who takes over.
    pub summary: Option<String>,
    /// A draft for a person to send; never sent by itself.
    pub reply: Option<String>,
    /// Why.
    pub rationale: Option<String>,
    /// Why the model did not choose a category, if it did not.
    pub abstained: Option<Abstention>,
}

/// A value and how sure the model says it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored<T> {
    /// The value.
    pub value: T,
    /// 0..=1, finite.
    pub confidence: f64,
}

/// Why there is no category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Abstention {
    /// "None of these".
    NoneOfThese,
    /// A label that is not in the tenant's taxonomy.
    UnknownLabel,
    /// Words the model has never seen.
    OutOfVocabulary,
    /// A language it does not read.
    Language,
    /// There was no text.
    NoText,
}

/// Who answered, and what it cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Its name in the settings.
    pub model: String,
    /// `gen_ai.provider.name`.
    pub provider: String,
    /// The model that was asked for.
    pub request_model: String,
    /// The model that answered, if it says.
    pub response_model: Option<String>,
    /// The provider's id of the answer.
    pub response_id: Option<String>,
    /// Prompt tokens.
    pub input_tokens: u64,
    /// Completion tokens.
    pub output_tokens: u64,
    /// Millionths of the tenant's currency, all attempts that were billed.
    pub cost_micros: u64,
    /// From the first byte sent to the last byte read, last attempt.
    pub latency_ms: u64,
    /// Calls made to this model for this event.
    pub attempts: u32,
    /// Why it stopped.
    pub finish_reason: Option<String>,
    /// Whether the tenant's `calibrated_fields` count for it; false for a local model that was not calibrated on feedback.
    pub calibrated: bool,
}

/// A model that could not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// Its name in the settings.
    pub model: String,
    /// Why not.
    pub code: ReasonCode,
    /// Calls made.
    pub attempts: u32,
    /// The error in words, without ticket text.
    pub detail: String,
}

/// What the text itself gives reason for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Findings {
    /// Kinds of personal data that were replaced.
    pub pii_types: Vec<String>,
    /// How many pieces were replaced.
    pub redactions: u32,
    /// Something in the text speaks to the model instead of to people.
    pub injection_suspected: bool,
}

/// The versions an answer was made under.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Versions {
    /// The tenant's policy.
    pub policy: String,
    /// The tenant's taxonomy.
    pub taxonomy: String,
    /// Hash of the prompt templates.
    pub prompt: String,
    /// Hash of policy, taxonomy, prompt and chain.
    pub fingerprint: String,
}
