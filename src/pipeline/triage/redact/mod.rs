//! Personal data is replaced by stable placeholders before text leaves, and put back into what people will read.
//!
//! `jane@acme.example paid with 4111 1111 1111 1111` leaves as `[EMAIL_1] paid with [CARD_1]`; the same piece gets the
//! same placeholder wherever it stands in the ticket, so the model still sees who is who. What carries a check digit is
//! checked, so that order numbers stay readable. Time is linear in the text, whatever it is.
//!
//! What a customer types that looks like a placeholder gets one of its own (`[LITERAL_1]`): a model that repeats it can
//! never make it somebody's address.
//!
//! **It fails closed.** What was taken out is looked for once more; if something is still found, or the looking itself
//! panics, there is no text, only [`NotRedacted`]. How much is found is measured by the corpus in
//! `tests/fixtures/personal_data`, with bounds that fail the test.
//!
//! What it is not: a promise that no personal data leaves. Names and postal addresses have no shape to find them by.

mod addresses;
mod bank;
mod check_digits;
#[cfg(test)]
mod corpus;
mod masks;
mod national_ids;
mod phones;
mod secrets;
mod surroundings;

use std::collections::HashMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What is looked for.
struct Kind {
    name: &'static str,
    /// Where it stands: in order, one after the other.
    find: fn(&str) -> Vec<Range<usize>>,
    /// Keys, passwords and card numbers help nobody who takes over a ticket.
    put_back: bool,
}

/// Our own placeholders, from the second round on, are no literals of the customer's.
const LITERAL: &str = "LITERAL";

/// How often a text is gone through at most. In a column of numbers each may be seen only when the one below it is gone, over as
/// many as a word before them is heard; then some for what those were beside, and one that finds nothing.
const ROUNDS: usize = surroundings::WORDS_BACK + 3;

/// In this order: a later kind never sees what an earlier one has replaced.
const KINDS: [Kind; 9] = {
    const fn kind(name: &'static str, find: fn(&str) -> Vec<Range<usize>>, put_back: bool) -> Kind {
        Kind { name, find, put_back }
    }
    [
        kind(LITERAL, find_placeholders, true),
        kind("API_KEY", secrets::find_keys, false),
        kind("PASSWORD", secrets::find_passwords, false),
        kind("EMAIL", addresses::find_emails, true),
        kind("IBAN", bank::find_ibans, true),
        kind("IP", addresses::find_ips, true),
        kind("CARD", bank::find_cards, false),
        kind("NATIONAL_ID", national_ids::find, true),
        kind("PHONE", phones::find, true),
    ]
};

/// What a placeholder looks like; found and put back by the same pattern, so that nothing typed can pass for one.
static PLACEHOLDER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\[[A-Z_]+_[0-9]+\]").expect("a pattern of this file, compiled by every test"));

fn find_placeholders(text: &str) -> Vec<Range<usize>> {
    PLACEHOLDER.find_iter(text).map(|found| found.range()).collect()
}

