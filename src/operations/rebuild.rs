//! A ledger that has gone backwards is brought up to the log: everything that was published is in it again.
//!
//! Feedback is the list: one terminal a record, with the event's dedupe key and body hash in its headers and the record's
//! position as its origin. Decisions lie in the same partition, in the same order, and are kept as the bytes that went
//! out; better ones, of which no feedback speaks, are told by their own headers. What the log does not hold is lost: answers that were saved and not published yet, which will be paid for again.
//!
//! ```text
//! feedback, partition by partition --+--> row as the log tells it --> known? else restored
//! decisions, as far as needed -------+
//! committed positions ------------------> where the group stands, and that what they rest on is here again
//! ```

mod better;
mod decisions;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use self::decisions::Decisions;
use super::audit::reading::{ReadError, decode};
use super::log_browser::{LogBrowser, ReadLimit, TopicInfo};
use crate::domain::bytes::Bytes;
use crate::domain::clock::Timestamp;
use crate::domain::decision::{Origin, TriageDecision};
use crate::domain::feedback::{EventFeedback, FeedbackStatus};
use crate::domain::identity::{BodyHash, DedupeKey};
use crate::domain::past_decision::PastDecision;
use crate::domain::position::{Partition, Position, TopicRole};
use crate::domain::reason_code::ReasonCode;
use crate::domain::record::Record;
use crate::domain::verdict::{SavedDecision, Verdict};
use crate::pipeline::dedupe::ledger::places::{LastCommit, Mark};
use crate::pipeline::dedupe::ledger::restored::{Fate, Restored};
use crate::pipeline::dedupe::ledger::{Claim, Entry, Ledger};
use crate::pipeline::frontier::codec;
use crate::pipeline::schema_set::SchemaSet;

const PAGE: ReadLimit = ReadLimit { max_records: 2_000, max_bytes: 8 << 20 };

/// Rows restored in one transaction.
const BATCH: usize = 500;

/// Whether anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Only look.
    Check,
    /// Restore what is missing.
    Rebuild,
}

/// What the log and the ledger have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Published verdicts of events within the window.
    pub published: u64,
    /// Of those: the ledger has no row.
    pub missing: u64,
    /// It does not know that they were published.
    pub unpublished: u64,
    /// It takes another record for the event's owner.
    pub elsewhere: u64,
    /// Decisions that the log does not hold any more: such a row has its verdict without its decision.
    pub without_decision: u64,
    /// Records of another topic under the name of ours, or without a dedupe key.
    pub skipped: u64,
    /// Whether they were restored.
    pub restored: bool,
}

impl Report {
    /// Whether the ledger knows everything that was published.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.restored || self.missing + self.unpublished + self.elsewhere == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "published within the window       {:>10}", self.published)?;
        writeln!(f, "  missing in the ledger           {:>10}", self.missing)?;
        writeln!(f, "  not known to be published       {:>10}", self.unpublished)?;
        writeln!(f, "  ascribed to another record      {:>10}", self.elsewhere)?;
        writeln!(f, "  whose decision is gone          {:>10}", self.without_decision)?;
        writeln!(f, "skipped                           {:>10}", self.skipped)?;
        f.write_str(match (self.restored, self.is_whole()) {
            (true, _) => "the ledger knows all of it now",
            (false, true) => "the ledger knows all of it",
            (false, false) => "the ledger has gone backwards: `gatekeeper ledger --rebuild` restores it",
        })
    }
}

/// How far back a rebuild looks.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// What was published before need not be remembered.
    pub since: Timestamp,
    /// What was rejected before need not be either.
    pub rejected_since: Timestamp,
}

