//! The worst model there can be: every field is the attacker's choice, every confidence any number at all.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::examples::Scene;
use super::*;
use crate::domain::answer::{Abstention, Scored};
use crate::domain::event::{EventType, Level, Priority};
use crate::domain::reason_code::ReasonCode;
use crate::domain::tenant::{HumanLane, WhenHumanOwned};

fn any_value(list: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![3 => prop::sample::select(list).prop_map(str::to_owned), 1 => any::<String>()]
}

fn any_confidence() -> impl Strategy<Value = f64> {
    prop_oneof![3 => 0.0..=1.0, 1 => Just(1.0), 1 => any::<f64>()]
}

fn any_scored<T: std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Scored<T>> {
    (value, any_confidence()).prop_map(|(value, confidence)| Scored { value, confidence })
}

fn any_level() -> impl Strategy<Value = Level> {
    prop::sample::select(&[Level::Low, Level::Medium, Level::High, Level::Unknown][..])
}

const LABELS: &[&str] = &["billing_payment", "technical_issue", "security_fraud", "other", "not_a_label", ""];

prop_compose! {
    fn any_predicted()(
        category in option::weighted(0.9, any_scored(any_value(LABELS))),
        alternatives in vec(any_scored(any_value(LABELS)), 0..12),
        impact in option::of(any_scored(any_level())),
        urgency in option::of(any_scored(any_level())),
        sentiment in option::of(any_scored(any_value(&["positive", "neutral", "negative", "furious"]))),
        language in option::of(any_scored(any_value(&["en", "de", "xx", "EN", "klingon"]))),
        texts in [option::of(any::<String>()), option::of(any::<String>()), option::of("\\PC{0,12000}")],
        abstained in option::weighted(0.1, Just(Abstention::NoneOfThese)),
    ) -> Predicted {
        let [summary, rationale, reply] = texts;
        Predicted { category, alternatives, impact, urgency, sentiment, language, summary, reply, rationale, abstained }
    }
}

prop_compose! {
    fn any_scene()(
        predicted in any_predicted(),
        [calibrated, calibrated_fields, injected, degraded, owned, owned_on_arrival] in any::<[bool; 6]>(),
        [reopened, personal, lanes] in any::<[bool; 3]>(),
        priority in option::of(prop::sample::select(
            &[Priority::Low, Priority::Normal, Priority::High, Priority::Urgent, Priority::Unknown][..])),
        (impact, urgency) in (option::of(any_level()), option::of(any_level())),
        text in prop_oneof![Just("short".to_owned()), "\\PC{0,200}", Just("my lawyer says hello".to_owned())],
    ) -> Scene {
        let mut scene = Scene::with_text("About my invoice", &text);
        scene.answer.predicted = Some(predicted);
        scene.answer.usage.as_mut().expect("usage").calibrated = calibrated;
        scene.answer.degraded = degraded.then_some(ReasonCode::BreakerOpen);
        scene.answer.findings.injection_suspected = injected;
        scene.answer.findings.redactions = if personal { u32::MAX } else { 0 };
        scene.tenant.when_human_owned = WhenHumanOwned::Recommend;
        if !calibrated_fields {
            scene.tenant.calibrated_fields = Vec::new();
        }
        if !lanes {
            scene.tenant.human_lanes = Vec::<HumanLane>::new();
        }
        scene.owned_by_a_person = owned;
        if reopened {
            scene.event.event_type = EventType::TicketReopened;
        }
        scene.event.ticket.human_owned = owned_on_arrival;
        (scene.event.ticket.priority, scene.event.ticket.impact, scene.event.ticket.urgency) = (priority, impact, urgency);
        scene
    }
}

fn predictions(decision: &TriageDecision) -> BTreeMap<&'static str, &Prediction> {
    [
        ("category", decision.category.as_ref()),
        ("sentiment", decision.sentiment.as_ref()),
        ("language", decision.language.as_ref()),
        ("impact", decision.impact.as_ref()),
        ("urgency", decision.urgency.as_ref()),
        ("priority", decision.priority.as_ref()),
        ("queue", decision.routing.as_ref().map(|routing| &routing.queue)),
    ]
    .into_iter()
    .filter_map(|(name, prediction)| Some((name, prediction?)))
    .collect()
}

/// Everything a model may have a say in, emptied.
fn without_the_models_say(mut decision: TriageDecision) -> TriageDecision {
    decision.category = None;
    decision.sentiment = None;
    decision.language = None;
    decision.impact = None;
    decision.urgency = None;
    decision.priority = None;
    decision.routing = None;
    decision.risk.score = 0.0;
    decision.risk.factors.clear();
    decision.safety.blocked_by.clear();
    decision.reply = None;
    decision.handoff = None;
    decision.rationale.clear();
    decision.disposition = Disposition::Unknown;
    decision.decided_by = DecidedBy::Unknown;
    decision
}

