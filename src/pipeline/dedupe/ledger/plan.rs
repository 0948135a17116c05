//! Sorts a batch into steps that one statement each can do: the port's "an entry sees what earlier entries of its batch
//! did", worked out once for every ledger that is a database.
//!
//! A step holds entries of one kind and a key at most once, so one set-based statement does what its entries would have
//! done one after the other. An entry joins the latest step of its kind if its key occurs in no step from there on, else
//! it starts a new step at the end. So entries of one key keep their order, and only entries of different keys change
//! places: each touches its own row only and all read the same time, so nobody can tell. `Enter`,
//! `Stands`, `Mark`, `Recovered`, `ActedOn`, `Vanished` and `RepairPublished` speak of no key, and let nothing pass; `Vanished`
//! ones that stand beside each other are one step, unless they speak of the same rows. `Recall`
//! and `Overtaken` are in no step: they ask, and are answered when everything is written. Nor is `Money`: it is about rows
//! of its own, and is done first, so that instances which share a budget lock its purse before anything else.

use std::collections::HashMap;

use super::purses::Movement;
use super::{Claim, Entry};
use crate::domain::identity::DedupeKey;
use crate::domain::past_decision::{DecisionQuestion, OvertakenQuestion};

/// What one statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// [`Entry::Claim`].
    Claim,
    /// [`Entry::TakeOver`].
    TakeOver,
    /// [`Entry::Lease`].
    Lease,
    /// [`Entry::Release`].
    Release,
    /// [`Entry::Answer`].
    Answer,
    /// [`Entry::Verdict`].
    Verdict,
    /// [`Entry::Decide`].
    Decide,
    /// [`Entry::Defer`].
    Defer,
    /// [`Entry::Published`].
    Published,
    /// [`Entry::Enter`], alone in its step.
    Enter,
    /// [`Entry::Stands`], alone in its step.
    Stands,
    /// [`Entry::Mark`], alone in its step.
    Mark,
    /// [`Entry::Recovered`], alone in its step.
    Recovered,
    /// [`Entry::Restore`].
    Restore,
    /// [`Entry::ActedOn`], alone in its step.
    ActedOn,
    /// [`Entry::Vanished`], of ranges that have nothing in common.
    Vanished,
    /// [`Entry::RepairPublished`], alone in its step.
    RepairPublished,
}

/// Entries of one kind, by their place in the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What its statement does.
    pub kind: Kind,
    /// Places in the batch.
    pub entries: Vec<usize>,
}

impl Kind {
    /// Whether its entries speak of no key, and are done one by one.
    #[must_use]
    pub fn is_keyless(self) -> bool {
        matches!(
            self,
            Self::Enter
                | Self::Stands
                | Self::Mark
                | Self::Recovered
                | Self::ActedOn
                | Self::Vanished
                | Self::RepairPublished
        )
    }

    /// None for what only asks.
    fn of(entry: &Entry) -> Option<Self> {
        Some(match entry {
            Entry::Money(_) | Entry::Recall(_) | Entry::Overtaken(_) => return None,
            Entry::Claim(_) => Self::Claim,
            Entry::TakeOver { .. } => Self::TakeOver,
            Entry::Lease { .. } => Self::Lease,
            Entry::Release { .. } => Self::Release,
            Entry::Answer { .. } => Self::Answer,
            Entry::Verdict { .. } => Self::Verdict,
            Entry::Decide { .. } => Self::Decide,
            Entry::Defer { .. } => Self::Defer,
            Entry::Published { .. } => Self::Published,
            Entry::Enter { .. } => Self::Enter,
            Entry::Stands { .. } => Self::Stands,
            Entry::Mark { .. } => Self::Mark,
            Entry::Recovered(_) => Self::Recovered,
            Entry::Restore(_) => Self::Restore,
            Entry::ActedOn { .. } => Self::ActedOn,
            Entry::Vanished { .. } => Self::Vanished,
            Entry::RepairPublished { .. } => Self::RepairPublished,
        })
    }
}

