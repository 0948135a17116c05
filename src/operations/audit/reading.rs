//! Reads a history from a live log, its ledger and the provider's call ledger.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{CallEnd as End, Committed, History, Input, ProviderCall, SavedAnswer, Seen, Taken};
use crate::domain::clock::{CLOCKS_DIFFER_MS, Timestamp};
use crate::domain::event::SupportEvent;
use crate::domain::human_feedback::HumanFeedback;
use crate::domain::identity::DedupeKey;
use crate::domain::position::{Partition, TopicRole};
use crate::domain::record::Record;
use crate::operations::log_browser::{BrowseError, LogBrowser, ReadLimit};
use crate::pipeline::dedupe::ledger::{Ledger, LedgerError};
use crate::pipeline::frontier::codec;
use crate::pipeline::schema_set::SchemaSet;

/// One page of records.
const PAGE: ReadLimit = ReadLimit { max_records: 2_000, max_bytes: 8 << 20 };

/// Why a history could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The log.
    #[error(transparent)]
    Log(#[from] BrowseError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Something of ours is not readable.
    #[error("{partition}@{offset} is not a readable {what}: {why}")]
    Unreadable {
        /// Where.
        partition: Partition,
        /// Where.
        offset: u64,
        /// What it should be.
        what: &'static str,
        /// Why it is not.
        why: String,
    },
    /// A committed position that cannot be trusted.
    #[error("the committed metadata of {partition} is damaged: {why}")]
    Metadata {
        /// Where.
        partition: Partition,
        /// What is wrong.
        why: String,
    },
    /// A topic of ours.
    #[error(
        "the log has no topic for topics.{}: this is another log than the one that is meant, or its topics have other names",
        role.key()
    )]
    NoTopic {
        /// What it is for.
        role: TopicRole,
    },
    /// The provider's call ledger.
    #[error("{file}:{line}: {why}")]
    Calls {
        /// The file.
        file: String,
        /// The line.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

/// Everything the log has to say; also while a processor is writing.
///
/// ```text
/// positions   cover what follows: whatever was finished by then has its outputs in it
/// feedback    first of the outputs: who has a terminal there has decision and dead letter in what is read after
/// decisions, dead letters, reviews
/// positions   again: no output read before them goes beyond
/// inputs      last: every output's origin is among them
/// ```
pub async fn read(browser: &dyn LogBrowser, schemas: &SchemaSet, group: &str) -> Result<History, ReadError> {
    let topics = browser.topics().await?;
    let partitions = |role| {
        let of_role = topics.iter().filter(move |topic| topic.role == role);
        of_role.flat_map(move |topic| (0..topic.partitions).map(move |number| Partition { topic: role, number }))
    };
    let mut history = History { committed: committed(browser, group, TopicRole::Events).await?, ..History::default() };
    history.reviewed.committed = committed(browser, group, TopicRole::HumanFeedback).await?;
    let mut left = Left::new();
    for partition in partitions(TopicRole::Feedback) {
        history.feedback.append(&mut ours(browser, partition, schemas, "EventFeedback", &mut left).await?);
    }
    for partition in partitions(TopicRole::Decisions) {
        history.decisions.append(&mut ours(browser, partition, schemas, "TriageDecision", &mut left).await?);
    }
    for partition in partitions(TopicRole::DeadLetters) {
        history.dead_letters.append(&mut ours(browser, partition, schemas, "DeadLetter", &mut left).await?);
    }
    for partition in partitions(TopicRole::DecisionReviews) {
        history.reviewed.reviews.append(&mut ours(browser, partition, schemas, "DecisionReview", &mut left).await?);
    }
    if let Some(topic) = topics.iter().find(|topic| topic.role == TopicRole::HumanFeedback) {
        let of_feedback = history.dead_letters.iter().filter(|seen| seen.record.origin_topic == topic.name);
        history.reviewed.dead_letters = of_feedback.cloned().collect();
        let reviews = std::mem::take(&mut history.reviewed.reviews).into_iter();
        (history.reviewed.reviews, history.changes_reviewed) =
            reviews.partition(|seen| seen.record.origin.topic == topic.name);
    }
    // What others wrote to a deferred topic ends under that topic's name, and is none of the events.
    if let Some(events) = topics.iter().find(|topic| topic.role == TopicRole::Events) {
        history.feedback.retain(|seen| seen.record.origin.topic == events.name);
        history.changes_reviewed.retain(|seen| seen.record.origin.topic == events.name);
        history.dead_letters.retain(|seen| seen.record.origin_topic == events.name);
    }
    history.taken = Taken(left.keys().map(|of| (*of, u64::MAX)).collect());
    history.reviewed.taken = history.taken.clone();
    history.committed_after = Some(committed(browser, group, TopicRole::Events).await?);
    history.reviewed.committed_after = Some(committed(browser, group, TopicRole::HumanFeedback).await?);
    for partition in partitions(TopicRole::Events) {
        let number = partition.number;
        each(browser, partition, |record| {
            let value = record.value.as_deref().unwrap_or_default();
            let event = schemas.read::<SupportEvent>("SupportEvent", value).ok();
            history.taken.ends_before(&record, number, &left);
            history.inputs.push(Seen { partition: number, offset: record.offset, record: event.map(Input::from) });
            Ok(())
        })
        .await?;
        // Retention may have been at work until now; what it took cannot be judged.
        let log_start = browser.watermarks(partition).await?.log_start;
        if log_start > 0 {
            history.log_start.insert(number, log_start);
        }
    }
    for partition in partitions(TopicRole::HumanFeedback) {
        let number = partition.number;
        each(browser, partition, |record| {
            let value = record.value.as_deref().unwrap_or_default();
            let feedback = schemas.read::<HumanFeedback>("HumanFeedback", value).ok();
            history.reviewed.taken.ends_before(&record, number, &left);
            history.reviewed.inputs.push(Seen { partition: number, offset: record.offset, record: feedback });
            Ok(())
        })
        .await?;
        let log_start = browser.watermarks(partition).await?.log_start;
        if log_start > 0 {
            history.reviewed.log_start.insert(number, log_start);
        }
    }
    Ok(history)
}

/// Where the group stands in the partitions of a topic.
pub(crate) async fn committed(
    browser: &dyn LogBrowser,
    group: &str,
    role: TopicRole,
) -> Result<BTreeMap<u32, Committed>, ReadError> {
    let mut committed = BTreeMap::new();
    for position in browser.positions(group).await?.into_iter().filter(|p| p.partition.topic == role) {
        let finished = match codec::decode(&position.metadata) {
            Ok(codec::Metadata::Ours(decoded)) => decoded.finished().collect(),
            Ok(codec::Metadata::Empty | codec::Metadata::Foreign) => Default::default(),
            Err(why) => return Err(ReadError::Metadata { partition: position.partition, why: why.to_string() }),
        };
        committed.insert(position.partition.number, Committed { base: position.offset, finished });
    }
    Ok(committed)
}

/// When the first record was written that is left of an output partition which has lost its beginning.
type Left = BTreeMap<(TopicRole, u32), Timestamp>;

impl Taken {
    /// What is written after all that retention has taken of a topic has its outputs there yet. An output comes after its
    /// input, and inputs in order: so do those that follow, whatever time their producers gave them.
    fn ends_before(&mut self, input: &Record, number: u32, left: &Left) {
        for (of, safe) in self.0.iter_mut().filter(|(of, safe)| of.1 == number && **safe == u64::MAX) {
            if left.get(of).is_some_and(|first| input.timestamp.millis_since(*first) > CLOCKS_DIFFER_MS) {
                *safe = input.offset;
            }
        }
    }
}

async fn ours<T: DeserializeOwned>(
    browser: &dyn LogBrowser,
    partition: Partition,
    schemas: &SchemaSet,
    what: &'static str,
    left: &mut Left,
) -> Result<Vec<Seen<T>>, ReadError> {
    let (mut seen, mut first) = (Vec::new(), None);
    each(browser, partition, |record| {
        first.get_or_insert(record.timestamp);
        let decoded = decode(schemas, partition, &record, what)?;
        seen.push(Seen { partition: partition.number, offset: record.offset, record: decoded });
        Ok(())
    })
    .await?;
    // Retention may have been at work until now. Where nothing is left, anything may be gone.
    if browser.watermarks(partition).await?.log_start > 0 {
        left.insert((partition.topic, partition.number), first.unwrap_or(Timestamp(i64::MAX)));
    }
    Ok(seen)
}

/// A record of ours; that it is readable was our own promise.
pub(crate) fn decode<T: DeserializeOwned>(
    schemas: &SchemaSet,
    partition: Partition,
    record: &Record,
    what: &'static str,
) -> Result<T, ReadError> {
    let value = record.value.as_deref().unwrap_or_default();
    schemas.read::<T>(what, value).map_err(|why| ReadError::Unreadable {
        partition,
        offset: record.offset,
        what,
        why: why.to_string(),
    })
}

/// Every record of a partition, up to the end it had at the start.
pub(crate) async fn each(
    browser: &dyn LogBrowser,
    partition: Partition,
    mut f: impl FnMut(Record) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let watermarks = browser.watermarks(partition).await?;
    let mut next = watermarks.log_start;
    while next < watermarks.end {
        let page = browser.read(partition, next, PAGE).await?;
        let Some(last) = page.last() else { break };
        next = last.offset + 1;
        for record in page {
            f(record)?;
        }
    }
    Ok(())
}

/// What the ledger saved of the events that were asked about, by their hexadecimal dedupe keys.
pub async fn answers(ledger: &dyn Ledger, calls: &[ProviderCall]) -> Result<HashMap<String, SavedAnswer>, ReadError> {
    let keys: BTreeSet<DedupeKey> = calls.iter().filter_map(|call| call.key.parse().ok()).collect();
    let keys: Vec<DedupeKey> = keys.into_iter().collect();
    let mut answers = HashMap::new();
    for keys in keys.chunks(PAGE.max_records) {
        for (key, row) in ledger.find_all(keys.to_vec()).await? {
            if let (Some(answer), Some(answered_at)) = (&row.answer, row.answered_at) {
                let response_id = answer.usage.as_ref().and_then(|usage| usage.response_id.clone());
                answers.insert(key.to_hex(), SavedAnswer { answered_at: answered_at.0, response_id });
            }
        }
    }
    Ok(answers)
}

/// A line of the provider's call ledger: one when a call begins, one with `end` when it ends.
#[derive(Debug, Deserialize)]
struct CallLine {
    /// Counts up within one process of the provider.
    call: u64,
    call_id: String,
    received_at: i64,
    #[serde(default)]
    end: Option<CallEnd>,
}

#[derive(Debug, Deserialize)]
struct CallEnd {
    /// 0: no reply was begun.
    status: u16,
    /// The caller hung up before the reply was handed over whole.
    #[serde(default)]
    client_gone: bool,
    #[serde(default)]
    response_id: Option<String>,
}

impl From<CallEnd> for End {
    fn from(end: CallEnd) -> Self {
        match (end.status, end.response_id) {
            _ if end.client_gone => Self::CutOff,
            (0, _) => Self::CutOff,
            (200, Some(id)) => Self::Answered(id),
            _ => Self::Failed,
        }
    }
}

/// The provider's call ledger: JSON lines with `call`, `call_id` (`<dedupe key>.<attempt>`) and `received_at` when a call
/// begins, and the same with `end: {status, client_gone, response_id}` when it ends.
///
/// A last line without its line break is one that a crash cut short: what it was to say is not known, and it is left out.
pub fn read_calls(file: &Path) -> Result<Vec<ProviderCall>, ReadError> {
    let name = file.display().to_string();
    let fail = |line, why: String| ReadError::Calls { file: name.clone(), line, why };
    let bytes = std::fs::read(file).map_err(|error| fail(0, error.to_string()))?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let mut calls: Vec<ProviderCall> = Vec::new();
    let mut open: HashMap<u64, usize> = HashMap::new();
    for (index, line) in bytes[..whole].split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let line: CallLine = serde_json::from_slice(line).map_err(|error| fail(index + 1, error.to_string()))?;
        match line.end {
            None => {
                // A new process of the provider counts from the start; a number that comes again is another call.
                open.insert(line.call, calls.len());
                let key = line.call_id.split('.').next().unwrap_or_default().to_owned();
                calls.push(ProviderCall { key, started_at: line.received_at, end: End::CutOff });
            }
            Some(end) => {
                if let Some(at) = open.remove(&line.call) {
                    calls[at].end = end.into();
                }
            }
        }
    }
    Ok(calls)
}

#[cfg(test)]
mod tests;
