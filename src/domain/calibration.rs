//! What a model's confidence in one field was worth, by what people said of it.
//!
//! A table is made of reviews (`operations::calibration`), stands in a tenant's policy, and so is changed, versioned and
//! remembered as the policy is. It speaks of one model under one prompt: another one's confidence means something else.
//!
//! Invariant: a higher raw confidence never becomes a lower calibrated one, and nobody's word is raised where nobody has
//! looked: below the lowest confidence that was reviewed the model's own word stays the most it can be.

use serde::{Deserialize, Serialize};

/// From raw to calibrated confidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Which field: `category`, `priority`, `queue`.
    pub field: String,
    /// The model that was asked, as decisions name it in `model.request_model`.
    pub model: String,
    /// The prompt it was asked with, as decisions name it in `policy.prompt_version`.
    pub prompt: String,
    /// The version of the policy that it first stood in: its own name.
    pub version: String,
    /// How many judgements of people it was made of.
    pub reviews: u32,
    /// Raw and calibrated confidence, both rising; what lies between two points lies between their values.
    pub points: Vec<[f64; 2]>,
}

impl Calibration {
    /// Whether it speaks of this field, as this model predicts it under this prompt.
    #[must_use]
    pub fn is_for(&self, field: &str, model: &str, prompt: &str) -> bool {
        self.field == field && self.model == model && self.prompt == prompt
    }

    /// What this raw confidence is worth.
    #[must_use]
    pub fn confidence(&self, raw: f64) -> f64 {
        worth(&self.points, raw)
    }
}

/// What a raw confidence is worth by these points.
#[must_use]
pub fn worth(points: &[[f64; 2]], raw: f64) -> f64 {
    let above = points.partition_point(|[at, _]| *at <= raw);
    match (above.checked_sub(1).and_then(|below| points.get(below)), points.get(above)) {
        (Some([_, worth]), None) => *worth,
        (None, Some([_, worth])) => worth.min(raw),
        (Some([low, low_worth]), Some([high, high_worth])) => {
            let share = (raw - low) / (high - low);
            (low_worth + share * (high_worth - low_worth)).clamp(*low_worth, *high_worth)
        }
        (None, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(points: &[[f64; 2]]) -> Calibration {
        Calibration {
            field: "category".to_owned(),
            model: "small".to_owned(),
            prompt: "p1".to_owned(),
            version: "7".to_owned(),
            reviews: 300,
            points: points.to_vec(),
        }
    }

    #[test]
    fn between_two_points_lies_what_is_between_them_and_past_the_last_nothing_is_added() {
        let table = table(&[[0.5, 0.25], [0.75, 0.75], [0.9, 0.8]]);
        for (raw, worth) in [(0.5, 0.25), (0.625, 0.5), (0.75, 0.75), (0.9, 0.8), (1.0, 0.8)] {
            assert_eq!(table.confidence(raw), worth, "{raw}");
        }
    }

    #[test]
    fn where_nobody_has_looked_no_confidence_is_raised() {
        let table = table(&[[0.8, 0.95], [0.9, 1.0]]);
        assert_eq!(table.confidence(0.3), 0.3);
        assert_eq!(table.confidence(0.8), 0.95);
        assert_eq!(super::Calibration { points: Vec::new(), ..table }.confidence(0.9), 0.0);
    }

    #[test]
    fn another_field_model_or_prompt_is_not_spoken_of() {
        let table = table(&[[0.5, 0.5]]);
        assert!(table.is_for("category", "small", "p1"));
        assert!(!table.is_for("queue", "small", "p1"));
        assert!(!table.is_for("category", "large", "p1"));
        assert!(!table.is_for("category", "small", "p2"));
    }

    fn any_points() -> impl Strategy<Value = Vec<[f64; 2]>> {
        proptest::collection::btree_map(0_u16..=1_000, 0_u16..=1_000, 1..20).prop_map(|points| {
            let mut worth: Vec<_> = points.values().copied().collect();
            worth.sort_unstable();
            points.keys().zip(worth).map(|(at, worth)| [f64::from(*at) / 1e3, f64::from(worth) / 1e3]).collect()
        })
    }

    proptest! {
        #[test]
        fn more_confidence_is_never_worth_less_and_all_of_it_lies_between_0_and_1(
            points in any_points(), one in 0.0..=1.0_f64, other in 0.0..=1.0_f64,
        ) {
            let table = table(&points);
            let (low, high) = (table.confidence(one.min(other)), table.confidence(one.max(other)));
            prop_assert!(low <= high, "{low} {high}");
            prop_assert!((0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high));
        }
    }
}
