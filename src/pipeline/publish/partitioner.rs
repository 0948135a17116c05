//! Which partition a key belongs to, as Java's producers and librdkafka's `murmur2_random` have it.
//!
//! For our own publishers only: outputs of the road go to the number of the record they stem from.

/// The partition of `key` among `partitions`.
///
/// # Panics
/// When there are no partitions.
#[must_use]
pub fn partition_for(key: &[u8], partitions: u32) -> u32 {
    // Java's `toPositive`: the sign bit is cut off, the number is not negated.
    (murmur2(key) & 0x7fff_ffff) % partitions
}

/// MurmurHash2, 32 bits, with Kafka's seed.
fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    // Java's lengths are 32 bits; no key comes near.
    let mut hash = SEED ^ (bytes.len() as u32);
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| (tail << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn the_hash_is_kafkas() {
        let vectors: [(&str, i32); 7] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
            ("", 275_646_681),
        ];
        for (key, hash) in vectors {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key:?}");
        }
    }

    #[test]
    fn a_negative_hash_loses_its_sign_and_is_not_negated() {
        assert_eq!(partition_for(b"foobar", 12), ((-790_332_482_i32 & 0x7fff_ffff) % 12) as u32);
    }

    #[test]
    fn one_partition_takes_every_key() {
        assert_eq!(partition_for(b"acme|4711", 1), 0);
    }
}
