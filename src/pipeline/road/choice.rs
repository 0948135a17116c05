//! Which of the groups that are ready one commit can express.
//!
//! A group is carried whole or not at all, and what a commit calls finished is counted off exactly the groups it carries:
//! an offset that slips in without its outputs loses a terminal. Of each partition's groups the highest are left out,
//! which keeps the order within every lane; a lane reaches over several partitions (its events and their deferred copies),
//! so what follows a group that is left out in its lane is left out as well. A partition of which nothing is carried is
//! not moved.
//!
//! Pure: how much fits is asked, for one partition at a time.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::position::Partition;
use crate::pipeline::burst::Move;

/// What a commit does to each partition it touches.
pub(super) type Moves = BTreeMap<Partition, Move>;

/// The groups that are left out, by index, and what the others do to their partitions.
///
/// `before` names the group that comes before each in its lane. `fit` says how many of a partition's groups fit, from the
/// first on, and what those do to it.
pub(super) fn choose(
    groups: &[Vec<(Partition, u64)>],
    before: &[Option<usize>],
    fit: impl Fn(Partition, &[Vec<u64>]) -> Option<(usize, Move)>,
) -> (BTreeSet<usize>, Moves) {
    let mut left_out = BTreeSet::new();
    // A group that is left out for one partition is missing in its others: they are asked again. Every round but the last
    // leaves more out.
    loop {
        let were_left_out = left_out.len();
        for (index, _) in before.iter().enumerate().filter(|(_, before)| before.is_some()) {
            if before[index].is_some_and(|before| left_out.contains(&before)) {
                left_out.insert(index);
            }
        }
        let mut moves = Moves::new();
        for (partition, candidates) in by_partition(groups, &left_out) {
            let (offsets, indices): (Vec<_>, Vec<_>) = candidates.into_iter().unzip();
            match fit(partition, &offsets) {
                Some((kept, step)) if kept == indices.len() => {
                    moves.insert(partition, step);
                }
                fewer => left_out.extend(&indices[fewer.map_or(0, |(kept, _)| kept)..]),
            }
        }
        if left_out.len() == were_left_out {
            return (left_out, moves);
        }
    }
}

type Candidates = Vec<(Vec<u64>, usize)>;

