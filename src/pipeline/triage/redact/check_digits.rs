//! The arithmetic that tells an account or a person's number from any other: pure, over capitals and digits.

/// Digits of a text; what is none is left out.
pub(super) fn digits(text: &str) -> Vec<u32> {
    text.bytes().filter(u8::is_ascii_digit).map(|byte| u32::from(byte - b'0')).collect()
}

/// Sum of digits times weights, as long as there are both.
pub(super) fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// As one number; at most 18 digits.
pub(super) fn number(digits: &[u32]) -> u64 {
    digits.iter().fold(0, |number, digit| number * 10 + u64::from(*digit))
}

/// Luhn: cards, and many a country's number.
pub(super) fn luhn(digits: &[u32]) -> bool {
    let twice = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let sum: u32 =
        digits.iter().rev().enumerate().map(|(place, digit)| if place % 2 == 1 { twice(*digit) } else { *digit }).sum();
    sum > 0 && sum.is_multiple_of(10)
}

/// ISO 7064, MOD 11,10: the German tax number.
pub(super) fn mod_11_10(digits: &[u32]) -> bool {
    let Some((check, rest)) = digits.split_last() else { return false };
    let product = rest.iter().fold(10, |product, digit| match (digit + product) % 10 {
        0 => 20 % 11,
        sum => sum * 2 % 11,
    });
    (11 - product) % 10 == *check
}

/// ISO 13616, MOD 97,10: the account number of a bank.
pub(super) fn iban(bare: &str) -> bool {
    let (head, tail) = bare.split_at(4);
    let remainder = tail.bytes().chain(head.bytes()).fold(0u32, |rest, c| match c {
        b'0'..=b'9' => (rest * 10 + u32::from(c - b'0')) % 97,
        letter => (rest * 100 + u32::from(letter - b'A') + 10) % 97,
    });
    head.bytes().skip(2).all(|c| c.is_ascii_digit()) && remainder == 1
}

/// Verhoeff: finds every swap of neighbours. The Indian number.
pub(super) fn verhoeff(digits: &[u32]) -> bool {
    // Multiplication in the dihedral group of the pentagon, and its permutation.
    let multiply = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b) % 5 + 5,
        (false, true) => (a - 5 + 5 - b) % 5 + 5,
        (false, false) => (a - 5 + 10 - b) % 5,
    };
    const STEP: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let turned = |digit: u32, times: usize| (0..times % 8).fold(digit, |digit, _| STEP[digit as usize]);
    digits.iter().rev().enumerate().fold(0, |check, (place, digit)| multiply(check, turned(*digit, place))) == 0
}

/// Whether it can be a day of a year.
pub(super) fn is_date(month: u32, day: u32) -> bool {
    let days = match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_check_digits_pass_and_any_other_last_digit_does_not() {
        type Check = fn(&[u32]) -> bool;
        for (check, right) in [
            (luhn as Check, "4111111111111111"),
            (luhn, "8112289874"),
            (mod_11_10, "36574261809"),
            (verhoeff, "2363"),
            (verhoeff, "234123412346"),
        ] {
            let right = digits(right);
            let (last, rest) = right.split_last().expect("digits");
            for other in 0..10 {
                let changed: Vec<u32> = rest.iter().copied().chain([other]).collect();
                assert_eq!(check(&changed), other == *last, "{changed:?}");
            }
        }
        assert!(iban("GB82WEST12345698765432") && !iban("GB82WEST12345698765423"));
        assert!(!luhn(&[0; 16]), "nothing but zeros is no number");
    }

    #[test]
    fn days_that_no_month_has_are_no_dates() {
        assert!(is_date(2, 29) && is_date(12, 31));
        assert!(!is_date(2, 30) && !is_date(4, 31) && !is_date(0, 1) && !is_date(13, 1) && !is_date(1, 0));
    }
}
