//! What was published since of records of which the ledger knows nothing: what could not be read when it was rejected has no
//! row, and where there is no ledger nothing has one.
//!
//! Outputs of a record that was sent again name its dead letter, and outputs of an event its key.

use std::collections::{HashMap, HashSet};

use super::super::RedriveError;
use super::{Fate, Known, header_key};
use crate::domain::clock::Timestamp;
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

/// Those whose end was published since are decided; and nobody knows of those that failed before what is still there.
/// `ambiguous`: ids that more than one record has.
pub(super) async fn look(
    browser: &dyn LogBrowser,
    schemas: &SchemaSet,
    ambiguous: &HashSet<String>,
    open: &mut [&mut Known],
) -> Result<(), RedriveError> {
    let Some(since) = open.iter().map(|known| known.failed_after).min() else { return Ok(()) };
    let ids = open.iter().enumerate().filter(|(_, known)| !ambiguous.contains(&known.letter.id));
    let by_id: HashMap<String, usize> = ids.map(|(index, known)| (known.letter.id.clone(), index)).collect();
    let by_key: HashMap<DedupeKey, usize> =
        open.iter().enumerate().filter_map(|(index, known)| Some((known.key?, index))).collect();
    for topic in browser.topics().await?.into_iter().filter(|topic| ENDS.contains(&topic.role)) {
        for number in 0..topic.partitions {
            let partition = Partition { topic: topic.role, number };
            let marks = browser.watermarks(partition).await?;
            if marks.log_start > 0 {
                let oldest = browser.read(partition, marks.log_start, ONE).await?;
                // Marks of the log's own may be all that is left.
                forget(open, partition, oldest.first().map_or(Timestamp(i64::MAX), |record| record.timestamp));
            }
            let mut next = first_since(browser, partition, since).await?;
            while next < marks.end {
                let page = browser.read(partition, next, PAGE).await?;
                let Some(last) = page.last() else { break };
                next = last.offset + 1;
                for record in &page {
                    let key = header_key(record);
                    let id = record.header(DEAD_LETTER).and_then(|id| by_id.get(std::str::from_utf8(id).ok()?));
                    // Anybody may write an id: what else is known must not speak against it.
                    let is_its = |index: &&usize| {
                        let known = &open[**index];
                        let is_its_key = known.key.zip(key).is_none_or(|(one, other)| one == other);
                        known.letter.partition == number && is_its_key
                    };
                    let index = id.filter(is_its).or_else(|| by_key.get(&key?)).copied();
                    if let Some(index) = index
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

/// What was published of these before `begins` is gone.
fn forget(open: &mut [&mut Known], partition: Partition, begins: Timestamp) {
    for known in open {
        let letter = &mut known.letter;
        if (letter.role, letter.partition) == (role_of_ends(partition.topic), partition.number)
            && known.failed_after < begins
            && letter.may_be_sent()
        {
            letter.fate = Fate::Forgotten;
        }
    }
}

/// What a record was read from, whose end is published there.
fn role_of_ends(ends: TopicRole) -> Option<TopicRole> {
    match ends {
        TopicRole::Feedback => Some(TopicRole::Events),
        TopicRole::DecisionReviews => Some(TopicRole::HumanFeedback),
        _ => None,
    }
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