/// The offsets in each partition of every group that is still in, lowest first.
fn by_partition(groups: &[Vec<(Partition, u64)>], left_out: &BTreeSet<usize>) -> BTreeMap<Partition, Candidates> {
    let mut partitions: BTreeMap<Partition, BTreeMap<usize, Vec<u64>>> = BTreeMap::new();
    for (index, group) in groups.iter().enumerate().filter(|(index, _)| !left_out.contains(index)) {
        for (partition, offset) in group {
            partitions.entry(*partition).or_default().entry(index).or_default().push(*offset);
        }
    }
    let sorted = |groups: BTreeMap<usize, Vec<u64>>| {
        let mut candidates: Candidates = groups.into_iter().map(|(index, offsets)| (offsets, index)).collect();
        candidates.sort_unstable();
        candidates
    };
    partitions.into_iter().map(|(partition, groups)| (partition, sorted(groups))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::position::TopicRole;
    use crate::pipeline::frontier::Frontier;
    use crate::pipeline::frontier::codec::{self, Tag};
    use crate::pipeline::log::Epoch;

    fn partition(number: u32) -> Partition {
        Partition { topic: TopicRole::Events, number }
    }

    fn after_reading(count: u64) -> Frontier {
        let mut frontier = Frontier::fresh(0);
        for offset in 0..count {
            frontier.read(offset);
        }
        frontier
    }

    fn fitting(frontier: &Frontier, max_chars: usize) -> impl Fn(Partition, &[Vec<u64>]) -> Option<(usize, Move)> {
        move |_, groups| {
            let tag = Tag { writer: "w".to_owned(), incarnation: 1, burst: 1, ledger: 0 };
            let fitted = frontier.fit(groups, &tag, max_chars)?;
            Some((fitted.kept, Move { assigned: Epoch(1), proposal: fitted.proposal, metadata: fitted.metadata }))
        }
    }

    /// What a commit finishes in a partition, when it carries every group but these.
    fn carried(groups: &[Vec<(Partition, u64)>], left_out: &BTreeSet<usize>) -> BTreeMap<Partition, Vec<u64>> {
        let mut carried: BTreeMap<Partition, Vec<u64>> = BTreeMap::new();
        for (_, group) in groups.iter().enumerate().filter(|(index, _)| !left_out.contains(index)) {
            for (partition, offset) in group {
                carried.entry(*partition).or_default().push(*offset);
            }
        }
        carried.values_mut().for_each(|offsets| offsets.sort_unstable());
        carried
    }

    fn finished(moves: Moves) -> BTreeMap<Partition, Vec<u64>> {
        moves.into_iter().map(|(partition, step)| (partition, step.proposal.finishing)).collect()
    }

    #[test]
    fn a_group_whose_last_event_does_not_fit_leaves_none_of_its_offsets_in_the_commit() {
        let groups = [vec![(partition(0), 1)], vec![(partition(0), 3), (partition(0), 11)]];
        let below_ten = |_: Partition, groups: &[Vec<u64>]| {
            let kept = groups.iter().take_while(|offsets| offsets.iter().all(|offset| *offset < 10)).count();
            let proposal = after_reading(12).propose(&groups[..kept].concat());
            Some((kept, Move { assigned: Epoch(1), proposal, metadata: String::new() }))
        };
        let (left_out, moves) = choose(&groups, &[], below_ten);
        assert_eq!(left_out, BTreeSet::from([1]));
        assert_eq!(finished(moves), BTreeMap::from([(partition(0), vec![1])]));
    }

    #[test]
    fn a_partition_of_which_nothing_fits_is_not_moved() {
        let groups = [vec![(partition(0), 1)], vec![(partition(1), 1)]];
        let frontier = after_reading(3);
        let all = fitting(&frontier, codec::MAX_CHARS);
        let only_the_second = |at: Partition, groups: &[Vec<u64>]| {
            if at == partition(0) { all(at, &[]).map(|(_, step)| (0, step)) } else { all(at, groups) }
        };
        let (left_out, moves) = choose(&groups, &[], only_the_second);
        assert_eq!(left_out, BTreeSet::from([0]));
        assert_eq!(finished(moves), BTreeMap::from([(partition(1), vec![1])]));
    }

    #[test]
    fn what_follows_in_its_lane_a_group_that_does_not_fit_is_left_out_though_it_would_fit() {
        let copies = Partition { topic: TopicRole::Deferred(0), number: 0 };
        // A copy that came back, an event behind it in its lane, one behind that, and another lane.
        let groups = [(copies, 1), (partition(0), 2), (partition(0), 3), (partition(0), 4)].map(|at| vec![at]);
        let frontier = after_reading(5);
        let all = fitting(&frontier, codec::MAX_CHARS);
        let no_copies = |at: Partition, groups: &[Vec<u64>]| {
            if at == copies { all(at, &[]).map(|(_, step)| (0, step)) } else { all(at, groups) }
        };
        let (left_out, moves) = choose(&groups, &[None, Some(0), Some(1), None], no_copies);
        assert_eq!(left_out, BTreeSet::from([0, 1, 2]));
        assert_eq!(finished(moves), BTreeMap::from([(partition(0), vec![4])]));
    }

    proptest! {
        /// A group for each of twelve lanes; a few reach into both partitions, as foreign keys may make them.
        #[test]
        fn what_a_commit_finishes_is_what_it_carries(
            events in proptest::collection::vec((0u32..12, 0u32..2, any::<bool>()), 40),
            max_chars in 28usize..60,
        ) {
            let frontier = after_reading(40);
            let mut groups: BTreeMap<u32, Vec<(Partition, u64)>> = BTreeMap::new();
            for (offset, (lane, number, ready)) in (0..).zip(events) {
                if ready {
                    let number = if lane % 4 == 0 { number } else { lane % 2 };
                    groups.entry(lane).or_default().push((partition(number), offset));
                }
            }
            let groups: Vec<_> = groups.into_values().collect();
            let (left_out, moves) = choose(&groups, &[], fitting(&frontier, max_chars));
            for step in moves.values() {
                prop_assert!(step.metadata.len() <= max_chars);
            }
            prop_assert_eq!(finished(moves), carried(&groups, &left_out));
        }
    }
}