/// The key an entry speaks of; none for those that speak of none.
#[must_use]
pub fn key_of(entry: &Entry) -> Option<DedupeKey> {
    match entry {
        Entry::Claim(claim) | Entry::TakeOver { claim, .. } => Some(claim.key),
        Entry::Restore(restored) => Some(restored.claim.key),
        Entry::Lease { key, .. }
        | Entry::Release { key, .. }
        | Entry::Answer { key, .. }
        | Entry::Verdict { key, .. }
        | Entry::Decide { key, .. }
        | Entry::Defer { key, .. }
        | Entry::Published { key, .. } => Some(*key),
        Entry::Enter { .. }
        | Entry::Stands { .. }
        | Entry::Mark { .. }
        | Entry::Recovered(_)
        | Entry::Money(_)
        | Entry::Recall(_)
        | Entry::ActedOn { .. }
        | Entry::Overtaken(_)
        | Entry::Vanished { .. }
        | Entry::RepairPublished { .. } => None,
    }
}

/// The claims of a batch, in its order: what is put off ahead of each is asked for once everything is written.
#[must_use]
pub fn claims<'a>(entries: &'a [Entry]) -> Vec<&'a Claim> {
    let claim = |entry: &'a Entry| match entry {
        Entry::Claim(claim) | Entry::TakeOver { claim, .. } => Some(claim),
        _ => None,
    };
    entries.iter().filter_map(claim).collect()
}

/// What this finds in the entries of a batch, each with its place in it.
fn found<'a, T>(entries: &'a [Entry], find: impl Fn(&'a Entry) -> Option<T>) -> Vec<(usize, T)> {
    entries.iter().enumerate().filter_map(|(index, entry)| Some((index, find(entry)?))).collect()
}

/// The questions of a batch: they are asked once everything is written.
#[must_use]
pub fn questions(entries: &[Entry]) -> Vec<(usize, &DecisionQuestion)> {
    found(entries, |entry| if let Entry::Recall(question) = entry { Some(question) } else { None })
}

/// The same for questions whether better decisions would come too late.
#[must_use]
pub fn overtaken_questions(entries: &[Entry]) -> Vec<(usize, &OvertakenQuestion)> {
    found(entries, |entry| if let Entry::Overtaken(question) = entry { Some(question) } else { None })
}

/// What a batch does with money: done before the steps.
#[must_use]
pub fn movements(entries: &[Entry]) -> Vec<(usize, &Movement)> {
    found(entries, |entry| if let Entry::Money(movement) = entry { Some(movement) } else { None })
}

/// The steps of a batch, in the order in which they are to be done.
#[must_use]
pub fn steps(entries: &[Entry]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    // Where an entry may go at the earliest: per key behind its last step, per kind into its latest step.
    let mut after_key: HashMap<DedupeKey, usize> = HashMap::with_capacity(entries.len());
    let mut latest: HashMap<Kind, usize> = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        let Some(kind) = Kind::of(entry) else { continue };
        let Some(key) = key_of(entry) else {
            if let Some(Step { kind: Kind::Vanished, entries: before }) = steps.last_mut()
                && before.iter().all(|other| are_apart(&entries[*other], entry))
            {
                before.push(index);
                continue;
            }
            steps.push(Step { kind, entries: vec![index] });
            latest.clear();
            continue;
        };
        let earliest = after_key.get(&key).copied().unwrap_or(0);
        let step = match latest.get(&kind) {
            Some(step) if *step >= earliest => *step,
            _ => {
                steps.push(Step { kind, entries: Vec::new() });
                steps.len() - 1
            }
        };
        steps[step].entries.push(index);
        latest.insert(kind, step);
        after_key.insert(key, step + 1);
    }
    steps
}

