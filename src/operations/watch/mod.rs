//! Follows feedback as it is published, each with the decision it speaks of.
//!
//! A decision and its feedback are committed together, in partitions of the same number and in the same order. So
//! feedback leads, and decisions are read only as far as the feedback at hand needs them: whatever was waiting there is
//! a page at most, also where retention has taken the one or the other. Where a partition is followed from its end, the end of the decisions is looked up before the end of
//! the feedback: a burst in between shows feedback without a past, never a decision that is missed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::domain::clock::{CLOCKS_DIFFER_MS, Timestamp};
use crate::domain::decision::TriageDecision;
use crate::domain::feedback::{EventFeedback, FeedbackStatus};
use crate::domain::position::{Partition, TopicRole};
use crate::domain::record::Record;
use crate::operations::audit::reading::{ReadError, decode};
use crate::operations::log_browser::{BrowseError, LogBrowser, ReadLimit};
use crate::pipeline::schema_set::SchemaSet;

const PAGE: ReadLimit = ReadLimit { max_records: 500, max_bytes: 4 << 20 };

/// Partitions may be added to a topic at any time; nobody is in a hurry to see the first record of one.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// What is wanted; everything, if nothing is said.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this tenant.
    pub tenant: Option<String>,
    /// Only this ticket.
    pub ticket: Option<String>,
    /// Only this status.
    pub status: Option<FeedbackStatus>,
}

impl Filter {
    fn takes(&self, feedback: &EventFeedback) -> bool {
        let same = |wanted: &Option<String>, is: &Option<String>| wanted.is_none() || wanted == is;
        same(&self.tenant, &feedback.tenant_id)
            && same(&self.ticket, &feedback.ticket_id)
            && self.status.is_none_or(|status| status == feedback.status)
    }
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    /// How it ended, or that it waits.
    pub feedback: EventFeedback,
    /// What was decided, where that was published with it.
    pub decision: Option<TriageDecision>,
}

/// Where to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With the oldest there is.
    Beginning,
    /// With what comes next.
    End,
}

/// Follows a log.
pub struct Watch<'a> {
    browser: &'a dyn LogBrowser,
    schemas: &'a SchemaSet,
    filter: Filter,
    from: From,
    partitions: BTreeMap<u32, Followed>,
    /// When partitions were looked for last.
    looked: Instant,
}

/// How far a partition was read.
struct Followed {
    feedback: u64,
    decisions: u64,
    /// Where the feedback ended at the start.
    end: u64,
    /// The last page was empty. Before its end a log may have marks of its own instead of records.
    is_read: bool,
    /// When the last decision that was read was written.
    decided: Timestamp,
    /// Decisions whose feedback comes later, by the offset of their event, with when they were written.
    ahead: HashMap<i64, (Timestamp, TriageDecision)>,
}

