//! A line of the table.

use crate::app::out::harmless;
use crate::domain::decision::{Origin, Prediction, TriageDecision};
use crate::domain::feedback::FeedbackStatus;
use crate::operations::watch::Seen;

/// Column and width; a longer value is cut, so that columns stay below each other. Behind them stands the event's origin,
/// whole, for `explain`.
const COLUMNS: [(&str, usize); 11] = [
    ("time", 24),
    ("tenant", 12),
    ("ticket", 16),
    ("status", 10),
    ("code", 25),
    ("disposition", 13),
    ("category", 26),
    ("priority", 8),
    ("queue", 16),
    ("model", 18),
    ("ms", 7),
];

const STATUS: usize = 3;
const MS: usize = 10;

pub(super) fn head() -> String {
    format!("{} origin", aligned(COLUMNS.map(|(name, _)| name.to_owned())).join(" "))
}

pub(super) fn line(seen: &Seen, colour: bool) -> String {
    let Seen { feedback, decision } = seen;
    let decision = decision.as_ref();
    let text = |value: Option<&str>| value.unwrap_or("-").to_owned();
    let of = |get: fn(&TriageDecision) -> Option<&Prediction>| decision.and_then(get);
    let category = of(|decision| decision.category.as_ref());
    let mut cells = aligned([
        feedback.processed_at.to_string(),
        text(feedback.tenant_id.as_deref()),
        text(feedback.ticket_id.as_deref()),
        symbol(&feedback.status),
        feedback.reason_code.clone(),
        decision.map_or_else(|| "-".to_owned(), |decision| symbol(&decision.disposition)),
        category.map_or_else(|| "-".to_owned(), |it| format!("{} {:.2}", it.value, it.confidence)),
        text(of(|decision| decision.priority.as_ref()).map(|it| &*it.value)),
        text(of(|decision| decision.routing.as_ref().map(|routing| &routing.queue)).map(|it| &*it.value)),
        text(decision.and_then(|decision| decision.model.as_ref()).map(|model| &*model.request_model)),
        feedback.latency_ms.to_string(),
    ]);
    if colour {
        cells[STATUS] = format!("\x1b[{}m{}\x1b[0m", paint(feedback.status), cells[STATUS]);
    }
    let Origin { topic, partition, offset, .. } = &feedback.origin;
    format!("{} {}", cells.join(" "), harmless(&format!("{topic}-{partition}-{offset}")))
}

fn aligned(cells: [String; COLUMNS.len()]) -> [String; COLUMNS.len()] {
    let mut column = 0;
    cells.map(|cell| {
        let width = COLUMNS[column].1;
        let cell: String = harmless(&cell).chars().take(width).collect();
        column += 1;
        if column - 1 == MS { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
    })
}

fn paint(status: FeedbackStatus) -> u8 {
    match status {
        FeedbackStatus::Accepted => 32,
        FeedbackStatus::Degraded => 33,
        FeedbackStatus::Rejected => 31,
        FeedbackStatus::Deferred => 36,
        _ => 2,
    }
}

fn symbol(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reason_code::ReasonCode;
    use crate::domain::samples;

    #[test]
    fn every_line_is_as_wide_as_every_other_and_nothing_steers_the_terminal() {
        let mut feedback = samples::feedback();
        feedback.ticket_id = Some("\x1b[2J".repeat(20));
        let full = line(&Seen { feedback: feedback.clone(), decision: Some(samples::decision()) }, false);
        feedback.tenant_id = None;
        let empty = line(&Seen { feedback, decision: None }, false);
        assert_eq!(full.chars().count(), empty.chars().count());
        assert!(!full.contains('\x1b') && full.contains("?[2J"), "{full}");
    }

    /// It is what people look for in reason_codes.md.
    #[test]
    fn every_reason_code_is_shown_whole() {
        let (_, width) = COLUMNS[4];
        assert!(ReasonCode::ALL.iter().all(|code| code.as_str().len() <= width));
    }

    #[test]
    fn colour_is_put_around_the_status_only_when_it_is_wanted() {
        let seen = Seen { feedback: samples::feedback(), decision: None };
        assert!(line(&seen, true).contains("\x1b[0m"));
        assert!(!line(&seen, false).contains('\x1b'));
    }
}
