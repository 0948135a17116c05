//! Histories of people's feedback: good ones, and one for each way to be bad.

use super::super::*;
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
fn a_copy_may_end_before_the_first_that_is_on_its_way() {
    let mut history = good();
    history.reviewed.reviews.clear();
    history.reviewed.committed = [(0, Committed { base: 0, finished: [1, 2, 3].into() })].into();
    let report = check(&history);
    assert!(report.is_green(), "{report}");
    assert_eq!(report.open, 2);
}
