//! The rules that hold a prediction back, by name.
//!
//! A name stands in `safety.blocked_by`; consumers and dashboards group by it, so names do not change meaning. A rule of
//! the whole decision is named whenever it is in force, a rule of one field only when it took something away from it.

use std::fmt;

use crate::domain::decision::Automation;
use crate::domain::flags::Flag;
use crate::domain::tenant::HumanLane;

use super::Case;
use super::field::Field;

/// Why a value may do less than its confidence earned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Only people decide this kind of ticket.
    HumanLane(String),
    /// Not decided by the configured model: a fallback never acts by itself.
    Degraded,
    /// The text speaks to the model instead of to people.
    InjectionSuspected,
    /// A person is at it.
    OwnedByAPerson,
    /// Nobody has measured yet how often this confidence is right.
    Uncalibrated(Field),
    /// The ticket carries more risk than the field's `max_risk`.
    RiskTooHigh(Field),
    /// The flag `apply` is off.
    ApplySwitchedOff,
    /// Upstream's priority is higher: only a person lowers it.
    NeverLowersPriority,
}

impl Rule {
    /// The most that a value may do under it.
    #[must_use]
    pub const fn limit(&self) -> Automation {
        match self {
            Self::HumanLane(_)
            | Self::Degraded
            | Self::InjectionSuspected
            | Self::OwnedByAPerson
            | Self::NeverLowersPriority => Automation::Recommend,
            Self::Uncalibrated(_) | Self::RiskTooHigh(_) | Self::ApplySwitchedOff => Automation::Select,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HumanLane(name) => write!(f, "human_lane:{name}"),
            Self::Degraded => f.write_str("degraded"),
            Self::InjectionSuspected => f.write_str("injection_suspected"),
            Self::OwnedByAPerson => f.write_str("owned_by_a_person"),
            Self::Uncalibrated(field) => write!(f, "uncalibrated:{field}"),
            Self::RiskTooHigh(field) => write!(f, "risk_too_high:{field}"),
            Self::ApplySwitchedOff => f.write_str("apply_switched_off"),
            Self::NeverLowersPriority => f.write_str("never_lowers_priority"),
        }
    }
}

/// The rules of the whole decision that are in force for a case.
#[must_use]
pub fn in_force(case: &Case<'_>, lanes: &[&HumanLane]) -> Vec<Rule> {
    let lanes = lanes.iter().map(|lane| Rule::HumanLane(lane.name.clone()));
    let others = [
        (case.answer.degraded.is_some(), Rule::Degraded),
        (case.answer.findings.injection_suspected, Rule::InjectionSuspected),
        (super::owned(case), Rule::OwnedByAPerson),
        (!case.answer.is_on(Flag::Apply), Rule::ApplySwitchedOff),
    ];
    lanes.chain(others.into_iter().filter_map(|(holds, rule)| holds.then_some(rule))).collect()
}