/// Compare, and restore if asked to.
pub async fn run(
    browser: &dyn LogBrowser,
    ledger: &dyn Ledger,
    schemas: &SchemaSet,
    group: &str,
    window: Window,
    mode: Mode,
) -> Result<Report, ReadError> {
    let topics = browser.topics().await?;
    let of = |role| topics.iter().find(|topic| topic.role == role).ok_or(ReadError::NoTopic { role });
    let mut report = Report { restored: mode == Mode::Rebuild, ..Report::default() };
    let (events, feedback) = (of(TopicRole::Events)?, of(TopicRole::Feedback)?);
    for number in 0..feedback.partitions {
        let partition = |topic| Partition { topic, number };
        let mut decisions = Decisions::of(Pages::of(browser, partition(TopicRole::Decisions)).await?, schemas);
        let mut feedback = Pages::of(browser, partition(TopicRole::Feedback)).await?;
        let mut restored = Restoring { ledger: (mode == Mode::Rebuild).then_some(ledger), entries: Vec::new() };
        // Put off and not back yet: whatever comes later of their tickets must find them in the ledger.
        let mut away: BTreeMap<u64, Claim> = BTreeMap::new();
        while let Some(record) = feedback.next().await? {
            let told = terminal(&record, feedback.partition, events, schemas, window)?;
            let Some((mut row, decision)) = (match told {
                Told::Published(row, decision) => {
                    away.remove(&row.claim.position.offset);
                    Some((*row, decision))
                }
                Told::PutOff(claim) => {
                    away.insert(claim.position.offset, *claim);
                    None
                }
                Told::OfAnother(offset) => {
                    away.remove(&offset);
                    None
                }
                Told::Skipped => {
                    report.skipped += 1;
                    None
                }
                Told::Nothing => None,
            }) else {
                continue;
            };
            report.published += 1;
            let fate = row.fate(ledger.find(row.claim.key).await?.as_ref());
            match fate {
                Fate::Known => continue,
                Fate::Missing => report.missing += 1,
                Fate::Unpublished => report.unpublished += 1,
                Fate::Elsewhere => report.elsewhere += 1,
            }
            if let Some((id, version)) = decision {
                let bytes = decisions.find(&id, record.timestamp).await?;
                report.without_decision += u64::from(bytes.is_none());
                let past = bytes.as_ref().and_then(|bytes| past_decision(schemas, bytes, row.claim.key));
                row.decision = past.map(Arc::new);
                let verdict = Arc::make_mut(&mut row.verdict);
                verdict.decision = bytes.map(|bytes| SavedDecision { id, version, bytes });
            }
            restored.push(row).await?;
        }
        for better in decisions.better_ones(events).await? {
            if better.published_at < window.since {
                continue;
            }
            report.published += 1;
            match better.fate(ledger.find(better.claim.key).await?.as_ref()) {
                Fate::Known => continue,
                Fate::Missing => report.missing += 1,
                Fate::Unpublished => report.unpublished += 1,
                Fate::Elsewhere => report.elsewhere += 1,
            }
            restored.push(better).await?;
        }
        if mode == Mode::Rebuild {
            restored.write().await?;
            put_off_again(ledger, away.into_values()).await?;
        }
    }
    if mode == Mode::Rebuild {
        recover(browser, ledger, &topics, group).await?;
    }
    Ok(report)
}

/// Rows on their way into the ledger, a batch at a time; without one they go nowhere.
struct Restoring<'a> {
    ledger: Option<&'a dyn Ledger>,
    entries: Vec<Entry>,
}

impl Restoring<'_> {
    async fn push(&mut self, row: Restored) -> Result<(), ReadError> {
        self.entries.push(Entry::Restore(row));
        if self.entries.len() >= BATCH { self.write().await } else { Ok(()) }
    }

    async fn write(&mut self) -> Result<(), ReadError> {
        let entries = std::mem::take(&mut self.entries);
        if let Some(ledger) = self.ledger {
            ledger.commit(entries).await?;
        }
        Ok(())
    }
}

/// What is kept of a decision for feedback; one that cannot be read is not joined with any.
fn past_decision(schemas: &SchemaSet, bytes: &Bytes, key: DedupeKey) -> Option<PastDecision> {
    let decision: TriageDecision = schemas.read("TriageDecision", &bytes.0).ok()?;
    Some(PastDecision::of(&decision, key))
}

/// As they were before their bursts: claimed, and remembered as put off. Which tier is not known any more, nor does it
/// matter to those that follow.
async fn put_off_again(ledger: &dyn Ledger, claims: impl Iterator<Item = Claim>) -> Result<(), ReadError> {
    let entries = claims.flat_map(|claim| {
        let (key, owner, ticket) = (claim.key, claim.position.clone(), claim.ticket.clone());
        [Entry::Claim(claim), Entry::Defer { key, owner, ticket, tier: 0 }]
    });
    let entries: Vec<Entry> = entries.collect();
    for batch in entries.chunks(BATCH) {
        ledger.commit(batch.to_vec()).await?;
    }
    Ok(())
}

/// Last of all: from here on the ledger counts as whole.
async fn recover(
    browser: &dyn LogBrowser,
    ledger: &dyn Ledger,
    topics: &[TopicInfo],
    group: &str,
) -> Result<(), ReadError> {
    let mut entries = Vec::new();
    for position in browser.positions(group).await? {
        let Some(topic) = topics.iter().find(|topic| topic.role == position.partition.topic) else { continue };
        let (topic_id, partition) = (topic.topic_id.clone(), position.partition.number);
        entries.push(Entry::Stands { topic_id, partition, base: position.offset });
        match codec::decode(&position.metadata) {
            Ok(codec::Metadata::Ours(decoded)) => {
                let mark = Mark::of_number(decoded.tag.ledger);
                entries.push(Entry::Recovered(LastCommit { writer: decoded.tag.writer, mark }));
            }
            Ok(codec::Metadata::Empty | codec::Metadata::Foreign) => {}
            Err(why) => {
                return Err(ReadError::Metadata { partition: position.partition, why: why.to_string() });
            }
        }
    }
    ledger.commit(entries).await?;
    Ok(())
}

