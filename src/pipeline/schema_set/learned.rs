//! What a registry has said about ids, as long as it is remembered.
//!
//! Bounded: past the bound the id that was needed longest ago is forgotten, and asked for again when it is met. That the
//! registry does *not* have an id is remembered for a short time only, because it may be registered any moment.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use super::Known;

/// Ids and what they mean.
pub(super) struct Learned {
    absent_for: Duration,
    max: usize,
    /// Counts uses, to know which was longest ago.
    uses: AtomicU64,
    by_id: RwLock<BTreeMap<u32, Entry>>,
}

/// What an id means.
#[derive(Clone)]
pub(super) enum Meaning {
    /// Values that can be read.
    Known(Arc<Known>),
    /// A schema that is of no use here, and why.
    Unusable(Arc<str>),
    /// Nothing: the registry does not have it.
    Absent,
}

struct Entry {
    meaning: Meaning,
    /// Until when it counts, if not for ever.
    until: Option<Instant>,
    used: AtomicU64,
}

impl Learned {
    pub fn new(max: usize, absent_for: Duration) -> Self {
        Self { absent_for, max, uses: AtomicU64::new(0), by_id: RwLock::default() }
    }

    /// None: the registry has to be asked.
    pub fn meaning(&self, id: u32, now: Instant) -> Option<Meaning> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        let entry = by_id.get(&id).filter(|entry| entry.until.is_none_or(|until| now < until))?;
        entry.used.store(self.next_use(), Ordering::Relaxed);
        Some(entry.meaning.clone())
    }

    /// The registry has answered.
    pub fn learn(&self, id: u32, meaning: Meaning, now: Instant) {
        let until = matches!(meaning, Meaning::Absent).then(|| now + self.absent_for);
        let entry = Entry { meaning, until, used: AtomicU64::new(self.next_use()) };
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        by_id.insert(id, entry);
        if by_id.len() > self.max {
            by_id.retain(|_, entry| entry.until.is_none_or(|until| now < until));
        }
        while by_id.len() > self.max {
            let oldest = by_id.iter().min_by_key(|(_, entry)| entry.used.load(Ordering::Relaxed));
            let Some((&oldest, _)) = oldest else { return };
            by_id.remove(&oldest);
        }
    }

    fn next_use(&self) -> u64 {
        self.uses.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABSENT_FOR: Duration = Duration::from_secs(30);

    fn unusable() -> Meaning {
        Meaning::Unusable("a reason".into())
    }

    #[test]
    fn an_absent_id_is_asked_for_again_after_a_while_and_a_present_one_never() {
        let (learned, now) = (Learned::new(16, ABSENT_FOR), Instant::now());
        learned.learn(1, Meaning::Absent, now);
        learned.learn(2, unusable(), now);
        let at = |id, seconds| learned.meaning(id, now + Duration::from_secs(seconds)).is_some();
        assert_eq!((at(1, 0), at(1, 29), at(1, 30)), (true, true, false));
        assert!(at(2, 1_000_000));
        assert!(learned.meaning(3, now).is_none());
    }

    #[test]
    fn past_the_bound_the_one_that_was_needed_longest_ago_goes() {
        let (learned, now) = (Learned::new(3, ABSENT_FOR), Instant::now());
        for id in [1, 2, 3] {
            learned.learn(id, unusable(), now);
        }
        assert!(learned.meaning(1, now).is_some());
        learned.learn(4, unusable(), now);
        let left: Vec<_> = (1..=4).filter(|id| learned.meaning(*id, now).is_some()).collect();
        assert_eq!(left, [1, 3, 4]);
        // Of ids that nobody has, the expired ones go first.
        learned.learn(5, Meaning::Absent, now);
        learned.learn(6, unusable(), now + ABSENT_FOR);
        let left: Vec<_> = (1..=6).filter(|id| learned.meaning(*id, now).is_some()).collect();
        assert_eq!(left, [3, 4, 6]);
    }
}
