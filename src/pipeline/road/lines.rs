//! What the road wants of the ledger, and in which order.

use super::{Purpose, Road};
use crate::pipeline::dedupe::ledger::Entry;

/// A ledger batch on its way: entries go out, this waits.
pub struct Batch(pub(super) Vec<Purpose>);

/// What waits for the ledger stands in one of two lines, and they are written beside each other. An event's own entries keep
/// their order, because what it wants next hangs on what the ledger said before; of another copy's, the ledger asks who owns
/// the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// What calls came to: until it is saved, each keeps its call's place.
    Answers,
    /// Everything else.
    Others,
}

impl Road {
    /// What the ledger should write next, in one transaction.
    pub fn next_batch(&mut self, line: Line, max_entries: usize) -> Option<(Vec<Entry>, Batch)> {
        let waiting = match line {
            Line::Answers => &mut self.answers,
            Line::Others => &mut self.pending,
        };
        let mut entries = Vec::new();
        let mut purposes = Vec::new();
        while let Some(group) = waiting.front() {
            if !entries.is_empty() && entries.len() + group.len() > max_entries {
                break;
            }
            for (entry, purpose) in waiting.pop_front().into_iter().flatten() {
                entries.push(entry);
                purposes.push(purpose);
            }
        }
        if entries.iter().any(Entry::is_rested_on) {
            entries.push(Entry::Mark { writer: self.fixtures.writer.clone() });
            purposes.push(Purpose::Mark { after: self.ledger_mark });
        }
        (!entries.is_empty()).then_some((entries, Batch(purposes)))
    }

    /// A batch that failed, before it is tried again: what went with its partition is not said any more. Said after the next
    /// owner has claimed it, that an event is put off would stand against what that one comes to; and whoever wrote last in a
    /// partition is fenced when its owner is gone.
    #[must_use]
    pub fn still_ours(&self, entries: Vec<Entry>, batch: Batch) -> (Vec<Entry>, Batch) {
        let still = entries.into_iter().zip(batch.0).filter(|(_, purpose)| !self.is_of_another_now(purpose));
        let (entries, purposes) = still.unzip();
        (entries, Batch(purposes))
    }

    /// Whether it says of an event that is not on this road any more that it is put off, or of a partition that went that it is
    /// ours.
    pub(super) fn is_of_another_now(&self, purpose: &Purpose) -> bool {
        match purpose {
            Purpose::PutOff { item, .. } => !self.items.contains_key(item),
            Purpose::Enter(partition, epoch) => {
                self.partitions.get(partition).is_none_or(|owned| owned.epoch != *epoch)
            }
            _ => false,
        }
    }

    /// Answers bear the time at which they are written, not at which they began to wait: an outage of the ledger must not
    /// make one look older than a call that was rightly begun meanwhile.
    pub fn stamp(&self, entries: &mut [Entry]) {
        let now = self.fixtures.clock.now();
        for entry in entries {
            if let Entry::Answer { at, .. } | Entry::Decide { at, .. } = entry {
                *at = now;
            }
        }
    }

    /// What waits for the ledger, in groups that are written together.
    #[must_use]
    pub fn unwritten(&self, line: Line) -> usize {
        match line {
            Line::Answers => self.answers.len(),
            Line::Others => self.pending.len(),
        }
    }

    pub(super) fn want(&mut self, entry: Entry, purpose: Purpose) {
        self.claiming += usize::from(matches!(purpose, Purpose::Claim(_)));
        self.pending.push_back(vec![(entry, purpose)]);
    }
}
