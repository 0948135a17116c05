//! Better decisions after fallbacks: a good one is green, every wrong one is flagged.

use super::super::*;
use super::good::{Fate, Step, core, push, written};
use crate::domain::clock::Timestamp;
use crate::domain::decision::DecidedBy;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::samples;

/// A ticket of its own, whose first event a fallback decides; what comes after that.
fn history_with(more: &[Fate]) -> History {
    let mut steps = core();
    steps.extend([Fate::Degraded].iter().chain(more).map(|fate| Step { ticket: 5, fate: *fate }));
    written(&steps)
}

/// The first decision of that ticket, at its place among the decisions.
fn fallback(history: &History) -> usize {
    history.decisions.iter().position(|seen| seen.record.ticket_id == "ticket-5").expect("it is decided")
}

fn better_than(history: &History) -> Seen<TriageDecision> {
    let mut better = history.decisions[fallback(history)].clone();
    let decision = &mut better.record;
    decision.supersedes_decision_id = Some(std::mem::replace(&mut decision.decision_id, "better".to_owned()));
    (decision.decision_version, decision.decided_by, decision.degraded_reason) = (2, DecidedBy::Model, None);
    decision.decided_at = Timestamp(decision.decided_at.0 + 60_000);
    better
}

fn improved(more: &[Fate]) -> History {
    let mut history = history_with(more);
    let better = better_than(&history);
    push(&mut history.decisions, better.partition, better.record);
    history
}

fn broken(history: &History) -> Vec<Invariant> {
    check(history).findings.into_iter().map(|finding| finding.invariant).collect()
}

fn last(history: &mut History) -> &mut TriageDecision {
    &mut history.decisions.last_mut().expect("there is one").record
}

#[test]
fn a_better_decision_after_a_fallbacks_is_green_and_counted() {
    let report = check(&improved(&[Fate::Ignored]));
    assert!(report.is_green(), "{report}");
    assert_eq!((report.better, report.twice), (1, 0));
}

#[test]
fn it_comes_once_and_before_any_newer_decision_of_its_ticket() {
    let mut twice = improved(&[]);
    let again = twice.decisions.last().expect("there is one").clone();
    push(&mut twice.decisions, again.partition, again.record);
    assert!(broken(&twice).contains(&Invariant::Unique));
    assert_eq!(broken(&improved(&[Fate::Decided])), [Invariant::Order]);
}

#[test]
fn it_follows_a_fallback_names_it_and_is_none() {
    let mut not_degraded = improved(&[]);
    let origin = last(&mut not_degraded).origin.clone();
    let terminal = not_degraded.feedback.iter_mut().find(|seen| seen.record.origin == origin).expect("it ended");
    (terminal.record.status, terminal.record.reason_code) = (FeedbackStatus::Accepted, "DECIDED".to_owned());
    assert_eq!(broken(&not_degraded), [Invariant::Complete]);

    let mut of_another = improved(&[]);
    last(&mut of_another).supersedes_decision_id = Some("another".to_owned());
    assert_eq!(broken(&of_another), [Invariant::Complete]);

    let mut a_fallbacks = improved(&[]);
    last(&mut a_fallbacks).degraded_reason = Some("BREAKER_OPEN".to_owned());
    assert_eq!(broken(&a_fallbacks), [Invariant::Complete]);
}

#[test]
fn it_does_not_come_after_a_person_has_judged_the_fallback_or_taken_the_ticket() {
    let mut taken = improved(&[Fate::Ignored]);
    let before = taken.decisions[fallback(&taken)].record.clone();
    let later = |ms| Timestamp(before.decided_at.0 + ms);
    let owned = |history: &mut History, at| {
        let terminal = history.feedback.iter_mut().find(|seen| {
            seen.record.ticket_id.as_deref() == Some("ticket-5") && seen.record.status == FeedbackStatus::Ignored
        });
        let terminal = &mut terminal.expect("it ended").record;
        (terminal.reason_code, terminal.processed_at) = ("HUMAN_OWNED".to_owned(), at);
    };
    owned(&mut taken, later(1_000));
    assert_eq!(broken(&taken), [Invariant::Order]);
    owned(&mut taken, later(90_000));
    assert!(check(&taken).is_green(), "it was taken afterwards");

    let mut judged = improved(&[]);
    let review =
        DecisionReview { decision_id: Some(before.decision_id.clone()), joined_at: later(1_000), ..samples::review() };
    push(&mut judged.reviewed.reviews, 0, review);
    assert!(broken(&judged).contains(&Invariant::Order));
}
