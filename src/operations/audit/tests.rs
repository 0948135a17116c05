//! The checker is tested first: bad histories, one an anomaly, are all flagged with the promise they break; good ones,
//! made by construction, never are.

mod anomalies;
mod better;
mod good;
mod reviewed;

use proptest::prelude::*;

use self::anomalies::{ANOMALIES, Pick, forget, place_of};
use self::good::{Fate, Step, core, push, steps, written};
use super::*;
use crate::domain::decision::DecidedBy;
use crate::domain::feedback::FeedbackStatus;

/// Every fate at least once, and whatever else chance brings.
fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(steps(), 0..60).prop_map(|mut more| {
        let mut all = core();
        all.append(&mut more);
        all
    })
}

#[test]
fn a_history_with_every_fate_is_green_and_counted() {
    let report = check(&written(&core()));
    assert!(report.is_green(), "{report}");
    assert_eq!((report.records, report.terminals, report.open), (12, 11, 1));
    assert_eq!((report.decisions, report.dead_letters), (5, 3));
    assert_eq!((report.missing, report.twice, report.out_of_order, report.paid_twice), (0, 0, 0, 0));
    assert_eq!(
        (report.calls, report.calls_lost, report.calls_cut_off),
        (20, 5, 5),
        "each of five was asked for four times: cut off, failed, lost in a crash, saved"
    );
}

#[test]
fn an_empty_history_is_green() {
    let report = check(&History::default());
    assert!(report.is_green() && report.open == 0, "{report}");
}

#[test]
fn every_anomaly_is_flagged_as_the_promise_it_breaks_and_counted_once() {
    let before = check(&written(&core()));
    for anomaly in ANOMALIES {
        let mut history = written(&core());
        (anomaly.make)(&mut history, Pick(0));
        let report = check(&history);
        let found = report.findings.iter().any(|finding| finding.invariant == anomaly.breaks);
        assert!(found, "{}: {:?} was not flagged in\n{report}", anomaly.name, anomaly.breaks);
        let counted = (anomaly.counter)(&report) - (anomaly.counter)(&before);
        assert_eq!(counted, anomaly.counts, "{}\n{report}", anomaly.name);
    }
}

#[test]
fn what_happens_while_the_log_is_read_is_not_held_against_it() {
    let rest = written(&core());
    let mut live = rest.clone();
    live.committed_after = Some(rest.committed.clone());
    // The last burst came between the two looks at the positions: all of it was read, or what is read last.
    let last = rest.feedback.iter().rposition(|seen| seen.record.status == FeedbackStatus::Accepted);
    let last = last.expect("the core has decisions");
    forget(&mut live, place_of(&rest.feedback[last].record));
    let whole = check(&live);
    assert!(whole.is_green(), "all of the burst was read: {whole}");

    live.feedback.remove(last);
    let half = check(&live);
    assert!(half.is_green(), "feedback is read first, so it may lack what decisions have: {half}");
    assert_eq!(half.open, 2, "it may end, or not");

    live.committed_after = None;
    assert!(!check(&live).is_green(), "with nobody writing, the same is a torn burst");
}

#[test]
fn what_retention_took_is_not_judged() {
    let mut history = written(&core());
    let base = history.committed[&0].base;
    history.inputs.retain(|seen| seen.partition != 0 || seen.offset >= base);
    assert!(!check(&history).is_green(), "outputs of inputs that never were");
    history.log_start.insert(0, base);
    let report = check(&history);
    assert!(report.is_green(), "{report}");
}

/// All outputs of one topic gone, and each input older than whatever is left there.
fn without(topic: TopicRole, safe: u64) -> History {
    let mut history = written(&core());
    match topic {
        TopicRole::Feedback => history.feedback.clear(),
        TopicRole::Decisions => history.decisions.clear(),
        _ => history.dead_letters.clear(),
    }
    history.taken = Taken((0..3).map(|number| ((topic, number), safe)).collect());
    history
}

#[test]
fn an_output_that_retention_may_have_taken_is_not_missed_and_no_other_is_excused() {
    for topic in [TopicRole::Feedback, TopicRole::Decisions, TopicRole::DeadLetters] {
        let report = check(&without(topic, u64::MAX));
        assert!(report.is_green(), "{topic:?}: {report}");
        let young = check(&without(topic, 0));
        assert!(!young.is_green(), "{topic:?}: none of them can be gone");
    }
    let mut of_another = without(TopicRole::Decisions, u64::MAX);
    of_another.feedback.clear();
    assert!(check(&of_another).missing > 0, "the terminals are not among what was taken");
}

