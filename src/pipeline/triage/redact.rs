//! Personal data is replaced by stable placeholders before text leaves, and put back into what people will read.
//!
//! `jane@acme.example paid with 4111 1111 1111 1111` leaves as `[EMAIL_1] paid with [CARD_1]`; the same piece gets the
//! same placeholder wherever it stands in the ticket, so the model still sees who is who. What carries a check digit is
//! checked, so that order numbers stay readable. Every pattern runs in linear time.
//!
//! What it is not: a promise that no personal data leaves. Names and addresses have no shape a pattern could find.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What is looked for, in this order: a later kind never sees what an earlier one has replaced.
struct Kind {
    name: &'static str,
    pattern: Regex,
    /// How much of the candidate, from its start, really is one.
    confirm: fn(&str) -> Option<usize>,
    /// Keys and card numbers help nobody who takes over a ticket.
    put_back: bool,
}

static KINDS: LazyLock<[Kind; 7]> = LazyLock::new(|| {
    let kind = |name, pattern: &str, confirm, put_back| Kind {
        name,
        pattern: Regex::new(pattern).expect("a pattern of this file, compiled by every test"),
        confirm,
        put_back,
    };
    [
        kind("API_KEY", API_KEY, all, false),
        kind("EMAIL", r"[\p{L}\p{N}._%+'-]{1,64}@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)*\.\p{L}{2,}", all, true),
        kind("IBAN", r"(?i)\b[a-z]{2}[0-9]{2}(?:[ -]?[a-z0-9]){11,30}", iban, true),
        kind("IP", r"(?i)\b[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?:\.[0-9]{1,3}){0,3}", ipv6, true),
        kind("IP", r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b", ipv4, true),
        kind("CARD", r"\b[0-9](?:[ -]?[0-9]){12,18}\b", card, false),
        kind("PHONE", PHONE, phone, true),
    ]
});

const API_KEY: &str = r"(?x)
    \bsk-[A-Za-z0-9_-]{16,} | \b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,} | \b(?:AKIA|ASIA)[0-9A-Z]{16}\b
  | \bgh[pousr]_[A-Za-z0-9]{20,} | \bgithub_pat_[A-Za-z0-9_]{20,} | \bglpat-[A-Za-z0-9_-]{20,}
  | \bxox[abeoprs]-[A-Za-z0-9-]{10,} | \bAIza[0-9A-Za-z_-]{35} | \bhv[sb]\.[A-Za-z0-9_-]{20,}
  | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*
  | -----BEGIN\ [A-Z\ ]*PRIVATE\ KEY-----[^-]*(?:-----END\ [A-Z\ ]*PRIVATE\ KEY-----)?";

const PHONE: &str = r"(?x)
    (?:\+|\b00)[1-9](?:[\ ./-]?\(?[0-9]\)?){6,14}
  | \b0[1-9][0-9]{0,4}[\ /-][0-9](?:[\ -]?[0-9]){4,9}\b
  | \(?\b[2-9][0-9]{2}\)?[\ .-][0-9]{3}[.-][0-9]{4}\b";

/// Takes pieces out of one ticket and remembers them.
#[derive(Debug, Default)]
pub struct Redactor {
    placeholders: HashMap<(&'static str, String), String>,
    originals: HashMap<String, String>,
    counts: HashMap<&'static str, u32>,
    replaced: u32,
}

impl Redactor {
    /// The text without what was found in it.
    pub fn redact(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for kind in KINDS.iter() {
            if kind.pattern.is_match(&text) {
                text = self.replace(kind, &text);
            }
        }
        text
    }

    fn replace(&mut self, kind: &Kind, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        while let Some(found) = kind.pattern.find_at(text, from) {
            out.push_str(&text[from..found.start()]);
            from = match (kind.confirm)(found.as_str()) {
                Some(length) => {
                    out.push_str(&self.placeholder(kind, &found.as_str()[..length]));
                    found.start() + length
                }
                // Only its first character is passed: the real thing may begin inside what looked like one.
                None => {
                    let next = found.as_str().chars().next().map_or(1, char::len_utf8);
                    out.push_str(&found.as_str()[..next]);
                    found.start() + next
                }
            };
        }
        out.push_str(&text[from..]);
        out
    }

    fn placeholder(&mut self, kind: &Kind, original: &str) -> String {
        self.replaced += 1;
        let key = (kind.name, original.to_owned());
        if let Some(known) = self.placeholders.get(&key) {
            return known.clone();
        }
        let count = self.counts.entry(kind.name).or_default();
        *count += 1;
        let placeholder = format!("[{}_{count}]", kind.name);
        if kind.put_back {
            self.originals.insert(placeholder.clone(), original.to_owned());
        }
        self.placeholders.insert(key, placeholder.clone());
        placeholder
    }

    /// The text with the originals in their places again; keys and card numbers stay away.
    #[must_use]
    pub fn restore(&self, text: &str) -> String {
        static PLACEHOLDER: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"\[[A-Z]+_[0-9]+\]").expect("compiled by every test"));
        PLACEHOLDER
            .replace_all(text, |found: &Captures<'_>| {
                self.originals.get(&found[0]).map_or_else(|| found[0].to_owned(), Clone::clone)
            })
            .into_owned()
    }

    /// Kinds that were found, sorted.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<String> = self.counts.keys().map(|&kind| kind.to_lowercase()).collect();
        kinds.sort_unstable();
        kinds
    }

    /// How many pieces were replaced.
    #[must_use]
    pub fn replaced(&self) -> u32 {
        self.replaced
    }
}

