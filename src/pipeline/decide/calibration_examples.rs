//! Decisions under calibration tables, by example.

use super::examples::{Scene, automation, handoff_code, scored};
use super::*;
use crate::domain::answer::Scored;
use crate::domain::calibration::Calibration;
use crate::domain::tenant::Thresholds;

/// A table that halves every confidence, made of the reviews of the scene's own model and prompt.
fn halving(field: &str) -> Calibration {
    let [model, prompt, version] = ["small", "p1", "7-cal1"].map(str::to_owned);
    Calibration { field: field.to_owned(), model, prompt, version, reviews: 300, points: vec![[0.0, 0.0], [1.0, 0.5]] }
}

#[test]
fn thresholds_compare_what_a_confidence_is_worth_and_the_raw_one_travels() {
    let mut scene = Scene::ordinary();
    scene.answer.usage.as_mut().expect("usage").calibrated = false;
    scene.tenant.calibrated_fields.clear();
    let sure = vec![[0.9, 0.92]];
    scene.tenant.calibration = vec![Calibration { points: sure, ..halving("category") }, halving("queue")];
    scene.predicted().category = scored("billing_payment", 0.99);
    let decision = scene.decide();
    let category = decision.category.expect("a category");
    assert_eq!((category.confidence, category.raw_confidence), (0.92, Some(0.99)));
    assert_eq!(category.automation, Automation::Apply, "reviews of people make it possible, nothing else does");
    let queue = decision.routing.expect("routing").queue;
    assert_eq!((queue.value.as_str(), queue.confidence), ("service", 0.0), "0.99 is worth 0.495 there");

    scene.tenant.calibration = vec![halving("category")];
    assert_eq!(handoff_code(&scene.decide()), Some("category_below_recommend"));
}

#[test]
fn alternatives_stand_on_the_scale_of_what_they_are_alternatives_to() {
    let mut scene = Scene::ordinary();
    scene.tenant.calibration = vec![halving("category")];
    scene.tenant.thresholds = Thresholds { recommend: 0.1, ..scene.tenant.thresholds };
    scene.predicted().category = scored("billing_payment", 0.7);
    scene.predicted().alternatives = vec![Scored { value: "technical_issue".to_owned(), confidence: 0.4 }];
    let category = scene.decide().category.expect("a category");
    assert_eq!((category.confidence, category.alternatives[0].confidence), (0.35, 0.2));
}

#[test]
fn a_table_counts_for_its_own_model_and_prompt_and_field_alone() {
    let points = vec![[0.9, 0.95]];
    let own = Calibration { points, ..halving("category") };
    let apply = |table: Calibration| {
        let mut scene = Scene::ordinary();
        scene.tenant.calibration = vec![table];
        automation(&scene.decide().category)
    };
    assert_eq!(apply(own.clone()), Automation::Apply);
    assert_eq!(apply(Calibration { model: "large".to_owned(), ..own.clone() }), Automation::Select);
    assert_eq!(apply(Calibration { prompt: "p2".to_owned(), ..own.clone() }), Automation::Select);
    assert_eq!(apply(Calibration { field: "queue".to_owned(), ..own }), Automation::Apply, "the tenant's word is left");
}

#[test]
fn a_doubtful_language_or_a_short_text_is_weighed_as_well() {
    let mut scene = Scene::ordinary();
    scene.tenant.languages = vec!["de".to_owned()];
    scene.tenant.calibration = vec![halving("language")];
    assert_ne!(handoff_code(&scene.decide()), Some("language_not_served"), "0.99 is worth 0.495: nobody knows it");

    let mut scene = Scene::with_text("", "it broke");
    scene.tenant.calibration = vec![Calibration { points: vec![[0.0, 0.0], [1.0, 0.7]], ..halving("category") }];
    assert_eq!(scene.decide().disposition, Disposition::RequestInfo);
}
