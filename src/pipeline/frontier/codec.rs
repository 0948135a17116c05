//! What a commit's metadata string says, and how.
//!
//! `gk1.` and, in base64, a CRC-32 and the body: who wrote it ([`Tag`]), the offset it was committed with, and which
//! offsets above that are unfinished. ASCII, at most [`MAX_CHARS`] characters, another string for every burst.
//!
//! Offsets are stored relative to the committed one, and that one is stored too: tools that copy a group to another
//! cluster translate the offset and keep the string, which must then be refused, not applied elsewhere
//! ([`Frontier::restore`](super::Frontier::restore) compares them).
//!
//! What comes in is not trusted. Ours and whole: [`Metadata::Ours`]. Ours and damaged, or of another version: an error
//! that stops the partition, because taking it for foreign would do work again that is already published. A flipped bit
//! never turns ours into foreign: what is sealed by a right checksum is ours under any prefix.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::offset_set::{self, MAX_OFFSETS, SetError};
use super::{Proposal, varint};

/// Kafka brokers take no more (`offset.metadata.max.bytes`).
pub const MAX_CHARS: usize = 4096;

/// The longest writer that [`Frontier::fill`](super::Frontier::fill) counts on; settings should refuse a longer one.
pub const MAX_WRITER_BYTES: usize = 128;

/// The most bytes in front of the set: checksum, six numbers, the writer.
pub(super) const MAX_HEAD_BYTES: usize = CHECKSUM_BYTES + 6 * varint::MAX_BYTES + MAX_WRITER_BYTES;

const FAMILY: &str = "gk";
const PREFIX: &str = "gk1.";
const CHECKSUM_BYTES: usize = 4;

/// Who wrote a commit, and which of its commits it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tag {
    /// Transactional id or instance.
    pub writer: String,
    /// Of the process: another one after every start.
    pub incarnation: u64,
    /// Counts the bursts of the process.
    pub burst: u64,
    /// The ledger's mark, opaque here.
    pub ledger: u64,
}

/// What a metadata string turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metadata {
    /// Written by a frontier.
    Ours(Decoded),
    /// Written by something else: only the committed offset counts.
    Foreign,
    /// Nothing was written.
    Empty,
}

/// The content of a string of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Who wrote it.
    pub tag: Tag,
    /// The offset it was committed with.
    pub base: u64,
    /// First offset nothing is known of.
    pub end: u64,
    /// Offsets in `base..end` that are not finished, in strict order.
    pub unfinished: Vec<u64>,
}

impl Decoded {
    /// Offsets at or above `base` that are finished.
    pub fn finished(&self) -> impl Iterator<Item = u64> + '_ {
        (self.base..self.end).filter(|offset| self.unfinished.binary_search(offset).is_err())
    }
}

/// A set that does not fit: commit other results, or wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{offsets} unfinished offsets take {chars} characters: allowed are {MAX_OFFSETS} in {max_chars}")]
pub struct TooLong {
    /// How many are unfinished.
    pub offsets: usize,
    /// What they would take.
    pub chars: usize,
    /// What was allowed.
    pub max_chars: usize,
}

/// Why a string that is ours cannot be used. The partition must stop: what it says is finished is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Written by another version of this program.
    #[error("commit metadata of another version, {prefix:?}")]
    UnknownVersion {
        /// Its prefix.
        prefix: String,
    },
    /// The prefix is damaged, the rest is whole.
    #[error("commit metadata with a damaged prefix")]
    Prefix,
    /// Longer than any that is ever written.
    #[error("commit metadata of {chars} characters")]
    Oversize {
        /// How many.
        chars: usize,
    },
    /// Not base64, or too short to hold its checksum.
    #[error("commit metadata is not readable as base64")]
    Encoding,
    /// The checksum is wrong.
    #[error("commit metadata with a wrong checksum")]
    Checksum,
    /// Right checksum, impossible content.
    #[error("commit metadata with a malformed head")]
    Head,
    /// Right checksum, impossible set.
    #[error("commit metadata: {0}")]
    Set(#[from] SetError),
}

