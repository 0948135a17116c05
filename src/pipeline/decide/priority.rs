//! Priority: the tenant's matrix over impact and urgency, never a model's own word.
//!
//! What upstream states about impact and urgency is a fact of the ticket and goes before a model's estimate. The tier of
//! the customer, capital letters and exclamation marks are not looked at: a loud customer is not automatically urgent.

use crate::domain::answer::{Predicted, Scored};
use crate::domain::event::{Level, Priority, TicketSnapshot};
use crate::domain::tenant::PriorityMatrix;

/// What the matrix makes of the ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Never UNKNOWN.
    pub priority: Priority,
    /// Of the less certain of the two.
    pub confidence: f64,
    /// The row.
    pub impact: Level,
    /// The column.
    pub urgency: Level,
}

/// The priority of a ticket by the matrix; `None`: one of the two is not known, or the matrix has no such cell.
#[must_use]
pub fn propose(ticket: &TicketSnapshot, predicted: &Predicted, matrix: &PriorityMatrix) -> Option<Proposal> {
    let impact = stated_or_estimated(ticket.impact, predicted.impact.as_ref())?;
    let urgency = stated_or_estimated(ticket.urgency, predicted.urgency.as_ref())?;
    let priority = matrix.priority(impact.value, urgency.value).filter(|priority| *priority != Priority::Unknown)?;
    Some(Proposal {
        priority,
        confidence: impact.confidence.min(urgency.confidence),
        impact: impact.value,
        urgency: urgency.value,
    })
}

fn stated_or_estimated(stated: Option<Level>, estimated: Option<&Scored<Level>>) -> Option<Scored<Level>> {
    match stated {
        Some(value) if value != Level::Unknown => Some(Scored { value, confidence: 1.0 }),
        _ => estimated.cloned(),
    }
}

/// The priority upstream gave, if it is one we know.
#[must_use]
pub fn upstream(ticket: &TicketSnapshot) -> Option<Priority> {
    ticket.priority.filter(|priority| *priority != Priority::Unknown)
}

/// The higher of upstream's and the matrix's: what people should be quick about, whatever may be applied.
#[must_use]
pub fn effective(ticket: &TicketSnapshot, proposal: Option<&Proposal>) -> Option<Priority> {
    upstream(ticket).max(proposal.map(|proposal| proposal.priority))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(json: &str) -> TicketSnapshot {
        serde_json::from_str(json).expect("a ticket")
    }

    fn estimated(impact: Level, urgency: Level) -> Predicted {
        let level = |value| Some(Scored { value, confidence: 0.8 });
        Predicted { impact: level(impact), urgency: level(urgency), ..Predicted::default() }
    }

    #[test]
    fn without_both_axes_there_is_no_priority() {
        let only_impact = Predicted { urgency: None, ..estimated(Level::High, Level::High) };
        assert_eq!(propose(&ticket("{}"), &only_impact, &PriorityMatrix::default()), None);
        let empty = PriorityMatrix(Default::default());
        assert_eq!(propose(&ticket("{}"), &estimated(Level::High, Level::High), &empty), None);
    }

    #[test]
    fn what_upstream_states_goes_before_an_estimate() {
        let stated = ticket(r#"{"impact": "LOW", "urgency": "UNKNOWN"}"#);
        let proposal = propose(&stated, &estimated(Level::High, Level::High), &PriorityMatrix::default());
        let expected =
            Proposal { priority: Priority::Normal, confidence: 0.8, impact: Level::Low, urgency: Level::High };
        assert_eq!(proposal, Some(expected));
    }

    #[test]
    fn the_effective_priority_is_the_higher_one() {
        let proposal = propose(&ticket("{}"), &estimated(Level::Low, Level::Low), &PriorityMatrix::default());
        assert_eq!(effective(&ticket(r#"{"priority": "critical"}"#), proposal.as_ref()), Some(Priority::Urgent));
        assert_eq!(effective(&ticket(r#"{"priority": "nonsense"}"#), proposal.as_ref()), Some(Priority::Low));
        assert_eq!(effective(&ticket("{}"), None), None);
    }
}
