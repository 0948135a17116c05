//! A log browser for commands that read: ids that are not known yet are looked up before records are handed on.
//!
//! Commands decode as they go and cannot wait in the middle of it; so they wait here, for a page at a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::domain::position::{Partition, Position, TopicRole};
use crate::domain::record::{OutRecord, Record};
use crate::operations::log_browser::{BrowseError, CommittedPosition, LogBrowser, ReadLimit, TopicInfo, Watermarks};
use crate::pipeline::schema_set::registry::Lookup;
use crate::pipeline::schema_set::schema_id;

/// Another browser, and where ids are looked up.
pub struct LearningBrowser {
    inner: Arc<dyn LogBrowser>,
    lookup: Lookup,
}

impl LearningBrowser {
    /// Reads what `inner` reads.
    #[must_use]
    pub fn new(inner: Arc<dyn LogBrowser>, lookup: Lookup) -> Self {
        Self { inner, lookup }
    }

    async fn learn(&self, records: &[Record]) -> Result<(), BrowseError> {
        let ids: BTreeSet<u32> =
            records.iter().filter_map(|record| schema_id(record.value.as_deref().unwrap_or_default())).collect();
        for id in ids.into_iter().filter(|id| !self.lookup.is_known(*id)) {
            let failed = |error| BrowseError::Unavailable(format!("schema id {id} of its records: {error}"));
            self.lookup.look_up(id).await.map_err(failed)?;
        }
        Ok(())
    }
}

impl LogBrowser for LearningBrowser {
    fn topics(&self) -> BoxFuture<'_, Result<Vec<TopicInfo>, BrowseError>> {
        self.inner.topics()
    }

    fn watermarks(&self, partition: Partition) -> BoxFuture<'_, Result<Watermarks, BrowseError>> {
        self.inner.watermarks(partition)
    }

    fn read(
        &self,
        partition: Partition,
        from: u64,
        limit: ReadLimit,
    ) -> BoxFuture<'_, Result<Vec<Record>, BrowseError>> {
        async move {
            let records = self.inner.read(partition, from, limit).await?;
            self.learn(&records).await?;
            Ok(records)
        }
        .boxed()
    }

    fn append(&self, records: Vec<OutRecord>) -> BoxFuture<'_, Result<Vec<Position>, BrowseError>> {
        self.inner.append(records)
    }

    fn positions<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<Vec<CommittedPosition>, BrowseError>> {
        self.inner.positions(group)
    }

    fn create_topics(&self) -> BoxFuture<'_, Result<Vec<TopicRole>, BrowseError>> {
        self.inner.create_topics()
    }
}
