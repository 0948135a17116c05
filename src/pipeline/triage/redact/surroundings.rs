//! Where in a text something may begin and end, and what was said just before it.
//!
//! `52998224725` alone is a tax number, in `INV-2024-52998224725` it is none, and nine digits are only somebody's number if
//! the words before them say so. All positions are of bytes; what is looked for is ASCII, so they are edges of characters.

use std::sync::LazyLock;

use regex::Regex;

use crate::domain::text::is_written_without_spaces;

/// How far back a word counts, in words.
pub(super) const WORDS_BACK: usize = 5;
/// How far back they are looked for, in bytes.
const BYTES_BACK: usize = 60;

/// Our own placeholders, also one of which the search back sees the end only.
static TAKEN_OUT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\[[A-Z_]+_[0-9]+\]|\A[A-Z_]*[0-9]*\]").expect("a pattern of this file, compiled by every test")
});

/// A number that a word before it may have told: now that its digits are gone, what stands behind is no nearer to that word.
const TAKEN_OUT_BY_A_WORD: &str = "[PHONE_";

/// After these words a number is of a thing, whatever was said before: `call about order 12345678`.
const OF_THINGS: [&str; 24] = [
    "order",
    "orders",
    "invoice",
    "ticket",
    "case",
    "reference",
    "ref",
    "booking",
    "tracking",
    "article",
    "part",
    "sku",
    "version",
    "build",
    "serial",
    "bestellung",
    "rechnung",
    "auftrag",
    "commande",
    "facture",
    "pedido",
    "factura",
    "ordine",
    "fattura",
];

/// Of one separator, in bytes: bounded, so that a page of spaces is not read again for each digit.
pub(super) const LONGEST_SEPARATOR: usize = 8;

/// Positions where a piece of letters or digits begins.
pub(super) fn beginnings(text: &str) -> impl Iterator<Item = usize> + '_ {
    let bytes = text.as_bytes();
    (0..bytes.len()).filter(move |&at| bytes[at].is_ascii_alphanumeric() && !goes_on_before(text, at))
}

/// Whether one of the next so many bytes is a digit.
pub(super) fn has_digit_within(text: &str, start: usize, bytes: usize) -> bool {
    text.as_bytes()[start..].iter().take(bytes).any(u8::is_ascii_digit)
}

/// Letters, digits and the underscore. Not: letters in circles and boxes, which are pictures, and scripts without spaces,
/// where what stands before a number or behind it is the sentence around it.
fn is_wordy(c: char) -> bool {
    let is_picture = matches!(c, '\u{24B6}'..='\u{24E9}' | '\u{1F100}'..='\u{1F1FF}');
    c == '_' || c.is_alphanumeric() && !is_picture && !is_written_without_spaces(c)
}

/// Whether a longer word or number goes on over this position from before.
pub(super) fn goes_on_before(text: &str, start: usize) -> bool {
    text[..start].chars().next_back().is_some_and(is_wordy)
}

/// Whether nothing follows that would belong to a longer word or number.
pub(super) fn ends_at(text: &str, end: usize) -> bool {
    !text[end..].chars().next().is_some_and(is_wordy)
}

/// Whether it stands by itself: no longer number, word or path goes on over a dash, a dot or a slash on either side.
pub(super) fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    begins_alone(text, start) && ends_alone(text, end)
}

/// Whether nothing goes on over a sign before it.
pub(super) fn begins_alone(text: &str, start: usize) -> bool {
    match start.checked_sub(1).map(|at| (text.as_bytes()[at], at)) {
        Some((b'-' | b'/', at)) => !goes_on_before(text, at),
        Some((b'.' | b',' | b':', at)) => !text[..at].ends_with(|c: char| c.is_ascii_digit()),
        _ => true,
    }
}

/// Whether nothing goes on after it, or over a sign.
pub(super) fn ends_alone(text: &str, end: usize) -> bool {
    match text.as_bytes().get(end) {
        Some(b'-' | b'/') => ends_at(text, end + 1),
        Some(b'.' | b',' | b':') => !text[end + 1..].starts_with(|c: char| c.is_ascii_digit()),
        _ => ends_at(text, end),
    }
}

