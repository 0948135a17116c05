//! What was published since of records of which the ledger knows nothing: what could not be read when it was rejected has no
//! row, and where there is no ledger nothing has one.
//!
//! Outputs of a record that was sent again name its dead letter, and outputs of an event its key.

use std::collections::HashMap;

use super::super::RedriveError;
use super::{Fate, Known, header_key};
use crate::domain::clock::{CLOCKS_DIFFER_MS, Timestamp};
use crate::domain::feedback::{EventFeedback, FeedbackStatus};
use crate::domain::identity::DedupeKey;
use crate::domain::position::{Partition, TopicRole};
use crate::domain::record::Record;
use crate::domain::redrive::DEAD_LETTER;
use crate::operations::audit::reading::{ReadError, decode};
use crate::operations::log_browser::{BrowseError, LogBrowser, ReadLimit};
use crate::pipeline::schema_set::SchemaSet;

const PAGE: ReadLimit = ReadLimit { max_records: 2_000, max_bytes: 8 << 20 };
const ONE: ReadLimit = ReadLimit { max_records: 1, max_bytes: 1 };

/// Where ends of events and of human feedback are published.
const ENDS: [TopicRole; 2] = [TopicRole::Feedback, TopicRole::DecisionReviews];

/// Those whose end was published since are decided.
pub(super) async fn look(
    browser: &dyn LogBrowser,
    schemas: &SchemaSet,
    open: &mut [&mut Known],
) -> Result<(), RedriveError> {
    let Some(since) = open.iter().map(|known| known.letter.failed_at).min() else { return Ok(()) };
    let since = Timestamp(since.0 - CLOCKS_DIFFER_MS);
    // An id that two have, on a topic that was created anew, says nothing of either.
    let mut by_id: HashMap<String, Option<usize>> = HashMap::with_capacity(open.len());
    for (index, known) in open.iter().enumerate() {
        by_id.entry(known.letter.id.clone()).and_modify(|it| *it = None).or_insert(Some(index));
    }
    let by_key: HashMap<DedupeKey, usize> =
        open.iter().enumerate().filter_map(|(index, known)| Some((known.key?.it(), index))).collect();
    let of = |record: &Record| {
        let id = record.header(DEAD_LETTER).and_then(|id| *by_id.get(std::str::from_utf8(id).ok()?)?);
        id.or_else(|| by_key.get(&header_key(record)?).copied())
    };
    for topic in browser.topics().await?.into_iter().filter(|topic| ENDS.contains(&topic.role)) {
        for number in 0..topic.partitions {
            let partition = Partition { topic: topic.role, number };
            let end = browser.watermarks(partition).await?.end;
            let mut next = first_since(browser, partition, since).await?;
            while next < end {
                let page = browser.read(partition, next, PAGE).await?;
                let Some(last) = page.last() else { break };
                next = last.offset + 1;
                for record in &page {
                    if let Some(index) = of(record)
                        && is_an_end(schemas, partition, record)?
                    {
                        open[index].letter.fate = Fate::Decided;
                    }
                }
            }
        }
    }
    Ok(())
}

/// Whether nothing is left to be done about its record. Feedback that is rejected has no review.
fn is_an_end(schemas: &SchemaSet, partition: Partition, record: &Record) -> Result<bool, ReadError> {
    if partition.topic != TopicRole::Feedback {
        return Ok(true);
    }
    let feedback: EventFeedback = decode(schemas, partition, record, "EventFeedback")?;
    Ok(feedback.terminal && feedback.status != FeedbackStatus::Rejected)
}

/// The offset from which on to read what was written since then, and perhaps some of what was written before.
async fn first_since(browser: &dyn LogBrowser, partition: Partition, since: Timestamp) -> Result<u64, BrowseError> {
    let marks = browser.watermarks(partition).await?;
    let (mut low, mut high) = (marks.log_start, marks.end);
    while low < high {
        let middle = low + (high - low) / 2;
        match browser.read(partition, middle, ONE).await?.first() {
            Some(record) if record.timestamp < since => low = record.offset + 1,
            // Of marks at the end there is no time.
            _ => high = middle,
        }
    }
    Ok(low)
}
