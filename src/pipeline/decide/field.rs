//! The fields of a decision that a tenant can set apart.

use std::fmt;

/// A field with thresholds of its own; the names are those of `field_thresholds` and `calibrated_fields`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    Category,
    Sentiment,
    Language,
    Impact,
    Urgency,
    Priority,
    Queue,
}

impl Field {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Category => "category",
            Self::Sentiment => "sentiment",
            Self::Language => "language",
            Self::Impact => "impact",
            Self::Urgency => "urgency",
            Self::Priority => "priority",
            Self::Queue => "queue",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tenants::rules::FIELDS;

    /// A policy that names another one would be taken, and nothing would come of it.
    #[test]
    fn policies_may_name_these_fields_and_no_others() {
        use Field::{Category, Impact, Language, Priority, Queue, Sentiment, Urgency};
        assert_eq!(FIELDS, [Category, Sentiment, Language, Impact, Urgency, Priority, Queue].map(Field::name));
    }
}
