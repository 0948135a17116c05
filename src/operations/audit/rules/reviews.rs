//! Every finished record of human feedback ended as exactly one review or one dead letter, or is a copy of one that has its
//! review and is remembered; what is not finished has neither.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::case::{Place, place, place_of};
use super::super::finding::Invariant;
use super::super::report::Report;
use super::super::{Committed, History, Reviewed};
use crate::domain::clock::Timestamp;
use crate::domain::human_feedback::HumanFeedback;
use crate::domain::position::TopicRole;

type Inputs<'a> = BTreeMap<Place, Option<&'a HumanFeedback>>;

/// Which piece of feedback: compared whole, unlike the ledger's hash of it.
type Identity<'a> = (&'a str, &'a str, &'a str);

fn identity(feedback: &HumanFeedback) -> Identity<'_> {
    (&feedback.tenant_id, &feedback.source, &feedback.feedback_id)
}

pub(in super::super) fn reviews(history: &History, report: &mut Report) {
    let reviewed = &history.reviewed;
    let inputs: Inputs<'_> =
        reviewed.inputs.iter().map(|seen| ((seen.partition, seen.offset), seen.record.as_ref())).collect();
    let with_review = with_review(reviewed, &inputs, report);
    let with_letter = with_letter(reviewed, report);
    let mut places: HashMap<Identity<'_>, Vec<Place>> = HashMap::new();
    for (place, feedback) in &inputs {
        if let Some(feedback) = feedback {
            places.entry(identity(feedback)).or_default().push(*place);
        }
    }
    for (name, places) in &places {
        let mut joined: Vec<_> = places.iter().filter_map(|place| with_review.get(place).copied()).collect();
        joined.sort_unstable();
        if joined.windows(2).any(|pair| history.are_too_close(pair[0], pair[1])) {
            report.twice += 1;
            report.find(Invariant::Unique, format!("feedback {name:?} has {} reviews", joined.len()));
        }
    }
    let is_finished = |place: &Place| covers(Some(&reviewed.committed), *place);
    let [review_may_be_taken, letter_may_be_taken] = [TopicRole::DecisionReviews, TopicRole::DeadLetters]
        .map(|topic| move |place: &Place| reviewed.taken.may_have(topic, *place));
    // Another record of the same feedback has the review, had it, or is on its way to it.
    let is_copy = |place: &Place, feedback: &HumanFeedback| {
        let mut others = places.get(&identity(feedback)).into_iter().flatten().filter(|other| *other != place);
        others.any(|other| with_review.contains_key(other) || review_may_be_taken(other) || !is_finished(other))
    };
    for (place, feedback) in &inputs {
        let at = format!("feedback {}@{}", place.0, place.1);
        let finished_since = covers(reviewed.committed_after.as_ref(), *place);
        match (with_review.contains_key(place), with_letter.contains(place)) {
            (true, true) => report.find(Invariant::Unique, format!("{at} has a review and a dead letter")),
            (false, false) if !is_finished(place) => report.open += 1,
            (false, false) if review_may_be_taken(place) || letter_may_be_taken(place) => {}
            // Retention may have taken the other record with the beginning of the log.
            (false, false) if reviewed.log_start.is_empty() && !feedback.is_some_and(|it| is_copy(place, it)) => {
                report.missing += 1;
                report.find(Invariant::Complete, format!("{at} is finished and has neither review nor dead letter"));
            }
            (false, false) => {}
            _ if !is_finished(place) && !finished_since => {
                report.find(Invariant::Metadata, format!("{at} has an end that its committed position does not know"));
            }
            _ => {}
        }
    }
}

fn covers(positions: Option<&BTreeMap<u32, Committed>>, (number, offset): Place) -> bool {
    positions.and_then(|positions| positions.get(&number)).is_some_and(|committed| committed.covers(offset))
}

/// When each that has a review was joined.
fn with_review(reviewed: &Reviewed, inputs: &Inputs<'_>, report: &mut Report) -> BTreeMap<Place, Timestamp> {
    let mut found = BTreeMap::new();
    for seen in &reviewed.reviews {
        let review = &seen.record;
        let at = format!("the review at {}@{}", seen.partition, seen.offset);
        let Some(place) = place(&review.origin) else {
            report.find(Invariant::Provenance, format!("{at} has no origin"));
            continue;
        };
        if seen.partition != place.0 {
            report.find(Invariant::Order, format!("{at} speaks of {}@{}, in another partition", place.0, place.1));
        }
        let gone = reviewed.log_start.get(&place.0).is_some_and(|start| place.1 < *start);
        let speaks_of_it = inputs.get(&place).copied().flatten().is_some_and(|feedback| {
            (&feedback.tenant_id, &feedback.ticket_id, &feedback.feedback_id)
                == (&review.tenant_id, &review.ticket_id, &review.feedback_id)
        });
        if !gone && !speaks_of_it {
            report
                .find(Invariant::Provenance, format!("{at} does not speak of the feedback at {}@{}", place.0, place.1));
        }
        if found.insert(place, review.joined_at).is_some() {
            report.twice += 1;
            report.find(Invariant::Unique, format!("two reviews of {}@{}", place.0, place.1));
        }
    }
    found
}

fn with_letter(reviewed: &Reviewed, report: &mut Report) -> BTreeSet<Place> {
    let mut found = BTreeSet::new();
    for seen in &reviewed.dead_letters {
        let letter = &seen.record;
        let Some(place) = place_of(letter.origin_partition, letter.origin_offset) else {
            report.find(Invariant::Provenance, format!("dead letter {} has no origin", letter.dead_letter_id));
            continue;
        };
        if !found.insert(place) {
            report.twice += 1;
            report.find(Invariant::Unique, format!("two dead letters for feedback {}@{}", place.0, place.1));
        }
    }
    found
}
