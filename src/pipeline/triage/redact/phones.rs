//! Telephone numbers. They have no check digit, so their form decides, or the words before them.
//!
//! | form | example |
//! |---|---|
//! | international | `+49 (0)30 1234567`, `0033 6 12 34 56 78` |
//! | with a trunk zero | `030 1234567`, `(0)171/1234567`, `06 12 34 56 78`, `07911123456` |
//! | with the area in brackets | `(11) 91234-5678`, `(555) 123-4567` |
//! | North American | `555-123-4567`, `1.800.555.0199` |
//! | any, after a word for it | `mobile: 98765 43210`, `tlf 12 34 56 78` |

use std::ops::{Range, RangeInclusive};

use super::check_digits::is_date;
use super::surroundings::{goes_on_before, goes_on_from_before, said_before, separator, stands_alone};

const WORDS: [&str; 78] = [
    "phone",
    "telephone",
    "phones",
    "tel",
    "mobile",
    "cell",
    "cellphone",
    "call",
    "called",
    "calling",
    "text",
    "sms",
    "fax",
    "whatsapp",
    "signal",
    "ring",
    "reach",
    "dial",
    "landline",
    "callback",
    "hotline",
    "contact",
    "telefon",
    "telefonnummer",
    "handy",
    "handynummer",
    "mobil",
    "mobilnummer",
    "rufnummer",
    "rückruf",
    "anrufen",
    "anruf",
    "ruf",
    "rufen",
    "fon",
    "festnetz",
    "durchwahl",
    "appeler",
    "appelez",
    "téléphone",
    "portable",
    "tél",
    "joindre",
    "teléfono",
    "telefono",
    "móvil",
    "movil",
    "celular",
    "llamar",
    "llame",
    "llámame",
    "llámeme",
    "cellulare",
    "chiamare",
    "chiamatemi",
    "chiama",
    "telefone",
    "telemóvel",
    "ligue",
    "ligar",
    "telefoon",
    "bellen",
    "mobiel",
    "bel",
    "tlf",
    "mob",
    "ring",
    "puhelin",
    "komórka",
    "zadzwonić",
    "telefonu",
    "telefonen",
    "电话",
    "手机",
    "電話",
    "携帯",
    "전화",
    "телефон",
];

/// Most digits after the country's code, where fewer than the fifteen of E.164 are in use.
const LONGEST: &[(&str, usize)] = &[
    ("1", 10),
    ("7", 10),
    ("20", 10),
    ("27", 9),
    ("30", 10),
    ("31", 9),
    ("32", 9),
    ("33", 9),
    ("34", 9),
    ("36", 9),
    ("39", 11),
    ("40", 9),
    ("41", 9),
    ("44", 10),
    ("45", 8),
    ("46", 9),
    ("47", 8),
    ("48", 9),
    ("49", 11),
    ("51", 9),
    ("52", 10),
    ("54", 11),
    ("55", 11),
    ("56", 9),
    ("57", 10),
    ("60", 10),
    ("61", 9),
    ("62", 12),
    ("63", 10),
    ("64", 10),
    ("65", 8),
    ("66", 9),
    ("81", 10),
    ("82", 10),
    ("84", 9),
    ("86", 11),
    ("90", 10),
    ("91", 10),
    ("92", 10),
    ("212", 9),
    ("234", 10),
    ("254", 9),
    ("351", 9),
    ("352", 9),
    ("353", 9),
    ("354", 7),
    ("358", 10),
    ("359", 9),
    ("370", 8),
    ("371", 8),
    ("372", 8),
    ("380", 9),
    ("385", 9),
    ("386", 8),
    ("420", 9),
    ("421", 9),
    ("852", 8),
    ("886", 9),
    ("966", 9),
    ("971", 9),
    ("972", 9),
];

const MOST_DIGITS: usize = 15;

/// A number as it is written: groups of digits with separators or brackets between.
struct Written<'a> {
    text: &'a str,
    start: usize,
    groups: Vec<Range<usize>>,
    /// Its first group stands in brackets.
    bracketed: bool,
}

/// Where they stand, in order.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut free = 0;
    for start in 0..bytes.len() {
        let begins = bytes[start].is_ascii_digit() || matches!(bytes[start], b'+' | b'(');
        if start < free || !begins || goes_on_before(text, start) || bytes[..start].ends_with(b"+") {
            continue;
        }
        if let Some(end) = read(text, start).and_then(|written| written.is_a_phone_until(free)) {
            found.push(start..end);
            free = end;
        }
    }
    found
}

/// Up to so many digits and one group beyond: a longer number is seen to be one.
fn read(text: &str, start: usize) -> Option<Written<'_>> {
    let bytes = text.as_bytes();
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut count = 0;
    let mut at = start + usize::from(bytes[start] == b'+');
    let bracketed = bytes.get(at) == Some(&b'(');
    loop {
        let opened = bytes.get(at) == Some(&b'(');
        let from = at + usize::from(opened);
        let most = MOST_DIGITS + 2;
        let length = bytes[from.min(bytes.len())..].iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        if length == 0 || opened && bytes.get(from + length) != Some(&b')') {
            break;
        }
        groups.push(from..from + length);
        count += length;
        at = from + length + usize::from(opened);
        if count > MOST_DIGITS {
            break;
        }
        at += separator(text, at).unwrap_or(0);
    }
    (!groups.is_empty()).then_some(Written { text, start, groups, bracketed })
}

