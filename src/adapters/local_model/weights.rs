//! What a model knows, small enough to ship: one signed byte per bucket and label.
//!
//! A label's score is `bias + scale / length * sum(count * byte)`, and the sum is of integers: the same text has the same
//! score on every machine, in whatever order it is added up. Rounding to bytes costs less than 0.5 % of the answers
//! (a test holds it to that), and it makes the whole table 64 KiB a label, so that it stays in the cache.
//!
//! What does not belong here: files (`file`), texts (`features`), learning (`train`).

use serde::{Deserialize, Serialize};

use super::features::{BUCKETS, Feature, WORD_SLOTS, length};
use super::train::Linear;
use crate::domain::clock::Timestamp;

/// Where the weights come from and what they can tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Given by whoever trained it.
    pub name: String,
    /// When.
    pub trained_at: Timestamp,
    /// Rows learnt from.
    pub trained_rows: usize,
    /// Rows measured on.
    pub held_out_rows: usize,
    /// Share of those that got their label.
    pub accuracy: f64,
    /// ISO 639-1 codes of what it reads.
    pub languages: Vec<String>,
    /// Whether its confidence was calibrated on this installation's feedback.
    pub calibrated: bool,
    /// What it answers; the order is that of the arrays.
    pub labels: Vec<String>,
}

/// A linear model in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// Its header.
    pub about: About,
    /// Scores are divided by it, so that confidence is honest. In 0.1..=10.
    pub temperature: f32,
    /// One a label.
    pub(super) bias: Vec<f32>,
    /// One a label: what a byte is worth.
    pub(super) scale: Vec<f32>,
    /// Bucket after bucket, a byte a label: a feature's bytes lie side by side.
    pub(super) matrix: Vec<i8>,
    /// A bit a word slot: set if training saw the word.
    pub(super) vocabulary: Vec<u8>,
}

impl Weights {
    /// Rounds a learnt model to bytes. `vocabulary` are the slots of known words.
    #[must_use]
    pub fn round(about: About, linear: &Linear, vocabulary: &[u32]) -> Self {
        let labels = linear.bias.len();
        let mut largest = vec![0.0_f32; labels];
        for (index, weight) in linear.matrix.iter().enumerate() {
            largest[index % labels] = largest[index % labels].max(weight.abs());
        }
        let scale: Vec<f32> = largest.iter().map(|weight| weight / f32::from(i8::MAX)).collect();
        let byte = |(index, weight): (usize, &f32)| match scale[index % labels] {
            0.0 => 0,
            scale => (weight / scale).round() as i8,
        };
        let matrix = linear.matrix.iter().enumerate().map(byte).collect();
        let mut bits = vec![0; WORD_SLOTS / 8];
        for &slot in vocabulary {
            bits[slot as usize / 8] |= 1 << (slot % 8);
        }
        Self { about, temperature: 1.0, bias: linear.bias.clone(), scale, matrix, vocabulary: bits }
    }

    /// A score a label, before temperature. A text has at most 33,000 features (8 KiB, three grams a byte, and its
    /// words), so the sums stay below 2^23: far inside an `i32`, and exact as `f32`.
    #[must_use]
    pub fn scores(&self, features: &[Feature]) -> Vec<f32> {
        let labels = self.bias.len();
        let mut sums = vec![0_i32; labels];
        for feature in features {
            let bytes = &self.matrix[usize::from(feature.bucket) * labels..][..labels];
            for (sum, byte) in sums.iter_mut().zip(bytes) {
                *sum += i32::from(feature.count) * i32::from(*byte);
            }
        }
        let length = length(features).max(1.0);
        let score = |((sum, scale), bias): ((i32, &f32), &f32)| sum as f32 * scale / length + bias;
        sums.into_iter().zip(&self.scale).zip(&self.bias).map(score).collect()
    }

    /// A probability a label; they sum to 1.
    #[must_use]
    pub fn probabilities(&self, features: &[Feature]) -> Vec<f64> {
        softmax(&self.scores(features), f64::from(self.temperature))
    }

