//! What any table must keep, whatever was said; and the tables of a few stories.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::domain::calibration::worth;

fn judged(confidence: f64, right: bool) -> Judged {
    Judged { confidence, right }
}

/// So many at this confidence, so many of them right.
fn many(confidence: f64, reviews: usize, right: usize) -> Vec<Judged> {
    (0..reviews).map(|n| judged(confidence, n < right)).collect()
}

fn shown(steps: &[Step]) -> Vec<(f64, f64, u32, u32)> {
    steps.iter().map(|step| (step.from, step.to, step.reviews, step.right)).collect()
}

#[test]
fn nothing_said_makes_no_steps_and_little_said_makes_one() {
    assert_eq!(fit(&[], MIN_STEP), []);
    let little = [judged(0.9, false), judged(0.5, true), judged(0.7, true)];
    assert_eq!(shown(&fit(&little, MIN_STEP)), [(0.5, 0.9, 3, 2)]);
    assert_eq!(points(&fit(&little, MIN_STEP)), [[0.5, 0.6666], [0.9, 0.6666]], "cut, not rounded up");
}

#[test]
fn the_same_confidence_is_worth_the_same_whatever_the_order() {
    let (mut one, mut other) = (many(0.9, 40, 20), many(0.9, 40, 20));
    one.extend(many(0.6, 40, 10));
    other.splice(0..0, many(0.6, 40, 10));
    other.reverse();
    assert_eq!(fit(&one, MIN_STEP), fit(&other, MIN_STEP));
    assert_eq!(shown(&fit(&one, MIN_STEP)), [(0.6, 0.6, 40, 10), (0.9, 0.9, 40, 20)]);
}

#[test]
fn what_falls_is_pooled() {
    let said = [many(0.5, 50, 30), many(0.7, 50, 20), many(0.9, 50, 45)].concat();
    assert_eq!(shown(&fit(&said, MIN_STEP)), [(0.5, 0.7, 100, 50), (0.9, 0.9, 50, 45)]);
}

#[test]
fn a_few_that_were_all_right_at_the_top_are_worth_no_more_than_those_below() {
    let said = [many(0.8, 100, 80), many(0.99, 3, 3)].concat();
    assert_eq!(shown(&fit(&said, 1)), [(0.8, 0.8, 100, 80), (0.99, 0.99, 3, 3)]);
    assert_eq!(shown(&fit(&said, MIN_STEP)), [(0.8, 0.99, 103, 83)]);
}

#[test]
fn only_wrong_ones_are_worth_nothing() {
    assert_eq!(points(&fit(&many(0.9, 50, 0), MIN_STEP)), [[0.9, 0.0]]);
}

#[test]
fn what_is_held_out_is_judged_by_the_others_alone() {
    // All of one ticket is wrong, all others are right: with its own word in the table it would not be worth 1.0.
    let mut said: Vec<(u64, Judged)> = (0..200).map(|n| (n % 4, judged(0.9, true))).collect();
    said.extend((0..50).map(|_| (4, judged(0.9, false))));
    let judged = held_out(&said, MIN_STEP);
    assert_eq!(judged.len(), said.len());
    assert!(judged.iter().filter(|one| !one.right).all(|one| one.confidence == 1.0), "the others know nothing of it");
    assert!(judged.iter().filter(|one| one.right).all(|one| one.confidence == 0.75), "150 of 200");
}

/// Few different confidences, so that there are ties.
fn any_judged() -> impl Strategy<Value = Vec<Judged>> {
    vec((0_u32..=40, any::<bool>()), 0..120)
        .prop_map(|all| all.into_iter().map(|(at, right)| judged(f64::from(at) / 40.0, right)).collect())
}

/// The same by its closed form: the least of the most. Slow, and plainly right.
fn by_definition(judged: &[Judged]) -> Vec<(f64, f64)> {
    let tied = tied(judged);
    let mean = |from: usize, to: usize| {
        let (reviews, right) = tied[from..=to].iter().fold((0, 0), |(n, r), step| (n + step.reviews, r + step.right));
        f64::from(right) / f64::from(reviews)
    };
    let value = |at: usize| {
        (0..=at)
            .map(|from| (at..tied.len()).map(|to| mean(from, to)).fold(f64::INFINITY, f64::min))
            .fold(f64::NEG_INFINITY, f64::max)
    };
    tied.iter().enumerate().map(|(at, step)| (step.from, value(at))).collect()
}

proptest! {
    #[test]
    fn it_is_the_isotonic_regression(judged in any_judged()) {
        let steps = fit(&judged, 1);
        for (confidence, expected) in by_definition(&judged) {
            let step = steps.iter().find(|step| step.from <= confidence && confidence <= step.to);
            let found = step.map(Step::worth).expect("every confidence is in a step");
            prop_assert!((found - expected).abs() < 1e-9, "{confidence}: {found}, not {expected}");
        }
    }

    #[test]
    fn steps_rise_hold_every_review_once_and_keep_the_mean(judged in any_judged(), min_step in 1_u32..40) {
        let steps = fit(&judged, min_step);
        let reviews: u32 = steps.iter().map(|step| step.reviews).sum();
        let right: u32 = steps.iter().map(|step| step.right).sum();
        prop_assert_eq!(reviews as usize, judged.len());
        prop_assert_eq!(right as usize, judged.iter().filter(|one| one.right).count());
        for pair in steps.windows(2) {
            prop_assert!(pair[0].to < pair[1].from && pair[0].worth() < pair[1].worth());
        }
        prop_assert!(steps.iter().all(|step| (0.0..=1.0).contains(&step.worth()) && step.from <= step.to));
        prop_assert!(steps.len() < 2 || steps.iter().all(|step| step.reviews >= min_step));
    }

    #[test]
    fn fitting_what_was_fitted_changes_nothing(all in any_judged(), min_step in 1_u32..40) {
        let steps = fit(&all, min_step);
        let worth_of = |confidence: f64| {
            steps.iter().find(|step| step.from <= confidence && confidence <= step.to).map(Step::worth).expect("in one")
        };
        let fitted: Vec<_> = all.iter().map(|one| Judged { confidence: worth_of(one.confidence), ..*one }).collect();
        let again: Vec<_> = fit(&fitted, min_step).iter().map(Step::worth).collect();
        prop_assert_eq!(again, steps.iter().map(Step::worth).collect::<Vec<_>>());
    }

    #[test]
    fn points_are_those_of_a_table_that_a_policy_takes(judged in any_judged(), min_step in 1_u32..40) {
        let points = points(&fit(&judged, min_step));
        for pair in points.windows(2) {
            prop_assert!(pair[0][0] < pair[1][0] && pair[0][1] <= pair[1][1]);
        }
        for one in &judged {
            prop_assert!((0.0..=1.0).contains(&worth(&points, one.confidence)));
        }
    }
}