/// What a record of feedback says of the ledger.
enum Told {
    /// A published verdict, and the id and version of its decision.
    Published(Box<Restored>, Option<(String, i32)>),
    /// An event that was put off.
    PutOff(Box<Claim>),
    /// The terminal of a copy or a conflict, by its offset: it has no row.
    OfAnother(u64),
    /// Something that cannot be ascribed to an event of this topic.
    Skipped,
    /// No row stems from it: it is out of the window.
    Nothing,
}

fn terminal(
    record: &Record,
    at: Partition,
    events: &TopicInfo,
    schemas: &SchemaSet,
    window: Window,
) -> Result<Told, ReadError> {
    let feedback: EventFeedback = decode(schemas, at, record, "EventFeedback")?;
    let code = serde_json::from_value::<ReasonCode>(feedback.reason_code.clone().into()).ok();
    let speaks_of_another =
        feedback.status == FeedbackStatus::Duplicate || code == Some(ReasonCode::IdempotencyConflict);
    let rejected = feedback.status == FeedbackStatus::Rejected;
    let since = if rejected { window.rejected_since } else { window.since };
    if speaks_of_another {
        return Ok(u64::try_from(feedback.origin.offset).map_or(Told::Nothing, Told::OfAnother));
    }
    if record.timestamp < since {
        return Ok(Told::Nothing);
    }
    let (Some((key, body)), Some(code)) = (identity(record), code) else {
        // What could not be read has no row.
        return Ok(if feedback.event_id.is_none() { Told::Nothing } else { Told::Skipped });
    };
    let origin = &feedback.origin;
    let (true, Some((partition, offset))) = (origin.topic == events.name, place(origin)) else {
        return Ok(Told::Skipped);
    };
    let decision = match feedback.status {
        FeedbackStatus::Accepted | FeedbackStatus::Degraded => feedback.decision_id.zip(feedback.decision_version),
        _ => None,
    };
    let claim = Claim {
        key,
        position: Position { topic_id: events.topic_id.clone(), partition, offset },
        hop: 0,
        copy: None,
        ticket: format!(
            "{}|{}",
            feedback.tenant_id.as_deref().unwrap_or_default(),
            feedback.ticket_id.as_deref().unwrap_or_default()
        )
        .into(),
        body,
        tenant_id: feedback.tenant_id.unwrap_or_default().into(),
        event_id: feedback.event_id.unwrap_or_default().into(),
        at: feedback.processed_at,
    };
    if !feedback.terminal {
        return Ok(Told::PutOff(Box::new(claim)));
    }
    let verdict = Verdict {
        reason: feedback.reason,
        violations: feedback.violations,
        superseded_by_event_id: feedback.superseded_by_event_id,
        latency_ms: feedback.latency_ms,
        ..Verdict::of(feedback.status, code, feedback.processed_at, feedback.processed_at)
    };
    let published_at = record.timestamp;
    Ok(Told::Published(
        Box::new(Restored { claim, verdict: Arc::new(verdict), published_at, decision: None }),
        decision,
    ))
}

/// A partition's records, page by page, up to the end it had at the start.
struct Pages<'a> {
    browser: &'a dyn LogBrowser,
    partition: Partition,
    next: u64,
    end: u64,
    page: VecDeque<Record>,
}

impl<'a> Pages<'a> {
    async fn of(browser: &'a dyn LogBrowser, partition: Partition) -> Result<Self, ReadError> {
        let watermarks = browser.watermarks(partition).await?;
        Ok(Self { browser, partition, next: watermarks.log_start, end: watermarks.end, page: VecDeque::new() })
    }

    async fn next(&mut self) -> Result<Option<Record>, ReadError> {
        if self.page.is_empty() && self.next < self.end {
            self.page = self.browser.read(self.partition, self.next, PAGE).await?.into();
            self.next = self.page.back().map_or(self.end, |last| last.offset + 1);
        }
        Ok(self.page.pop_front())
    }
}

/// Which event, and what it said, off an output's headers.
fn identity(record: &Record) -> Option<(DedupeKey, BodyHash)> {
    let header = |name: &str| record.header(name).and_then(|value| std::str::from_utf8(value).ok());
    Some((header("gk-dedupe-key")?.parse().ok()?, header("gk-body-hash")?.parse().ok()?))
}

fn place(origin: &Origin) -> Option<(u32, u64)> {
    Some((u32::try_from(origin.partition).ok()?, u64::try_from(origin.offset).ok()?))
}
