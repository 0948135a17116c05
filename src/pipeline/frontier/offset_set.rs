//! A set of offsets inside `base..end`, in the fewest bytes.
//!
//! One byte says which form follows, and nothing follows the set:
//!
//! | form | for | bytes |
//! |---|---|---|
//! | gaps | few unfinished offsets | for each the distance from the one before it, as a varint |
//! | runs | long stretches of one kind | lengths of finished and unfinished stretches in turn, as varints |
//! | bitmap | many, mixed | one bit an offset, lowest bit first, deflated |
//!
//! What comes in is not trusted: no bytes make [`decode`] panic, or build more offsets than there are bytes or than
//! [`MAX_OFFSETS`], whichever is more.

use std::ops::Range;

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;

use super::varint;

/// The most offsets a set may hold: 1 MiB once decoded. Five times what back-pressure lets happen: 24,000 offsets fill the
/// metadata as a bitmap, and fewer do as gaps.
pub const MAX_OFFSETS: usize = 1 << 17;

/// The widest bitmap: 128 KiB inflated, a minute at 17,000 records a second.
const MAX_BITMAP_WIDTH: u64 = 1 << 20;

/// Up to this many bytes nothing is gained by deflating; it costs 20 to 60 microseconds.
const NOT_WORTH_DEFLATING: usize = 512;

/// The usual trade between time and size.
const DEFLATE_LEVEL: u8 = 6;

/// What deflate may add to bytes that it cannot shorten (a stored block has a head of five bytes), and the form's byte.
const BITMAP_OVERHEAD: usize = 16;

const GAPS: u8 = 1;
const RUNS: u8 = 2;
const BITMAP: u8 = 3;

/// Why bytes are not a set of offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// No form, or one this build does not know.
    #[error("unknown form of offset set")]
    UnknownForm,
    /// A number is cut short or too large, or a length is zero where it cannot be.
    #[error("malformed offset set")]
    Malformed,
    /// An offset at or above the end.
    #[error("an offset lies outside the set's range")]
    OutOfRange,
    /// More offsets than a set may hold, or a bitmap that inflates to more than its range.
    #[error("the offset set is larger than allowed")]
    TooLarge,
}

/// The shortest form of `offsets`, which are in strict order and inside `range`.
#[must_use]
pub fn encode(range: &Range<u64>, offsets: &[u64]) -> Vec<u8> {
    let gaps = as_gaps(range.start, offsets);
    let runs = as_runs(range.start, offsets);
    let shortest = if gaps.len() <= runs.len() { gaps } else { runs };
    if shortest.len() <= NOT_WORTH_DEFLATING || range.end - range.start > MAX_BITMAP_WIDTH {
        return shortest;
    }
    let bitmap = as_bitmap(range, offsets);
    if bitmap.len() < shortest.len() { bitmap } else { shortest }
}

/// The offsets, in strict order and inside `range`.
pub fn decode(range: &Range<u64>, bytes: &[u8]) -> Result<Vec<u64>, SetError> {
    let (&form, set) = bytes.split_first().ok_or(SetError::UnknownForm)?;
    match form {
        GAPS => from_gaps(range, set),
        RUNS => from_runs(range, set),
        BITMAP => from_bitmap(range, set),
        _ => Err(SetError::UnknownForm),
    }
}

/// No subset of `offsets` (with the same end, and a base that is no lower) needs more bytes than this.
///
/// Leaving an offset out of the gaps joins two varints into one that is no longer than both, and leaving it out of a
/// bitmap only narrows it, so each of the two forms is longest for the full set.
pub fn worst_case(range: &Range<u64>, offsets: impl Iterator<Item = u64>) -> usize {
    let gaps = 1 + distances(range.start, offsets).map(varint::len).sum::<usize>();
    let width = range.end - range.start;
    if width > MAX_BITMAP_WIDTH {
        return gaps;
    }
    gaps.min(NOT_WORTH_DEFLATING.max(width.div_ceil(8) as usize + BITMAP_OVERHEAD))
}

/// For each offset how many lie between it and the one before.
fn distances(base: u64, offsets: impl Iterator<Item = u64>) -> impl Iterator<Item = u64> {
    offsets.scan(base, |next, offset| {
        let distance = offset - *next;
        *next = offset + 1;
        Some(distance)
    })
}

fn as_gaps(base: u64, offsets: &[u64]) -> Vec<u8> {
    let mut bytes = vec![GAPS];
    for distance in distances(base, offsets.iter().copied()) {
        varint::put(&mut bytes, distance);
    }
    bytes
}

