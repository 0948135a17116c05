//! Who was rejected has one dead letter with the same reason; nobody else has one.

use std::collections::BTreeMap;

use super::super::case::{Case, Place, place_of};
use super::super::finding::Invariant;
use super::super::report::Report;
use crate::domain::dead_letter::DeadLetter;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::position::TopicRole;

pub(in super::super) fn dead_letters(case: &Case<'_>, report: &mut Report) {
    let mut letters = by_place(case, report);
    for (place, feedback) in &case.terminals {
        let found = letters.remove(place).unwrap_or_default();
        let expected = usize::from(feedback.status == FeedbackStatus::Rejected);
        let may_be_taken = found.is_empty() && case.may_be_taken(TopicRole::DeadLetters, *place);
        if found.len() != expected && !may_be_taken {
            let what = format!("{}@{} is {:?} and has {} dead letters", place.0, place.1, feedback.status, found.len());
            report.find(Invariant::Complete, what);
        } else if let Some(letter) = found.iter().find(|letter| letter.reason_code != feedback.reason_code) {
            let codes = format!("{} and {}", feedback.reason_code, letter.reason_code);
            report.find(Invariant::Complete, format!("{}@{} was rejected as {codes} at once", place.0, place.1));
        }
    }
    for place in letters.keys().filter(|place| case.is_torn(**place)) {
        report.find(Invariant::Atomic, format!("a dead letter for {}@{} without a terminal", place.0, place.1));
    }
}

fn by_place<'a>(case: &Case<'a>, report: &mut Report) -> BTreeMap<Place, Vec<&'a DeadLetter>> {
    let mut letters: BTreeMap<Place, Vec<_>> = BTreeMap::new();
    for seen in &case.history.dead_letters {
        let letter = &seen.record;
        let Some(place) = place_of(letter.origin_partition, letter.origin_offset) else {
            report.find(Invariant::Provenance, format!("dead letter {} has no origin", letter.dead_letter_id));
            continue;
        };
        if seen.partition != place.0 {
            let what = format!("the dead letter of {}@{} went to partition {}", place.0, place.1, seen.partition);
            report.find(Invariant::Order, what);
        }
        letters.entry(place).or_default().push(letter);
    }
    letters
}
