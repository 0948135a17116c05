//! Topics that were deleted and created again: the same names, other records.
//!
//! What of the old one was in work can never come again. Its rows would make duplicates of what upstream sends again, which
//! would then be decided by nobody. So whoever finds another id than the ledger remembers reads nothing, and an operator says
//! that those rows are to go. What was published stays: a resend of that is a duplicate, wherever it stands.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::domain::position::TopicRole;
use crate::pipeline::dedupe::ledger::{Ledger, LedgerError};

/// A topic that is another one than the ledger remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recreated {
    /// What it is for.
    #[serde(serialize_with = "as_text")]
    pub role: TopicRole,
    /// The id that is remembered.
    pub was: String,
    /// The id that it has.
    pub is: String,
}

fn as_text<S: serde::Serializer>(role: &TopicRole, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(role)
}

impl fmt::Display for Recreated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: its id was {} and is {}", self.role, self.was, self.is)
    }
}

/// What became of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LetGo {
    /// Which.
    #[serde(flatten)]
    pub topic: Recreated,
    /// Events of the old one that were in work: when they are sent again they are decided.
    pub in_work: u64,
}

impl fmt::Display for LetGo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, in_work } = self;
        write!(f, "{topic}; {in_work} events of the old one were in work: sent again, they are decided")
    }
}

/// Which of these topics are others than the ledger remembers; one that it has never heard of is remembered from now on.
pub async fn of(ledger: &dyn Ledger, topic_ids: &BTreeMap<TopicRole, String>) -> Result<Vec<Recreated>, LedgerError> {
    let mut found = Vec::new();
    for (role, is) in topic_ids {
        let was = ledger.topic(*role, is).await?;
        if was != *is {
            found.push(Recreated { role: *role, was, is: is.clone() });
        }
    }
    Ok(found)
}

/// On an operator's word: what of the old ones was in work goes, and the new ones are remembered.
pub async fn let_go(ledger: &dyn Ledger, topic_ids: &BTreeMap<TopicRole, String>) -> Result<Vec<LetGo>, LedgerError> {
    let mut done = Vec::new();
    for topic in of(ledger, topic_ids).await? {
        let in_work = ledger.recreated(topic.role, &topic.was, &topic.is).await?;
        done.push(LetGo { topic, in_work });
    }
    Ok(done)
}

/// Why nothing is read, and what to do.
#[must_use]
pub fn refusal(topics: &[Recreated]) -> String {
    let topics: Vec<String> = topics.iter().map(Recreated::to_string).collect();
    format!(
        "topics were recreated, or their names in the settings mean others than before ({}): what of the old ones was in work \
         never comes again, and whatever is sent again of that would be taken for a duplicate; `gatekeeper ledger \
         --recreated` lets it go, while no processor of the group runs, and then the new ones are read from their start",
        topics.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::adapters::memory::ledger::{MemoryLedger, Rows};
    use crate::domain::clock::SystemClock;

    #[tokio::test]
    async fn a_topic_of_another_id_is_named_until_somebody_says_that_it_is_meant() {
        let ledger = MemoryLedger::open(Rows::default(), "a", 1, true, Arc::new(SystemClock));
        let ids = |events: &str| {
            BTreeMap::from([(TopicRole::Events, events.to_owned()), (TopicRole::Deferred(1), "d".to_owned())])
        };
        assert_eq!(of(&ledger, &ids("one")).await.expect("it answers"), []);
        let found = of(&ledger, &ids("other")).await.expect("it answers");
        assert_eq!(found[..], [Recreated { role: TopicRole::Events, was: "one".into(), is: "other".into() }]);
        let said = refusal(&found);
        assert!(said.contains("events: its id was one and is other") && said.contains("ledger --recreated"), "{said}");
        let done = let_go(&ledger, &ids("other")).await.expect("it answers");
        assert!(done.len() == 1 && done[0].in_work == 0, "{done:?}");
        assert_eq!(of(&ledger, &ids("other")).await.expect("it answers"), []);
    }
}