/// The metadata string of a commit, at most `max_chars` (and [`MAX_CHARS`]) long.
pub fn encode(proposal: &Proposal, tag: &Tag, max_chars: usize) -> Result<String, TooLong> {
    let mut body = Vec::with_capacity(256);
    varint::put(&mut body, tag.incarnation);
    varint::put(&mut body, tag.burst);
    varint::put(&mut body, tag.ledger);
    varint::put(&mut body, tag.writer.len() as u64);
    body.extend(tag.writer.as_bytes());
    varint::put(&mut body, proposal.base);
    varint::put(&mut body, proposal.end - proposal.base);
    body.extend(offset_set::encode(&(proposal.base..proposal.end), &proposal.unfinished));

    let (offsets, chars) = (proposal.unfinished.len(), chars(CHECKSUM_BYTES + body.len()));
    let max_chars = max_chars.min(MAX_CHARS);
    if chars > max_chars || offsets > MAX_OFFSETS {
        return Err(TooLong { offsets, chars, max_chars });
    }
    Ok(seal(&body))
}

/// What a committed metadata string says.
pub fn decode(text: &str) -> Result<Metadata, CodecError> {
    if text.is_empty() {
        return Ok(Metadata::Empty);
    }
    let Some(sealed) = text.strip_prefix(PREFIX) else { return not_this_version(text) };
    if text.len() > MAX_CHARS {
        return Err(CodecError::Oversize { chars: text.len() });
    }
    read_body(&unseal(sealed)?).map(Metadata::Ours)
}

/// Who wrote a commit, by its metadata; none if it is not ours, or damaged.
#[must_use]
pub fn writer_of(metadata: &str) -> Option<String> {
    match decode(metadata) {
        Ok(Metadata::Ours(decoded)) => Some(decoded.tag.writer),
        Ok(Metadata::Foreign | Metadata::Empty) | Err(_) => None,
    }
}

/// Characters that so many sealed bytes take.
pub(super) const fn chars(bytes: usize) -> usize {
    PREFIX.len() + (bytes * 4).div_ceil(3)
}

fn not_this_version(text: &str) -> Result<Metadata, CodecError> {
    let is_version =
        |version: &str| (1..=3).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((version, _)) = text.strip_prefix(FAMILY).and_then(|rest| rest.split_once('.'))
        && is_version(version)
    {
        return Err(CodecError::UnknownVersion { prefix: format!("{FAMILY}{version}.") });
    }
    let sealed = text.get(PREFIX.len()..).filter(|_| text.len() <= MAX_CHARS);
    match sealed.map(unseal) {
        Some(Ok(_)) => Err(CodecError::Prefix),
        _ => Ok(Metadata::Foreign),
    }
}

fn seal(body: &[u8]) -> String {
    let bytes = [&crc32fast::hash(body).to_le_bytes()[..], body].concat();
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

fn unseal(sealed: &str) -> Result<Vec<u8>, CodecError> {
    let mut bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| CodecError::Encoding)?;
    let (checksum, body) = bytes.split_first_chunk::<CHECKSUM_BYTES>().ok_or(CodecError::Encoding)?;
    if u32::from_le_bytes(*checksum) != crc32fast::hash(body) {
        return Err(CodecError::Checksum);
    }
    bytes.drain(..CHECKSUM_BYTES);
    Ok(bytes)
}

fn read_body(body: &[u8]) -> Result<Decoded, CodecError> {
    let (head, set) = read_head(body).ok_or(CodecError::Head)?;
    let unfinished = offset_set::decode(&(head.base..head.end), set)?;
    Ok(Decoded { unfinished, ..head })
}

