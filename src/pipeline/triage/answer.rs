//! From what a model said to what was predicted. Every byte of it is hostile.
//!
//! Refused as a whole (the guard then asks once more): anything that is not exactly one JSON object of our shape:
//! other text around it, unknown, missing or doubled fields, wrong types, numbers beyond `f64`, too much of it, an answer
//! cut off by the token limit.
//!
//! Softened: a label outside the tenant's taxonomy is an abstention; another value outside its closed set is left out;
//! a confidence outside 0..=1 is worth nothing, because a model that claims 100 does not know what it claims. Texts lose
//! control and invisible characters and whatever is over their cap.

use serde::Deserialize;

use super::model::Content;
use crate::domain::answer::{Abstention, Predicted, Scored};
use crate::domain::event::Level;
use crate::domain::taxonomy::{NONE_OF_THESE, Taxonomy};
use crate::domain::text::{cut, visible};

/// Closed set.
pub const SENTIMENTS: [&str; 3] = ["positive", "neutral", "negative"];
/// Letters of an ISO 639-1 code.
pub const LANGUAGE_CHARS: usize = 2;

const MAX_CONTENT_BYTES: usize = 64 * 1024;
const MAX_SENTENCE_CHARS: usize = 1_000;
const MAX_REPLY_CHARS: usize = 4_000;
const MAX_ALTERNATIVES: usize = 3;

/// Why an answer cannot be used. The words are ours: they go back to the model and into records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Nobody writes that much about a ticket.
    #[error("it is over 65536 bytes long")]
    TooLong,
    /// The token limit came first.
    #[error("it was cut off at the token limit")]
    CutOff,
    /// Not JSON at all, or not to its end.
    #[error("it is not one JSON object")]
    NotJson,
    /// JSON, but not ours.
    #[error("it is not of the schema: a field is missing, unknown, doubled or of the wrong type")]
    WrongShape,
    /// The model declined.
    #[error("the model declined to answer")]
    Refusal,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    category: String,
    category_confidence: f64,
    impact: String,
    impact_confidence: f64,
    urgency: String,
    urgency_confidence: f64,
    sentiment: String,
    sentiment_confidence: f64,
    language: String,
    language_confidence: f64,
    summary: String,
    // Not `default`: the schema requires the property, null or not.
    #[serde(deserialize_with = "Option::deserialize")]
    reply: Option<String>,
    rationale: String,
}

/// What was predicted, in the words of this taxonomy.
pub fn parse(content: &Content, finish_reason: Option<&str>, taxonomy: &Taxonomy) -> Result<Predicted, Invalid> {
    match content {
        Content::Refusal(_) => Err(Invalid::Refusal),
        Content::Text(_) if finish_reason == Some("length") => Err(Invalid::CutOff),
        Content::Text(text) => parse_text(text, taxonomy),
        Content::Scores { categories, language, abstained } => {
            Ok(from_scores(categories, language.as_ref(), *abstained, taxonomy))
        }
    }
}

fn parse_text(text: &str, taxonomy: &Taxonomy) -> Result<Predicted, Invalid> {
    if text.len() > MAX_CONTENT_BYTES {
        return Err(Invalid::TooLong);
    }
    // serde would also read a struct from an array of its values.
    if !text.trim_start().starts_with('{') {
        return Err(Invalid::NotJson);
    }
    let wire: Wire = serde_json::from_str(text)
        .map_err(|error| if error.is_data() { Invalid::WrongShape } else { Invalid::NotJson })?;
    let (category, abstained) = match wire.category.as_str() {
        NONE_OF_THESE => (None, Some(Abstention::NoneOfThese)),
        label if taxonomy.category(label).is_some() => (Some(scored(wire.category, wire.category_confidence)), None),
        _ => (None, Some(Abstention::UnknownLabel)),
    };
    let sentence = |text: &str| some_text(text, MAX_SENTENCE_CHARS);
    Ok(Predicted {
        category,
        alternatives: Vec::new(),
        impact: level(&wire.impact).map(|value| scored(value, wire.impact_confidence)),
        urgency: level(&wire.urgency).map(|value| scored(value, wire.urgency_confidence)),
        sentiment: SENTIMENTS
            .contains(&wire.sentiment.as_str())
            .then(|| scored(wire.sentiment, wire.sentiment_confidence)),
        language: is_language(&wire.language).then(|| scored(wire.language, wire.language_confidence)),
        summary: sentence(&wire.summary),
        reply: wire.reply.and_then(|text| some_text(&text, MAX_REPLY_CHARS)),
        rationale: sentence(&wire.rationale),
        abstained,
    })
}