fn all(candidate: &str) -> Option<usize> {
    Some(candidate.len())
}

fn digits(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_digit).count()
}

fn phone(candidate: &str) -> Option<usize> {
    (7..=15).contains(&digits(candidate)).then_some(candidate.len())
}

fn ipv4(candidate: &str) -> Option<usize> {
    candidate.parse::<Ipv4Addr>().ok().map(|_| candidate.len())
}

fn ipv6(candidate: &str) -> Option<usize> {
    // "::" alone is code (`std::fmt`), not an address worth hiding.
    (candidate.len() > 3 && candidate.parse::<Ipv6Addr>().is_ok()).then_some(candidate.len())
}

/// The longest beginning, up to the end of a group, whose check digit is right: a CVV may have followed.
fn card(candidate: &str) -> Option<usize> {
    let group_ends = candidate.match_indices([' ', '-']).map(|(at, _)| at).chain([candidate.len()]);
    let ends: Vec<usize> = group_ends.filter(|&end| digits(&candidate[..end]) >= 13).collect();
    ends.into_iter().rev().find(|&end| luhn_checks(&candidate[..end]))
}

fn luhn_checks(text: &str) -> bool {
    let sum: u32 = text
        .bytes()
        .rev()
        .filter(u8::is_ascii_digit)
        .enumerate()
        .map(|(place, digit)| match u32::from(digit - b'0') << (place % 2) {
            double @ 10.. => double - 9,
            single => single,
        })
        .sum();
    sum > 0 && sum.is_multiple_of(10)
}

/// The longest beginning whose check digits are right (ISO 13616): the candidate may have run on into the next word.
fn iban(candidate: &str) -> Option<usize> {
    let ends: Vec<usize> =
        candidate.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()).map(|(at, _)| at + 1).collect();
    ends.iter().skip(14).rev().copied().find(|&end| iban_checks(&candidate[..end]))
}

fn iban_checks(text: &str) -> bool {
    let characters: Vec<u8> = text.bytes().filter(u8::is_ascii_alphanumeric).collect();
    let (head, tail) = characters.split_at(4);
    let remainder = tail.iter().chain(head).fold(0u32, |rest, c| match c {
        b'0'..=b'9' => (rest * 10 + u32::from(c - b'0')) % 97,
        letter => (rest * 100 + u32::from(letter.to_ascii_uppercase() - b'A') + 10) % 97,
    });
    remainder == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(text: &str) -> String {
        Redactor::default().redact(text)
    }

    #[test]
    fn every_kind_is_found_and_only_that() {
        for (text, left) in [
            ("Write to jane.doe+x@mail.acme.co.uk.", "Write to [EMAIL_1]."),
            ("Grüße von jürgen@müller.example", "Grüße von [EMAIL_1]"),
            ("IBAN DE89 3704 0044 0532 0130 00 and more", "IBAN [IBAN_1] and more"),
            ("gb82west12345698765432", "[IBAN_1]"),
            ("AB12 DE89 3704 0044 0532 0130 00", "AB12 [IBAN_1]"),
            ("9 4111 1111 1111 1111 123", "9 [CARD_1] 123"),
            ("card 4111 1111 1111 1111, exp 12/29", "card [CARD_1], exp 12/29"),
            ("from 192.168.10.7 and 2001:db8::7:1", "from [IP_2] and [IP_1]"),
            ("call +49 (30) 1234-5678 or (555) 123-4567", "call [PHONE_1] or [PHONE_2]"),
            ("Tel. 030 12345678", "Tel. [PHONE_1]"),
            ("key sk-proj-abcdefghijklmnop1234 leaked", "key [API_KEY_1] leaked"),
            ("AKIAIOSFODNN7EXAMPLE", "[API_KEY_1]"),
        ] {
            assert_eq!(redacted(text), left);
        }
    }

    #[test]
    fn what_only_looks_like_it_stays() {
        for text in [
            "order 4111111111111112",
            "version 1.2.3, 300.1.1.1",
            "DE00 ABCD EFGH IJKL MNOP at 12:30:45",
            "std::fmt::Display, 10:15, ticket 20231",
            "2024-05-17 and 99.95 EUR",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn the_same_piece_has_the_same_placeholder_across_texts_and_comes_back() {
        let mut redactor = Redactor::default();
        assert_eq!(redactor.redact("a@b.example or c@d.example"), "[EMAIL_1] or [EMAIL_2]");
        assert_eq!(redactor.redact("not a@b.example, card 4111111111111111"), "not [EMAIL_1], card [CARD_1]");
        assert_eq!((redactor.kinds(), redactor.replaced()), (vec!["card".to_owned(), "email".to_owned()], 4));
        assert_eq!(redactor.restore("[EMAIL_2] wrote, [EMAIL_9] did not"), "c@d.example wrote, [EMAIL_9] did not");
        assert_eq!(redactor.restore("paid with [CARD_1]"), "paid with [CARD_1]", "a card number is not put back");
    }

    proptest! {
        #[test]
        fn any_text_is_survived_and_text_without_findings_is_untouched(text in "\\PC{0,200}") {
            let mut redactor = Redactor::default();
            let out = redactor.redact(&text);
            prop_assert!(redactor.replaced() > 0 || out == text);
        }

        #[test]
        fn mail_addresses_never_leave(name in "[a-z]{1,10}", host in "[a-z]{1,10}", before in "\\PC{0,20}", after in "\\PC{0,20}") {
            let address = format!("{name}@{host}.example");
            let out = redacted(&format!("{before} {address} {after}"));
            prop_assert!(!out.contains(&address));
        }
    }
}
