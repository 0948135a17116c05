//! `topics.*`: the name of each role's topic.

use serde::Deserialize;

use crate::domain::position::TopicRole;

/// Names by role.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topics {
    /// Support events, in.
    pub events: String,
    /// Human feedback, in.
    pub human_feedback: String,
    /// Live decisions.
    pub decisions: String,
    /// Terminals and deferrals.
    pub feedback: String,
    /// Joined reviews.
    pub decision_reviews: String,
    /// Rejected records.
    pub dead_letters: String,
    /// Shadow and replay decisions.
    pub decisions_shadow: String,
    /// What operators want to know.
    pub ops: String,
    /// One topic a delay tier, `{tier}` replaced by the tier's name.
    pub deferred: String,
}

impl Topics {
    /// Names of the delay tiers, shortest first.
    pub const TIERS: [&'static str; 4] = ["10s", "1m", "10m", "1h"];

    /// Every role, the delay tiers last.
    pub fn roles() -> impl Iterator<Item = TopicRole> {
        let tiers = (0_u8..).zip(Self::TIERS).map(|(tier, _)| TopicRole::Deferred(tier));
        TopicRole::FIXED.into_iter().chain(tiers)
    }

    /// The name of a role's topic.
    #[must_use]
    pub fn name(&self, role: TopicRole) -> String {
        match role {
            TopicRole::Events => self.events.clone(),
            TopicRole::HumanFeedback => self.human_feedback.clone(),
            TopicRole::Decisions => self.decisions.clone(),
            TopicRole::Feedback => self.feedback.clone(),
            TopicRole::DecisionReviews => self.decision_reviews.clone(),
            TopicRole::DeadLetters => self.dead_letters.clone(),
            TopicRole::DecisionsShadow => self.decisions_shadow.clone(),
            TopicRole::Ops => self.ops.clone(),
            TopicRole::Deferred(tier) => {
                let tier = Self::TIERS.get(usize::from(tier)).copied().unwrap_or("unknown");
                self.deferred.replace("{tier}", tier)
            }
        }
    }
}
