//! Histories of people's feedback: good ones, and one for each way to be bad.

use super::super::*;
use super::good::{Fate, Step, written};
use crate::domain::clock::Timestamp;
use crate::domain::decision::Origin;
use crate::domain::samples;

/// A copy, a rejected one and one that cannot be read among them; the last is not finished.
const INPUTS: [Option<&str>; 5] = [Some("a"), Some("b"), Some("a"), None, Some("c")];

fn feedback(id: &str) -> HumanFeedback {
    HumanFeedback { feedback_id: id.to_owned(), ..samples::human_feedback() }
}

fn reviewed_at(offset: u64, id: &str) -> Seen<DecisionReview> {
    let origin = Origin {
        topic: "human-feedback".to_owned(),
        partition: 0,
        offset: i64::try_from(offset).expect("small"),
        timestamp: Timestamp(0),
    };
    let record = DecisionReview { feedback_id: id.to_owned(), origin, ..samples::review() };
    Seen { partition: 0, offset, record }
}

fn letter_at(offset: u64) -> Seen<DeadLetter> {
    let origin_offset = i64::try_from(offset).expect("small");
    let record = DeadLetter { origin_partition: 0, origin_offset, ..samples::dead_letter() };
    Seen { partition: 0, offset, record }
}

fn good() -> History {
    let inputs = (0..).zip(INPUTS).map(|(offset, id)| Seen { partition: 0, offset, record: id.map(feedback) });
    let reviewed = Reviewed {
        inputs: inputs.collect(),
        reviews: vec![reviewed_at(0, "a")],
        dead_letters: vec![letter_at(1), letter_at(3)],
        committed: [(0, Committed { base: 4, finished: BTreeSet::new() })].into(),
        ..Reviewed::default()
    };
    History { reviewed, ..History::default() }
}

#[test]
fn a_review_or_a_dead_letter_for_each_and_none_for_a_copy_is_green() {
    let report = check(&good());
    assert!(report.is_green(), "{report}");
    assert_eq!((report.human_feedback, report.reviews, report.open), (5, 1, 1));
}

#[test]
fn every_anomaly_is_flagged() {
    type Anomaly = (&'static str, Invariant, fn(&mut Reviewed));
    let anomalies: [Anomaly; 9] = [
        ("a review is missing", Invariant::Complete, |it| it.reviews.clear()),
        ("a dead letter is missing", Invariant::Complete, |it| drop(it.dead_letters.pop())),
        ("two reviews", Invariant::Unique, |it| it.reviews.push(reviewed_at(0, "a"))),
        ("a review of a copy", Invariant::Unique, |it| it.reviews.push(reviewed_at(2, "a"))),
        ("two dead letters", Invariant::Unique, |it| it.dead_letters.push(letter_at(1))),
        ("a review and a dead letter", Invariant::Unique, |it| it.reviews.push(reviewed_at(1, "b"))),
        ("a review that no position knows", Invariant::Metadata, |it| it.reviews.push(reviewed_at(4, "c"))),
        ("a review of something else", Invariant::Provenance, |it| it.reviews[0].record.feedback_id = "z".to_owned()),
        ("a review in another partition", Invariant::Order, |it| it.reviews[0].partition = 1),
    ];
    for (name, breaks, make) in anomalies {
        let mut history = good();
        make(&mut history.reviewed);
        let report = check(&history);
        assert!(report.findings.iter().any(|finding| finding.invariant == breaks), "{name}: {report}");
    }
}

#[test]
fn feedback_that_comes_again_after_the_window_has_another_review() {
    let window = Duration::from_secs(3_600);
    let mut history = History { window: Some(window), ..good() };
    let mut again = reviewed_at(2, "a");
    again.record.joined_at = history.reviewed.reviews[0].record.joined_at.after(window);
    history.reviewed.reviews.push(again);
    let report = check(&history);
    assert!(report.is_green(), "{report}");
    history.reviewed.reviews[1].record.joined_at.0 -= 1;
    assert_eq!(check(&history).twice, 1);
}

#[test]
fn a_review_or_a_letter_that_retention_may_have_taken_is_not_missed() {
    for (topic, take) in [
        (TopicRole::DecisionReviews, (|it| it.reviews.clear()) as fn(&mut Reviewed)),
        (TopicRole::DeadLetters, |it| it.dead_letters.clear()),
    ] {
        let mut history = good();
        take(&mut history.reviewed);
        history.reviewed.taken = Taken([((topic, 0), 4)].into());
        let report = check(&history);
        assert!(report.is_green(), "{report}");
        history.reviewed.taken = Taken([((topic, 0), 0)].into());
        assert!(check(&history).missing > 0, "{topic:?}");
    }
}

#[test]
fn a_copy_may_end_before_the_first_that_is_on_its_way() {
    let mut history = good();
    history.reviewed.reviews.clear();
    history.reviewed.committed = [(0, Committed { base: 0, finished: [1, 2, 3].into() })].into();
    let report = check(&history);
    assert!(report.is_green(), "{report}");
    assert_eq!(report.open, 2);
}

/// An agent's update that ended as ignored, and its review.
fn changed(fate: Fate) -> History {
    let mut history = written(&[Step { ticket: 0, fate: Fate::Decided }, Step { ticket: 0, fate }]);
    let event = history.inputs[1].record.clone().expect("it can be read");
    let origin = Origin { topic: "events".to_owned(), partition: 0, offset: 1, timestamp: Timestamp(0) };
    let (tenant_id, ticket_id, feedback_id) = (event.tenant_id, event.ticket_id, event.event_id);
    let record = DecisionReview { tenant_id, ticket_id, feedback_id, origin, ..samples::review() };
    history.changes_reviewed = vec![Seen { partition: 0, offset: 0, record }];
    history
}

#[test]
fn a_review_of_changes_comes_with_the_end_of_its_event_once() {
    let report = check(&changed(Fate::Ignored));
    assert!(report.is_green(), "{report}");
    assert_eq!((report.changes_reviewed, report.reviews), (1, 0));
    let twice = |it: &mut History| it.changes_reviewed.push(it.changes_reviewed[0].clone());
    type Anomaly = (&'static str, Invariant, fn(&mut History));
    let anomalies: [Anomaly; 5] = [
        ("two reviews", Invariant::Unique, twice),
        ("a review without the end", Invariant::Atomic, |it| drop(it.feedback.pop())),
        ("of another event", Invariant::Provenance, |it| it.changes_reviewed[0].record.feedback_id = "z".to_owned()),
        ("in another partition", Invariant::Order, |it| it.changes_reviewed[0].partition = 1),
        ("of nothing", Invariant::Provenance, |it| it.changes_reviewed[0].record.origin.offset = -1),
    ];
    for (name, breaks, make) in anomalies {
        let mut history = changed(Fate::Ignored);
        make(&mut history);
        let report = check(&history);
        assert!(report.findings.iter().any(|finding| finding.invariant == breaks), "{name}: {report}");
    }
    let of_a_copy = check(&changed(Fate::Copy));
    assert!(of_a_copy.findings.iter().any(|finding| finding.invariant == Invariant::Unique), "{of_a_copy}");
}
