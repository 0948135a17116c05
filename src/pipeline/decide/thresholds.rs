//! How much a value may do: what its confidence earned, less what the rules take away.

use crate::domain::decision::{Alternative, Automation, Prediction};
use crate::domain::event::Level;
use crate::domain::tenant::{Tenant, Thresholds};

use super::confidence::Confidences;
use super::field::Field;
use super::rule::Rule;

/// A field's own thresholds, else the tenant's.
#[must_use]
pub fn of(tenant: &Tenant, field: Field) -> &Thresholds {
    tenant.field_thresholds.get(field.name()).unwrap_or(&tenant.thresholds)
}

/// What a confidence earns. A cut-off counts only together with those below it, so that thresholds in the wrong order
/// err towards people.
fn earned(confidence: f64, thresholds: &Thresholds) -> Automation {
    let Thresholds { recommend, select, apply, .. } = *thresholds;
    match [recommend, select, apply].into_iter().take_while(|cut_off| confidence >= *cut_off).count() {
        0 => Automation::None,
        1 => Automation::Recommend,
        2 => Automation::Select,
        _ => Automation::Apply,
    }
}

/// Judges the fields of one decision, and remembers which rules took something away.
#[derive(Debug)]
pub struct Judge<'a> {
    tenant: &'a Tenant,
    confidences: &'a Confidences<'a>,
    risk: f64,
    rules: Vec<Rule>,
    /// How many of `rules` hold for every field.
    for_all: usize,
}

impl<'a> Judge<'a> {
    /// `rules` hold for every field.
    #[must_use]
    pub fn new(tenant: &'a Tenant, confidences: &'a Confidences<'a>, risk: f64, rules: Vec<Rule>) -> Self {
        Self { tenant, confidences, risk, for_all: rules.len(), rules }
    }

    /// The rules in force, and those that took something away so far.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What a raw confidence in this field is worth.
    pub fn worth(&self, field: Field, raw: f64) -> f64 {
        self.confidences.worth(field, raw)
    }

    /// A value with what may be done with it; `None` if what its raw confidence is worth is below the field's `recommend`.
    pub fn judge(&mut self, field: Field, value: String, raw: f64, own: Option<Rule>) -> Option<Prediction> {
        let thresholds = of(self.tenant, field);
        let confidence = self.confidences.worth(field, raw);
        let earned = earned(confidence, thresholds);
        if earned == Automation::None {
            return None;
        }
        let automation = self.less_the_rules(field, earned, own);
        let threshold = match automation {
            Automation::Apply => thresholds.apply,
            Automation::Select => thresholds.select,
            _ => thresholds.recommend,
        };
        Some(Prediction {
            value,
            confidence,
            raw_confidence: Some(raw),
            confidence_level: match earned {
                Automation::Apply => Level::High,
                Automation::Select => Level::Medium,
                _ => Level::Low,
            },
            threshold: threshold.is_finite().then_some(threshold),
            automation,
            alternatives: Vec::<Alternative>::new(),
            previous_value: None,
            rationale: None,
        })
    }

    fn less_the_rules(&mut self, field: Field, earned: Automation, own: Option<Rule>) -> Automation {
        let calibrated = self.confidences.are_calibrated(field);
        // Written so that a `max_risk` of NaN holds back.
        let bearable = self.risk <= of(self.tenant, field).max_risk;
        let of_field =
            [(!calibrated).then_some(Rule::Uncalibrated(field)), (!bearable).then_some(Rule::RiskTooHigh(field)), own];
        let took_away: Vec<_> = of_field.into_iter().flatten().filter(|rule| rule.limit() < earned).collect();
        let limits = self.rules[..self.for_all].iter().chain(&took_away).map(Rule::limit);
        let automation = limits.fold(earned, Automation::min);
        self.rules.extend(took_away);
        automation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: Thresholds = Thresholds { recommend: 0.6, select: 0.75, apply: 0.9, max_risk: 0.3 };

    #[test]
    fn a_confidence_just_below_a_cut_off_does_not_earn_it() {
        for (confidence, expected) in [
            (f64::NAN, Automation::None),
            (0.0, Automation::None),
            (0.599_999, Automation::None),
            (0.6, Automation::Recommend),
            (0.749_999, Automation::Recommend),
            (0.75, Automation::Select),
            (0.899_999, Automation::Select),
            (0.9, Automation::Apply),
            (1.0, Automation::Apply),
        ] {
            assert_eq!(earned(confidence, &THRESHOLDS), expected, "{confidence}");
        }
    }

    #[test]
    fn thresholds_in_the_wrong_order_or_without_a_number_err_towards_people() {
        let upside_down = Thresholds { recommend: 0.9, select: 0.75, apply: 0.6, max_risk: 0.3 };
        assert_eq!(earned(0.8, &upside_down), Automation::None);
        assert_eq!(earned(0.95, &Thresholds { apply: f64::NAN, ..THRESHOLDS }), Automation::Select);
    }
}