fn from_gaps(range: &Range<u64>, mut bytes: &[u8]) -> Result<Vec<u64>, SetError> {
    let mut offsets = Vec::with_capacity(bytes.len());
    let mut next = range.start;
    while !bytes.is_empty() {
        let distance = varint::take(&mut bytes).ok_or(SetError::Malformed)?;
        let offset = within(range, next, distance)?;
        offsets.push(offset);
        next = offset + 1;
    }
    Ok(offsets)
}

fn as_runs(base: u64, offsets: &[u64]) -> Vec<u8> {
    let mut bytes = vec![RUNS];
    let mut next = base;
    for run in offsets.chunk_by(|before, after| before + 1 == *after) {
        varint::put(&mut bytes, run[0] - next);
        varint::put(&mut bytes, run.len() as u64);
        next = run[run.len() - 1] + 1;
    }
    bytes
}

fn from_runs(range: &Range<u64>, mut bytes: &[u8]) -> Result<Vec<u64>, SetError> {
    let mut offsets = Vec::new();
    let mut next = range.start;
    while !bytes.is_empty() {
        let finished = varint::take(&mut bytes).ok_or(SetError::Malformed)?;
        let unfinished = varint::take(&mut bytes).filter(|length| *length > 0).ok_or(SetError::Malformed)?;
        let first = within(range, next, finished)?;
        let last = within(range, first, unfinished - 1)?;
        if last - first >= (MAX_OFFSETS - offsets.len()) as u64 {
            return Err(SetError::TooLarge);
        }
        offsets.extend(first..=last);
        next = last + 1;
    }
    Ok(offsets)
}

fn as_bitmap(range: &Range<u64>, offsets: &[u64]) -> Vec<u8> {
    let mut bits = vec![0u8; (range.end - range.start).div_ceil(8) as usize];
    for offset in offsets {
        let place = offset - range.start;
        bits[(place / 8) as usize] |= 1 << (place % 8);
    }
    let mut bytes = vec![BITMAP];
    bytes.extend(compress_to_vec(&bits, DEFLATE_LEVEL));
    bytes
}

fn from_bitmap(range: &Range<u64>, bytes: &[u8]) -> Result<Vec<u64>, SetError> {
    let width = range.end - range.start;
    if width > MAX_BITMAP_WIDTH {
        return Err(SetError::TooLarge);
    }
    let length = width.div_ceil(8) as usize;
    let bits = decompress_to_vec_with_limit(bytes, length).map_err(|error| match error.status {
        miniz_oxide::inflate::TINFLStatus::HasMoreOutput => SetError::TooLarge,
        _ => SetError::Malformed,
    })?;
    if bits.len() != length {
        return Err(SetError::Malformed);
    }
    if bits.iter().map(|byte| byte.count_ones() as usize).sum::<usize>() > MAX_OFFSETS {
        return Err(SetError::TooLarge);
    }
    let places = (0..length as u64 * 8).filter(|place| bits[(place / 8) as usize] >> (place % 8) & 1 == 1);
    places.map(|place| within(range, range.start, place)).collect()
}