/// The text must not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRedacted {
    /// A piece was found again after everything was replaced.
    #[error("personal data of the kind {0} was still found after it was taken out")]
    StillFound(&'static str),
    /// The looking ended in a panic.
    #[error("looking for personal data failed")]
    Failed,
}

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
    ///
    /// # Errors
    /// It cannot be told that nothing is left; the text must not leave.
    pub fn redact(&mut self, text: &str) -> Result<String, NotRedacted> {
        self.redact_kinds(text, &KINDS)
    }

    fn redact_kinds(&mut self, text: &str, kinds: &[Kind]) -> Result<String, NotRedacted> {
        catch_unwind(AssertUnwindSafe(|| {
            let mut text = text.to_owned();
            // What stood beside a piece may be one by itself now that it is gone. The last round must find nothing.
            for round in 0..ROUNDS {
                let mut last_found = None;
                for kind in kinds.iter().filter(|kind| round == 0 || kind.name != LITERAL) {
                    let found = (kind.find)(&text);
                    if !found.is_empty() {
                        text = self.replace(kind, &text, &found);
                        last_found = Some(kind.name);
                    }
                }
                match last_found {
                    None => return Ok(text),
                    Some(kind) if round + 1 == ROUNDS => return Err(NotRedacted::StillFound(kind)),
                    Some(_) => {}
                }
            }
            Ok(text)
        }))
        .unwrap_or(Err(NotRedacted::Failed))
    }

    fn replace(&mut self, kind: &Kind, text: &str, found: &[Range<usize>]) -> String {
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for range in found {
            out.push_str(&text[from..range.start]);
            out.push_str(&self.placeholder(kind, &text[range.clone()]));
            from = range.end;
        }
        out.push_str(&text[from..]);
        out
    }

    fn placeholder(&mut self, kind: &Kind, original: &str) -> String {
        self.replaced += u32::from(kind.name != LITERAL);
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

    /// The text with the originals in their places again; keys, passwords and card numbers stay away.
    #[must_use]
    pub fn restore(&self, text: &str) -> String {
        PLACEHOLDER
            .replace_all(text, |found: &Captures<'_>| {
                self.originals.get(&found[0]).map_or_else(|| found[0].to_owned(), Clone::clone)
            })
            .into_owned()
    }

    /// Kinds that were found, sorted.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        let personal = self.counts.keys().filter(|&&kind| kind != LITERAL);
        let mut kinds: Vec<String> = personal.map(|&kind| kind.to_lowercase()).collect();
        kinds.sort_unstable();
        kinds
    }

    /// How many pieces were replaced.
    #[must_use]
    pub fn replaced(&self) -> u32 {
        self.replaced
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(text: &str) -> String {
        Redactor::default().redact(text).expect("nothing is left")
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
            ("from 192.168.10.7 and 2001:db8::7:1", "from [IP_1] and [IP_2]"),
            ("call +49 (30) 1234-5678 or (555) 123-4567", "call [PHONE_1] or [PHONE_2]"),
            ("Tel. 030 12345678", "Tel. [PHONE_1]"),
            ("key sk-proj-abcdefghijklmnop1234 leaked", "key [API_KEY_1] leaked"),
            ("AKIAIOSFODNN7EXAMPLE", "[API_KEY_1]"),
        ] {
            assert_eq!(redacted(text), left);
        }
    }

    #[test]
    fn a_number_beside_a_telephone_is_none_and_holds_nothing_up() {
        let parcels: Vec<String> = (84_736_251..84_736_261).map(|parcel: u32| parcel.to_string()).collect();
        let list = parcels.join(", ");
        assert_eq!(
            redacted(&format!("My phone is 0171 1234567. Missing parcels: {list}")),
            format!("My phone is [PHONE_1]. Missing parcels: {list}")
        );
    }

    #[test]
    fn a_column_of_numbers_behind_a_word_for_telephones_leaves_without_them() {
        for numbers in 1..9_u32 {
            let column: Vec<String> = (0..numbers).map(|number| (84_736_251 + number).to_string()).collect();
            let out = redacted(&format!("Please call:\n{}\nThanks", column.join("\n")));
            // Farther from the word they are somebody else's, or nobody's.
            assert!(numbers > 5 || !column.iter().any(|number| out.contains(number)), "{out}");
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
        let mut redact = |text| redactor.redact(text).expect("nothing is left");
        assert_eq!(redact("a@b.example or c@d.example"), "[EMAIL_1] or [EMAIL_2]");
        assert_eq!(redact("not a@b.example, card 4111111111111111"), "not [EMAIL_1], card [CARD_1]");
        assert_eq!((redactor.kinds(), redactor.replaced()), (vec!["card".to_owned(), "email".to_owned()], 4));
        assert_eq!(redactor.restore("[EMAIL_2] wrote, [EMAIL_9] did not"), "c@d.example wrote, [EMAIL_9] did not");
        assert_eq!(redactor.restore("paid with [CARD_1]"), "paid with [CARD_1]", "a card number is not put back");
    }

    #[test]
    fn what_a_customer_types_like_a_placeholder_never_becomes_somebodys_data() {
        let mut redactor = Redactor::default();
        let note = redactor.redact("agent jane@acme.example wrote").expect("nothing is left");
        let body = redactor.redact("what is in [EMAIL_1], [CARD_2] or [LITERAL_1]?").expect("nothing is left");
        assert_eq!(
            (note.as_str(), body.as_str()),
            ("agent [EMAIL_1] wrote", "what is in [LITERAL_1], [LITERAL_2] or [LITERAL_3]?",)
        );
        assert_eq!(redactor.restore(&body), "what is in [EMAIL_1], [CARD_2] or [LITERAL_1]?");
        assert_eq!((redactor.kinds(), redactor.replaced()), (vec!["email".to_owned()], 1), "literals are no findings");
        for other in ["<EMAIL_1>", "[email_1]", "[EMAIL 1]", "EMAIL_1", "[[EMAIL]_1]"] {
            assert_eq!(redactor.restore(other), other);
        }
    }

    #[test]
    fn what_cannot_be_taken_out_for_sure_does_not_leave() {
        let always = Kind { name: "ALWAYS", find: |_| std::iter::once(0..1).collect(), put_back: false };
        let panics = Kind { name: "PANICS", find: |_| panic!("a finder that is wrong"), put_back: false };
        let out = |kind| Redactor::default().redact_kinds("text", &[kind]);
        assert_eq!(out(always), Err(NotRedacted::StillFound("ALWAYS")));
        assert_eq!(out(panics), Err(NotRedacted::Failed));
    }

    /// What this thread has worked: others may keep the machine busy.
    fn own_time() -> std::time::Duration {
        let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
        nix::time::clock_gettime(clock).expect("the kernel has this clock").into()
    }

    /// Nobody waits for a ticket that was written to make us wait: four times the text takes about four times as long.
    #[test]
    fn hostile_text_takes_linear_time() {
        let longest = 100 * 1024;
        for piece in [
            "1",
            "1 ",
            "1\n",
            "+1",
            "(1",
            "4111 ",
            "DE89",
            "a@",
            "@a.",
            "1.",
            ":",
            "1:",
            "-----BEGIN ",
            "eyJabcdefgh.",
            "://a:",
            "a1",
            "[EMAIL_1]",
            "[A",
            " ",
            "0171 ",
            "tel 1234567 ",
            "12345678901 ",
            "123456-1234 ",
            "a(at)",
        ] {
            let time = |bytes: usize| {
                let text = piece.repeat(bytes / piece.len());
                let begun = own_time();
                let out = Redactor::default().redact(&text);
                assert!(out.is_ok(), "{piece:?}: {out:?}");
                own_time() - begun
            };
            let quarter = time(longest / 4).max(time(longest / 4));
            let whole = time(longest);
            // Quadratic would be sixteen times.
            let most = quarter * 10 + std::time::Duration::from_millis(200);
            assert!(whole <= most, "{piece:?}: {quarter:?} for a quarter, {whole:?} for all");
        }
    }

    proptest! {
        #[test]
        fn a_list_of_numbers_behind_a_telephone_leaves_with_its_numbers(
            parcels in proptest::collection::vec(10_000_000u32..100_000_000, 0..30),
        ) {
            let list = parcels.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            prop_assert_eq!(
                redacted(&format!("My phone is 0171 1234567. Missing parcels: {list}")),
                format!("My phone is [PHONE_1]. Missing parcels: {list}")
            );
        }

        #[test]
        fn any_list_of_numbers_behind_a_telephone_leaves(
            number in "(phone|call|SSN|BSN|)[: ]{0,2}[+0]?[0-9]{3,4}[ /-]?[0-9]{4,8}",
            list in proptest::collection::vec("[0-9]{5,12}", 0..30),
            sign in "[,;:/. -]{1,2}|\n",
        ) {
            let text = format!("{number}. Missing: {}", list.join(&sign));
            prop_assert!(Redactor::default().redact(&text).is_ok(), "{}", text);
        }

        #[test]
        fn any_text_is_survived_and_comes_back(
            text in "(\\PC|\n|[0-9]{1,6}|[ .:/+()@-]|[A-Z]{2}|\\[EMAIL_1\\]|jane@acme\\.example|198\\.51\\.100\\.7){0,60}"
        ) {
            let mut redactor = Redactor::default();
            let out = redactor.redact(&text).expect("nothing is left");
            if !["api_key", "password", "card"].iter().any(|kind| redactor.kinds().contains(&(*kind).to_owned())) {
                prop_assert_eq!(redactor.restore(&out), text);
            }
        }

        #[test]
        fn mail_addresses_never_leave(name in "[a-z]{1,10}", host in "[a-z]{1,10}", before in "\\PC{0,20}", after in "\\PC{0,20}") {
            let address = format!("{name}@{host}.example");
            let out = redacted(&format!("{before} {address} {after}"));
            prop_assert!(!out.contains(&address));
        }
    }
}
