//! Better decisions after fallbacks.

use metrics::counter;
use tracing::debug;

use crate::domain::better::Dropped;
use crate::domain::reason_code::ReasonCode;
use crate::telemetry::metric_names as names;

/// How far one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BetterStep {
    /// A fallback decided, and its burst carries an improve record.
    Wanted,
    /// The model was not to be had when it was due: it goes to the next longer tier.
    Later(ReasonCode),
    /// A fallback decided, and its event is too large for a delay tier: there will be none.
    TooLarge,
    /// It goes out.
    Given,
    /// There will be none.
    Dropped(Dropped),
}

/// A better decision came a step further. Made once more after a crash, a step is counted once more.
#[derive(Debug, Clone, Copy)]
pub struct BetterDecision<'a> {
    /// How far.
    pub step: BetterStep,
    /// Whose.
    pub tenant_id: &'a str,
    /// About which event.
    pub event_id: &'a str,
}

impl BetterDecision<'_> {
    /// Log and count it.
    pub fn record(&self) {
        let (outcome, why) = match self.step {
            BetterStep::Wanted => ("wanted", ""),
            BetterStep::TooLarge => ("dropped", "too_large"),
            BetterStep::Later(code) => ("later", code.as_str()),
            BetterStep::Given => ("given", ""),
            BetterStep::Dropped(why) => ("dropped", why.as_str()),
        };
        counter!(names::BETTER_DECISIONS, "outcome" => outcome, "why" => why).increment(1);
        debug!(tenant.id = self.tenant_id, event.id = self.event_id, outcome, why, "better decision");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::happenings::tests::recorded;

    #[test]
    fn steps_are_counted_by_what_came_of_them_and_why() {
        let steps = [
            BetterStep::Wanted,
            BetterStep::TooLarge,
            BetterStep::Later(ReasonCode::BreakerOpen),
            BetterStep::Given,
            BetterStep::Dropped(Dropped::NewerEvent),
            BetterStep::Dropped(Dropped::ModelAway),
        ];
        let lines = recorded(|| {
            for step in steps {
                BetterDecision { step, tenant_id: "acme", event_id: "e" }.record();
            }
        });
        for (outcome, why) in [
            ("wanted", ""),
            ("dropped", "too_large"),
            ("later", "BREAKER_OPEN"),
            ("given", ""),
            ("dropped", "newer_event"),
            ("dropped", "model_away"),
        ] {
            let line = format!("gatekeeper_better_decisions_total{{outcome=\"{outcome}\",why=\"{why}\"}} 1");
            assert!(lines.contains(&line), "{line} is not in {lines:#?}");
        }
    }
}