/// Everything but the set, and the bytes of the set.
fn read_head(mut body: &[u8]) -> Option<(Decoded, &[u8])> {
    let incarnation = varint::take(&mut body)?;
    let burst = varint::take(&mut body)?;
    let ledger = varint::take(&mut body)?;
    let writer_length = usize::try_from(varint::take(&mut body)?).ok()?;
    let (writer, rest) = body.split_at_checked(writer_length)?;
    let writer = std::str::from_utf8(writer).ok()?.to_owned();
    body = rest;
    let base = varint::take(&mut body)?;
    let end = base.checked_add(varint::take(&mut body)?)?;
    Some((Decoded { tag: Tag { writer, incarnation, burst, ledger }, base, end, unfinished: Vec::new() }, body))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tag(burst: u64) -> Tag {
        Tag { writer: "gatekeeper-0".to_owned(), incarnation: 1_790_000_000_000, burst, ledger: 7 }
    }

    fn proposal(base: u64, end: u64, unfinished: Vec<u64>) -> Proposal {
        Proposal { base, end, unfinished, finishing: Vec::new() }
    }

    fn ours(text: &str) -> Decoded {
        match decode(text) {
            Ok(Metadata::Ours(decoded)) => decoded,
            other => panic!("{text} was read as {other:?}"),
        }
    }

    #[test]
    fn foreign_metadata_is_told_from_ours() {
        assert_eq!(decode(""), Ok(Metadata::Empty));
        for foreign in ["x", "NO_METADATA", "gk", "gk.", "gkx.AAAA", "{\"offset\":1}", "grüße von außen", "e30=", "….."]
        {
            assert_eq!(decode(foreign), Ok(Metadata::Foreign), "{foreign}");
        }
        let long = "A".repeat(1 << 20);
        assert_eq!(decode(&long), Ok(Metadata::Foreign));
    }

    #[test]
    fn our_prefix_with_anything_wrong_behind_it_is_an_error() {
        assert_eq!(decode("gk1."), Err(CodecError::Encoding));
        assert_eq!(decode("gk1.AAA"), Err(CodecError::Encoding));
        assert_eq!(decode("gk1.!!!!!!!!"), Err(CodecError::Encoding));
        assert_eq!(decode("gk1.AAAAAAAA"), Err(CodecError::Checksum));
        assert_eq!(decode(&seal(&[])), Err(CodecError::Head));
        assert_eq!(decode(&seal(&[1, 2, 3, 200, 1])), Err(CodecError::Head));
        assert_eq!(decode(&seal(&[1, 2, 3, 1, 0xff, 0, 0, 1])), Err(CodecError::Head));
        assert_eq!(decode(&seal(&[1, 2, 3, 0, 0, 0, 9])), Err(CodecError::Set(SetError::UnknownForm)));
        assert_eq!(decode(&seal(&[0; 4000])), Err(CodecError::Oversize { chars: 5343 }));
    }

    #[test]
    fn a_range_that_ends_beyond_all_offsets_is_an_error() {
        let mut body = vec![1, 2, 3, 0];
        varint::put(&mut body, u64::MAX);
        varint::put(&mut body, 1);
        body.push(1);
        assert_eq!(decode(&seal(&body)), Err(CodecError::Head));
    }

    #[test]
    fn another_version_is_an_error_and_never_foreign() {
        for (text, prefix) in [("gk2.AAAA", "gk2."), ("gk17.", "gk17."), ("gk0.x", "gk0.")] {
            assert_eq!(decode(text), Err(CodecError::UnknownVersion { prefix: prefix.to_owned() }));
        }
    }

    #[test]
    fn any_flipped_bit_is_an_error() {
        let text = encode(&proposal(1_000_000, 1_000_300, vec![1_000_000, 1_000_007, 1_000_255]), &tag(3), MAX_CHARS)
            .expect("fits");
        for place in 0..text.len() {
            for bit in 0..7 {
                let mut bytes = text.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                let flipped = String::from_utf8(bytes).expect("seven bits are ASCII");
                assert!(decode(&flipped).is_err(), "bit {bit} of character {place} went unnoticed: {flipped}");
            }
        }
    }

    #[test]
    fn two_bursts_never_write_the_same_string() {
        let same = proposal(5, 9, vec![5]);
        let text = |tag: &Tag| encode(&same, tag, MAX_CHARS).expect("fits");
        assert_ne!(text(&tag(1)), text(&tag(2)));
        assert_ne!(text(&tag(1)), text(&Tag { incarnation: 1, ..tag(1) }));
        assert_ne!(text(&tag(1)), text(&Tag { writer: "gatekeeper-1".to_owned(), ..tag(1) }));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_never_cut() {
        let wide: Vec<u64> = (0..2_000).map(|n| n * n * 7).collect();
        let too_long = encode(&proposal(0, 28_000_000, wide), &tag(1), MAX_CHARS).expect_err("too long");
        assert!(too_long.chars > MAX_CHARS && too_long.offsets == 2_000);
        let small = proposal(0, 10, vec![0, 4]);
        let length = encode(&small, &tag(1), MAX_CHARS).expect("fits").len();
        assert!(encode(&small, &tag(1), length).is_ok());
        assert!(encode(&small, &tag(1), length - 1).is_err());
        let too_many = proposal(0, 1 << 20, (0..=MAX_OFFSETS as u64).collect());
        assert!(encode(&too_many, &tag(1), MAX_CHARS).is_err(), "short as one run, but decoding would refuse it");
    }

    #[test]
    fn the_limit_of_the_broker_cannot_be_raised() {
        let wide: Vec<u64> = (0..2_000).map(|n| n * n * 7).collect();
        assert!(encode(&proposal(0, 28_000_000, wide), &tag(1), usize::MAX).is_err());
    }

    fn any_text() -> impl Strategy<Value = String> {
        let body = proptest::collection::vec(any::<u8>(), 0..200);
        prop_oneof![
            any::<String>(),
            "gk1\\.[A-Za-z0-9_-]{0,200}",
            body.clone().prop_map(|body| seal(&body)),
            (0u8..4, proptest::collection::vec(any::<u8>(), 0..100)).prop_map(|(form, set)| {
                let head = [&[1, 2, 3, 0, 9, 200, 1, form][..], &set].concat();
                seal(&head)
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            base in 0u64..1 << 62,
            gaps in proptest::collection::vec((0u64..300, 1u64..5), 0..150),
            beyond in 0u64..1000,
            writer in "[a-z0-9.-]{0,40}",
            (incarnation, burst, ledger) in any::<(u64, u64, u64)>(),
        ) {
            let mut end = base;
            let mut unfinished = Vec::new();
            for (gap, run) in gaps {
                unfinished.extend(end + gap..end + gap + run);
                end += gap + run;
            }
            let proposal = proposal(base, end + beyond, unfinished);
            let tag = Tag { writer, incarnation, burst, ledger };
            let text = encode(&proposal, &tag, MAX_CHARS).expect("this many always fit");
            prop_assert!(text.is_ascii() && text.len() <= MAX_CHARS);
            let decoded = ours(&text);
            prop_assert_eq!(decoded.tag, tag);
            prop_assert_eq!((decoded.base, decoded.end), (proposal.base, proposal.end));
            prop_assert_eq!(decoded.unfinished, proposal.unfinished);
        }

        #[test]
        fn no_text_makes_decoding_panic(text in any_text()) {
            if let Ok(Metadata::Ours(decoded)) = decode(&text) {
                prop_assert!(decoded.base <= decoded.end && decoded.unfinished.len() <= MAX_OFFSETS);
                prop_assert!(decoded.unfinished.iter().all(|offset| (decoded.base..decoded.end).contains(offset)));
            }
        }

        #[test]
        fn a_string_that_was_cut_or_spliced_is_an_error(at in 4usize..60, to in 4usize..60, replace in "[A-Za-z0-9_-]{0,3}") {
            let text = encode(&proposal(77, 5_000, vec![77, 900, 4_000]), &tag(9), MAX_CHARS).expect("fits");
            let (at, to) = (at.min(text.len()), to.min(text.len()));
            let spliced = format!("{}{replace}{}", &text[..at.min(to)], &text[at.max(to)..]);
            prop_assert!(spliced == text || decode(&spliced).is_err());
        }
    }
}
