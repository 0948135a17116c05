//! Money, counted in millionths of a currency: what models cost, and what a tenant's day may.
//!
//! In settings and policies it is written as a plain number of the currency, `25` or `0.5`. Which currency is the tenant's
//! knowledge.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(pub u64);

impl Money {
    const ONE: f64 = 1_000_000.0;
    /// A thousand millions: far beyond any budget, and every millionth up to it is a number that a float can say.
    pub const MAX: Self = Self(1_000_000_000_000_000);

    /// As a number of the currency.
    #[expect(clippy::cast_precision_loss, reason = "exact up to MAX, which lies below 2^53")]
    #[must_use]
    pub fn in_currency(self) -> f64 {
        self.0 as f64 / Self::ONE
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared with both bounds before")]
    fn of(amount: f64) -> Option<Self> {
        let fits = (0.0..=Self::MAX.in_currency()).contains(&amount);
        fits.then(|| Self((amount * Self::ONE).round() as u64))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, millionths) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if millionths.is_multiple_of(10_000) {
            write!(f, "{whole}.{:02}", millionths / 10_000)
        } else {
            write!(f, "{whole}.{millionths:06}")
        }
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(self.in_currency())
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Amount;

        impl Visitor<'_> for Amount {
            type Value = Money;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an amount of money between 0 and {}, such as 25 or 0.5", Money::MAX)
            }

            fn visit_f64<E: Error>(self, amount: f64) -> Result<Money, E> {
                Money::of(amount).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Float(amount), &self))
            }

            #[expect(clippy::cast_precision_loss, reason = "what is too large to be exact is refused")]
            fn visit_i64<E: Error>(self, amount: i64) -> Result<Money, E> {
                self.visit_f64(amount as f64)
            }

            #[expect(clippy::cast_precision_loss, reason = "what is too large to be exact is refused")]
            fn visit_u64<E: Error>(self, amount: u64) -> Result<Money, E> {
                self.visit_f64(amount as f64)
            }
        }
        from.deserialize_any(Amount)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_down_is_read_back_to_the_millionth(micros in 0..=Money::MAX.0) {
            let text = serde_json::to_string(&Money(micros)).expect("a number");
            prop_assert_eq!(serde_json::from_str::<Money>(&text).expect("a number"), Money(micros));
        }
    }

    #[test]
    fn it_is_read_from_whole_and_broken_numbers_and_nothing_else() {
        for (text, micros) in [("25", 25_000_000), ("0.5", 500_000), ("0", 0), ("0.000001", 1)] {
            assert_eq!(serde_json::from_str::<Money>(text).expect(text), Money(micros));
            let toml: toml::Table = format!("m = {text}").parse().expect("TOML");
            assert_eq!(toml["m"].clone().try_into::<Money>().expect(text), Money(micros));
        }
        for text in ["-1", "-0.1", "1e10", "\"25\"", "null", "true"] {
            assert!(serde_json::from_str::<Money>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn it_is_shown_as_people_write_it() {
        let shown = [Money(25_000_000), Money(500_000), Money(1)].map(|money| money.to_string());
        assert_eq!(shown, ["25.00", "0.50", "0.000001"]);
    }
}