impl Written<'_> {
    /// Where it ends, if it is one.
    fn is_a_phone_until(&self, found_until: usize) -> Option<usize> {
        if self.begins_with_a_date() {
            return None;
        }
        let begins = || !goes_on_from_before(self.text, self.start, found_until);
        let by_its_form = || self.with_trunk_zero().or_else(|| self.north_american()).filter(|_| begins());
        self.international()
            .or_else(|| self.after_a_word())
            .or_else(|| self.with_area_in_brackets())
            .or_else(by_its_form)
    }

    fn international(&self) -> Option<usize> {
        let plus = self.text.as_bytes()[self.start] == b'+';
        if !plus && !self.text[self.start..].starts_with("00") {
            return None;
        }
        let digits: String = self.groups.iter().map(|group| &self.text[group.clone()]).collect();
        let national = if plus { &digits[..] } else { digits.strip_prefix("00")? };
        if national.starts_with('0') {
            return None;
        }
        let longest = LONGEST.iter().find(|(code, _)| national.starts_with(code));
        let most = longest.map_or(MOST_DIGITS, |(code, most)| code.len() + most);
        // A trunk zero in brackets is written and not dialled.
        let zero = usize::from(self.groups.iter().any(|group| &self.text[group.clone()] == "0"));
        let prefix = digits.len() - national.len();
        self.longest(8 + prefix..=most + zero + prefix, self.groups.len())
            .filter(|_| plus || self.groups.len() > 1 || digits.len() > 11)
    }

    fn after_a_word(&self) -> Option<usize> {
        let end = self.longest(7..=12, self.groups.len())?;
        // One long block is a number of something else, whatever was said.
        (self.lengths().iter().sum::<usize>() <= MOST_DIGITS && said_before(self.text, self.start, &WORDS))
            .then_some(end)
    }

    fn with_trunk_zero(&self) -> Option<usize> {
        let first = &self.text[self.groups[0].clone()];
        let area = first.strip_prefix('0').filter(|area| !area.starts_with('0'))?;
        if self.groups.len() == 1 || first.len() > 6 {
            return (area.len() == 9 || area.len() == 10).then(|| self.longest(10..=11, 1)).flatten();
        }
        // A single digit after it belongs to the sentence.
        let of_number = 1 + self.groups[1..].iter().take_while(|group| group.len() > 1).count();
        let has_area = self.bracketed || first.len() > 1;
        has_area.then(|| self.longest(9..=12, of_number)).flatten().filter(|end| *end > self.groups[0].end)
    }

    fn with_area_in_brackets(&self) -> Option<usize> {
        let lengths = self.lengths();
        let fits = self.bracketed && (2..=5).contains(&lengths[0]) && lengths.len() > 1 && lengths[1] >= 3;
        fits.then(|| self.longest(8..=11, self.groups.len())).flatten()
    }

    fn north_american(&self) -> Option<usize> {
        let lengths = self.lengths();
        let from = match lengths[..] {
            [3, 3, 4, ..] => 0,
            [1, 3, 3, 4, ..] if &self.text[self.groups[0].clone()] == "1" => 1,
            _ => return None,
        };
        let dialled = |group: &Range<usize>| (b'2'..=b'9').contains(&self.text.as_bytes()[group.start]);
        let end = self.groups[from + 2].end;
        let fits = dialled(&self.groups[from]) && dialled(&self.groups[from + 1]);
        (fits && stands_alone(self.text, self.start, end)).then_some(end)
    }

    /// `05.12.2024`, `2024-05-12`, `12/05/24`: read day first, month first or year first. `06.12.34.56.78` goes on, and is
    /// none.
    fn begins_with_a_date(&self) -> bool {
        let numbers: Vec<u32> =
            self.groups.iter().take(3).filter_map(|group| self.text[group.clone()].parse().ok()).collect();
        let [a, b, c] = numbers[..] else { return false };
        let is_year = |year: u32, length: usize| (1900..2100).contains(&year) || year < 100 && length == 2;
        let lengths = self.lengths();
        let (one_sign, plus) = (self.sign_after(0), self.text.as_bytes()[self.start] == b'+');
        let goes_on = self.groups.get(3).is_some_and(|next| next.start == self.groups[2].end + 1)
            && one_sign == self.sign_after(2)
            && lengths[..3] == [2, 2, 2];
        !plus
            && !goes_on
            && lengths[0] != 1
            && matches!(one_sign, b'.' | b'/' | b'-')
            && one_sign == self.sign_after(1)
            && (is_year(c, lengths[2]) && lengths[1] == 2 && (is_date(a, b) || is_date(b, a))
                || is_year(a, lengths[0]) && lengths[0] == 4 && is_date(b, c))
    }

    fn sign_after(&self, group: usize) -> u8 {
        self.text.as_bytes().get(self.groups[group].end).copied().unwrap_or_default()
    }

    fn lengths(&self) -> Vec<usize> {
        self.groups.iter().map(Range::len).collect()
    }

    /// The end of the longest row of so many digits, within the first so many groups.
    fn longest(&self, digits: RangeInclusive<usize>, within: usize) -> Option<usize> {
        let counts = self.groups[..within].iter().scan(0, |sum, group| {
            *sum += group.len();
            Some((*sum, group.end))
        });
        let fits = |&(count, end): &(usize, usize)| digits.contains(&count) && stands_alone(self.text, self.start, end);
        counts.filter(fits).last().map(|(_, end)| end)
    }
}
