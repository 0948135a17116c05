//! The closed label sets a tenant's tickets are sorted into.

use serde::{Deserialize, Serialize};

/// What a model says when no category fits; no category's name.
pub const NONE_OF_THESE: &str = "none_of_these";

/// A label and what it means, in the words the model is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// As it appears in decisions; `[a-z0-9_]+`.
    pub name: String,
    /// What belongs under it.
    pub description: String,
    /// The queue that tickets of this category go to; none: the tenant's default queue.
    #[serde(default)]
    pub queue: Option<String>,
}

/// A tenant's labels, versioned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taxonomy {
    /// Named in every decision.
    pub version: String,
    /// What a ticket can be about.
    pub categories: Vec<Label>,
}

impl Taxonomy {
    /// The label of that name.
    #[must_use]
    pub fn category(&self, name: &str) -> Option<&Label> {
        self.categories.iter().find(|label| label.name == name)
    }
}
