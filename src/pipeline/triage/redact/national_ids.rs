//! Numbers that a country gives to one person, by form and check digit.
//!
//! One row each: how it is written, what must hold, and, where the form alone would take every tenth order number, a word
//! that must have been said before. The forms and checks are those of the countries' own publications.

use std::ops::Range;

use super::check_digits::{digits, is_date, luhn, mod_11_10, number, verhoeff, weighted};
use super::masks::{bare, read};
use super::surroundings::{
    LONGEST_SEPARATOR, beginnings, goes_on_from_before, has_digit_within, said_before, stands_alone,
};

struct NationalId {
    masks: &'static [&'static str],
    /// Over letters and digits only, in capitals.
    holds: fn(&str) -> bool,
    /// One of these must stand before; empty: the form is enough.
    said: &'static [&'static str],
}

const fn row(masks: &'static [&'static str], holds: fn(&str) -> bool) -> NationalId {
    NationalId { masks, holds, said: &[] }
}

const fn said(words: &'static [&'static str], masks: &'static [&'static str], holds: fn(&str) -> bool) -> NationalId {
    NationalId { masks, holds, said: words }
}

/// However a form is written, its first digit comes within so many bytes: after six letters with two separators.
const FIRST_DIGIT_WITHIN: usize = 6 + 2 * LONGEST_SEPARATOR + 1;

/// Longer forms before shorter ones: the first that fits is taken.
const NATIONAL_IDS: [NationalId; 45] = [
    // China: birth date inside, MOD 11-2.
    row(&["#################~#", "#################~x"], china),
    // Mexico (CURP), Italy (codice fiscale).
    row(&["@@@@######@@@@@@@#", "@@@@######@@@@@@##"], curp),
    row(&["@@@@@@##@##@###@", "@@@~@@@~##@##~@###@"], codice_fiscale),
    // France (NIR): 97 less the rest; Corsica writes 2A or 2B.
    row(&["#~##~##~##~###~###~##", "#~##~##~2a~###~###~##", "#~##~##~2b~###~###~##"], nir),
    // Romania, South Africa, Korea.
    row(&["#############"], |id| cnp(&digits(id))),
    row(&["######~####~#~##", "######~####~###"], |id| south_africa(&digits(id))),
    row(&["######-#######"], |id| korea(&digits(id))),
    // Switzerland: 756, the country, and EAN-13.
    row(&["756~####~####~##"], |id| ean_13(&digits(id))),
    // Germany: pension insurance.
    row(&["##~######~@~###"], pension_insurance),
    // India (Aadhaar in groups; alone only if it is named; PAN of persons), Japan, Sweden with its century.
    row(&["####_####_####"], aadhaar),
    said(&["aadhaar", "aadhar", "uidai"], &["############"], aadhaar),
    row(&["@@@p@####@"], |_| true),
    said(&["mynumber", "number", "マイナンバー", "個人番号"], &["####~####~####"], my_number),
    row(&["########-####"], |id| personnummer(&digits(id)[2..])),
    said(&["personnummer", "personnr", "samordningsnummer", "pnr"], &["########~####", "######~####"], |id| {
        let digits = digits(id);
        personnummer(&digits[digits.len() - 10..])
    }),
    // Eleven digits: Brazil, Poland, Norway, Belgium, Turkey, Estonia and Lithuania, Germany's tax number.
    row(&["###~###~###~##"], |id| cpf(&digits(id))),
    row(&["###########"], |id| pesel(&digits(id))),
    row(&["######~#####"], |id| fodselsnummer(&digits(id))),
    row(&["##~##~##~###~##"], |id| rijksregister(&digits(id))),
    row(&["###########"], |id| turkey(&digits(id))),
    row(&["###########"], |id| isikukood(&digits(id))),
    row(&["###########", "##_###_###_###"], |id| tax_number(&digits(id))),
    // Denmark has given up its check digit; Finland's is a letter.
    said(&["cpr", "cprnummer", "personnummer"], &["######~####"], |id| is_date_at(&digits(id), 2, 0)),
    row(&["######-###@", "######a###@", "######-####", "######a####"], hetu),
    // Sweden, Czechia and Slovakia, Austria, Bulgaria.
    row(&["######-####"], |id| personnummer(&digits(id))),
    row(&["######/####"], |id| rodne_cislo(&digits(id))),
    row(&["####_######"], |id| austria(&digits(id))),
    said(&["egn", "егн"], &["##########"], |id| egn(&digits(id))),
    // Argentina (CUIL of persons), Chile (RUT).
    row(&["20_########_#", "23_########_#", "24_########_#", "27_########_#"], |id| cuil(&digits(id))),
    row(&["##.###.###-#", "#.###.###-#", "##.###.###-k", "#.###.###-k"], rut),
    said(&["rut", "run"], &["########-#", "########-k", "#######-#", "#######-k"], rut),
    // Spain (NIE, DNI), Ireland (PPS), United Kingdom (NINO), Singapore, Hong Kong, Taiwan.
    row(&["x~#######~@", "y~#######~@", "z~#######~@"], dni),
    row(&["########~@", "##.###.###~@"], dni),
    row(&["#######@", "#######@@"], pps),
    row(&["@@~##~##~##~@"], nino),
    row(&["@#######@"], nric),
    row(&["@######(#)", "@######(a)"], hkid),
    row(&["@1########", "@2########"], taiwan),
    // Nine digits are everybody's form: United States and Canada in theirs, the others by name.
    row(&["###_##_####"], |id| ssn(&digits(id))),
    said(&["ssn", "security", "social"], &["#########"], |id| ssn(&digits(id))),
    said(&["sin", "insurance", "nas"], &["#########", "###~###~###"], |id| luhn(&digits(id))),
    said(&["bsn", "burgerservicenummer", "sofinummer"], &["#########", "####~##~###"], |id| bsn(&digits(id))),
    said(&["nif", "contribuinte"], &["#########", "###~###~###"], |id| nif(&digits(id))),
    said(&["tfn", "file"], &["###~###~###"], |id| {
        weighted(&digits(id), &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11)
    }),
    said(&["teudat", "zehut", "תעודת", "זהות"], &["#########"], |id| luhn(&digits(id))),
];