/// A model in this process is no more trusted with labels than any other: its weights may be of another taxonomy.
fn from_scores(
    categories: &[(String, f64)],
    language: Option<&(String, f64)>,
    abstained: Option<Abstention>,
    taxonomy: &Taxonomy,
) -> Predicted {
    let mut known = categories
        .iter()
        .filter(|(label, _)| taxonomy.category(label).is_some())
        .map(|(label, score)| scored(label.clone(), *score));
    let best_is_known = categories.first().is_some_and(|(label, _)| taxonomy.category(label).is_some());
    let (category, abstained) = match (abstained, best_is_known) {
        (Some(why), _) => (None, Some(why)),
        (None, true) => (known.next(), None),
        (None, false) => (None, Some(Abstention::UnknownLabel)),
    };
    Predicted {
        category,
        alternatives: known.take(MAX_ALTERNATIVES).collect(),
        language: language
            .filter(|(code, _)| is_language(code))
            .map(|(code, confidence)| scored(code.clone(), *confidence)),
        abstained,
        ..Predicted::default()
    }
}

/// Put the originals of placeholders back into what people will read. They may be long: the caps hold for them, too.
pub fn restore(predicted: &mut Predicted, original: impl Fn(&str) -> String) {
    for (text, max_chars) in [
        (&mut predicted.summary, MAX_SENTENCE_CHARS),
        (&mut predicted.reply, MAX_REPLY_CHARS),
        (&mut predicted.rationale, MAX_SENTENCE_CHARS),
    ] {
        *text = text.take().and_then(|text| some_text(&original(&text), max_chars));
    }
}

fn scored<T>(value: T, confidence: f64) -> Scored<T> {
    // NaN is outside every range.
    Scored { value, confidence: if (0.0..=1.0).contains(&confidence) { confidence } else { 0.0 } }
}

fn level(text: &str) -> Option<Level> {
    match text {
        "low" => Some(Level::Low),
        "medium" => Some(Level::Medium),
        "high" => Some(Level::High),
        _ => None,
    }
}

