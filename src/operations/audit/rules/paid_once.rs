//! No call starts after that event's answer was saved. What a call cost in vain is counted, not judged: an answer that was
//! sent and never saved is lost to a crash between reply and save; a call without a reply was cut off by a crash or by our
//! timeout, and may have been billed all the same.

use super::super::CallEnd;
use super::super::case::Case;
use super::super::finding::Invariant;
use super::super::report::Report;

pub(in super::super) fn paid_once(case: &Case<'_>, report: &mut Report) {
    for call in &case.history.calls {
        let saved = case.history.answers.get(&call.key);
        if matches!((&call.end, saved), (CallEnd::Answered(id), Some(saved)) if saved.response_id.as_ref() == Some(id))
        {
            // The very call whose answer was saved, by whatever clock the provider has.
            continue;
        }
        if let Some(saved) = saved.filter(|saved| call.started_at > saved.answered_at) {
            report.paid_twice += 1;
            let (key, late) = (&call.key, call.started_at - saved.answered_at);
            let answer = saved.response_id.as_deref().unwrap_or("nobody paid for");
            let what = format!("event {key} was asked about {late} ms after its answer ({answer}) was saved");
            report.find(Invariant::PaidOnce, what);
            continue;
        }
        match &call.end {
            CallEnd::CutOff => report.calls_cut_off += 1,
            CallEnd::Answered(_) => report.calls_lost += 1,
            CallEnd::Failed => {}
        }
    }
}
