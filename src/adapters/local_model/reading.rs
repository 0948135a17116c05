//! One text read: what it is about, or why that cannot be told. Pure.
//!
//! ```text
//! no word at all                          -> NoText
//! a language that training did not have   -> Language         (told by the publisher, or recognised beyond doubt)
//! too few known words                     -> OutOfVocabulary
//! else                                    -> labels, best first
//! ```
//!
//! A linear model is *surest* where it knows least, so the questions before the answer matter more than the answer.

use super::features::Extractor;
use super::language;
use super::weights::Weights;
use crate::domain::answer::Abstention;

/// From this share of known words on, a text is in the language of the vocabulary, and the recogniser is not asked:
/// it costs five times as much as all the rest. Words that languages share (names, `in`, `die`, `no`) give a foreign
/// sentence a share of 0.1 to 0.4; English of a field that the generic weights never saw has 0.5 to 0.9.
const VOCABULARY_VOUCHES: f64 = 0.7;

/// What was made of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// ISO 639-1 and confidence, if recognised.
    pub language: Option<(String, f64)>,
    /// Labels and probabilities, best first; or why there are none.
    pub answer: Result<Vec<(String, f64)>, Abstention>,
}

/// Reads. `told` is the language the publisher names (BCP 47), if it does.
#[must_use]
pub fn read(weights: &Weights, min_known_share: f64, text: &str, told: Option<&str>) -> Reading {
    let mut extractor = Extractor::default();
    extractor.read(text);
    if extractor.words().is_empty() {
        return Reading { language: None, answer: Err(Abstention::NoText) };
    }
    let known_share = weights.known_share(extractor.words());
    let language = recognise(weights, known_share, text, told);
    let reads = |(code, _): &(String, f64)| weights.about.languages.contains(code);
    let answer = if !language.as_ref().is_none_or(reads) {
        Err(Abstention::Language)
    } else if known_share < min_known_share {
        Err(Abstention::OutOfVocabulary)
    } else {
        Ok(ranked(weights, &extractor))
    };
    Reading { language, answer }
}

/// Of several trained languages the vocabulary cannot tell which, so the recogniser is asked each time.
fn recognise(weights: &Weights, known_share: f64, text: &str, told: Option<&str>) -> Option<(String, f64)> {
    if let Some(code) = told.and_then(language::primary) {
        return Some((code, 1.0));
    }
    match weights.about.languages.as_slice() {
        [only] if known_share >= VOCABULARY_VOUCHES => Some((only.clone(), known_share)),
        _ => language::recognise(text).map(|(code, confidence)| (code.to_owned(), confidence)),
    }
}

fn ranked(weights: &Weights, extractor: &Extractor) -> Vec<(String, f64)> {
    let probabilities = weights.probabilities(extractor.features());
    let mut ranked: Vec<_> = weights.about.labels.iter().cloned().zip(probabilities).collect();
    ranked.sort_by(|(_, left), (_, right)| right.total_cmp(left));
    ranked
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::super::{GENERIC, file};
    use super::*;

    static WEIGHTS: LazyLock<Weights> =
        LazyLock::new(|| file::decode(GENERIC).expect("the shipped weights are good").weights);

    fn answer(text: &str, told: Option<&str>) -> Result<String, Abstention> {
        read(&WEIGHTS, 0.5, text, told).answer.map(|ranked| ranked[0].0.clone())
    }

    #[test]
    fn text_without_a_word_is_no_text() {
        for text in ["", "\n", "\0\0", "😀😀", "... --- ...", "\u{202e}\u{200b}"] {
            assert_eq!(answer(text, Some("en")), Err(Abstention::NoText), "{text:?}");
        }
    }

    #[test]
    fn a_language_it_was_not_trained_on_is_recognised() {
        for text in [
            "Ich kann mich seit gestern nicht mehr in meinem Konto anmelden, bitte helfen Sie mir",
            "Bonjour, je n'arrive plus à me connecter à mon compte depuis hier",
            "私のカードはどこですか",
        ] {
            assert_eq!(answer(text, None), Err(Abstention::Language), "{text}");
        }
    }

    #[test]
    fn what_the_publisher_says_of_the_language_is_believed_but_words_must_still_be_known() {
        assert_eq!(answer("I cannot log in to my account", Some("de-AT")), Err(Abstention::Language));
        assert_eq!(answer("I cannot log in to my account", Some("en-GB")), Ok("account_access".to_owned()));
        assert_eq!(answer("Passwort vergessen, Konto gesperrt", Some("en")), Err(Abstention::OutOfVocabulary));
        assert_eq!(read(&WEIGHTS, 0.5, "refund please", Some("en-GB")).language, Some(("en".to_owned(), 1.0)));
    }

    #[test]
    fn words_it_has_never_seen_are_out_of_vocabulary() {
        for text in ["zzkq wvvp xqj brrt", "Passwort vergessen", "не могу войти", "0x7ffd9a3c"] {
            assert_eq!(answer(text, None), Err(Abstention::OutOfVocabulary), "{text}");
        }
    }

    #[test]
    fn the_share_that_must_be_known_is_a_setting() {
        let text = "refund zzkq";
        let known = |least| read(&WEIGHTS, least, text, Some("en")).answer.is_ok();
        assert!(known(0.5) && !known(0.51));
    }

    #[test]
    fn of_several_trained_languages_the_recogniser_says_which_it_is() {
        let mut weights = WEIGHTS.clone();
        weights.about.languages.push("de".to_owned());
        let text = "Where is the card that you have sent to me more than three weeks ago, and why is it so late?";
        assert_eq!(read(&weights, 0.5, text, None).language.map(|(code, _)| code), Some("en".to_owned()));
        assert_eq!(read(&weights, 0.5, "refund please", None).language, None, "too short to be sure");
        let german = "Die Rechnung, die ich gestern bekommen habe, ist leider falsch";
        assert_eq!(read(&weights, 0.5, german, None).answer, Err(Abstention::OutOfVocabulary));
    }

    #[test]
    fn a_megabyte_is_read_no_further_than_its_head() {
        let head = "where is my card ".repeat(600);
        let long = format!("{head}{}", "refund ".repeat(150_000));
        assert!(long.len() > 1 << 20);
        assert_eq!(read(&WEIGHTS, 0.5, &long, None), read(&WEIGHTS, 0.5, &head, None));
    }

    proptest! {
        #[test]
        fn any_text_is_answered_by_probabilities_in_order_or_not_at_all(text in any::<String>(), words in "[a-z ]{0,200}") {
            for text in [text, words] {
                if let Ok(ranked) = read(&WEIGHTS, 0.0, &text, Some("en")).answer {
                    prop_assert_eq!(ranked.len(), 8);
                    prop_assert!(ranked.is_sorted_by(|(_, left), (_, right)| left >= right));
                    prop_assert!((ranked.iter().map(|(_, chance)| chance).sum::<f64>() - 1.0).abs() < 1e-9);
                }
            }
        }
    }
}
