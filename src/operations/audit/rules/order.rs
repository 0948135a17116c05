//! Per ticket, source positions of decisions strictly increase.

use std::collections::HashMap;

use super::super::case::Case;
use super::super::finding::Invariant;
use super::super::report::Report;

pub(in super::super) fn order(case: &Case<'_>, report: &mut Report) {
    let mut last: HashMap<(u32, &str, &str), (i64, i32)> = HashMap::new();
    for seen in &case.history.decisions {
        let decision = &seen.record;
        let lane = (seen.partition, decision.tenant_id.as_str(), decision.ticket_id.as_str());
        // A better decision of the same event may follow under the next version.
        let now = (decision.origin.offset, decision.decision_version);
        if let Some(before) = last.insert(lane, now)
            && before >= now
        {
            report.out_of_order += 1;
            report.find(
                Invariant::Order,
                format!(
                    "ticket {} of {}: offset {} was decided after {}",
                    decision.ticket_id, decision.tenant_id, now.0, before.0
                ),
            );
        }
    }
}
