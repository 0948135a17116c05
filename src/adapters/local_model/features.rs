//! Text to features: the one tokenizer of training and scoring.
//!
//! A model is only as good as the agreement between the two, so there is no second way to make features.
//!
//! ```text
//! "Can't log in, ref 4711"  ->  words    cant  log  in  ref  0000
//!                               pairs    cant log  log in  in ref  ref 0000
//!                               letters  " ca" " can" " cant" "can" "cant" ...   (3 to 5, each word padded by a space)
//! ```
//!
//! - Words are runs of letters and digits of any script, in lower case. Apostrophes and invisible characters (soft
//!   hyphens, zero-width and bidirectional marks) vanish: `can't` is `cant`, and nobody hides a word from the model by
//!   putting a zero-width space into it.
//! - Every digit becomes `0`: how long a number is tells something, which one it is does not, and an account number
//!   must not be learnt.
//! - Features are hashed into [`BUCKETS`] by FNV-1a (32 bit, folded to 16), written out here because weights on disk
//!   outlive any crate's idea of a hash. Changing anything in this file changes the weights format's version.
//!
//! Pure, and bounded by [`MAX_TEXT_BYTES`]. What does not belong here: weights, languages, events.

/// Features are counted in this many buckets.
pub const BUCKETS: usize = 1 << 16;

/// No more of a text is read: about 1,500 words. What a ticket is about stands in its first page; a longer one must
/// not hold up the lane (8 KiB take less than a millisecond).
pub const MAX_TEXT_BYTES: usize = 8 * 1024;

/// Whole words have a finer hash of their own: with the letters' n-grams nearly every bucket is in use after some ten
/// thousand texts, so buckets cannot tell a known text from an unknown one. 2^18 slots and a vocabulary of 10,000
/// mistake one unknown word in 25 for a known one.
pub const WORD_SLOTS: usize = 1 << 18;

const FNV_OFFSET: u32 = 0x811c_9dc5;
const FNV_PRIME: u32 = 0x0100_0193;
const SHORTEST_GRAM: usize = 3;
const LONGEST_GRAM: usize = 5;

/// A feature and how often it occurred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// Below [`BUCKETS`].
    pub bucket: u16,
    /// At least 1.
    pub count: u16,
}

/// Makes features; holds the buffers, so that a text after the first allocates nothing.
#[derive(Debug, Default)]
pub struct Extractor {
    letters: Vec<u8>,
    starts: Vec<usize>,
    hashes: Vec<u16>,
    features: Vec<Feature>,
    words: Vec<u32>,
}

impl Extractor {
    /// Replaces what the last text left behind.
    pub fn read(&mut self, text: &str) {
        self.hashes.clear();
        self.words.clear();
        self.begin_word();
        let mut previous = None;
        for letter in text[..text.floor_char_boundary(MAX_TEXT_BYTES)].chars() {
            if letter.is_ascii_lowercase() {
                self.push(letter);
            } else if letter.is_numeric() {
                self.push('0');
            } else if letter.is_alphabetic() {
                letter.to_lowercase().for_each(|lower| self.push(lower));
            } else if !vanishes(letter) {
                previous = self.end_word(previous);
            }
        }
        self.end_word(previous);
        self.count();
    }

    /// Distinct features, by bucket.
    #[must_use]
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// The slot of each word, in the text's order; each below [`WORD_SLOTS`].
    #[must_use]
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// A word is kept between two spaces, so that its first and last letters make grams of their own.
    fn begin_word(&mut self) {
        self.letters.clear();
        self.starts.clear();
        self.push(' ');
    }

    fn push(&mut self, letter: char) {
        self.starts.push(self.letters.len());
        let mut utf8 = [0; 4];
        self.letters.extend_from_slice(letter.encode_utf8(&mut utf8).as_bytes());
    }

    /// Emits the finished word's features. `previous` is the hash of the word before, and so is what this returns.
    fn end_word(&mut self, previous: Option<u32>) -> Option<u32> {
        if self.starts.len() == 1 {
            return previous;
        }
        let word = &self.letters[1..];
        let hash = extend(extend(FNV_OFFSET, b"w"), word);
        self.words.push(hash & (WORD_SLOTS as u32 - 1));
        self.hashes.push(fold(hash));
        if let Some(previous) = previous {
            self.hashes.push(fold(extend(extend(previous, b" "), word)));
        }
        self.push(' ');
        self.starts.push(self.letters.len());
        self.grams();
        self.begin_word();
        Some(hash)
    }

    /// From each letter, 3, 4 and 5 letters, hashing each letter once per start. `starts` ends with the word's end.
    fn grams(&mut self) {
        let letters = self.starts.len() - 1;
        for first in 0..=letters - SHORTEST_GRAM {
            let mut hash =
                extend(FNV_OFFSET, &self.letters[self.starts[first]..self.starts[first + SHORTEST_GRAM - 1]]);
            for last in first + SHORTEST_GRAM - 1..letters.min(first + LONGEST_GRAM) {
                hash = extend(hash, &self.letters[self.starts[last]..self.starts[last + 1]]);
                self.hashes.push(fold(hash));
            }
        }
    }

