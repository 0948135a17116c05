//! Decisions under flags, by example.

use super::examples::Scene;
use super::*;
use crate::domain::answer::FirstLook;
use crate::domain::flags::{Evaluation, Reason, Share, Source};

fn ruled(flag: Flag, share: &str, on: bool) -> Evaluation {
    let share: Share = share.parse().expect("a share");
    let reason = if share.is_partial() { Reason::Split } else { Reason::Static };
    Evaluation { flag, on, reason, share, source: Source::Database(3) }
}

#[test]
fn without_the_flag_apply_nothing_is_applied_and_the_rule_is_named() {
    let mut scene = Scene::ordinary();
    let automation = |decision: &TriageDecision| decision.category.as_ref().expect("a category").automation;
    assert_eq!(automation(&scene.decide()), Automation::Apply);
    scene.answer.flags = vec![ruled(Flag::Apply, "off", false)];
    let decision = scene.decide();
    assert_eq!(automation(&decision), Automation::Select);
    assert_eq!(decision.safety.blocked_by, ["apply_switched_off"]);
    assert_eq!(decision.disposition, Disposition::Route, "people still get what was predicted");
    assert_eq!((decision.policy.experiment, decision.policy.variant), (None, None), "nobody drew a lot");
}

#[test]
fn without_the_flag_for_drafts_none_is_offered() {
    let mut scene = Scene::ordinary();
    scene.answer.predicted.as_mut().expect("it has predictions").reply =
        Some("Dear customer, we look into it.".to_owned());
    assert_eq!(scene.decide().disposition, Disposition::SuggestReply);
    scene.answer.flags = vec![ruled(Flag::DraftReplies, "off", false)];
    let decision = scene.decide();
    assert_eq!((decision.disposition, decision.reply), (Disposition::Route, None));
}

#[test]
fn a_lot_that_was_drawn_stands_in_the_decision() {
    let mut scene = Scene::ordinary();
    scene.answer.flags = vec![
        ruled(Flag::LocalFirst, "25%", false),
        ruled(Flag::Hold, "off", false),
        ruled(Flag::DraftReplies, "25%", true),
    ];
    let policy = scene.decide().policy;
    assert_eq!(policy.experiment.as_deref(), Some("local_first,draft_replies"));
    assert_eq!(policy.variant.as_deref(), Some("off,on"));
}

#[test]
fn who_answered_first_and_why_is_told_and_takes_nothing_away() {
    let mut scene = Scene::ordinary();
    let plain = scene.decide();
    scene.answer.first_look = Some(FirstLook { model: "local".to_owned(), confidence: Some(0.97), threshold: 0.95 });
    let decision = scene.decide();
    assert!(decision.rationale.ends_with("sure, 0.970 of 0.950: no remote model was asked."), "{}", decision.rationale);
    assert_eq!(TriageDecision { rationale: plain.rationale.clone(), ..decision }, plain);
    scene.answer.first_look = Some(FirstLook { model: "local".to_owned(), confidence: Some(0.5), threshold: 0.95 });
    assert!(scene.decide().rationale.ends_with("was in doubt, 0.500 of 0.950."));
}
