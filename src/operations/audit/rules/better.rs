//! Only a fallback's decision is followed by a better one; that one names it, is the model's own, and comes before anybody
//! has acted on the ticket. That it comes before any newer event's is `order`, that it comes once is `decisions`.

use super::super::case::{Case, Place, Standing, place};
use super::super::finding::Invariant;
use super::super::report::Report;
use crate::domain::clock::{CLOCKS_DIFFER_MS, Timestamp};
use crate::domain::decision::{DecidedBy, TriageDecision};
use crate::domain::feedback::FeedbackStatus;
use crate::domain::position::TopicRole;
use crate::domain::reason_code::ReasonCode;
use crate::domain::review::JoinStatus;

pub(in super::super) fn better(case: &Case<'_>, report: &mut Report) {
    for decision in case.history.decisions.iter().map(|seen| &seen.record).filter(|one| one.decision_version > 1) {
        report.better += 1;
        // Where there is no origin, `decisions` says so.
        let Some(at) = place(&decision.origin).filter(|at| case.standing(*at) != Standing::Gone) else { continue };
        let before = case.decisions.get(&at).map(Vec::as_slice).unwrap_or_default();
        let before = before.iter().copied().find(|before| before.decision_version == decision.decision_version - 1);
        after_a_fallback(case, at, before, decision, report);
        if let Some(before) = before {
            before_a_person(case, at, before, decision, report);
        }
    }
}

fn after_a_fallback(
    case: &Case<'_>,
    at: Place,
    before: Option<&TriageDecision>,
    decision: &TriageDecision,
    report: &mut Report,
) {
    let id = &decision.decision_id;
    let terminal = case.terminals.get(&at);
    if let Some(terminal) = terminal.filter(|terminal| terminal.status != FeedbackStatus::Degraded) {
        let what = format!("{}@{} is {:?} and was decided again", at.0, at.1, terminal.status);
        report.find(Invariant::Complete, what);
    }
    if decision.decided_by == DecidedBy::Fallback || decision.degraded_reason.is_some() {
        report.find(Invariant::Complete, format!("the better decision {id} is a fallback's"));
    }
    let is_gone = before.is_none() && case.may_be_taken(TopicRole::Decisions, at);
    if !is_gone && before.map(|before| &before.decision_id) != decision.supersedes_decision_id.as_ref() {
        report.find(Invariant::Complete, format!("{id} supersedes another decision than the one before it"));
    }
}

fn before_a_person(
    case: &Case<'_>,
    at: Place,
    before: &TriageDecision,
    decision: &TriageDecision,
    report: &mut Report,
) {
    let is_before = |then: Timestamp| decision.decided_at.millis_since(then) > CLOCKS_DIFFER_MS;
    let reviews = case.history.reviewed.reviews.iter().map(|seen| &seen.record);
    let judged = reviews
        // An orphan keeps the id it named, whatever ticket that is of.
        .filter(|review| matches!(review.join_status, JoinStatus::JoinedById | JoinStatus::JoinedByTicket))
        .filter(|review| review.decision_id.as_ref() == Some(&before.decision_id))
        .any(|review| is_before(review.joined_at));
    let owned = case.terminals.iter().any(|(place, terminal)| {
        let codes = [ReasonCode::HumanOwned, ReasonCode::TicketClosed].map(ReasonCode::as_str);
        place.0 == at.0
            && place.1 > at.1
            && codes.contains(&terminal.reason_code.as_str())
            && terminal.tenant_id.as_ref() == Some(&decision.tenant_id)
            && terminal.ticket_id.as_ref() == Some(&decision.ticket_id)
            && terminal.processed_at > before.decided_at
            && is_before(terminal.processed_at)
    });
    for what in [judged.then_some("judged the fallback's"), owned.then_some("taken its ticket")].into_iter().flatten() {
        let what = format!("{} of {}@{} came after a person had {what}", decision.decision_id, at.0, at.1);
        report.find(Invariant::Order, what);
    }
}
