//! How many of a tenant's tickets have a capability, and which.
//!
//! A ticket has a place between 0 and 9,999 that follows from flag, tenant and ticket alone; a share takes all places
//! below its size. So a larger share takes what a smaller one took, and different flags divide tickets differently.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Context, Flag};
use crate::domain::identity::hash_parts;

/// Hundredths of a percent.
const WHOLE: u16 = 10_000;

/// A share of tickets: `on`, `off`, or a percentage such as `25%` or `0.5%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

impl Share {
    /// Every ticket.
    pub const ON: Self = Self(WHOLE);
    /// No ticket.
    pub const OFF: Self = Self(0);

    /// So many hundredths of a percent.
    #[must_use]
    pub fn hundredths(hundredths: u16) -> Option<Self> {
        (hundredths <= WHOLE).then_some(Self(hundredths))
    }

    /// In percent.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// Neither all nor none.
    #[must_use]
    pub const fn is_partial(self) -> bool {
        0 < self.0 && self.0 < WHOLE
    }

    /// Whether this ticket is in it.
    #[must_use]
    pub fn takes(self, flag: Flag, context: Context<'_>) -> bool {
        match self {
            Self::ON => true,
            Self::OFF => false,
            Self(size) => place(flag, context) < u64::from(size),
        }
    }
}

fn place(flag: Flag, Context { tenant_id, ticket_id }: Context<'_>) -> u64 {
    let hash = hash_parts(&["flag", flag.name(), tenant_id, ticket_id]);
    let first = hash.first_chunk().expect("a hash has 32 bytes");
    u64::from_be_bytes(*first) % u64::from(WHOLE)
}

/// A text that is no share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no share of tickets: expected on, off, or a percentage such as 25% (two decimals at most)")]
pub struct NoShare(String);

impl FromStr for Share {
    type Err = NoShare;

    fn from_str(text: &str) -> Result<Self, NoShare> {
        let no_share = || NoShare(text.to_owned());
        match text {
            "on" => return Ok(Self::ON),
            "off" => return Ok(Self::OFF),
            _ => {}
        }
        let number = text.strip_suffix('%').ok_or_else(no_share)?;
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let is_digits = |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if !is_digits(whole, 3) || !is_digits(decimals, 2) {
            return Err(no_share());
        }
        let digits = format!("{whole}{decimals:0<2}");
        digits.parse().ok().and_then(Self::hundredths).ok_or_else(no_share)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ON => f.write_str("on"),
            Self::OFF => f.write_str("off"),
            Self(size) if size % 100 == 0 => write!(f, "{}%", size / 100),
            Self(size) => write!(f, "{}.{:02}%", size / 100, size % 100),
        }
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_flag() -> impl Strategy<Value = Flag> {
        prop::sample::select(Flag::ALL.to_vec())
    }

    proptest! {
        #[test]
        fn a_share_that_grows_takes_no_ticket_out(
            flag in any_flag(), tenant in "[a-z]{1,8}", ticket in "[ -~]{1,20}", mut sizes in [0..=WHOLE, 0..=WHOLE],
        ) {
            sizes.sort_unstable();
            let context = Context { tenant_id: &tenant, ticket_id: &ticket };
            let [small, large] = sizes.map(|size| Share(size).takes(flag, context));
            prop_assert!(!small || large);
        }

        #[test]
        fn a_share_is_read_as_it_is_written(size in 0..=WHOLE) {
            prop_assert_eq!(Share(size).to_string().parse(), Ok(Share(size)));
        }

        /// Within five standard deviations of the binomial distribution: one failure in millions of runs.
        #[test]
        fn of_many_tickets_a_share_takes_as_many_as_it_says(
            flag in any_flag(), tenant in "[a-z]{1,8}", size in 1..WHOLE, first in any::<u32>(),
        ) {
            const TICKETS: u32 = 20_000;
            let ticket = |number: u32| format!("T-{}", u64::from(first) + u64::from(number));
            let takes = |number: &u32| Share(size).takes(flag, Context { tenant_id: &tenant, ticket_id: &ticket(*number) });
            let taken = (0..TICKETS).filter(takes).count() as f64;
            let (all, share) = (f64::from(TICKETS), f64::from(size) / f64::from(WHOLE));
            let deviation = (all * share * (1.0 - share)).sqrt();
            prop_assert!((taken - all * share).abs() <= 5.0 * deviation + 1.0, "{taken} of {all} at {share}");
        }
    }

    /// Written down once and for all: whoever changes the hash gives every ticket another lot in the middle of a roll-out.
    #[test]
    fn a_ticket_keeps_its_place_over_builds_and_has_another_one_for_each_flag_and_tenant() {
        let of = |flag, tenant_id, ticket_id| place(flag, Context { tenant_id, ticket_id });
        assert_eq!(of(Flag::LocalFirst, "acme", "4711"), 9237);
        assert_eq!(of(Flag::RemoteModels, "acme", "4711"), 634);
        assert_eq!(of(Flag::LocalFirst, "globex", "4711"), 4970);
        assert_ne!(of(Flag::LocalFirst, "a", "bc"), of(Flag::LocalFirst, "ab", "c"));
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in
            ["", "%", "25", "25 %", "-1%", "+1%", "100.01%", "101%", "1.234%", "1.%", ".5%", "1e1%", "true", "ON"]
        {
            assert_eq!(text.parse::<Share>(), Err(NoShare(text.to_owned())), "{text}");
        }
        assert_eq!(
            ["0%", "100%", "0.5%", "07.50%"].map(|text| text.parse()),
            [0, WHOLE, 50, 750].map(|n| Ok(Share(n)))
        );
    }
}
