//! Decisions that people have to make, by example.

use super::examples::{Scene, automation, handoff_code, scored};
use super::*;
use crate::domain::answer::{Abstention, Scored, Tried};
use crate::domain::decision::EscalationType;
use crate::domain::event::{Level, Priority};
use crate::domain::reason_code::ReasonCode;
use crate::domain::tenant::HumanLane;

#[test]
fn a_fallback_decision_says_why_and_who_failed() {
    let mut scene = Scene::ordinary();
    scene.answer.degraded = Some(ReasonCode::ProviderTimeout);
    let decision = scene.decide();
    assert_eq!(decision.decided_by, DecidedBy::Fallback);
    assert_eq!(decision.degraded_reason.as_deref(), Some("PROVIDER_TIMEOUT"));

    scene.nobody_answers();
    let tried = |model: &str, code, attempts| Tried { model: model.to_owned(), code, attempts, detail: String::new() };
    scene.answer.tried =
        vec![tried("primary", ReasonCode::ProviderTimeout, 3), tried("second", ReasonCode::BreakerOpen, 0)];
    let decision = scene.decide();
    let handoff = decision.handoff.expect("people decide");
    assert_eq!(handoff.reason_code, "PROVIDER_TIMEOUT");
    assert_eq!(handoff.attempted, ["primary: PROVIDER_TIMEOUT after 3 calls", "second: BREAKER_OPEN after 0 calls"]);
    assert_eq!(handoff.summary, "TICKET_CREATED of ticket T-1 by EMAIL: 100 characters of text, 0 attachments.");
    assert_eq!(decision.model, None);
    assert_eq!(decision.category, None);
}

#[test]
fn without_a_model_people_decide_by_rule() {
    let mut scene = Scene::ordinary();
    scene.nobody_answers();
    let decision = scene.decide();
    assert_eq!(decision.decided_by, DecidedBy::Rule);
    assert_eq!(handoff_code(&decision), Some("nobody_answered"));
    let queue = decision.routing.expect("a ticket always lands somewhere").queue;
    assert_eq!((queue.value.as_str(), queue.confidence, queue.automation), ("service", 0.0, Automation::None));
}

#[test]
fn an_abstention_goes_to_people() {
    for (abstention, code) in [
        (Abstention::NoneOfThese, "abstained:none_of_these"),
        (Abstention::OutOfVocabulary, "abstained:out_of_vocabulary"),
        (Abstention::Language, "abstained:language"),
        (Abstention::NoText, "abstained:no_text"),
    ] {
        let mut scene = Scene::ordinary();
        scene.predicted().abstained = Some(abstention);
        let decision = scene.decide();
        assert_eq!(handoff_code(&decision), Some(code));
        assert_eq!(decision.category, None, "a category beside an abstention does not count");
    }
}

#[test]
fn a_label_that_is_not_the_tenants_is_an_abstention() {
    let mut scene = Scene::ordinary();
    scene.predicted().category = scored("delete_everything", 1.0);
    scene.predicted().alternatives.push(Scored { value: "drop_table".to_owned(), confidence: 1.0 });
    let decision = scene.decide();
    assert_eq!(handoff_code(&decision), Some("abstained:unknown_label"));
    assert!(!serde_json::to_string(&decision).expect("serialises").contains("drop_table"));
}

#[test]
fn below_recommend_a_field_is_left_out_and_people_decide() {
    let mut scene = Scene::ordinary();
    scene.predicted().category = scored("billing_payment", 0.59);
    scene.predicted().sentiment = scored("negative", 0.10);
    let decision = scene.decide();
    assert_eq!(handoff_code(&decision), Some("category_below_recommend"));
    assert_eq!((decision.category, decision.sentiment), (None, None));
    let reason = decision.handoff.expect("handed off").reason;
    assert_eq!(reason, "the best guess, billing_payment at 0.59, is below 0.60");
}

#[test]
fn a_language_that_nobody_there_speaks_goes_to_people() {
    let mut scene = Scene::ordinary();
    scene.tenant.languages = vec!["de".to_owned(), "EN".to_owned()];
    assert_eq!(scene.decide().disposition, Disposition::Route);
    scene.predicted().language = scored("pl", 0.9);
    assert_eq!(handoff_code(&scene.decide()), Some("language_not_served"));

    scene.predicted().language = scored("pl", 0.3);
    scene.message().language = Some("de-CH".to_owned());
    assert_eq!(scene.decide().disposition, Disposition::Route, "upstream knows better than a doubtful guess");
}

#[test]
fn a_human_lane_comes_before_every_threshold() {
    let mut scene = Scene::with_text("Question", "You will hear from my\nLAWYER, good day to you.");
    scene.predicted().reply = Some("Dear customer".to_owned());
    let decision = scene.decide();
    assert_eq!(handoff_code(&decision), Some("human_lane:legal"));
    assert_eq!(decision.decided_by, DecidedBy::Rule);
    assert_eq!(decision.handoff.as_ref().map(|it| it.escalation_type), Some(EscalationType::Legal));
    assert_eq!(automation(&decision.category), Automation::Recommend);
    assert_eq!(decision.safety.blocked_by[0], "human_lane:legal");
    assert_eq!(decision.reply, None);

    let mut scene = Scene::ordinary();
    scene.predicted().category = scored("security_fraud", 0.01);
    assert_eq!(handoff_code(&scene.decide()), Some("human_lane:security"), "at any confidence");
}

#[test]
fn an_urgent_ticket_goes_to_people_whoever_says_so() {
    let mut scene = Scene::ordinary();
    scene.event.ticket.priority = Some(Priority::Urgent);
    assert_eq!(handoff_code(&scene.decide()), Some("human_lane:urgent"), "upstream");

    let mut scene = Scene::ordinary();
    let high = Some(Scored { value: Level::High, confidence: 0.2 });
    (scene.predicted().impact, scene.predicted().urgency) = (high.clone(), high);
    let decision = scene.decide();
    assert_eq!(handoff_code(&decision), Some("human_lane:urgent"), "the matrix");
    let due = decision.handoff.expect("handed off").target_response_at;
    assert_eq!(due, Some(Timestamp(2_000 + 3_600_000)), "within an hour");
}

#[test]
fn a_lane_of_the_tenants_own_without_an_escalation_goes_to_customer_service() {
    let mut scene = Scene::ordinary();
    let lane: HumanLane = serde_json::from_str(r#"{"name": "vip", "phrases": ["invoice"]}"#).expect("a lane");
    scene.tenant.human_lanes = vec![lane];
    let handoff = scene.decide().handoff.expect("handed off");
    assert_eq!(
        (handoff.reason_code.as_str(), handoff.escalation_type),
        ("human_lane:vip", EscalationType::CustomerService)
    );
}
