//! What stands in the delay tiers and is not read yet.
//!
//! An event that was put off has one copy there, from the burst that put it off to the burst of its end, or of its next copy.
//! One without a copy will never come back: retention took it, somebody deleted it, or an operator moved a position past it.

use std::collections::HashSet;

use super::Pages;
use crate::domain::deferral::Deferral;
use crate::domain::position::{Partition, Position, TopicRole};
use crate::operations::audit::reading::{ReadError, committed};
use crate::operations::log_browser::{LogBrowser, TopicInfo};

/// Where the events first stood that will come back.
pub(super) async fn of(
    browser: &dyn LogBrowser,
    topics: &[TopicInfo],
    group: &str,
) -> Result<HashSet<Position>, ReadError> {
    let mut origins = HashSet::new();
    for topic in topics.iter().filter(|topic| matches!(topic.role, TopicRole::Deferred(_))) {
        let committed = committed(browser, group, topic.role).await?;
        for number in 0..topic.partitions {
            let standing = committed.get(&number).cloned().unwrap_or_default();
            let partition = Partition { topic: topic.role, number };
            let mut pages = Pages::from(browser, partition, standing.base).await?;
            while let Some(record) = pages.next().await? {
                // An improve record's event has its end.
                let copy = Deferral::read(&record, number).ok().filter(|copy| copy.improves.is_none());
                origins.extend(copy.filter(|_| !standing.covers(record.offset)).map(|copy| copy.origin));
            }
        }
    }
    Ok(origins)
}
