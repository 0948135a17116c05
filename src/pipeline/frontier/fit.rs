//! What to do when a commit's metadata would be too long: commit fewer results, never a shorter truth.
//!
//! The length does not simply grow with the number of results. Finishing an offset takes it off the list, so a commit
//! with more results is shorter as a list, and one with all of them may even lift the base; but it also tears holes into
//! a stretch that was one run. So neither all nor none need fit where something between does.

use super::codec::{self, MAX_CHARS, MAX_HEAD_BYTES, Tag};
use super::{Frontier, Proposal, offset_set};
use crate::sabotage::{self, Sabotage};

/// How many numbers of groups are tried, evenly spread, before the best of them is refined.
const PROBES: usize = 16;

/// A commit that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitted {
    /// How many groups it carries, from the first on; perhaps none.
    pub kept: usize,
    /// What it writes; its `finishing` are the offsets of those groups.
    pub proposal: Proposal,
    /// Its metadata.
    pub metadata: String,
}

impl Frontier {
    /// A commit with as many of these groups of results as fit into `max_chars`, leaving out the last ones; a group is
    /// carried whole or not at all. Panics as [`propose`](Self::propose) does.
    ///
    /// `None`: no number that was tried fits, not even no results at all. Wait for more to finish and read nothing
    /// meanwhile: with everything finished there is nothing left to list. (Tried are all, at most 16 numbers
    /// evenly spread down to none, and a bisection above the highest of them that fits; at most 16 groups: every
    /// number.) Whoever leaves out more of the groups asks again with the rest, since fewer may be longer.
    #[must_use]
    pub fn fit(&self, groups: &[Vec<u64>], tag: &Tag, max_chars: usize) -> Option<Fitted> {
        let attempt = |kept: usize| {
            let proposal = self.propose(&groups[..kept].concat());
            codec::encode(&proposal, tag, max_chars).ok().map(|metadata| Fitted { kept, proposal, metadata })
        };
        let all = groups.len();
        if let Some(fitted) = attempt(all) {
            return Some(fitted);
        }
        if sabotage::on(Sabotage::MetadataStripped) {
            return Some(Fitted { kept: all, proposal: self.propose(&groups.concat()), metadata: String::new() });
        }
        let (mut fails, mut found) = (all, None);
        let probes = PROBES.min(all);
        for kept in (0..probes).rev().map(|probe| all * probe / probes) {
            match attempt(kept) {
                None => fails = kept,
                some => {
                    found = some;
                    break;
                }
            }
        }
        let mut best = found?;
        while fails - best.kept > 1 {
            let middle = best.kept.midpoint(fails);
            match attempt(middle) {
                Some(fitted) => best = fitted,
                None => fails = middle,
            }
        }
        Some(best)
    }