    /// Share of the words that training saw; 0 without words.
    #[must_use]
    pub fn known_share(&self, words: &[u32]) -> f64 {
        let known = |slot: &&u32| self.vocabulary[**slot as usize / 8] >> (**slot % 8) & 1 == 1;
        words.iter().filter(known).count() as f64 / words.len().max(1) as f64
    }
}

/// Probabilities from scores at a temperature.
#[must_use]
pub fn softmax(scores: &[f32], temperature: f64) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = scores.iter().map(|score| (f64::from(score - largest) / temperature).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

const _: () = assert!(BUCKETS == 1 << u16::BITS, "every bucket a feature can name has its bytes");

#[cfg(test)]
mod tests {
    use super::super::features::Extractor;
    use super::super::sample;
    use super::*;

    fn about(labels: usize) -> About {
        About {
            name: "test".to_owned(),
            trained_at: Timestamp(0),
            trained_rows: 0,
            held_out_rows: 0,
            accuracy: 0.0,
            languages: vec!["en".to_owned()],
            calibrated: false,
            labels: (0..labels).map(|label| label.to_string()).collect(),
        }
    }

    fn best(scores: &[f32]) -> usize {
        (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).expect("there are labels")
    }

    fn exact(linear: &Linear, features: &[Feature]) -> Vec<f32> {
        let labels = linear.bias.len();
        let weight = |feature: &Feature, label| linear.matrix[usize::from(feature.bucket) * labels + label];
        let sum = |label| features.iter().map(|feature| f32::from(feature.count) * weight(feature, label)).sum::<f32>();
        (0..labels).map(|label| sum(label) / length(features) + linear.bias[label]).collect()
    }

    #[test]
    fn rounding_to_bytes_changes_less_than_one_answer_in_200_even_where_the_model_is_in_doubt() {
        let (linear, vocabulary) = sample::linear();
        let weights = Weights::round(about(3), &linear, &vocabulary);
        let mut extractor = Extractor::default();
        let texts = sample::doubtful();
        let differs = |text: &&String| {
            extractor.read(text);
            best(&exact(&linear, extractor.features())) != best(&weights.scores(extractor.features()))
        };
        let different = texts.iter().filter(differs).count();
        assert!(different * 200 < texts.len(), "{different} of {}", texts.len());
    }

    #[test]
    fn the_largest_weight_of_a_label_takes_the_whole_byte_and_a_label_of_zeros_stays_zero() {
        let mut matrix = vec![0.0; BUCKETS * 2];
        (matrix[0], matrix[2], matrix[4]) = (2.0, -1.0, 0.001);
        let weights = Weights::round(about(2), &Linear { bias: vec![0.5, 0.0], matrix }, &[]);
        assert_eq!((weights.matrix[0], weights.matrix[2], weights.matrix[4]), (127, -64, 0));
        let feature = |bucket, count| Feature { bucket, count };
        assert_eq!(weights.scores(&[feature(0, 1)]), [2.5, 0.0]);
        assert_eq!(weights.scores(&[]), [0.5, 0.0], "no features: the bias alone");
    }

    #[test]
    fn probabilities_sum_to_one_and_a_higher_temperature_is_less_sure() {
        let cold = softmax(&[1000.0, 1.0, -1000.0], 1.0);
        assert_eq!(cold, [1.0, 0.0, 0.0], "no overflow");
        let (sure, unsure) = (softmax(&[2.0, 1.0], 1.0), softmax(&[2.0, 1.0], 2.0));
        assert!(sure[0] > unsure[0] && unsure[0] > 0.5);
        assert!((sure.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_known_share_counts_words_not_distinct_words() {
        let linear = Linear { bias: vec![0.0; 2], matrix: vec![0.0; BUCKETS * 2] };
        let weights = Weights::round(about(2), &linear, &[0, 9, WORD_SLOTS as u32 - 1]);
        assert_eq!(weights.known_share(&[0, 9, 9, 10]), 0.75);
        assert_eq!(weights.known_share(&[WORD_SLOTS as u32 - 1]), 1.0);
        assert_eq!(weights.known_share(&[]), 0.0);
    }
}