fn is_language(code: &str) -> bool {
    code.len() == LANGUAGE_CHARS && code.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn some_text(text: &str, max_chars: usize) -> Option<String> {
    let text = visible(text);
    let text = cut(text.trim(), max_chars).trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::tenant::generic_taxonomy;

    pub fn good() -> Value {
        json!({
            "category": "billing_payment", "category_confidence": 0.93,
            "impact": "medium", "impact_confidence": 0.7, "urgency": "low", "urgency_confidence": 0.6,
            "sentiment": "negative", "sentiment_confidence": 0.8, "language": "en", "language_confidence": 0.99,
            "summary": "Charged twice.", "reply": null, "rationale": "A doubled payment.",
        })
    }

    fn parsed(text: &str) -> Result<Predicted, Invalid> {
        parse(&Content::Text(text.to_owned()), Some("stop"), &generic_taxonomy())
    }

    fn with(field: &str, value: Value) -> Result<Predicted, Invalid> {
        let mut answer = good();
        answer[field] = value;
        parsed(&answer.to_string())
    }

    #[test]
    fn whatever_is_not_exactly_our_shape_is_refused() {
        let text = good().to_string();
        let doubled = text.replacen('{', r#"{"summary":"first","#, 1);
        let values: Vec<Value> = good().as_object().expect("an object").values().cloned().collect();
        let as_array = Value::from(values).to_string();
        for (text, invalid) in [
            ("", Invalid::NotJson),
            ("I think it is billing.", Invalid::NotJson),
            (&text[..text.len() - 9], Invalid::NotJson),
            (&format!("```json\n{text}\n```"), Invalid::NotJson),
            (&format!("{text}{text}"), Invalid::NotJson),
            (&text.replace("0.93", "NaN"), Invalid::NotJson),
            (&text.replace("0.93", "1e999"), Invalid::NotJson),
            (&text.replace("0.93", "\"0.93\""), Invalid::WrongShape),
            (&text.replace("\"reply\":null,", ""), Invalid::WrongShape),
            (&doubled, Invalid::WrongShape),
            ("{}", Invalid::WrongShape),
            ("[]", Invalid::NotJson),
            ("null", Invalid::NotJson),
            (&as_array, Invalid::NotJson),
            (&"x".repeat(MAX_CONTENT_BYTES + 1), Invalid::TooLong),
            (&format!("{{\"summary\":{}", "[".repeat(10_000)), Invalid::WrongShape),
        ] {
            assert_eq!(parsed(text).map(|_| ()), Err(invalid), "{}", cut(text, 60));
        }
        assert_eq!(with("priority", json!("URGENT")).map(|_| ()), Err(Invalid::WrongShape), "an extra field");
        let cut_off = parse(&Content::Text(text), Some("length"), &generic_taxonomy());
        assert_eq!(cut_off.map(|_| ()), Err(Invalid::CutOff));
    }

    #[test]
    fn labels_outside_the_taxonomy_are_abstentions() {
        for (label, why) in [
            ("none_of_these", Abstention::NoneOfThese),
            ("refund_everyone", Abstention::UnknownLabel),
            ("Billing_Payment", Abstention::UnknownLabel),
        ] {
            let predicted = with("category", json!(label)).expect("softened, not refused");
            assert_eq!((predicted.category, predicted.abstained), (None, Some(why)));
        }
    }

    #[test]
    fn values_outside_closed_sets_are_left_out_and_impossible_confidences_are_worth_nothing() {
        assert_eq!(with("impact", json!("critical")).expect("softened").impact, None);
        assert_eq!(with("sentiment", json!("furious")).expect("softened").sentiment, None);
        assert_eq!(with("language", json!("english")).expect("softened").language, None);
        for confidence in [json!(100), json!(-0.1), json!(1.0001)] {
            let predicted = with("category_confidence", confidence).expect("softened");
            assert_eq!(predicted.category.map(|category| category.confidence), Some(0.0));
        }
    }

    #[test]
    fn texts_are_cleaned_and_capped() {
        let summary = format!("a\u{0}\u{202E}b{}", "c".repeat(5_000));
        let predicted = with("summary", json!(summary)).expect("softened");
        let summary = predicted.summary.expect("not empty");
        assert!(summary.starts_with("abc") && summary.chars().count() == MAX_SENTENCE_CHARS);
        assert_eq!(with("reply", json!(" \u{200B} ")).expect("softened").reply, None);
    }

    #[test]
    fn scores_of_a_model_with_another_taxonomy_are_an_abstention() {
        let scores = |list: &[(&str, f64)]| Content::Scores {
            categories: list.iter().map(|(label, score)| ((*label).to_owned(), *score)).collect(),
            language: Some(("en".to_owned(), f64::NAN)),
            abstained: None,
        };
        let taxonomy = generic_taxonomy();
        let predicted = parse(&scores(&[("billing_payment", 0.8), ("alien", 0.1), ("other", 0.05)]), None, &taxonomy);
        let predicted = predicted.expect("scores always parse");
        assert_eq!(predicted.category.map(|category| category.value).as_deref(), Some("billing_payment"));
        assert_eq!(predicted.alternatives.len(), 1);
        assert_eq!(predicted.language.map(|language| language.confidence), Some(0.0));
        let predicted =
            parse(&scores(&[("alien", 0.9), ("other", 0.1)]), None, &taxonomy).expect("scores always parse");
        assert_eq!((predicted.category, predicted.abstained), (None, Some(Abstention::UnknownLabel)));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_is_predicted_is_in_bounds(text in "\\PC{0,300}", label in "\\PC{0,20}", number: f64) {
            drop(parsed(&text));
            let mut answer = good();
            answer["category"] = json!(label);
            answer["urgency_confidence"] = json!(number);
            if let Ok(predicted) = parsed(&answer.to_string()) {
                prop_assert!(predicted.category.is_none());
                prop_assert!(predicted.urgency.is_none_or(|urgency| (0.0..=1.0).contains(&urgency.confidence)));
            }
        }
    }
}