/// Where they stand, in order.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    // A word without a number beside it need not be held against every form.
    for start in beginnings(text).filter(|start| has_digit_within(text, *start, FIRST_DIGIT_WITHIN)) {
        let last = found.last().map_or(0, |last| last.end);
        if start < last {
            continue;
        }
        // Groups with spaces are not read out of a longer row: an account that is mistyped is no three persons.
        let of_a_row = goes_on_from_before(text, start, last);
        let fits = |id: &NationalId| {
            let ends = id.masks.iter().filter_map(|mask| read(mask, text, start));
            let ends =
                ends.filter(|&end| stands_alone(text, start, end) && !(of_a_row && text[start..end].contains(' ')));
            let mut ends = ends.filter(|&end| (id.holds)(&bare(&text[start..end])));
            ends.next().filter(|_| id.said.is_empty() || said_before(text, start, id.said))
        };
        found.extend(NATIONAL_IDS.iter().find_map(fits).map(|end| start..end));
    }
    found
}

/// Two digits each at these places.
fn is_date_at(digits: &[u32], month: usize, day: usize) -> bool {
    is_date(digits[month] * 10 + digits[month + 1], digits[day] * 10 + digits[day + 1])
}

fn china(id: &str) -> bool {
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let body = digits(&id[..17]);
    let check = b"10X98765432"[weighted(&body, &weights) as usize % 11];
    is_date_at(&body, 10, 12) && (19..=20).contains(&number(&body[6..8])) && id.as_bytes()[17] == check
}

fn curp(id: &str) -> bool {
    // The alphabet counts Ñ between N and O.
    let value = |c: u8| match c {
        b'0'..=b'9' => u32::from(c - b'0'),
        b'A'..=b'N' => u32::from(c - b'A') + 10,
        _ => u32::from(c - b'A') + 11,
    };
    let sum: u32 = id.bytes().take(17).zip((2..=18).rev()).map(|(c, weight)| value(c) * weight).sum();
    is_date_at(&digits(&id[4..10]), 2, 4)
        && matches!(id.as_bytes()[10], b'H' | b'M' | b'X')
        && (10 - sum % 10) % 10 == u32::from(id.as_bytes()[17] - b'0')
}

fn codice_fiscale(id: &str) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let value = |c: u8| u32::from(if c.is_ascii_digit() { c - b'0' } else { c - b'A' });
    let places = id.bytes().take(15).enumerate();
    let sum: u32 = places.map(|(place, c)| if place % 2 == 0 { ODD[value(c) as usize] } else { value(c) }).sum();
    b"ABCDEHLMPRST".contains(&id.as_bytes()[8]) && sum % 26 == value(id.as_bytes()[15])
}

fn nir(id: &str) -> bool {
    // Corsica's departments count as 19 and 18 (the million less that INSEE gives).
    let body = digits(&id[..13].replace("2A", "19").replace("2B", "18"));
    let key = number(&digits(&id[13..]));
    matches!(body[0], 1..=4 | 7 | 8) && 97 - number(&body) % 97 == key
}