/// Whether a group of digits stands a space before, that belongs to nothing found: the last of it ended at `found_until`.
pub(super) fn goes_on_from_before(text: &str, start: usize, found_until: usize) -> bool {
    let before = &text.as_bytes()[..start];
    start > found_until + 1 && before.ends_with(b" ") && before[before.len() - 2].is_ascii_digit()
}

/// One separator within a number: a space, dash, dot or slash, the latter with spaces around, and a line break with
/// what mail programs put around it. Its length.
pub(super) fn separator(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut signs = 0;
    let mut breaks = 0;
    let mut end = at;
    while let Some(&byte) = bytes.get(end) {
        match byte {
            b' ' | b'\t' => {}
            b'-' | b'.' | b'/' => signs += 1,
            b'\n' => breaks += 1,
            b'>' if breaks > 0 => {}
            _ => break,
        }
        end += 1;
        if end - at > LONGEST_SEPARATOR || signs > 1 || breaks > 1 {
            return None;
        }
    }
    // Without a sign or a break, two spaces are a column's edge.
    (end > at && (end - at == 1 || signs + breaks > 0)).then_some(end - at)
}

/// Whether one of these words stands shortly before, with no thing's name between. Words are in small letters. What is
/// already taken out says nothing: behind `[PHONE_1]` not every number is somebody's telephone.
pub(super) fn said_before(text: &str, at: usize, words: &[&str]) -> bool {
    let before = &text[text.floor_char_boundary(at.saturating_sub(BYTES_BACK))..at];
    let before = before.rfind(TAKEN_OUT_BY_A_WORD).map_or(before, |from| &before[from..]);
    let before = TAKEN_OUT.replace_all(before, " 0 ").to_lowercase();
    let spoken = before.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).rev().take(WORDS_BACK);
    // Where a script writes without spaces, a word is found at the end of another.
    let means = |known: &&str, word: &str| *known == word || !known.is_ascii() && word.ends_with(*known);
    for word in spoken {
        if words.iter().any(|known| means(known, word)) {
            return true;
        }
        if OF_THINGS.contains(&word) {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_within_a_longer_one_does_not_stand_alone() {
        let alone = |text: &str| {
            let start = text.find("4711").expect("it is in there");
            stands_alone(text, start, start + 4)
        };
        for text in [
            "4711",
            "(4711)",
            "no.4711.",
            "a 4711-",
            "id:4711, x",
            "4711\n",
            "“4711”",
            "🙂4711•",
            "番4711番",
            "“-4711-”",
        ] {
            assert!(alone(text), "{text}");
        }
        for text in ["4711a", "4711-12", "12-4711", "a/4711", "1.4711", "4711.5", "4711é", "ж-4711", "10:4711"] {
            assert!(!alone(text), "{text}");
        }
    }

    #[test]
    fn a_separator_is_one_sign_or_one_line_break() {
        for (text, length) in [
            (" 1", Some(1)),
            ("-1", Some(1)),
            (" - 1", Some(3)),
            (" \n> 1", Some(4)),
            ("-\n1", Some(2)),
            ("  1", None),
            ("\n\n1", None),
        ] {
            assert_eq!(separator(text, 0), length, "{text:?}");
        }
        assert_eq!(separator("1", 0), None);
        assert_eq!(separator(&" ".repeat(100), 0), None);
    }

    #[test]
    fn a_word_counts_near_before_the_number_only() {
        let said = |text: &str| said_before(text, text.find('7').expect("it is in there"), &["phone", "電話"]);
        for text in ["my phone: 7", "Phone number is 7", "お電話7", "PHONE\n7"] {
            assert!(said(text), "{text}");
        }
        for text in ["phone [EMAIL_1] 7", "phone [NATIONAL_ID_12], 7"] {
            assert!(said(text), "{text}");
        }
        for text in ["[PHONE_1] 7", "phone [PHONE_1], 7", "phone [EMAIL_1] [CARD_1] a b c 7"] {
            assert!(!said_before(text, text.rfind('7').expect("it is in there"), &["phone"]), "{text}");
        }
        for text in ["7 phone", "phone order 7", "phones 7", "phone a b c d e 7", "megaphone 7"] {
            assert!(!said(text), "{text}");
        }
    }
}
