//! No call starts after that event's answer was saved. Answers that were sent and never saved are counted, not judged: a
//! crash between reply and save costs one, and so does a reply that came after our timeout.

use super::super::case::Case;
use super::super::finding::Invariant;
use super::super::report::Report;

pub(in super::super) fn paid_once(case: &Case<'_>, report: &mut Report) {
    for call in &case.history.calls {
        let saved = case.history.answers.get(&call.key);
        if saved.is_some_and(|saved| call.started_at > saved.answered_at) {
            report.paid_twice += 1;
            let key = &call.key;
            report.find(Invariant::PaidOnce, format!("event {key} was asked about after its answer was saved"));
        } else if call.answered.is_some() && saved.is_none_or(|saved| call.answered != saved.response_id) {
            report.calls_lost += 1;
        }
    }
}
