//! Accounts and cards: found by their check digits, so every way of grouping them is read.

use std::ops::Range;

use super::check_digits::{digits, iban, luhn, number};
use super::masks::bare;
use super::surroundings::{LONGEST_SEPARATOR, beginnings, ends_at, has_digit_within, separator};

/// Length of an account number by country (the IBAN registry). A length that is known keeps the next word out of it.
const IBAN_LENGTHS: &[(usize, &str)] = &[
    (15, "NO"),
    (16, "BE BI"),
    (18, "DK FI FK FO GL NL SD"),
    (19, "MK SI"),
    (20, "AT BA EE KZ LT LU MN XK"),
    (21, "CH HR LI LV"),
    (22, "BG BH CR DE GB GE IE ME RS VA"),
    (23, "AE GI IL IQ OM SO TL"),
    (24, "AD CZ ES MD PK RO SA SE SK TN VG"),
    (25, "LY PT ST"),
    (26, "IS TR"),
    (27, "BF CF CG CM DJ FR GA GR IT MC MR SM"),
    (28, "AL AZ BY CI CY DO DZ GT HN HU LB NI PL SN SV"),
    (29, "BR EG PS QA UA"),
    (30, "JO KW MU YE"),
    (31, "MT SC"),
    (32, "LC"),
    (33, "RU"),
];

/// First digits of the brands, as a range of so many digits, and the lengths their numbers have.
const BRANDS: &[(usize, Range<u64>, &[usize])] = &[
    (1, 4..5, &[13, 16, 19]),                   // Visa
    (2, 51..56, &[16]),                         // Mastercard
    (4, 2_221..2_721, &[16]),                   // Mastercard
    (2, 34..35, &[15]),                         // American Express
    (2, 37..38, &[15]),                         // American Express
    (3, 300..306, &[14, 16]),                   // Diners Club
    (2, 36..37, &[14, 16]),                     // Diners Club
    (2, 38..40, &[14, 16]),                     // Diners Club
    (4, 6_011..6_012, &[16, 17, 18, 19]),       // Discover
    (3, 644..650, &[16, 17, 18, 19]),           // Discover
    (2, 65..66, &[16, 17, 18, 19]),             // Discover, RuPay
    (4, 3_528..3_590, &[16, 17, 18, 19]),       // JCB
    (2, 62..63, &[16, 17, 18, 19]),             // UnionPay
    (2, 81..83, &[16]),                         // UnionPay, RuPay
    (4, 2_200..2_205, &[16, 17, 18, 19]),       // Mir
    (4, 9_792..9_793, &[16]),                   // Troy
    (2, 50..51, &[13, 14, 15, 16, 17, 18, 19]), // Maestro, Elo
    (2, 56..60, &[13, 14, 15, 16, 17, 18, 19]), // Maestro
    (2, 60..65, &[16, 17, 18, 19]),             // RuPay, Hipercard, InterPayment
    (2, 67..68, &[13, 14, 15, 16, 17, 18, 19]), // Maestro
];

/// Where accounts stand, in order.
pub(super) fn find_ibans(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for word in beginnings(text) {
        // `IBANDE89..` is written too.
        let named = text.as_bytes()[word..].get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"iban"));
        let starts = [word, word + 4];
        for &start in &starts[..if named { 2 } else { 1 }] {
            if found.last().is_none_or(|last| start >= last.end) {
                found.extend(iban_at(text, start).map(|end| start..end));
            }
        }
    }
    found
}

fn iban_at(text: &str, start: usize) -> Option<usize> {
    // Two letters, and the check digits: so far few words come.
    if !has_digit_within(text, start, 2 + LONGEST_SEPARATOR + 1) {
        return None;
    }
    let country = text.as_bytes().get(start..start + 2)?.to_ascii_uppercase();
    let is_among = |countries: &str| countries.as_bytes().split(|&byte| byte == b' ').any(|it| it == country);
    let (length, _) = IBAN_LENGTHS.iter().find(|(_, countries)| is_among(countries))?;
    let (count, end) = pieces(text, start, *length, u8::is_ascii_alphanumeric).last()?;
    (count == *length && ends_at(text, end) && iban(&bare(&text[start..end]))).then_some(end)
}

/// Where cards stand, in order.
pub(super) fn find_cards(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for start in beginnings(text) {
        if text.as_bytes()[start].is_ascii_digit() && found.last().is_none_or(|last| start >= last.end) {
            found.extend(card_at(text, start).map(|end| start..end));
        }
    }
    found
}

/// The longest beginning that ends with a group and is a brand's number: a date or a CVV may follow.
fn card_at(text: &str, start: usize) -> Option<usize> {
    const MOST: usize = 19;
    let whole: Vec<(usize, usize)> = pieces(text, start, MOST, u8::is_ascii_digit).collect();
    // Cards are written in fours and sixes; shops write their orders 3-7-7.
    let first = text.as_bytes()[start..].iter().take(MOST).take_while(|byte| byte.is_ascii_digit()).count();
    if first < 13 && first > 1 && !first.is_multiple_of(2) {
        return None;
    }
    let digits = digits(&text[start..whole.last()?.1]);
    let is_card = |&&(count, end): &&(usize, usize)| {
        is_of_a_brand(&digits[..count]) && ends_at(text, end) && luhn(&digits[..count])
    };
    whole.iter().rev().find(is_card).map(|&(_, end)| end)
}

fn is_of_a_brand(digits: &[u32]) -> bool {
    BRANDS
        .iter()
        .any(|(first, range, lengths)| lengths.contains(&digits.len()) && range.contains(&number(&digits[..*first])))
}

/// How many signs there are up to where, one by one, over single separators, at most so many.
fn pieces(text: &str, start: usize, most: usize, counts: fn(&u8) -> bool) -> impl Iterator<Item = (usize, usize)> + '_ {
    let bytes = text.as_bytes();
    let mut at = start;
    (1..=most).map_while(move |count| {
        if count > 1 && !bytes.get(at).is_some_and(counts) {
            at += separator(text, at)?;
        }
        let here = bytes.get(at).is_some_and(counts);
        at += 1;
        here.then_some((count, at))
    })
}
