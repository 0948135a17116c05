//! A partition's decisions, found by the feedback that names them.
//!
//! Both lie in the same order and go out in the same transactions, so what was passed long before a piece of feedback is asked
//! for by nobody any more, and what is not met soon after it is gone: that is how much is kept in memory, however many there
//! are.

use std::collections::{HashMap, VecDeque};

use super::better;
use super::{Pages, Restored};
use crate::domain::bytes::Bytes;
use crate::domain::clock::Timestamp;
use crate::domain::decision::TriageDecision;
use crate::domain::record::Record;
use crate::operations::audit::reading::{ReadError, decode};
use crate::operations::log_browser::TopicInfo;
use crate::pipeline::schema_set::SchemaSet;

/// A decision and its feedback are written within a transaction, which takes no longer.
const APART_MS: i64 = 60_000;

/// So many in a row must be younger than that before one counts as gone: instances' clocks differ, and the partition may have
/// gone from one to another.
const IN_A_ROW: usize = 1_000;

/// Read as far as was asked for.
pub(super) struct Decisions<'a> {
    pages: Pages<'a>,
    schemas: &'a SchemaSet,
    /// Those of events' terminals that nobody asked for yet.
    passed: HashMap<String, Bytes>,
    /// The same in the order of the log, with some that were asked for since.
    order: VecDeque<(Timestamp, String)>,
    /// Better ones: no feedback speaks of them.
    better: Vec<(Record, TriageDecision)>,
}

impl<'a> Decisions<'a> {
    pub(super) fn of(pages: Pages<'a>, schemas: &'a SchemaSet) -> Self {
        Self { pages, schemas, passed: HashMap::new(), order: VecDeque::new(), better: Vec::new() }
    }

    /// The one that feedback of this time names; none if the log does not hold it any more.
    pub(super) async fn find(&mut self, id: &str, told_at: Timestamp) -> Result<Option<Bytes>, ReadError> {
        self.let_go(Timestamp(told_at.0.saturating_sub(APART_MS)));
        if let Some(bytes) = self.passed.remove(id) {
            return Ok(Some(bytes));
        }
        let latest = Timestamp(told_at.0.saturating_add(APART_MS));
        while !self.is_beyond(latest) {
            let Some((decision, bytes, written_at)) = self.next().await? else { return Ok(None) };
            if decision == id {
                return Ok(Some(bytes));
            }
            self.order.push_back((written_at, decision.clone()));
            self.passed.insert(decision, bytes);
            self.let_go(Timestamp(told_at.0.saturating_sub(APART_MS)));
        }
        Ok(None)
    }

    /// What was written before that is asked for by nobody any more.
    fn let_go(&mut self, before: Timestamp) {
        while let Some((_, decision)) = self.order.pop_front_if(|(written_at, _)| *written_at < before) {
            self.passed.remove(&decision);
        }
    }

    /// Whether what was read last is so much younger that nothing older follows.
    fn is_beyond(&self, latest: Timestamp) -> bool {
        let mut last = self.order.iter().rev().take(IN_A_ROW);
        self.order.len() >= IN_A_ROW && last.all(|(written_at, _)| *written_at > latest)
    }

    /// The next one of an event's terminal: its id, its value, and when it was written.
    async fn next(&mut self) -> Result<Option<(String, Bytes, Timestamp)>, ReadError> {
        while let Some(record) = self.pages.next().await? {
            let decision: TriageDecision = decode(self.schemas, self.pages.partition, &record, "TriageDecision")?;
            if decision.decision_version == 1 {
                let bytes = Bytes(record.value.as_deref().unwrap_or_default().to_vec());
                return Ok(Some((decision.decision_id, bytes, record.timestamp)));
            }
            self.better.push((record, decision));
        }
        Ok(None)
    }

    /// The rows of all better decisions of the partition, which is read to its end.
    pub(super) async fn better_ones(mut self, events: &TopicInfo) -> Result<Vec<Restored>, ReadError> {
        while self.next().await?.is_some() {}
        Ok(self.better.into_iter().filter_map(|(record, decision)| better::row(&record, &decision, events)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::{Partition, TopicRole};
    use crate::domain::samples;
    use crate::operations::log_browser::testing::Shelf;
    use crate::settings::load::{LoadOptions, load};

    const PARTITION: Partition = Partition { topic: TopicRole::Decisions, number: 0 };

    /// A partition of so many decisions, each named by its offset and written then.
    fn log(decisions: i64, written_at: impl Fn(i64) -> Timestamp) -> Shelf {
        let mut log = Shelf::default();
        for number in 0..decisions {
            let decision =
                TriageDecision { decision_id: number.to_string(), decision_version: 1, ..samples::decision() };
            log.put(PARTITION.topic, PARTITION.number, written_at(number), &decision);
        }
        log
    }

    /// One a second.
    fn written_at(number: i64) -> Timestamp {
        Timestamp(1_000 * number)
    }

    fn schemas() -> SchemaSet {
        let settings = load(&LoadOptions::default()).expect("the defaults are right").settings;
        SchemaSet::new(&settings.schemas).expect("they are readable")
    }

    #[tokio::test]
    async fn only_what_feedback_may_still_name_is_kept() {
        let (log, schemas) = (log(5_000, written_at), schemas());
        let mut decisions = Decisions::of(Pages::of(&log, PARTITION).await.expect("it is there"), &schemas);
        // Everything before is known to the ledger.
        for number in [4_000, 4_020, 4_010, 4_999] {
            let found = decisions.find(&number.to_string(), written_at(number)).await.expect("it is readable");
            assert!(found.is_some(), "{number}");
            assert!(decisions.passed.len() <= 62 && decisions.order.len() <= 62, "{}", decisions.passed.len());
        }
    }

    #[tokio::test]
    async fn decisions_that_are_gone_are_not_looked_for_to_the_end_of_the_log() {
        let mut log = log(5_000, written_at);
        log.begins_at(PARTITION.topic, PARTITION.number, 500);
        let schemas = schemas();
        let mut decisions = Decisions::of(Pages::of(&log, PARTITION).await.expect("it is there"), &schemas);
        for number in 0..5_000 {
            let found = decisions.find(&number.to_string(), written_at(number)).await.expect("it is readable");
            assert_eq!(found.is_some(), number >= 500, "{number}");
            assert!(decisions.passed.len() <= IN_A_ROW + 62, "{}", decisions.passed.len());
        }
    }

    #[tokio::test]
    async fn clocks_that_differ_hide_nothing() {
        let hours = 3 * 3_600_000;
        let elsewhere = |number: i64| if (1_000..2_000).contains(&number) { hours } else { 0 };
        let written_at = |number: i64| Timestamp(written_at(number).0 + elsewhere(number));
        let (log, schemas) = (log(3_000, written_at), schemas());
        let mut decisions = Decisions::of(Pages::of(&log, PARTITION).await.expect("it is there"), &schemas);
        for number in (0..3_000).step_by(7) {
            let found = decisions.find(&number.to_string(), written_at(number)).await.expect("it is readable");
            assert!(found.is_some(), "{number}");
        }
    }
}