    fn count(&mut self) {
        self.features.clear();
        self.hashes.sort_unstable();
        for run in self.hashes.chunk_by(|left, right| left == right) {
            let count = u16::try_from(run.len()).unwrap_or(u16::MAX);
            self.features.push(Feature { bucket: run[0], count });
        }
    }
}

/// Euclidean length of the counts; features are divided by it, so that a long ticket does not shout.
#[must_use]
pub fn length(features: &[Feature]) -> f32 {
    let squares: u64 = features.iter().map(|feature| u64::from(feature.count).pow(2)).sum();
    (squares as f32).sqrt()
}

/// FNV-1a of a whole text, 64 bit: which side of the training split it falls on.
#[must_use]
pub fn text_hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

fn extend(hash: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(FNV_PRIME))
}

/// Xor-folding, as FNV's authors advise for hashes of fewer bits.
fn fold(hash: u32) -> u16 {
    (hash >> 16) as u16 ^ hash as u16
}

fn vanishes(letter: char) -> bool {
    matches!(letter, '\'' | '\u{2019}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn features(text: &str) -> Vec<Feature> {
        let mut extractor = Extractor::default();
        extractor.read(text);
        extractor.features().to_vec()
    }

    /// Weights on disk were learnt with these very buckets: if this fails, the format needs a new version.
    #[test]
    fn the_buckets_of_a_known_text_never_change() {
        let buckets: Vec<u16> = features("Can't pay €12").iter().map(|feature| feature.bucket).collect();
        #[rustfmt::skip]
        assert_eq!(buckets, [
            3102, 5137, 9980, 10720, 16551, 16950, 22119, 22751, 29028, 30397, 31705, 35205, 36294, 37142, 37255, 44710,
            47821, 50431, 51473, 52580, 54394, 62556, 64173,
        ]);
    }

    #[test]
    fn a_word_makes_itself_and_its_grams_and_a_pair_with_the_word_before() {
        // "ab": the word, " ab", " ab ", "ab ". "cd": the same, and "ab cd".
        assert_eq!(features("ab").len(), 4);
        assert_eq!(features("ab cd").len(), 9);
        assert_ne!(features("ab cd"), features("cd ab"), "pairs keep the order");
    }

    #[test]
    fn a_single_letter_makes_the_word_and_one_gram() {
        assert_eq!(features("a").len(), 2);
    }

    #[test]
    fn case_apostrophes_digits_and_invisible_characters_make_no_difference() {
        let plain = features("i cant pay invoice 0000");
        assert_eq!(features("I CAN'T pay, invoice #4711!"), plain);
        assert_eq!(features("I can\u{2019}t p\u{200b}a\u{ad}y invo\u{202e}ice\u{2066} 1\u{feff}234"), plain);
    }

    #[test]
    fn what_occurs_twice_counts_twice() {
        let once = features("refund");
        let twice: Vec<u16> = features("refund\nrefund").iter().map(|feature| feature.count).collect();
        assert_eq!(once.iter().map(|feature| feature.count).max(), Some(1));
        assert_eq!(twice.iter().filter(|count| **count == 2).count(), once.len(), "all but the pair");
    }

    #[test]
    fn a_text_without_words_has_no_features() {
        for text in ["", " \n\t", "\0", "😀👍🏽", "!?…—", "\u{200b}\u{202e}", "'"] {
            assert_eq!(features(text), [], "{text:?}");
        }
    }

    #[test]
    fn no_more_than_the_first_8_kib_is_read() {
        let long = "é".repeat(1 << 19);
        assert_eq!(features(&long), features(&long[..MAX_TEXT_BYTES]));
        let total: u64 = features(&long).iter().map(|feature| u64::from(feature.count)).sum();
        assert!(total < 33_000, "{total} features: the scores' integers are made for fewer");
    }

    #[test]
    fn length_is_euclidean() {
        let feature = |bucket, count| Feature { bucket, count };
        assert_eq!(length(&[feature(1, 3), feature(9, 4)]), 5.0);
        assert_eq!(length(&[]), 0.0);
    }

    proptest! {
        #[test]
        fn any_text_is_read_the_same_by_a_fresh_and_by_a_used_extractor(before in any::<String>(), text in any::<String>()) {
            let mut used = Extractor::default();
            used.read(&before);
            used.read(&text);
            prop_assert_eq!(used.features(), features(&text));
            prop_assert!(used.features().is_sorted_by(|left, right| left.bucket < right.bucket));
            prop_assert!(used.features().iter().all(|feature| feature.count > 0));
            prop_assert!(used.words().iter().all(|slot| (*slot as usize) < WORD_SLOTS));
            prop_assert_eq!(used.words().is_empty(), used.features().is_empty());
        }
    }
}