/// Whether both speak of ranges, and of no row together.
fn are_apart(one: &Entry, other: &Entry) -> bool {
    let (
        Entry::Vanished { topic_id, partition, from, to },
        Entry::Vanished { topic_id: other_topic, partition: other_partition, from: other_from, to: other_to },
    ) = (one, other)
    else {
        return false;
    };
    (topic_id, partition) != (other_topic, other_partition) || to <= other_from || other_to <= from
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::clock::Timestamp;
    use crate::domain::position::Position;

    fn entry(kind: u8, key: u8) -> Entry {
        let from = u64::from(key);
        let (key, owner) = (DedupeKey([key; 32]), Position { topic_id: "t".into(), partition: 0, offset: 0 });
        match kind {
            0 => Entry::Lease { key, owner, lasts: std::time::Duration::ZERO },
            1 => Entry::Release { key, owner },
            2 => Entry::Published { key, owner, at: Timestamp(0) },
            _ => Entry::Vanished { topic_id: "t".into(), partition: 0, from, to: from + 2 },
        }
    }

    fn plan(entries: &[(u8, u8)]) -> Vec<(Kind, Vec<usize>)> {
        let entries: Vec<Entry> = entries.iter().map(|(kind, key)| entry(*kind, *key)).collect();
        steps(&entries).into_iter().map(|step| (step.kind, step.entries)).collect()
    }

    #[test]
    fn a_mixed_batch_of_many_keys_becomes_one_step_a_kind() {
        let planned = plan(&[(0, 1), (1, 2), (0, 3), (2, 4), (1, 5)]);
        assert_eq!(
            planned,
            [(Kind::Lease, vec![0, 2]), (Kind::Release, vec![1, 4]), (Kind::Published, vec![3])].to_vec()
        );
    }

    #[test]
    fn a_key_that_comes_twice_is_never_twice_in_a_step_nor_overtaken_by_itself() {
        assert_eq!(plan(&[(0, 1), (0, 1)]), [(Kind::Lease, vec![0]), (Kind::Lease, vec![1])].to_vec());
        let planned = plan(&[(0, 1), (1, 2), (1, 1), (0, 1), (0, 2), (0, 3)]);
        assert_eq!(
            planned,
            [(Kind::Lease, vec![0]), (Kind::Release, vec![1, 2]), (Kind::Lease, vec![3, 4, 5])].to_vec()
        );
    }

    #[test]
    fn nothing_passes_an_entry_that_speaks_of_a_range() {
        let planned = plan(&[(0, 1), (3, 0), (0, 2)]);
        assert_eq!(planned, [(Kind::Lease, vec![0]), (Kind::Vanished, vec![1]), (Kind::Lease, vec![2])].to_vec());
    }

    /// A log with many small transactions has a gap after each.
    #[test]
    fn gaps_beside_each_other_are_one_step_unless_they_overlap() {
        let planned = plan(&[(3, 0), (3, 2), (3, 8), (3, 7), (0, 1), (3, 4)]);
        let expected = [
            (Kind::Vanished, vec![0, 1, 2]),
            (Kind::Vanished, vec![3]),
            (Kind::Lease, vec![4]),
            (Kind::Vanished, vec![5]),
        ];
        assert_eq!(planned, expected.to_vec());
    }

    proptest! {
        #[test]
        fn every_entry_is_done_once_and_in_the_order_of_its_key(batch in prop::collection::vec((0..4_u8, 0..4_u8), 0..40)) {
            let entries: Vec<Entry> = batch.iter().map(|(kind, key)| entry(*kind, *key)).collect();
            let planned = steps(&entries);
            let order: Vec<usize> = planned.iter().flat_map(|step| step.entries.iter().copied()).collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..entries.len()).collect::<Vec<_>>());
            for (place, later) in order.iter().enumerate() {
                for earlier in &order[..place] {
                    let (one, other) = (key_of(&entries[*earlier]), key_of(&entries[*later]));
                    let independent = one != other && one.is_some() && other.is_some();
                    prop_assert!(independent || earlier < later, "{} before {}", earlier, later);
                }
            }
            for step in planned {
                let keys: Vec<_> = step.entries.iter().filter_map(|index| key_of(&entries[*index])).collect();
                let distinct: std::collections::HashSet<_> = keys.iter().collect();
                prop_assert_eq!(keys.len(), distinct.len());
            }
        }
    }
}
