//! Text as people see it: without characters that have no business between people, and in one form where Unicode has many.
//!
//! Controls, zero-width characters, direction overrides and tags hide words from the person who reads and show them to the
//! model (or the other way round), and they hide a card number from the redactor. Full-width letters, digits of other
//! scripts and typographic dashes and spaces are the same to a person, so they are made the same for whoever looks for a
//! number, an address, a fence or a phrase. Everything that leaves this process, everything a model says, and everything
//! that a human lane looks through, passes through here.

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

fn is_seen(c: char) -> bool {
    matches!(c, '\n' | '\t') || !(c.is_control() || is_invisible(c))
}

/// The text without them. Line breaks and tabs stay; other controls go.
#[must_use]
pub fn visible(text: &str) -> String {
    text.chars().filter(|&c| is_seen(c)).collect()
}

/// [`visible`], and digits, dashes, spaces, full-width letters and signs in their ASCII form. What is drawn onto a digit (a
/// stroke, a key cap) goes.
#[must_use]
pub fn legible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    out.extend(plain(text.chars()));
    out
}

/// [`legible`], in lower case, and all white space one space: two texts that look alike compare alike. What separates
/// lines separates words, also where it is not seen.
#[must_use]
pub fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let spaced = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    for c in plain(spaced).flat_map(char::to_lowercase) {
        if c != ' ' || !(out.is_empty() || out.ends_with(' ')) {
            out.push(c);
        }
    }
    out.truncate(out.trim_end_matches(' ').len());
    out
}

fn plain(chars: impl Iterator<Item = char>) -> impl Iterator<Item = char> {
    let mut last = '\0';
    chars.filter(|&c| is_seen(c)).filter_map(move |c| {
        let is_drawn_on = matches!(c, '\u{0300}'..='\u{036F}' | '\u{20D0}'..='\u{20F0}');
        if last.is_ascii_digit() && is_drawn_on {
            return None;
        }
        last = plain_form(c);
        Some(last)
    })
}

/// First digits of the scripts that people write numbers in.
const ZEROS: [u32; 18] = [
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0E50, 0x0ED0,
    0x0F20, 0x1040, 0x17E0, 0x1810,
];

fn plain_form(c: char) -> char {
    let code = u32::from(c);
    let ascii = |code: u32| char::from_u32(code).unwrap_or(c);
    let digit = |value: u32| ascii(u32::from('0') + value);
    match c {
        '\0'..='\u{9F}' => c,
        '\u{FF01}'..='\u{FF5E}' => ascii(code - 0xFEE0),
        '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => ' ',
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' => '-',
        '\u{2024}' | '\u{FE52}' => '.',
        '\u{FE6B}' => '@',
        '\u{FE64}' => '<',
        '\u{FE65}' => '>',
        '\u{2070}' => '0',
        '\u{B9}' => '1',
        '\u{B2}' | '\u{B3}' => digit(code - 0xB0),
        '\u{2074}'..='\u{2079}' => digit(code - 0x2070),
        '\u{2080}'..='\u{2089}' => digit(code - 0x2080),
        '\u{2460}'..='\u{2468}' => digit(code - 0x245F),
        '\u{24EA}' => '0',
        '\u{1D7CE}'..='\u{1D7FF}' => digit((code - 0x1D7CE) % 10),
        _ => ZEROS.iter().find(|&&zero| (zero..zero + 10).contains(&code)).map_or(c, |zero| digit(code - zero)),
    }
}

/// Whether its script puts no space between words, so that the edge of a word cannot be seen: Han, kana and hangul (particles
/// follow without a space), Thai, Lao, Myanmar, Khmer.
#[must_use]
pub const fn is_written_without_spaces(c: char) -> bool {
    matches!(c,
        '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' | '\u{1100}'..='\u{11FF}'
        | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{31FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}'
        | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF66}'..='\u{FFDC}' | '\u{20000}'..='\u{3FFFF}')
}

/// At most so many characters.
#[must_use]
pub fn cut(text: &str, max_chars: usize) -> &str {
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
    fn what_looks_the_same_becomes_the_same() {
        for (text, left) in [
            ("４１１１\u{3000}１１１１", "4111 1111"),
            ("٠١٢٣ ۴۵۶ ७८९", "0123 456 789"),
            ("𝟒𝟏𝟏𝟏 ⁴¹¹¹ ④①①① ₀⓪", "4111 4111 4111 00"),
            ("4\u{FE0F}\u{20E3}1\u{336}1", "411"),
            ("089\u{2011}12\u{2013}34\u{2212}5\u{A0}6", "089-12-34-5 6"),
            ("ｊａｎｅ＠ａｃｍｅ．example", "jane@acme.example"),
            ("＜＜＜TICKET", "<<<TICKET"),
            ("Grüße, 请帮忙, помогите 🙂 naïve e\u{301}", "Grüße, 请帮忙, помогите 🙂 naïve e\u{301}"),
        ] {
            assert_eq!(legible(text), left);
        }
    }

    #[test]
    fn what_compares_alike_is_in_lower_case_with_one_space_between_words() {
        assert_eq!(folded(" ＧＤＰＲ\u{3000}\r\n Ｒequest\u{2028}№ ４２ "), "gdpr request № 42");
        assert_eq!(folded("la\u{3164}w\u{180B}y\u{0}e\u{7F}r"), "lawyer");
        assert_eq!(folded("\u{200B} \u{0}"), "");
    }

    #[test]
    fn cutting_never_splits_a_character() {
        assert_eq!(cut("äöü", 2), "äö");
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöü", 0), "");
    }
}
