//! The text of a ticket as policy reads it: compared, weighed, and cleaned before it goes out.

use serde::Serialize;

use crate::domain::event::SupportEvent;
use crate::domain::phrase::Phrase;
use crate::domain::text::{cut, is_written_without_spaces, visible};

/// Below this weight a text says too little: "help!!" or "it's broken" (9 letters), but not "reset my PIN" with its
/// subject.
const LITTLE: usize = 12;

/// Subject and message, as far as there are any.
pub fn texts(event: &SupportEvent) -> impl Iterator<Item = &str> {
    event.ticket.subject.as_deref().into_iter().chain(event.message.as_ref().map(|message| message.body.as_str()))
}

/// Whether subject and message together say too little to judge by. A character of a script that writes a syllable or a
/// word with it counts as three letters.
#[must_use]
pub fn too_little_to_judge(event: &SupportEvent) -> bool {
    let weight = |character: char| match character {
        _ if !character.is_alphanumeric() => 0,
        _ if is_written_without_spaces(character) => 3,
        _ => 1,
    };
    texts(event).flat_map(str::chars).map(weight).sum::<usize>() < LITTLE
}

/// Whether a folded text contains a phrase as whole words. Where a script puts no space between words, the edge of a word
/// cannot be seen and is not asked for.
#[must_use]
pub fn contains(folded_text: &str, phrase: &Phrase) -> bool {
    let phrase = phrase.folded();
    let (Some(first), Some(last)) = (phrase.chars().next(), phrase.chars().next_back()) else { return false };
    let mut from = 0;
    while let Some(found) = folded_text[from..].find(phrase) {
        let start = from + found;
        let end = start + phrase.len();
        if is_edge(folded_text[..start].chars().next_back(), first) && is_edge(folded_text[end..].chars().next(), last)
        {
            return true;
        }
        from = start + first.len_utf8();
    }
    false
}

fn is_edge(outside: Option<char>, inside: char) -> bool {
    let joins = |character: char| character.is_alphanumeric() && !is_written_without_spaces(character);
    !(joins(inside) && outside.is_some_and(joins))
}

/// A model's free text, fit to be shown: no control and no invisible characters, at most `most` characters; `None` when
/// nothing is left.
#[must_use]
pub fn plain(text: &str, most: usize) -> Option<String> {
    let visible = visible(text.trim());
    let kept = cut(&visible, most).trim();
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// The symbol of a closed set as it stands in records.
#[must_use]
pub fn symbol<T: Serialize>(value: &T) -> String {
    let json = serde_json::to_value(value).expect("a unit variant always serialises");
    json.as_str().expect("a unit variant serialises as its name").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::text::folded;

    fn found(text: &str, phrase: &str) -> bool {
        contains(&folded(text), &phrase.into())
    }

    #[test]
    fn a_phrase_inside_a_longer_word_is_not_found() {
        assert!(!found("the lawyerly tone of the outlawyer", "lawyer"));
        assert!(!found("Rechtsanwältin", "anwalt"));
        assert!(!found("xa a", "a a"));
        assert!(!found("anything", ""));
        assert!(!found("anything", " \u{200B} "));
    }

    #[test]
    fn case_line_breaks_and_punctuation_do_not_hide_a_phrase() {
        assert!(found("I will take LEGAL\n\t action!", "legal action"));
        assert!(found("my lawyer's letter", "Lawyer"));
        assert!(found("\"lawyer\"", "lawyer"));
        assert!(found("MÜLLER GEGEN ÄRZTE", "ärzte"));
        assert!(found("Передам дело АДВОКАТУ.", "адвокату"));
        assert!(found("xa a a", "a a"), "a match that overlaps a false one");
    }

    #[test]
    fn invisible_characters_do_not_hide_a_phrase() {
        assert!(found("my law\u{200B}yer, my l\u{00AD}awyer", "lawyer"));
        assert!(found("\u{202E}ransom\u{2060}ware", "ransomware"));
        for filler in ['\u{0}', '\u{115F}', '\u{17B4}', '\u{180B}', '\u{180F}', '\u{3164}', '\u{FFA0}', '\u{FFF9}'] {
            assert!(found(&format!("my law{filler}yer"), "lawyer"), "{filler:?}");
        }
        assert!(found("legal\u{2028}action", "legal action"), "it separates lines");
    }

    #[test]
    fn other_forms_of_the_same_letters_do_not_hide_a_phrase() {
        assert!(found("ＧＤＰＲ ｒｅｑｕｅｓｔ", "gdpr request"));
        assert!(found("a gdpr request", "ＧＤＰＲ\u{3000}request"), "nor the other way round");
        assert!(found("court\u{A0}order no. ４２", "order no. 42"));
    }

    #[test]
    fn scripts_without_spaces_need_no_edges() {
        assert!(found("弁護士に相談します", "弁護士"));
        assert!(found("변호사에게 연락하겠습니다", "변호사"));
        assert!(found("ฉันจะปรึกษาทนายความ", "ทนายความ"));
    }

    #[test]
    fn what_goes_out_is_bounded_and_visible() {
        assert_eq!(plain("  \u{0007}a\u{202E}b\nc\u{0} ", 10).as_deref(), Some("ab\nc"));
        assert_eq!(plain(&"é".repeat(20), 3).as_deref(), Some("ééé"));
        assert_eq!(plain("\u{200B} \u{0}", 10), None);
    }
}