    /// How much of the metadata the longest commit may need that could be made from here, whichever results come
    /// first: up to 1.0 [`fit`](Self::fit) leaves nothing out. Reading should pause well before.
    #[must_use]
    pub fn fill(&self) -> f64 {
        let set = offset_set::worst_case(&(self.base()..self.end), self.unfinished());
        codec::chars(MAX_HEAD_BYTES + set) as f64 / MAX_CHARS as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::codec::{Decoded, Metadata, decode, encode};
    use super::*;

    fn tag() -> Tag {
        Tag { writer: "gatekeeper-0".to_owned(), incarnation: 1, burst: 1, ledger: 0 }
    }

    /// Everything in `0..count` was read.
    fn after_reading(count: u64) -> Frontier {
        let mut frontier = Frontier::fresh(0);
        for offset in 0..count {
            assert!(frontier.read(offset).fresh);
        }
        frontier
    }

    /// Results that travel each by itself.
    fn alone(offsets: &[u64]) -> Vec<Vec<u64>> {
        offsets.chunks(1).map(<[u64]>::to_vec).collect()
    }

    /// Offsets without any pattern, about one in `one_in` (SplitMix64 decides).
    fn scattered(range: std::ops::Range<u64>, one_in: u64) -> Vec<u64> {
        let mix = |offset: u64| {
            let mixed = (offset + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 31
        };
        range.filter(|offset| mix(*offset).is_multiple_of(one_in)).collect()
    }

    #[test]
    fn results_are_left_out_from_the_top_until_the_rest_fits() {
        let frontier = after_reading(60_000);
        let finishing = scattered(1..60_000, 2);
        assert!(encode(&frontier.propose(&finishing), &tag(), MAX_CHARS).is_err());

        let fitted = frontier.fit(&alone(&finishing), &tag(), MAX_CHARS).expect("some fit");
        let count = fitted.proposal.finishing.len();
        assert_eq!(fitted.proposal.finishing, finishing[..count]);
        assert!(count > finishing.len() / 5, "only {count} of {}", finishing.len());
        let one_more = frontier.propose(&finishing[..=count]);
        assert!(encode(&one_more, &tag(), MAX_CHARS).is_err(), "one more would have fitted");
        assert_eq!(fitted.metadata, encode(&fitted.proposal, &tag(), MAX_CHARS).expect("it was said to fit"));
    }

    #[test]
    fn some_results_can_fit_where_neither_all_nor_none_do() {
        // Restored: scattered below 40,000. Read since: everything up to 80,000. Finishing the lower part leaves one run.
        let lower = scattered(0..40_000, 3);
        let base = lower[0];
        let restored = Decoded { tag: tag(), base, end: 40_000, unfinished: lower.clone() };
        let mut frontier = Frontier::restore(base, &restored).expect("its own base");
        for offset in base..80_000 {
            frontier.read(offset);
        }
        let upper = scattered(40_000..80_000, 3);
        let finishing: Vec<u64> = lower.iter().chain(&upper).copied().collect();
        assert!(encode(&frontier.propose(&[]), &tag(), MAX_CHARS).is_err());
        assert!(encode(&frontier.propose(&finishing), &tag(), MAX_CHARS).is_err());
        let fitted = frontier.fit(&alone(&finishing), &tag(), MAX_CHARS).expect("the lower part fits");
        assert!(fitted.proposal.finishing.len() >= lower.len());
    }

    #[test]
    fn nothing_fits_while_too_much_is_in_pieces_and_everything_does_in_the_end() {
        let pieces = scattered(0..200_000, 3);
        let restored = Decoded { tag: tag(), base: pieces[0], end: 200_000, unfinished: pieces.clone() };
        let mut frontier = Frontier::restore(pieces[0], &restored).expect("its own base");
        assert_eq!(frontier.fit(&[], &tag(), MAX_CHARS), None);
        for offset in pieces[0]..200_000 {
            frontier.read(offset);
        }
        assert_eq!(frontier.fit(&alone(&pieces[..9]), &tag(), MAX_CHARS), None);
        let fitted = frontier.fit(&alone(&pieces), &tag(), MAX_CHARS).expect("nothing is left to list");
        assert_eq!((fitted.proposal.base, fitted.proposal.unfinished.len()), (200_000, 0));
    }

    #[test]
    fn a_few_thousand_running_calls_fill_the_metadata_and_a_few_hundred_do_not() {
        assert!(Frontier::fresh(0).fill() < 0.1);
        assert!(after_reading(1_000).fill() < 0.25);
        assert!(after_reading(16_000).fill() < 0.75);
        assert!(after_reading(40_000).fill() > 1.0);
        let mut sparse = Frontier::fresh(0);
        for offset in (0..3_000).map(|n| n * 200) {
            sparse.read(offset);
        }
        assert!(sparse.fill() > 1.0);
    }

    #[cfg(feature = "sabotage")]
    #[test]
    fn the_sabotage_strips_metadata_exactly_when_it_does_not_fit() {
        sabotage::choose(Some(Sabotage::MetadataStripped));
        let frontier = after_reading(60_000);
        let fitted = frontier.fit(&alone(&scattered(1..60_000, 2)), &tag(), MAX_CHARS).expect("stripped");
        assert_eq!(fitted.metadata, "");
        let small = after_reading(10).fit(&alone(&[3]), &tag(), MAX_CHARS).expect("fits");
        assert!(!small.metadata.is_empty());
        sabotage::choose(None);
    }

    proptest! {
        #[test]
        fn what_fits_is_a_prefix_and_tells_the_truth(
            count in 1u64..3_000,
            chance in 1u64..5,
            max_chars in 60usize..400,
        ) {
            let frontier = after_reading(count);
            let finishing = scattered(0..count, chance);
            if let Some(fitted) = frontier.fit(&alone(&finishing), &tag(), max_chars) {
                prop_assert!(fitted.metadata.len() <= max_chars);
                let kept = fitted.proposal.finishing.len();
                prop_assert_eq!(&fitted.proposal.finishing[..], &finishing[..kept]);
                prop_assert_eq!(&fitted.proposal, &frontier.propose(&finishing[..kept]));
                let Ok(Metadata::Ours(decoded)) = decode(&fitted.metadata) else { panic!("not ours") };
                prop_assert_eq!(decoded.unfinished, fitted.proposal.unfinished);
                if let Some(one_more) = finishing.get(..=kept) {
                    prop_assert!(encode(&frontier.propose(one_more), &tag(), max_chars).is_err(), "one more fits");
                }
            }
        }

        #[test]
        fn groups_are_carried_whole_from_the_first_on(
            count in 1u64..200,
            chance in 1u64..4,
            members in 1usize..6,
            max_chars in 30usize..80,
        ) {
            let frontier = after_reading(count);
            let offsets = scattered(0..count, chance);
            // Each group takes offsets from all over the partition, as lanes do.
            let lanes = offsets.len().div_ceil(members);
            let groups: Vec<Vec<u64>> =
                (0..lanes).map(|lane| offsets.iter().copied().skip(lane).step_by(lanes).collect()).collect();
            if let Some(fitted) = frontier.fit(&groups, &tag(), max_chars) {
                prop_assert!(fitted.metadata.len() <= max_chars);
                prop_assert_eq!(fitted.proposal, frontier.propose(&groups[..fitted.kept].concat()));
                if let Some(one_more) = groups.get(..=fitted.kept) {
                    prop_assert!(encode(&frontier.propose(&one_more.concat()), &tag(), max_chars).is_err());
                }
            }
        }

        #[test]
        fn up_to_a_fill_of_one_every_set_of_results_fits(
            steps in proptest::collection::vec(1u64..40, 1..2_500),
            dense in any::<bool>(),
            one_in in 1u64..6,
        ) {
            let mut frontier = Frontier::fresh(5);
            let mut offset = 5;
            for step in steps {
                offset += if dense { 1 } else { step };
                frontier.read(offset);
            }
            let writer = "w".repeat(codec::MAX_WRITER_BYTES);
            let tag = Tag { writer, incarnation: u64::MAX, burst: u64::MAX, ledger: u64::MAX };
            let finishing: Vec<u64> = frontier.unfinished().filter(|offset| (offset * 7919 % 13) % one_in == 0).collect();
            if frontier.fill() <= 1.0 {
                let all = frontier.fit(&alone(&finishing), &tag, MAX_CHARS).map(|fitted| fitted.proposal.finishing.len());
                prop_assert_eq!(all, Some(finishing.len()));
            }
        }
    }
}
