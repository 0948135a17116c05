//! How much could go wrong if nobody looked: a sum of points, capped at 1.
//!
//! | factor | points | because |
//! |---|---|---|
//! | `injection_suspected` | 0.40 | somebody may be steering the answer |
//! | `human_lane_category` | 0.40 | the tenant keeps this category for people |
//! | `no_category` | 0.30 | nobody knows what it is about |
//! | `reopened` | 0.15 | the last answer did not help |
//! | `personal_data` | 0.10 | a mistake here concerns a person |
//! | `negative_sentiment` | 0.10 | patience is short already |
//! | `little_text` | 0.10 | hardly anything to judge by |
//! | `much_text` | 0.10 | what matters may be anywhere, past any cut as well |
//!
//! Against the default `max_risk` of 0.30: no single mishap of an ordinary ticket stops APPLY, two or three together do,
//! and the first two do at once. Whole points are summed, so the score is the same on every machine.

use crate::domain::answer::{Findings, Predicted};
use crate::domain::decision::Risk;
use crate::domain::event::{EventType, SupportEvent};
use crate::domain::tenant::Tenant;

use super::words;

/// Characters from which a text counts as long: about two printed pages.
const MUCH_TEXT: usize = 6_000;

/// The score and the factors that made it.
#[must_use]
pub fn assess(event: &SupportEvent, tenant: &Tenant, predicted: &Predicted, findings: &Findings) -> Risk {
    let category = predicted.category.as_ref().map(|category| &category.value);
    let kept_for_people = |name: &String| tenant.human_lanes.iter().any(|lane| lane.categories.contains(name));
    let characters: usize = words::texts(event).map(|text| text.chars().count()).sum();

    let factors = [
        ("injection_suspected", 40, findings.injection_suspected),
        ("human_lane_category", 40, category.is_some_and(kept_for_people)),
        ("no_category", 30, category.is_none()),
        ("reopened", 15, event.event_type == EventType::TicketReopened),
        ("personal_data", 10, findings.redactions > 0 || !findings.pii_types.is_empty()),
        ("negative_sentiment", 10, predicted.sentiment.as_ref().is_some_and(|it| it.value == "negative")),
        ("little_text", 10, words::too_little_to_judge(event)),
        ("much_text", 10, characters >= MUCH_TEXT),
    ];
    let present = factors.into_iter().filter(|(_, _, holds)| *holds);
    let points: u32 = present.clone().map(|(_, points, _)| points).sum();
    Risk { score: f64::from(points.min(100)) / 100.0, factors: present.map(|(name, _, _)| name.to_owned()).collect() }
}
