//! Characters that have no business in text between people: controls, zero-width, direction overrides, tags.
//!
//! They hide words from the person who reads and show them to the model (or the other way round).

/// Whether a person would see nothing of it, or something else than is there.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' // fillers
        | '\u{180B}'..='\u{180F}' | '\u{3164}' | '\u{FFA0}'
        | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' // zero width, bidi
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
        | '\u{E0000}'..='\u{E0FFF}' // tags, variation selectors
    )
}

/// The text without them. Line breaks and tabs stay; other controls go.
#[must_use]
pub(super) fn visible(text: &str) -> String {
    text.chars().filter(|&c| matches!(c, '\n' | '\t') || !(c.is_control() || is_invisible(c))).collect()
}

/// At most so many characters.
#[must_use]
pub(super) fn cut(text: &str, max_chars: usize) -> &str {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_cannot_see_is_taken_out_and_what_they_can_stays() {
        assert_eq!(visible("a\0b\u{200B}c\u{202E}d\u{E0041}e\u{7}f\r\n\tg"), "abcdef\n\tg");
        assert_eq!(visible("Grüße, 请帮忙, помогите 🙂"), "Grüße, 请帮忙, помогите 🙂");
    }

    #[test]
    fn cutting_never_splits_a_character() {
        assert_eq!(cut("äöü", 2), "äö");
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöü", 0), "");
    }
}
