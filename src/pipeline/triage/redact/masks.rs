//! The written form of a number, as a mask: `###_##_####`.
//!
//! `#` is a digit, `@` a letter, `_` a separator, `~` a separator or none; anything else is itself, letters in either case.

use super::surroundings::separator;

/// Where the text ends that is written like the mask, beginning here.
pub(super) fn read(mask: &str, text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = from;
    for sign in mask.bytes() {
        let length = match (sign, bytes.get(at)) {
            (b'~', _) => separator(text, at).unwrap_or(0),
            (b'_', Some(_)) => separator(text, at)?,
            (b'#', Some(byte)) if byte.is_ascii_digit() => 1,
            (b'@', Some(byte)) if byte.is_ascii_alphabetic() => 1,
            (b'#' | b'@', _) => return None,
            (sign, Some(byte)) if byte.eq_ignore_ascii_case(&sign) => 1,
            _ => return None,
        };
        at += length;
    }
    Some(at)
}

/// Its letters and digits, in capitals: what a check is computed from.
pub(super) fn bare(piece: &str) -> String {
    piece.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_reads_its_form_and_no_other() {
        for (mask, text, end) in [
            ("###_##_####", "123-45-6789.", Some(11)),
            ("###_##_####", "123 45\n6789", Some(11)),
            ("###_##_####", "123456789", None),
            ("###~##", "12345", Some(5)),
            ("###~##", "123/45", Some(6)),
            ("756~#", "756.1", Some(5)),
            ("#-#", "1/2", None),
            ("@@#", "ab1", Some(3)),
            ("@@#", "a11", None),
            ("#", "", None),
            ("#@", "#@", None),
            ("##", "1é", None),
        ] {
            assert_eq!(read(mask, text, 0), end, "{mask} {text}");
        }
        assert_eq!(bare("ab.1-2 c"), "AB12C");
    }
}
