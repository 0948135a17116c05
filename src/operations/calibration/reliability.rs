//! Confidence against how often it was right: in bins, and in two figures.
//!
//! The expected calibration error is how far both are apart, in the mean over reviews; it depends on the bins, and is a
//! little above nothing even for an honest model, the more so the fewer reviews there are. The Brier score is the mean
//! square of what was missed, which also counts how well right and wrong are told apart. Of both, less is better.

use serde::Serialize;

use super::isotonic::Judged;

/// Bins of the same width.
pub const BINS: usize = 10;

/// How far confidence could be believed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reliability {
    /// How many reviews.
    pub reviews: u32,
    /// Their mean confidence.
    pub confidence: f64,
    /// Share that was right.
    pub accuracy: f64,
    /// Expected calibration error.
    pub ece: f64,
    /// Brier score.
    pub brier: f64,
    /// Those in which something was said.
    pub bins: Vec<Bin>,
}

/// Reviews of predictions that were about as sure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bin {
    /// From this confidence on.
    pub from: f64,
    /// Below this one; the last holds it too.
    pub to: f64,
    /// How many reviews.
    pub reviews: u32,
    /// Their mean confidence.
    pub confidence: f64,
    /// Share that was right.
    pub accuracy: f64,
}

/// Of these; none of nothing.
#[must_use]
pub fn reliability(judged: &[Judged]) -> Option<Reliability> {
    if judged.is_empty() {
        return None;
    }
    let bins: Vec<Bin> = (0..BINS).filter_map(|number| bin(number, judged)).collect();
    let (reviews, confidence, accuracy) = means(judged.iter());
    let apart = |bin: &Bin| f64::from(bin.reviews) * (bin.confidence - bin.accuracy).abs();
    let missed = |one: &Judged| (one.confidence - f64::from(u8::from(one.right))).powi(2);
    Some(Reliability {
        reviews,
        confidence,
        accuracy,
        ece: bins.iter().map(apart).sum::<f64>() / f64::from(reviews),
        brier: judged.iter().map(missed).sum::<f64>() / f64::from(reviews),
        bins,
    })
}

fn bin(number: usize, judged: &[Judged]) -> Option<Bin> {
    let edge = |number: usize| number as f64 / BINS as f64;
    let (from, to) = (edge(number), edge(number + 1));
    let is_in = |one: &&Judged| one.confidence >= from && (one.confidence < to || number + 1 == BINS);
    let (reviews, confidence, accuracy) = means(judged.iter().filter(is_in));
    (reviews > 0).then_some(Bin { from, to, reviews, confidence, accuracy })
}

fn means<'a>(judged: impl Iterator<Item = &'a Judged>) -> (u32, f64, f64) {
    let (mut reviews, mut confidence, mut right) = (0_u32, 0.0, 0_u32);
    for one in judged {
        reviews += 1;
        confidence += one.confidence;
        right += u32::from(one.right);
    }
    let of = f64::from(reviews.max(1));
    (reviews, confidence / of, f64::from(right) / of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(confidence: f64, reviews: usize, right: usize) -> Vec<Judged> {
        (0..reviews).map(|n| Judged { confidence, right: n < right }).collect()
    }

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-12
    }

    #[test]
    fn nothing_said_is_no_figure() {
        assert_eq!(reliability(&[]), None);
    }

    #[test]
    fn what_is_right_as_often_as_it_says_is_off_by_nothing() {
        let honest = [many(0.75, 4, 3), many(0.5, 2, 1)].concat();
        let found = reliability(&honest).expect("something was said");
        assert!(close(found.ece, 0.0), "{found:?}");
        assert!(close(found.brier, (4.0 * 0.1875 + 2.0 * 0.25) / 6.0), "{found:?}");
    }

    #[test]
    fn too_sure_and_too_modest_do_not_cancel_out() {
        let found = reliability(&[many(0.95, 10, 5), many(0.45, 10, 9)].concat()).expect("something was said");
        assert!(close(found.confidence, 0.7) && close(found.accuracy, 0.7), "in the mean it looks honest");
        assert!(close(found.ece, 0.45), "{found:?}");
        let bins: Vec<_> = found.bins.iter().map(|bin| (bin.from, bin.to, bin.reviews, bin.accuracy)).collect();
        assert_eq!(bins, [(0.4, 0.5, 10, 0.9), (0.9, 1.0, 10, 0.5)]);
    }

    #[test]
    fn the_edges_belong_to_one_bin_each() {
        let found = reliability(&[many(0.0, 1, 0), many(0.9, 1, 1), many(1.0, 1, 1)].concat()).expect("some");
        let bins: Vec<_> = found.bins.iter().map(|bin| (bin.from, bin.reviews)).collect();
        assert_eq!(bins, [(0.0, 1), (0.9, 2)]);
    }
}