impl<'a> Watch<'a> {
    /// Looks where everything ends; a log without topics yet is followed once it has some.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn start(
        browser: &'a dyn LogBrowser,
        schemas: &'a SchemaSet,
        filter: Filter,
        from: From,
    ) -> Result<Self, ReadError> {
        let mut watch = Self { browser, schemas, filter, from, partitions: BTreeMap::new(), looked: Instant::now() };
        watch.find_partitions().await?;
        // Topics and partitions that are not there yet have no past.
        watch.from = From::Beginning;
        Ok(watch)
    }

    /// Whether everything was read that was there at the start.
    #[must_use]
    pub fn reached_its_end(&self) -> bool {
        self.partitions.values().all(|followed| followed.is_read || followed.feedback >= followed.end)
    }

    /// What has come since the last time, at most a page a partition.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn poll(&mut self) -> Result<Vec<Seen>, ReadError> {
        if self.partitions.is_empty() || self.looked.elapsed() >= LOOK_AGAIN {
            self.find_partitions().await?;
        }
        let mut all = Vec::new();
        for (&number, followed) in &mut self.partitions {
            let partition = Partition { topic: TopicRole::Feedback, number };
            let page = read(self.browser, partition, &mut followed.feedback).await?;
            followed.is_read = page.is_empty();
            for record in page {
                let feedback: EventFeedback = decode(self.schemas, partition, &record, "EventFeedback")?;
                let decision = match feedback.status {
                    FeedbackStatus::Accepted | FeedbackStatus::Degraded => {
                        let said = (feedback.origin.offset, record.timestamp);
                        followed.decision(self.browser, self.schemas, number, said).await?
                    }
                    _ => None,
                };
                followed.feedback = record.offset + 1;
                if self.filter.takes(&feedback) {
                    all.push(Seen { feedback, decision });
                }
            }
        }
        // Partitions come one after the other, people read by time.
        all.sort_by_key(|seen| seen.feedback.processed_at);
        Ok(all)
    }

    async fn find_partitions(&mut self) -> Result<(), ReadError> {
        self.looked = Instant::now();
        let topics = self.browser.topics().await?;
        let Some(topic) = topics.into_iter().find(|topic| topic.role == TopicRole::Feedback) else { return Ok(()) };
        let new = (0..topic.partitions).filter(|number| !self.partitions.contains_key(number)).collect::<Vec<_>>();
        for number in new {
            let decisions = self.browser.watermarks(Partition { topic: TopicRole::Decisions, number }).await?;
            let feedback = self.browser.watermarks(Partition { topic: TopicRole::Feedback, number }).await?;
            let (feedback_at, decisions_at) = match self.from {
                From::Beginning => (feedback.log_start, decisions.log_start),
                From::End => (feedback.end, decisions.end),
            };
            let followed = Followed {
                feedback: feedback_at,
                decisions: decisions_at,
                end: feedback.end,
                is_read: false,
                decided: Timestamp(0),
                ahead: HashMap::new(),
            };
            self.partitions.insert(number, followed);
        }
        Ok(())
    }
}

impl Followed {
    /// The decision about the event at `offset`, of which feedback was written then, if it is still there.
    async fn decision(
        &mut self,
        browser: &dyn LogBrowser,
        schemas: &SchemaSet,
        number: u32,
        (offset, said): (i64, Timestamp),
    ) -> Result<Option<TriageDecision>, ReadError> {
        let partition = Partition { topic: TopicRole::Decisions, number };
        loop {
            if let Some((_, decision)) = self.ahead.remove(&offset) {
                return Ok(Some(decision));
            }
            if is_of_another_burst(self.decided, said) {
                return Ok(None);
            }
            let page = read(browser, partition, &mut self.decisions).await?;
            if page.is_empty() {
                return Ok(None);
            }
            for record in page {
                let decision: TriageDecision = decode(schemas, partition, &record, "TriageDecision")?;
                // A better one has no feedback of its own, and must not stand for the one that has: `explain` tells of it.
                if decision.decision_version == 1 {
                    self.ahead.insert(decision.origin.offset, (record.timestamp, decision));
                }
                (self.decisions, self.decided) = (record.offset + 1, record.timestamp);
            }
            // Feedback of theirs would have come before this one.
            self.ahead.retain(|_, (written, _)| !is_of_another_burst(said, *written));
        }
    }
}

/// A decision and its feedback go out together: what was written so much later is not the one that is looked for.
fn is_of_another_burst(later: Timestamp, earlier: Timestamp) -> bool {
    later.is_known() && earlier.is_known() && later.millis_since(earlier) > CLOCKS_DIFFER_MS
}

