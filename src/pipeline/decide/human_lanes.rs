//! Tickets that only people decide, found before any threshold is asked.
//!
//! A lane is safe on its own side: a category counts at any confidence, a phrase wherever it stands. The other way round
//! a model that names a harmless category does not lift a lane that a phrase or a priority opened.

use crate::domain::answer::Predicted;
use crate::domain::event::{Priority, SupportEvent};
use crate::domain::tenant::{HumanLane, Tenant};
use crate::domain::text::folded;

use super::words;

/// The lanes a ticket falls into, in the tenant's order; the first takes it.
#[must_use]
pub fn matching<'a>(
    event: &SupportEvent,
    tenant: &'a Tenant,
    predicted: &Predicted,
    effective_priority: Option<Priority>,
) -> Vec<&'a HumanLane> {
    let category = predicted.category.as_ref().map(|category| category.value.as_str());
    let texts: Vec<String> = words::texts(event).map(folded).collect();
    let opens = |lane: &&HumanLane| {
        category.is_some_and(|category| lane.categories.iter().any(|it| it == category))
            || effective_priority.is_some_and(|priority| lane.priorities.contains(&priority))
            || lane.phrases.iter().any(|phrase| texts.iter().any(|text| words::contains(text, phrase)))
    };
    tenant.human_lanes.iter().filter(opens).collect()
}