fn cnp(id: &[u32]) -> bool {
    let check = weighted(id, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    (1..=8).contains(&id[0]) && is_date_at(id, 3, 5) && id[12] == if check == 10 { 1 } else { check }
}

fn south_africa(id: &[u32]) -> bool {
    is_date_at(id, 2, 4) && id[10] <= 1 && id[11] >= 8 && luhn(id)
}

fn korea(id: &[u32]) -> bool {
    is_date_at(id, 2, 4) && (1..=8).contains(&id[6])
}

fn ean_13(id: &[u32]) -> bool {
    weighted(id, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
}

fn pension_insurance(id: &str) -> bool {
    let letter = u32::from(id.as_bytes()[8].saturating_sub(b'A')) + 1;
    let spread = format!("{}{letter:02}{}", &id[..8], &id[9..11]);
    let weights = [2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1];
    let sum: u32 =
        digits(&spread).iter().zip(weights).map(|(digit, weight)| digit * weight / 10 + digit * weight % 10).sum();
    is_date_at(&digits(&id[2..8]), 2, 0) && sum % 10 == u32::from(id.as_bytes()[11] - b'0')
}

fn aadhaar(id: &str) -> bool {
    let digits = digits(id);
    digits[0] > 1 && verhoeff(&digits)
}

fn my_number(id: &str) -> bool {
    let digits = digits(id);
    let check = match weighted(&digits, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    digits[11] == check
}

fn personnummer(id: &[u32]) -> bool {
    // A coordination number adds 60 to the day.
    let day = [id[4] % 6, id[5]];
    is_date(id[2] * 10 + id[3], day[0] * 10 + day[1]) && luhn(id)
}

fn cpf(id: &[u32]) -> bool {
    let check = |length: usize| {
        let weights: Vec<u32> = (2..=length as u32 + 1).rev().collect();
        weighted(&id[..length], &weights) * 10 % 11 % 10
    };
    id.iter().any(|digit| *digit != id[0]) && check(9) == id[9] && check(10) == id[10]
}

fn pesel(id: &[u32]) -> bool {
    let month = (id[2] * 10 + id[3]) % 20;
    is_date(month, id[4] * 10 + id[5]) && weighted(id, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)
}

fn fodselsnummer(id: &[u32]) -> bool {
    // A D number adds 40 to the day.
    let first = weighted(id, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]).is_multiple_of(11);
    let second = weighted(id, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11);
    is_date(id[2] * 10 + id[3], id[0] % 4 * 10 + id[1]) && first && second
}

fn rijksregister(id: &[u32]) -> bool {
    let key = number(&id[9..]);
    let holds = |body: u64| 97 - body % 97 == key;
    // Who was born since 2000 counts with a 2 before.
    is_date_at(id, 2, 4) && (holds(number(&id[..9])) || holds(2_000_000_000 + number(&id[..9])))
}

fn turkey(id: &[u32]) -> bool {
    let (odd, even) = (id[0] + id[2] + id[4] + id[6] + id[8], id[1] + id[3] + id[5] + id[7]);
    id[0] > 0 && (odd * 7 + 10 * 9 - even) % 10 == id[9] && id[..10].iter().sum::<u32>() % 10 == id[10]
}

fn isikukood(id: &[u32]) -> bool {
    let check = match weighted(id, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11 {
        10 => weighted(id, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11 % 10,
        check => check,
    };
    (1..=8).contains(&id[0]) && is_date_at(id, 3, 5) && check == id[10]
}

fn tax_number(id: &[u32]) -> bool {
    // Of the first ten digits exactly one occurs twice or three times.
    let times = |digit: u32| id[..10].iter().filter(|it| **it == digit).count();
    let repeated: Vec<usize> = (0..10).map(times).filter(|times| *times > 1).collect();
    id[0] > 0 && matches!(repeated[..], [2 | 3]) && mod_11_10(id)
}

fn hetu(id: &str) -> bool {
    let body = digits(&id[..6]);
    // The sign of the century: a dash, which is gone here, or a letter.
    let rest = &id[id.len() - 4..];
    let number = number(&body) * 1_000 + number(&digits(&rest[..3]));
    is_date_at(&body, 2, 0) && rest.as_bytes()[3] == b"0123456789ABCDEFHJKLMNPRSTUVWXY"[number as usize % 31]
}

fn rodne_cislo(id: &[u32]) -> bool {
    // Women add 50 to the month; since 2004 there may be 20 more.
    let month = (id[2] * 10 + id[3]) % 50 % 20;
    is_date(month, id[4] * 10 + id[5]) && (number(id).is_multiple_of(11) || number(&id[..9]) % 11 == 10 && id[9] == 0)
}

fn austria(id: &[u32]) -> bool {
    id[0] > 0 && is_date_at(id, 6, 4) && weighted(id, &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6]) % 11 == id[3]
}

fn egn(id: &[u32]) -> bool {
    let month = (id[2] * 10 + id[3]) % 20;
    is_date(month, id[4] * 10 + id[5]) && weighted(id, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10 == id[9]
}

fn cuil(id: &[u32]) -> bool {
    (11 - weighted(id, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11 == id[10]
}

fn rut(id: &str) -> bool {
    let (body, check) = id.split_at(id.len() - 1);
    let sum: u32 = digits(body).iter().rev().zip((2..=7).cycle()).map(|(digit, weight)| digit * weight).sum();
    check.as_bytes()[0] == b"0123456789K"[(11 - sum as usize % 11) % 11]
}

fn dni(id: &str) -> bool {
    let body = id[..8].replace('X', "0").replace('Y', "1").replace('Z', "2");
    id.as_bytes()[8] == b"TRWAGMYFPDXBNJZSQVHLCKE"[number(&digits(&body)) as usize % 23]
}

fn pps(id: &str) -> bool {
    // A second letter counts nine times its place in the alphabet; W counts nothing.
    let second = id.as_bytes().get(8).map_or(0, |c| if *c == b'W' { 0 } else { u32::from(c - b'A') + 1 });
    let sum = weighted(&digits(id), &[8, 7, 6, 5, 4, 3, 2]) + 9 * second;
    id.as_bytes()[7] == b"WABCDEFGHIJKLMNOPQRSTUV"[sum as usize % 23] && (id.len() == 8 || second <= 9)
}

fn nino(id: &str) -> bool {
    let [first, second] = [id.as_bytes()[0], id.as_bytes()[1]];
    !b"DFIQUV".contains(&first)
        && !b"DFIOQUV".contains(&second)
        && !["BG", "GB", "KN", "NK", "NT", "TN", "ZZ"].contains(&&id[..2])
        && (b'A'..=b'D').contains(&id.as_bytes()[8])
}

fn nric(id: &str) -> bool {
    let sum = weighted(&digits(id), &[2, 7, 6, 5, 4, 3, 2]);
    let (plus, letters) = match id.as_bytes()[0] {
        b'S' => (0, b"JZIHGFEDCBA"),
        b'T' => (4, b"JZIHGFEDCBA"),
        b'F' => (0, b"XWUTRQPNMLK"),
        b'G' => (4, b"XWUTRQPNMLK"),
        _ => return false,
    };
    id.as_bytes()[8] == letters[(sum + plus) as usize % 11]
}

fn hkid(id: &str) -> bool {
    let letter = u32::from(id.as_bytes()[0] - b'A') + 10;
    let sum = 36 * 9 + letter * 8 + weighted(&digits(&id[1..7]), &[7, 6, 5, 4, 3, 2]);
    id.as_bytes()[7] == b"0123456789A"[(11 - sum as usize % 11) % 11]
}

fn taiwan(id: &str) -> bool {
    // The letters' numbers follow no order.
    let place = b"ABCDEFGHJKLMNPQRSTUVXYWZIO".iter().position(|letter| *letter == id.as_bytes()[0]);
    let letter = place.map_or(0, |place| place as u32 + 10);
    (letter / 10 + letter % 10 * 9 + weighted(&digits(&id[1..]), &[8, 7, 6, 5, 4, 3, 2, 1, 1])).is_multiple_of(10)
}

fn ssn(id: &[u32]) -> bool {
    let area = number(&id[..3]);
    area > 0 && area != 666 && area < 900 && number(&id[3..5]) > 0 && number(&id[5..]) > 0
}

fn bsn(id: &[u32]) -> bool {
    // The last digit counts -1, which is 10 in a sum by elevens.
    weighted(id, &[9, 8, 7, 6, 5, 4, 3, 2, 10]).is_multiple_of(11)
}

fn nif(id: &[u32]) -> bool {
    let check = match weighted(id, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    id[8] == check
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_a_form_is_written_its_first_digit_is_looked_for_far_enough() {
        for mask in NATIONAL_IDS.iter().flat_map(|id| id.masks) {
            let before = mask.find(|sign: char| sign == '#' || sign.is_ascii_digit()).expect("every form has a digit");
            let longest = |sign| if matches!(sign, '~' | '_') { LONGEST_SEPARATOR } else { 1 };
            let length: usize = mask[..before].chars().map(longest).sum();
            assert!(length < FIRST_DIGIT_WITHIN, "{mask}");
        }
    }
}
