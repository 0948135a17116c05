//! No call starts after that event's answer was saved. Answers that were sent and never saved are counted, not judged: a
//! crash between reply and save costs one, and so does a reply that came after our timeout.

use super::super::case::Case;
use super::super::finding::Invariant;
use super::super::report::Report;

pub(in super::super) fn paid_once(case: &Case<'_>, report: &mut Report) {
    for call in &case.history.calls {
        let saved = case.history.answers.get(&call.key);
        if let Some(saved) = saved.filter(|saved| call.started_at > saved.answered_at) {
            report.paid_twice += 1;
            let (key, late) = (&call.key, call.started_at - saved.answered_at);
            let answer = saved.response_id.as_deref().unwrap_or("nobody paid for");
            let what = format!("event {key} was asked about {late} ms after its answer ({answer}) was saved");
            report.find(Invariant::PaidOnce, what);
        } else if call.answered.is_some() && saved.is_none_or(|saved| call.answered != saved.response_id) {
            report.calls_lost += 1;
        }
    }
}
