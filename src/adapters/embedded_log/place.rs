//! Where a record stands in the b-tree: topic, partition and offset in one row id.
//!
//! ```text
//!  bit 63   62 .. 53        52 .. 42          41 .. 0
//!  0        topic number    partition         offset
//!           1 .. 1,023      0 .. 2,047        0 .. 4,398,046,511,103
//! ```
//!
//! SQLite orders rows by their id, so each partition is one contiguous range in offset order and needs no second index.
//! 42 bits of offset last 14 years at 10,000 records a second in one partition. A number that does not fit is an error
//! where the place is made; it never wraps into a neighbour.

const OFFSET_BITS: u32 = 42;
const PARTITION_BITS: u32 = 11;
const TOPIC_BITS: u32 = 10;
const _: () = assert!(TOPIC_BITS + PARTITION_BITS + OFFSET_BITS == 63, "a row id is positive");

/// Partitions that a topic can have.
pub(super) const MAX_PARTITIONS: u32 = 1 << PARTITION_BITS;

/// Offsets that a partition can have.
pub(super) const MAX_OFFSETS: u64 = 1 << OFFSET_BITS;

/// The places of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stretch {
    first: i64,
}

impl Stretch {
    /// The places of this partition of this topic; `None` if the numbers do not fit.
    pub(super) fn of(topic: i64, partition: u32) -> Option<Self> {
        let fits = (1..1 << TOPIC_BITS).contains(&topic) && partition < MAX_PARTITIONS;
        fits.then(|| Self { first: topic << (PARTITION_BITS + OFFSET_BITS) | i64::from(partition) << OFFSET_BITS })
    }

    /// The place of an offset; `None` if it does not fit. One past the last offset is not a place.
    pub(super) fn place(self, offset: u64) -> Option<i64> {
        let offset = i64::try_from(offset).ok().filter(|offset| *offset < 1 << OFFSET_BITS)?;
        Some(self.first | offset)
    }

    /// The offset at a place; `None` if the place belongs to another partition.
    pub(super) fn offset(self, place: i64) -> Option<u64> {
        let offset = place ^ self.first;
        u64::try_from(offset).ok().filter(|offset| *offset < MAX_OFFSETS)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_that_do_not_fit_are_no_place() {
        assert_eq!(Stretch::of(0, 0), None);
        assert_eq!(Stretch::of(1 << TOPIC_BITS, 0), None);
        assert_eq!(Stretch::of(-1, 0), None);
        assert_eq!(Stretch::of(1, MAX_PARTITIONS), None);
        let last = Stretch::of((1 << TOPIC_BITS) - 1, MAX_PARTITIONS - 1).expect("the last stretch");
        assert_eq!(last.place(MAX_OFFSETS), None);
        assert_eq!(last.place(MAX_OFFSETS - 1), Some(i64::MAX));
    }

    #[test]
    fn a_neighbours_place_has_no_offset_here() {
        let here = Stretch::of(1, 5).expect("fits");
        for neighbour in [Stretch::of(1, 4), Stretch::of(1, 6), Stretch::of(2, 5)] {
            let place = neighbour.and_then(|neighbour| neighbour.place(0)).expect("fits");
            assert_eq!(here.offset(place), None);
        }
        assert_eq!(here.offset(-1), None);
    }

    fn address() -> impl Strategy<Value = (i64, u32, u64)> {
        (1..1i64 << TOPIC_BITS, 0..MAX_PARTITIONS, 0..MAX_OFFSETS)
    }

    proptest! {
        #[test]
        fn places_are_ordered_as_topic_partition_and_offset_are(a in address(), b in address()) {
            let place = |(topic, partition, offset)| Stretch::of(topic, partition).and_then(|s| s.place(offset));
            prop_assert_eq!(place(a).cmp(&place(b)), a.cmp(&b));
        }

        #[test]
        fn an_offset_comes_back_from_its_place((topic, partition, offset) in address()) {
            let stretch = Stretch::of(topic, partition).expect("fits");
            let place = stretch.place(offset).expect("fits");
            prop_assert_eq!(stretch.offset(place), Some(offset));
        }
    }
}
