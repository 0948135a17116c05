//! Where a record stands in the log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a topic is for. Names of topics are settings; the road knows roles only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopicRole {
    /// Support events, in.
    Events,
    /// Human feedback, in.
    HumanFeedback,
    /// Live decisions, out.
    Decisions,
    /// Terminals and deferrals, out.
    Feedback,
    /// Joined reviews, out.
    DecisionReviews,
    /// Rejected records, out.
    DeadLetters,
    /// Shadow and replay decisions, out.
    DecisionsShadow,
    /// What operators want to know, out.
    Ops,
    /// One delay tier of deferred events, out and in.
    Deferred(u8),
}

impl TopicRole {
    /// Every role but the delay tiers, whose number is a setting.
    pub const FIXED: [Self; 8] = [
        Self::Events,
        Self::HumanFeedback,
        Self::Decisions,
        Self::Feedback,
        Self::DecisionReviews,
        Self::DeadLetters,
        Self::DecisionsShadow,
        Self::Ops,
    ];

    /// The key under `topics.` in the settings.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::HumanFeedback => "human_feedback",
            Self::Decisions => "decisions",
            Self::Feedback => "feedback",
            Self::DecisionReviews => "decision_reviews",
            Self::DeadLetters => "dead_letters",
            Self::DecisionsShadow => "decisions_shadow",
            Self::Ops => "ops",
            Self::Deferred(_) => "deferred",
        }
    }
}

impl fmt::Display for TopicRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deferred(tier) => write!(f, "deferred.{tier}"),
            role => f.write_str(role.key()),
        }
    }
}

/// One partition of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Partition {
    /// Which topic.
    pub topic: TopicRole,
    /// Its number, the same on every co-partitioned topic.
    pub number: u32,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}

/// The position of a record: which copy of an event this is. A recreated topic has another id, so its records have
/// other positions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The topic's id as the log knows it.
    pub topic_id: String,
    /// Partition number.
    pub partition: u32,
    /// Offset in the partition.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.topic_id, self.partition, self.offset)
    }
}