fn rank(priority: &str) -> usize {
    let names = ["LOW", "NORMAL", "HIGH", "URGENT"];
    names.iter().position(|name| *name == priority).expect("a known priority")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_values_of_the_tenants_lists_appear(scene in any_scene()) {
        let decision = scene.decide();
        let taxonomy = &scene.tenant.taxonomy;
        let queues: Vec<_> = taxonomy.categories.iter().filter_map(|label| label.queue.as_ref()).collect();
        for (field, prediction) in predictions(&decision) {
            let value = &prediction.value;
            let known = match field {
                "category" => taxonomy.category(value).is_some(),
                "queue" => *value == scene.tenant.default_queue || queues.contains(&value),
                "sentiment" => ["positive", "neutral", "negative"].contains(&value.as_str()),
                "language" => value.len() == 2 && value.chars().all(|letter| letter.is_ascii_lowercase()),
                "priority" => ["LOW", "NORMAL", "HIGH", "URGENT"].contains(&value.as_str()),
                _ => ["LOW", "MEDIUM", "HIGH"].contains(&value.as_str()),
            };
            prop_assert!(known, "{field} = {value:?}");
            for alternative in &prediction.alternatives {
                prop_assert!(taxonomy.category(&alternative.value).is_some());
            }
        }
        prop_assert!(!matches!(decision.disposition,
            Disposition::AutoResolve | Disposition::MarkSpam | Disposition::Unknown));
    }

    #[test]
    fn every_number_is_finite_and_in_range_and_every_text_is_bounded(scene in any_scene()) {
        let decision = scene.decide();
        let in_range = |number: f64| (0.0..=1.0).contains(&number);
        for (field, prediction) in predictions(&decision) {
            let numbers = [Some(prediction.confidence), prediction.raw_confidence, prediction.threshold];
            prop_assert!(numbers.into_iter().flatten().all(in_range), "{field}: {prediction:?}");
            prop_assert!(prediction.alternatives.iter().all(|it| in_range(it.confidence)));
            prop_assert!(prediction.rationale.as_ref().is_none_or(|text| text.chars().count() <= 1_000));
        }
        prop_assert!(in_range(decision.risk.score));
        prop_assert!(decision.safety.redactions >= 0);
        prop_assert!(decision.reply.as_ref().is_none_or(|reply| reply.body.chars().count() <= 10_000));
        prop_assert!(decision.handoff.as_ref().is_none_or(|handoff| handoff.summary.chars().count() <= 1_000));
        prop_assert!(decision.rationale.len() < 2_000);
    }

    #[test]
    fn nothing_is_applied_that_a_rule_forbids(scene in any_scene()) {
        let decision = scene.decide();
        let owned = scene.owned_by_a_person || scene.event.ticket.human_owned;
        let lane = decision.safety.blocked_by.iter().any(|rule| rule.starts_with("human_lane:"));
        let doubtful = owned || lane || scene.answer.degraded.is_some() || scene.answer.findings.injection_suspected;
        let calibrated = scene.answer.usage.as_ref().is_some_and(|usage| usage.calibrated);
        for (field, prediction) in predictions(&decision) {
            let apply = prediction.automation == Automation::Apply;
            prop_assert!(!doubtful || prediction.automation <= Automation::Recommend, "{field}");
            prop_assert!(!apply || decision.risk.score <= 0.30, "{field}");
            prop_assert!(!apply || calibrated && scene.tenant.calibrated_fields.iter().any(|it| it == field), "{field}");
            prop_assert!(prediction.confidence >= prediction.threshold.expect("finite") || field == "queue"
                && prediction.automation == Automation::None, "{field}");
        }
        if doubtful {
            prop_assert_eq!(&decision.reply, &None);
            prop_assert!(!matches!(decision.disposition, Disposition::SuggestReply | Disposition::RequestInfo));
        }
        prop_assert!(!lane || decision.disposition == Disposition::Handoff);
    }

    #[test]
    fn a_priority_is_never_lowered_without_a_person(scene in any_scene()) {
        let decision = scene.decide();
        if let Some(priority) = &decision.priority
            && let Some(previous) = &priority.previous_value
            && rank(&priority.value) < rank(previous)
        {
            prop_assert!(priority.automation <= Automation::Recommend);
        }
    }

    #[test]
    fn whatever_the_model_says_the_rest_of_the_decision_is_the_same(scene in any_scene(), other in any_predicted()) {
        let one = scene.decide();
        let mut scene = scene;
        scene.answer.predicted = Some(other);
        prop_assert_eq!(without_the_models_say(one), without_the_models_say(scene.decide()));
    }

    #[test]
    fn the_same_case_gives_the_same_bytes(scene in any_scene()) {
        let bytes = serde_json::to_vec(&scene.decide()).expect("serialises");
        prop_assert_eq!(&bytes, &serde_json::to_vec(&scene.decide()).expect("serialises"));
        let read_back: TriageDecision = serde_json::from_slice(&bytes).expect("parses");
        prop_assert_eq!(read_back.disposition, scene.decide().disposition);
    }
}
