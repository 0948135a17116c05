//! Which offsets of a partition are finished, when they finish in any order.
//!
//! ```text
//!            base            cursor          end
//!  finished   |  o  x  o  o  x |  .  x  .  .  |   nothing known
//!  ---------> |                |              |  ------------->
//!              read by us       restored, not
//!                               read again yet     o in work or unpublished   x, . finished / unfinished as restored
//! ```
//!
//! A commit writes `base` as the offset and what is unfinished in `base..end` as its metadata ([`codec`]); whoever owns
//! the partition next restores both, skips what is finished and does the rest again. Pure: nothing is awaited, no clock,
//! no log. Who is in work, what was answered and what a burst carries is not known here.
//!
//! The invariants, asserted wherever a commit is proposed:
//! - `base = min(unfinished, cursor)`, and `base <= every unfinished < end`;
//! - the cursor never goes back, so neither does `base`;
//! - an offset that was read leaves the unfinished ones only by a confirmed commit. The only other way out is for those
//!   that can never be read again: jumped over by the log, they are reported as a gap.

pub mod codec;
mod fit;
mod offset_set;
mod varint;

#[cfg(test)]
mod examples;
#[cfg(test)]
mod model_tests;

pub use fit::Fitted;
pub use offset_set::SetError;

use std::collections::BTreeSet;
use std::ops::Range;

use crate::sabotage::{self, Sabotage};

/// The offsets of one owned partition, for as long as the assignment lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontier {
    /// Next offset to be read.
    cursor: u64,
    /// First offset nothing is known of; never below the cursor.
    end: u64,
    /// Everything below `end` that is not finished.
    unfinished: BTreeSet<u64>,
}

/// What reading a record means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// It is to be worked on. Otherwise it was finished before, or handed over before.
    pub fresh: bool,
    /// What the log jumped over to get here.
    pub gaps: Gaps,
}

/// Offsets that can never be read again and count as finished from now on. Whoever remembers a record there as the owner
/// of something must be told **before** the partition's next commit, for after it nobody asks again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gaps {
    /// Once read and left unfinished: records that expired before their work was done.
    pub lost: Vec<Range<u64>>,
    /// Never in any commit: control records, compaction, retention.
    pub unknown: Option<Range<u64>>,
}

impl Gaps {
    /// Nothing was jumped over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.unknown.is_none()
    }

    /// Both kinds, in order.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.lost.iter().chain(&self.unknown).cloned()
    }
}

/// What a commit that finishes certain offsets would write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The offset to commit: the lowest unfinished one.
    pub base: u64,
    /// First offset nothing is known of.
    pub end: u64,
    /// What stays unfinished in `base..end`, in order.
    pub unfinished: Vec<u64>,
    /// What the commit finishes, in order.
    pub finishing: Vec<u64>,
}

/// A commit whose metadata was written for another offset (a group copied to another cluster, a position set by hand):
/// which offsets are finished is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("commit metadata of offset {written_for} stands at offset {committed}")]
pub struct Misplaced {
    /// The offset inside the metadata.
    pub written_for: u64,
    /// The offset it was found with.
    pub committed: u64,
}

impl Frontier {
    /// Nothing is known from `base` on.
    #[must_use]
    pub fn fresh(base: u64) -> Self {
        Self { cursor: base, end: base, unfinished: BTreeSet::new() }
    }

    /// As the last commit left it: what was unfinished then waits to be read again.
    pub fn restore(committed: u64, metadata: &codec::Decoded) -> Result<Self, Misplaced> {
        if metadata.base != committed {
            return Err(Misplaced { written_for: metadata.base, committed });
        }
        Ok(Self { cursor: committed, end: metadata.end, unfinished: metadata.unfinished.iter().copied().collect() })
    }

    /// A record was handed over. Records come in order of offset; one that comes again is not fresh.
    pub fn read(&mut self, offset: u64) -> Read {
        if offset < self.cursor {
            return Read { fresh: false, gaps: Gaps::default() };
        }
        let gaps = self.advance_to(offset);
        if offset == self.end {
            self.unfinished.insert(offset);
            self.end += 1;
        }
        self.cursor = offset + 1;
        Read { fresh: self.unfinished.contains(&offset), gaps }
    }

    /// Everything below `to` that can be read was handed over.
    pub fn advance_to(&mut self, to: u64) -> Gaps {
        let mut gaps = Gaps::default();
        if to <= self.cursor {
            return gaps;
        }
        while let Some(offset) = self.unfinished.range(self.cursor..to).next().copied() {
            self.unfinished.remove(&offset);
            match gaps.lost.last_mut() {
                Some(range) if range.end == offset => range.end += 1,
                _ => gaps.lost.push(offset..offset + 1),
            }
        }
        if to > self.end {
            gaps.unknown = Some(self.end..to);
            self.end = to;
        }
        self.cursor = to;
        gaps
    }

    /// What a commit that finishes these offsets would write. Nothing changes before [`confirm`](Self::confirm).
    ///
    /// # Panics
    /// If one of them was not read, is finished already or is named twice: a result that belongs to another assignment
    /// is about to be published.
    #[must_use]
    pub fn propose(&self, finishing: &[u64]) -> Proposal {
        let mut finishing = finishing.to_vec();
        finishing.sort_unstable();
        assert!(finishing.is_sorted_by(|before, after| before < after), "an offset is finished twice: {finishing:?}");
        for offset in &finishing {
            assert!(*offset < self.cursor, "offset {offset} was not read, the cursor stands at {}", self.cursor);
            assert!(self.unfinished.contains(offset), "offset {offset} is finished already");
        }
        let stays = |offset: &u64| finishing.binary_search(offset).is_err();
        let mut unfinished: Vec<u64> = self.unfinished.iter().copied().filter(stays).collect();
        let mut base = unfinished.first().map_or(self.cursor, |lowest| self.cursor.min(*lowest));
        if sabotage::on(Sabotage::CommitOverHole) {
            (base, unfinished) = (self.end, Vec::new());
        }
        assert!(
            self.base() <= base
                && base <= self.end
                && unfinished.iter().all(|offset| (base..self.end).contains(offset)),
            "base {base} or end {} passes over an unfinished offset: {self:?}",
            self.end
        );
        Proposal { base, end: self.end, unfinished, finishing }
    }

    /// The proposed commit is in the log. What was read since the proposal stays as it is.
    ///
    /// # Panics
    /// If it was not proposed by this frontier, or was confirmed before.
    pub fn confirm(&mut self, proposal: &Proposal) {
        for offset in &proposal.finishing {
            assert!(self.unfinished.remove(offset), "offset {offset} was not waiting for this commit");
        }
    }

    /// The lowest offset that is not finished, as far as confirmed commits go.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.unfinished.first().map_or(self.cursor, |lowest| self.cursor.min(*lowest))
    }

    /// The lowest offset that is not finished, also if what is finished below it is still to be read over.
    #[must_use]
    pub fn first_open(&self) -> u64 {
        self.unfinished.first().copied().unwrap_or(self.end)
    }

    /// Next offset to be read.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// First offset nothing is known of.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Offsets between base and end, finished or not.
    #[must_use]
    pub fn width(&self) -> u64 {
        self.end - self.base()
    }

    /// Offsets that wait for their commit, or to be read again.
    #[must_use]
    pub fn unfinished_count(&self) -> usize {
        self.unfinished.len()
    }

    /// Those offsets, in order. Right after a restore: the exceptions to "finished" below [`end`](Self::end).
    pub fn unfinished(&self) -> impl Iterator<Item = u64> + '_ {
        self.unfinished.iter().copied()
    }
}
