//! A value that must be settled exactly once.
//!
//! Every record on the road is tracked from the moment it was read. Forgetting one cannot lose it, because its offset
//! stays unfinished in the frontier until a commit says otherwise; but its lane would stand still, so a value that is
//! dropped unsettled reports itself.

use std::ops::{Deref, DerefMut};

use crate::domain::position::Partition;
use crate::telemetry::happenings::RecordDroppedUnsettled;

/// A value read from `partition` at `offset`, to be settled.
#[derive(Debug)]
pub struct Tracked<T> {
    partition: Partition,
    offset: u64,
    value: Option<T>,
}

impl<T> Tracked<T> {
    /// Track it.
    pub fn new(partition: Partition, offset: u64, value: T) -> Self {
        Self { partition, offset, value: Some(value) }
    }

    /// Where it came from.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// Where it stands there.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Its terminal was committed.
    pub fn committed(mut self) -> T {
        self.value.take().expect("only settling takes the value, and it consumes self")
    }

    /// Its partition belongs to somebody else now, or the process ends: it will be read again.
    pub fn given_up(mut self) -> T {
        self.value.take().expect("only settling takes the value, and it consumes self")
    }
}

impl<T> Deref for Tracked<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value.as_ref().expect("only settling takes the value, and it consumes self")
    }
}

impl<T> DerefMut for Tracked<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("only settling takes the value, and it consumes self")
    }
}

impl<T> Drop for Tracked<T> {
    fn drop(&mut self) {
        if self.value.is_some() && !std::thread::panicking() {
            RecordDroppedUnsettled { partition: self.partition, offset: self.offset }.record();
        }
    }
}
