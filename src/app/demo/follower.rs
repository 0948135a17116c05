//! Follows the log as any consumer could: decisions, feedback and what operators are told.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::domain::decision::TriageDecision;
use crate::domain::feedback::EventFeedback;
use crate::domain::ops_event::OpsEvent;
use crate::domain::position::{Partition, TopicRole};
use crate::domain::record::Record;
use crate::operations::log_browser::{LogBrowser, ReadLimit};
use crate::pipeline::schema_set::SchemaSet;

const PAGE: ReadLimit = ReadLimit { max_records: 1_000, max_bytes: 4 << 20 };

/// Partition and offset of an event.
pub(super) type Place = (u32, u64);

/// What has been read so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// By the event they speak of.
    pub terminals: HashMap<Place, EventFeedback>,
    /// By the event they speak of.
    pub decisions: HashMap<Place, TriageDecision>,
    /// In order of time.
    pub ops: Vec<OpsEvent>,
}

/// What one look brought.
#[derive(Debug, Default)]
pub(super) struct News {
    pub terminals: Vec<Place>,
    pub ops: Vec<OpsEvent>,
}

pub(super) struct Follower {
    log: Arc<dyn LogBrowser>,
    schemas: Arc<SchemaSet>,
    next: BTreeMap<Partition, u64>,
    pub seen: Seen,
}

impl Follower {
    /// From the beginning.
    pub fn new(log: Arc<dyn LogBrowser>, schemas: Arc<SchemaSet>, partitions: u32) -> Self {
        let topics = [TopicRole::Feedback, TopicRole::Decisions, TopicRole::Ops];
        let every = topics.into_iter().flat_map(|topic| (0..partitions).map(move |number| Partition { topic, number }));
        Self { log, schemas, next: every.map(|partition| (partition, 0)).collect(), seen: Seen::default() }
    }

    /// Read what is new.
    pub async fn look(&mut self) -> anyhow::Result<News> {
        let mut news = News::default();
        let mut feedback = Vec::new();
        // Feedback is read first: the decision of every terminal that was seen is then there to be read.
        for topic in [TopicRole::Feedback, TopicRole::Decisions, TopicRole::Ops] {
            for record in self.fresh(topic).await? {
                match topic {
                    TopicRole::Feedback => feedback.push(self.read::<EventFeedback>("EventFeedback", &record)?),
                    TopicRole::Decisions => {
                        let decision: TriageDecision = self.read("TriageDecision", &record)?;
                        let place = place(decision.origin.partition, decision.origin.offset)?;
                        self.seen.decisions.insert(place, decision);
                    }
                    _ => news.ops.push(self.read("OpsEvent", &record)?),
                }
            }
        }
        for feedback in feedback.into_iter().filter(|feedback| feedback.terminal) {
            let place = place(feedback.origin.partition, feedback.origin.offset)?;
            self.seen.terminals.insert(place, feedback);
            news.terminals.push(place);
        }
        news.ops.sort_by_key(|event| event.at);
        self.seen.ops.extend(news.ops.iter().cloned());
        Ok(news)
    }

    async fn fresh(&mut self, topic: TopicRole) -> anyhow::Result<Vec<Record>> {
        let mut fresh = Vec::new();
        for (&partition, next) in self.next.iter_mut().filter(|(partition, _)| partition.topic == topic) {
            loop {
                let page = self.log.read(partition, *next, PAGE).await?;
                let Some(last) = page.last() else { break };
                *next = last.offset + 1;
                fresh.extend(page);
            }
        }
        Ok(fresh)
    }

    fn read<T: DeserializeOwned>(&self, what: &str, record: &Record) -> anyhow::Result<T> {
        Ok(self.schemas.read(what, record.value.as_deref().unwrap_or_default())?)
    }
}

fn place(partition: i32, offset: i64) -> anyhow::Result<Place> {
    Ok((u32::try_from(partition)?, u64::try_from(offset)?))
}
