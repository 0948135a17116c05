//! What a model may have said, cut down to what the tenant's lists allow.
//!
//! Triage has parsed and distrusted the answer before it was saved. It is done again because this is the last place
//! before a decision exists, and because a saved answer may be older than the taxonomy it is judged by.
//!
//! Afterwards there is a category or a reason why there is none, never both and never neither.

use crate::domain::answer::{Abstention, Predicted, Scored};
use crate::domain::event::Level;
use crate::domain::taxonomy::Taxonomy;

use super::words::plain;

/// Next best labels that travel with a decision.
const MAX_ALTERNATIVES: usize = 5;
/// Characters of a summary or a rationale: a few sentences.
const MAX_REMARK: usize = 1_000;
/// Characters of a draft reply: a long letter.
const MAX_REPLY: usize = 10_000;

/// The predictions that are left; nobody's answer has none.
#[must_use]
pub fn distrust(predicted: Option<&Predicted>, taxonomy: &Taxonomy) -> Predicted {
    let Some(said) = predicted else { return Predicted::default() };

    let known = |scored: &Scored<String>| taxonomy.category(&scored.value).is_some();
    let category = said.category.as_ref().filter(|category| said.abstained.is_none() && known(category)).map(bounded);
    let abstained = match (&category, said.abstained, &said.category) {
        (Some(_), _, _) => None,
        (None, Some(abstained), _) => Some(abstained),
        (None, None, Some(_)) => Some(Abstention::UnknownLabel),
        (None, None, None) => Some(Abstention::NoneOfThese),
    };
    let mut alternatives: Vec<Scored<String>> = Vec::new();
    for alternative in said.alternatives.iter().filter(|alternative| known(alternative)) {
        let taken = category.iter().chain(&alternatives).any(|other| other.value == alternative.value);
        if !taken && alternatives.len() < MAX_ALTERNATIVES {
            alternatives.push(bounded(alternative));
        }
    }

    let level = |scored: &Option<Scored<Level>>| scored.as_ref().filter(|it| it.value != Level::Unknown).map(bounded);
    Predicted {
        category,
        alternatives,
        impact: level(&said.impact),
        urgency: level(&said.urgency),
        sentiment: said.sentiment.as_ref().filter(|it| is_sentiment(&it.value)).map(bounded),
        language: said.language.as_ref().filter(|it| is_iso_639_1(&it.value)).map(bounded),
        summary: said.summary.as_deref().and_then(|text| plain(text, MAX_REMARK)),
        reply: said.reply.as_deref().and_then(|text| plain(text, MAX_REPLY)),
        rationale: said.rationale.as_deref().and_then(|text| plain(text, MAX_REMARK)),
        abstained,
    }
}

fn bounded<T: Clone>(scored: &Scored<T>) -> Scored<T> {
    let confidence = if scored.confidence.is_finite() { scored.confidence.clamp(0.0, 1.0) } else { 0.0 };
    Scored { value: scored.value.clone(), confidence }
}

fn is_sentiment(value: &str) -> bool {
    matches!(value, "positive" | "neutral" | "negative")
}

/// Has the form of a code: there are only 676 of them, and none does anything by itself.
fn is_iso_639_1(value: &str) -> bool {
    value.len() == 2 && value.bytes().all(|byte| byte.is_ascii_lowercase())
}