/// The offset `distance` after `from`, if it is inside the range.
fn within(range: &Range<u64>, from: u64, distance: u64) -> Result<u64, SetError> {
    from.checked_add(distance).filter(|offset| *offset < range.end).ok_or(SetError::OutOfRange)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Offsets in `base..base + width`, each there with a chance of `density` per cent.
    fn a_set() -> impl Strategy<Value = (Range<u64>, Vec<u64>)> {
        (0u64..1 << 40, 0usize..9_000, 1u8..=100).prop_flat_map(|(base, width, density)| {
            proptest::collection::vec(0u8..100, width).prop_map(move |dice| {
                let offsets = dice.iter().zip(base..).filter(|(roll, _)| **roll < density).map(|(_, at)| at).collect();
                (base..base + width as u64, offsets)
            })
        })
    }

    #[test]
    fn bytes_of_no_form_are_refused() {
        assert_eq!(decode(&(0..10), &[]), Err(SetError::UnknownForm));
        assert_eq!(decode(&(0..10), &[0]), Err(SetError::UnknownForm));
        assert_eq!(decode(&(0..10), &[4, 1]), Err(SetError::UnknownForm));
    }

    #[test]
    fn an_offset_at_or_above_the_end_is_refused_in_every_form() {
        assert_eq!(decode(&(5..8), &[GAPS, 3]), Err(SetError::OutOfRange));
        assert_eq!(decode(&(5..8), &[RUNS, 1, 3]), Err(SetError::OutOfRange));
        let beyond = [&[BITMAP][..], &compress_to_vec(&[0b0000_1000], 6)].concat();
        assert_eq!(decode(&(5..8), &beyond), Err(SetError::OutOfRange));
        let mut overflowing = vec![GAPS];
        varint::put(&mut overflowing, u64::MAX);
        assert_eq!(decode(&(5..8), &overflowing), Err(SetError::OutOfRange));
    }

    #[test]
    fn an_empty_run_is_refused() {
        assert_eq!(decode(&(0..10), &[RUNS, 1, 0]), Err(SetError::Malformed));
        assert_eq!(decode(&(0..10), &[RUNS, 1]), Err(SetError::Malformed));
    }

    #[test]
    fn a_few_bytes_cannot_stand_for_more_offsets_than_allowed() {
        let mut endless_run = vec![RUNS, 0];
        varint::put(&mut endless_run, 1 << 60);
        assert_eq!(decode(&(0..u64::MAX), &endless_run), Err(SetError::TooLarge));

        let half = (MAX_OFFSETS / 2) as u64;
        let mut three_halves = vec![RUNS];
        for _ in 0..3 {
            varint::put(&mut three_halves, 1);
            varint::put(&mut three_halves, half);
        }
        assert_eq!(decode(&(0..u64::MAX), &three_halves), Err(SetError::TooLarge));

        let all_set = [&[BITMAP][..], &compress_to_vec(&vec![0xff; MAX_OFFSETS / 4], 6)].concat();
        assert!(all_set.len() < 200);
        assert_eq!(decode(&(0..2 * MAX_OFFSETS as u64), &all_set), Err(SetError::TooLarge));
    }

    #[test]
    fn a_bitmap_that_inflates_beyond_its_range_is_refused_without_inflating_it() {
        let bomb = [&[BITMAP][..], &compress_to_vec(&vec![0; 64 << 20], 6)].concat();
        assert_eq!(decode(&(0..100), &bomb), Err(SetError::TooLarge));
        assert_eq!(decode(&(0..u64::MAX), &bomb), Err(SetError::TooLarge));
        let short = [&[BITMAP][..], &compress_to_vec(&[0; 3], 6)].concat();
        assert_eq!(decode(&(0..100), &short), Err(SetError::Malformed));
    }

    #[test]
    fn each_form_wins_where_it_is_shortest() {
        let form = |range: Range<u64>, offsets: &[u64]| encode(&range, offsets)[0];
        assert_eq!(form(7..1 << 40, &[7, 1 << 20, 1 << 39]), GAPS);
        assert_eq!(form(0..100_000, &(0..100_000).collect::<Vec<_>>()), RUNS);
        let two_of_three: Vec<u64> = (0..9_000).filter(|offset| offset % 3 != 1).collect();
        assert_eq!(form(0..9_000, &two_of_three), BITMAP);
    }

    proptest! {
        #[test]
        fn every_set_comes_back_from_every_form((range, offsets) in a_set()) {
            prop_assert_eq!(decode(&range, &as_gaps(range.start, &offsets)), Ok(offsets.clone()));
            prop_assert_eq!(decode(&range, &as_runs(range.start, &offsets)), Ok(offsets.clone()));
            prop_assert_eq!(decode(&range, &as_bitmap(&range, &offsets)), Ok(offsets.clone()));
            prop_assert_eq!(decode(&range, &encode(&range, &offsets)), Ok(offsets));
        }

        #[test]
        fn no_subset_needs_more_than_the_worst_case((range, offsets) in a_set(), keep in 1u8..=100, seed in any::<u64>()) {
            let bound = worst_case(&range, offsets.iter().copied());
            let kept = |offset: &u64| (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed) % 100 < u64::from(keep);
            let subset: Vec<u64> = offsets.into_iter().filter(kept).collect();
            let base = subset.first().copied().unwrap_or(range.end);
            prop_assert!(encode(&(base..range.end), &subset).len() <= bound);
        }

        #[test]
        fn no_bytes_make_decoding_panic(start in any::<u64>(), width in any::<u64>(), shift in 0u32..64, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let range = start..start.saturating_add(width >> shift);
            if let Ok(offsets) = decode(&range, &bytes) {
                prop_assert!(offsets.is_sorted_by(|a, b| a < b) && offsets.len() <= MAX_OFFSETS);
                prop_assert!(offsets.iter().all(|offset| range.contains(offset)));
            }
        }
    }
}