/// A page from `next` on; where retention was faster, from what is left.
async fn read(browser: &dyn LogBrowser, partition: Partition, next: &mut u64) -> Result<Vec<Record>, BrowseError> {
    match browser.read(partition, *next, PAGE).await {
        Err(BrowseError::OutOfRange { watermarks, .. }) if watermarks.log_start > *next => {
            *next = watermarks.log_start;
            browser.read(partition, *next, PAGE).await
        }
        page => page,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples;
    use crate::operations::log_browser::testing::Shelf;

    const NOON: Timestamp = samples::NOON;

    /// The decision about the event at this offset.
    fn decide(shelf: &mut Shelf, offset: i64, at: Timestamp) {
        let mut decision = samples::decision();
        (decision.decision_version, decision.origin.offset) = (1, offset);
        shelf.put(TopicRole::Decisions, 0, at, &decision);
    }

    /// Feedback about the event at this offset.
    fn say(shelf: &mut Shelf, number: u32, offset: i64, at: Timestamp) {
        let mut feedback = samples::feedback();
        (feedback.status, feedback.origin.offset) = (FeedbackStatus::Accepted, offset);
        shelf.put(TopicRole::Feedback, number, at, &feedback);
    }

    /// Whether each came with its decision.
    fn decided(seen: &[Seen]) -> Vec<bool> {
        seen.iter().map(|seen| seen.decision.is_some()).collect()
    }

    async fn start<'a>(shelf: &'a Shelf, schemas: &'a SchemaSet) -> Watch<'a> {
        Watch::start(shelf, schemas, Filter::default(), From::Beginning).await.expect("it begins")
    }

    #[tokio::test]
    async fn feedback_whose_decision_is_gone_does_not_have_all_later_ones_read_into_memory() {
        let (mut shelf, schemas) = (Shelf::default(), SchemaSet::numbered());
        let later = NOON.after(Duration::from_secs(60));
        for offset in 0..3 {
            say(&mut shelf, 0, offset, NOON);
        }
        for offset in 3..1_503 {
            decide(&mut shelf, offset, later);
        }
        say(&mut shelf, 0, 3, later);
        let mut watch = start(&shelf, &schemas).await;
        let seen = watch.poll().await.expect("it can be read");
        assert_eq!(decided(&seen), [false, false, false, true]);
        assert!(watch.partitions[&0].ahead.len() < PAGE.max_records, "{}", watch.partitions[&0].ahead.len());
    }

    #[tokio::test]
    async fn decisions_whose_feedback_is_gone_are_not_kept() {
        let (mut shelf, schemas) = (Shelf::default(), SchemaSet::numbered());
        let later = NOON.after(Duration::from_secs(60));
        for offset in 0..1_200 {
            decide(&mut shelf, offset, NOON);
        }
        decide(&mut shelf, 1_200, later);
        say(&mut shelf, 0, 1_200, later);
        let mut watch = start(&shelf, &schemas).await;
        assert_eq!(decided(&watch.poll().await.expect("it can be read")), [true]);
        assert!(watch.partitions[&0].ahead.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn partitions_that_were_added_are_found() {
        let (mut shelf, schemas) = (Shelf::default(), SchemaSet::numbered());
        say(&mut shelf, 2, 7, NOON);
        let mut watch = start(&shelf, &schemas).await;
        shelf.widen_to(3);
        assert_eq!(watch.poll().await.expect("it can be read"), []);
        tokio::time::advance(LOOK_AGAIN).await;
        assert_eq!(decided(&watch.poll().await.expect("it can be read")), [false]);
        assert_eq!(watch.poll().await.expect("it can be read"), [], "and only once");
    }

    #[test]
    fn a_filter_takes_what_matches_every_wish() {
        let mut feedback = samples::feedback();
        feedback.tenant_id = Some("acme".to_owned());
        feedback.ticket_id = Some("T-1".to_owned());
        feedback.status = FeedbackStatus::Duplicate;
        let filter = |tenant: &str, ticket: &str, status| Filter {
            tenant: Some(tenant.to_owned()),
            ticket: Some(ticket.to_owned()),
            status: Some(status),
        };
        assert!(Filter::default().takes(&feedback));
        assert!(filter("acme", "T-1", FeedbackStatus::Duplicate).takes(&feedback));
        assert!(!filter("umbrella", "T-1", FeedbackStatus::Duplicate).takes(&feedback));
        assert!(!filter("acme", "T-2", FeedbackStatus::Duplicate).takes(&feedback));
        assert!(!filter("acme", "T-1", FeedbackStatus::Accepted).takes(&feedback));
        feedback.tenant_id = None;
        assert!(!filter("acme", "T-1", FeedbackStatus::Duplicate).takes(&feedback), "nobody's is not everybody's");
    }
}