#[test]
fn a_better_decision_may_outlive_the_fallbacks() {
    let mut history = written(&core());
    let fallback = history.feedback.iter().find(|seen| seen.record.status == FeedbackStatus::Degraded);
    let id = fallback.and_then(|seen| seen.record.decision_id.clone());
    let better = history.decisions.iter_mut().find(|seen| Some(&seen.record.decision_id) == id.as_ref());
    let better = &mut better.expect("the fallback's").record;
    better.supersedes_decision_id = Some(std::mem::replace(&mut better.decision_id, "better".to_owned()));
    (better.decision_version, better.decided_by, better.degraded_reason) = (2, DecidedBy::Model, None);
    assert!(!check(&history).is_green(), "it comes after one that is not there");
    history.taken = Taken((0..3).map(|number| ((TopicRole::Decisions, number), u64::MAX)).collect());
    let report = check(&history);
    assert!(report.is_green() && report.better == 1, "{report}");
}

#[test]
fn what_is_sent_again_after_the_window_is_decided_again_and_before_its_end_is_not() {
    let mut history = written(&[Step { ticket: 0, fate: Fate::Decided }, Step { ticket: 0, fate: Fate::Decided }]);
    let first = history.decisions[0].record.clone();
    history.inputs[1].record = history.inputs[0].record.clone();
    history.feedback[1].record.event_id = Some(first.event_id.clone());
    let again = &mut history.decisions[1].record;
    again.event_id.clone_from(&first.event_id);
    let window = Duration::from_secs(3_600);
    again.decided_at = first.decided_at.after(window);
    history.window = Some(window);
    let report = check(&history);
    assert!(report.is_green(), "{report}");
    history.decisions[1].record.decided_at.0 -= 1;
    let too_soon = check(&history);
    assert_eq!((too_soon.twice, too_soon.violations), (1, 1), "{too_soon}");
    history.window = None;
    assert_eq!(check(&history).twice, 1, "it is remembered for ever");
    let mut of_one_place = written(&core());
    of_one_place.window = Some(Duration::ZERO);
    let again = of_one_place.decisions[0].clone();
    push(&mut of_one_place.decisions, again.partition, again.record);
    assert_eq!(check(&of_one_place).twice, 1, "one record is one decision, however late");
}

#[test]
fn the_call_whose_answer_was_saved_is_not_judged_by_the_providers_clock_and_any_later_one_is() {
    let call =
        |id: &str, started_at| ProviderCall { key: "k".to_owned(), started_at, end: CallEnd::Answered(id.to_owned()) };
    let saved = SavedAnswer { answered_at: 1_000, response_id: Some("r-1".to_owned()) };
    let mut history = History { answers: [("k".to_owned(), saved)].into(), ..written(&core()) };
    // Its clock is ahead: the answer was saved before the call began, as far as it goes.
    history.calls = vec![call("r-1", 1_900)];
    let report = check(&history);
    assert!(report.is_green() && (report.calls, report.calls_lost, report.paid_twice) == (1, 0, 0), "{report}");
    history.calls.push(call("r-2", 1_901));
    assert_eq!(check(&history).paid_twice, 1);
    history.calls[1].started_at = 900;
    let report = check(&history);
    assert_eq!((report.calls_lost, report.paid_twice), (1, 0), "it was lost before: {report}");
}

#[test]
fn findings_are_capped_and_all_counted() {
    let steps: Vec<_> = (0..150).map(|_| Step { ticket: 0, fate: Fate::Ignored }).collect();
    let mut history = written(&steps);
    history.feedback.clear();
    let report = check(&history);
    assert_eq!((report.missing, report.violations, report.findings.len()), (150, 150, 100));
    assert_eq!(report.to_json()["violations"], 150);
}

proptest! {
    #[test]
    fn good_histories_are_never_flagged(steps in any_steps()) {
        let report = check(&written(&steps));
        prop_assert!(report.is_green(), "{report}");
    }

    #[test]
    fn one_anomaly_in_any_good_history_is_flagged(
        steps in any_steps(),
        anomaly in prop::sample::select(ANOMALIES),
        pick in any::<usize>(),
    ) {
        let mut history = written(&steps);
        (anomaly.make)(&mut history, Pick(pick));
        let report = check(&history);
        let found = report.findings.iter().any(|finding| finding.invariant == anomaly.breaks);
        prop_assert!(found || report.violations > 100, "{}\n{report}", anomaly.name);
    }
}
