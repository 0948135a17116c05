//! Which rules kept a field from doing what its confidence had earned.
//!
//! `safety.blocked_by` names the rules by the names of `pipeline::decide`: one with `:field` held back that field, the
//! others every field. A rule of the whole decision (and the one about priority) allows RECOMMEND at most, a rule of
//! one field, and the flag `apply`, SELECT at most.

use crate::domain::decision::{Automation, Prediction};
use crate::domain::event::Level;

const RULES_OF_A_FIELD: [&str; 2] = ["uncalibrated", "risk_too_high"];
const APPLY_SWITCHED_OFF: &str = "apply_switched_off";
const NEVER_LOWERS_PRIORITY: &str = "never_lowers_priority";

/// Those among `rules` that took something away from the field of this name.
#[must_use]
pub fn capped_by<'a>(field: &str, prediction: &Prediction, rules: &'a [String]) -> Vec<&'a str> {
    let earned = match prediction.confidence_level {
        Level::High => Automation::Apply,
        Level::Medium => Automation::Select,
        Level::Low | Level::Unknown => Automation::Recommend,
    };
    if prediction.automation >= earned {
        return Vec::new();
    }
    let limits = |rule: &str| match rule.split_once(':') {
        Some((name, of)) if RULES_OF_A_FIELD.contains(&name) => (of == field).then_some(Automation::Select),
        _ if rule == APPLY_SWITCHED_OFF => Some(Automation::Select),
        _ if rule == NEVER_LOWERS_PRIORITY => (field == "priority").then_some(Automation::Recommend),
        _ => Some(Automation::Recommend),
    };
    let held_back = |rule: &&str| limits(rule).is_some_and(|limit| limit < earned && limit == prediction.automation);
    rules.iter().map(String::as_str).filter(held_back).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(level: Level, automation: Automation) -> Prediction {
        Prediction {
            value: "x".into(),
            confidence: 0.95,
            raw_confidence: None,
            confidence_level: level,
            threshold: None,
            automation,
            alternatives: Vec::new(),
            previous_value: None,
            rationale: None,
        }
    }

    #[test]
    fn the_rules_that_bind_are_named_and_no_others() {
        let rules =
            ["degraded", "uncalibrated:category", "risk_too_high:queue", "never_lowers_priority"].map(str::to_owned);
        let caps = |field, level, automation| capped_by(field, &prediction(level, automation), &rules);
        assert_eq!(caps("category", Level::High, Automation::Recommend), ["degraded"]);
        assert_eq!(caps("priority", Level::Medium, Automation::Recommend), ["degraded", "never_lowers_priority"]);
        assert_eq!(caps("category", Level::Low, Automation::Recommend), [""; 0], "it earned no more");
        let mild = &rules[1..3];
        let caps = |field| capped_by(field, &prediction(Level::High, Automation::Select), mild).join(" ");
        assert_eq!(caps("category"), "uncalibrated:category");
        assert_eq!(caps("queue"), "risk_too_high:queue");
        assert_eq!(caps("language"), "");
        let flag = ["apply_switched_off".to_owned()];
        assert_eq!(capped_by("queue", &prediction(Level::High, Automation::Select), &flag), ["apply_switched_off"]);
        assert_eq!(capped_by("queue", &prediction(Level::Medium, Automation::Select), &flag), [""; 0]);
        let lane = ["human_lane:legal".to_owned()];
        assert_eq!(capped_by("queue", &prediction(Level::High, Automation::Recommend), &lane), ["human_lane:legal"]);
    }
}
