//! A ledger that has gone backwards is brought up to the log: everything that was published is in it again.
//!
//! Feedback is the list: one terminal a record, with the event's dedupe key and body hash in its headers and the record's
//! position as its origin. Decisions lie in the same partition, in the same order, and are kept as the bytes that went
//! out; better ones, of which no feedback speaks, are told by their own headers. What the log does not hold is lost: answers that were saved and not published yet, which will be paid for again.
//!
//! ```text
//! feedback, partition by partition --+--> row as the log tells it --> known? else restored
//! decisions, as far as needed -------+
//! delay tiers, from where they stand ---> put off and still there? waits again : nobody waits for it any more
//! committed positions ------------------> where the group stands, and that what they rest on is here again
//! ```

mod better;
mod copies;
mod decisions;
mod told;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use self::decisions::Decisions;
use self::told::{Told, identity, told};
use super::audit::reading::{ReadError, each};
use super::log_browser::{LogBrowser, ReadLimit, TopicInfo};
use crate::domain::bytes::Bytes;
use crate::domain::clock::Timestamp;
use crate::domain::decision::TriageDecision;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::identity::DedupeKey;
use crate::domain::past_decision::PastDecision;
use crate::domain::position::{Partition, Position, TopicRole};
use crate::domain::record::Record;
use crate::domain::verdict::SavedDecision;
use crate::pipeline::dedupe::ledger::places::{LastCommit, Mark};
use crate::pipeline::dedupe::ledger::restored::{Fate, Restored};
use crate::pipeline::dedupe::ledger::{Claim, Entry, Ledger};
use crate::pipeline::frontier::codec;
use crate::pipeline::schema_set::SchemaSet;

const PAGE: ReadLimit = ReadLimit { max_records: 2_000, max_bytes: 8 << 20 };

/// So many are named where people read; JSON names all.
const LOST_SHOWN: usize = 20;

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
    /// Partition and offset of events that were put off and whose copies are gone from the delay tiers before they were read.
    /// Told by a rebuild only, which makes an end of waiting for them.
    pub lost: Vec<(u32, u64)>,
    /// Whether they were restored.
    pub restored: bool,
}

impl Report {
    /// Whether the ledger knows everything that was published.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.restored || self.missing + self.unpublished + self.elsewhere == 0
    }

    /// Whether such an event is to be restored.
    fn counts(&mut self, fate: Fate) -> bool {
        self.published += 1;
        match fate {
            Fate::Known => return false,
            Fate::Missing => self.missing += 1,
            Fate::Unpublished => self.unpublished += 1,
            Fate::Elsewhere => self.elsewhere += 1,
        }
        true
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
        if !self.lost.is_empty() {
            writeln!(f, "put off, and lost with their copies {:>8}", self.lost.len())?;
        }
        for (partition, offset) in self.lost.iter().take(LOST_SHOWN) {
            writeln!(f, "  events:{partition}@{offset}")?;
        }
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

/// Keys of what was rejected since then, read off the dead letters. Conflicts are among them, which does no harm.
async fn rejected(
    browser: &dyn LogBrowser,
    topics: &[TopicInfo],
    since: Timestamp,
) -> Result<HashSet<DedupeKey>, ReadError> {
    let mut keys = HashSet::new();
    let letters = topics.iter().find(|topic| topic.role == TopicRole::DeadLetters);
    for number in 0..letters.map_or(0, |topic| topic.partitions) {
        each(browser, Partition { topic: TopicRole::DeadLetters, number }, |record| {
            keys.extend(identity(&record).filter(|_| record.timestamp >= since).map(|(key, _)| key));
            Ok(())
        })
        .await?;
    }
    Ok(keys)
}

/// Compare, and restore if asked to. `tell` hears how far it has come, partition by partition.
pub async fn run(
    browser: &dyn LogBrowser,
    ledger: &dyn Ledger,
    schemas: &SchemaSet,
    group: &str,
    window: Window,
    mode: Mode,
    tell: &mut (dyn FnMut(Partition, &Report) + Send),
) -> Result<Report, ReadError> {
    let topics = browser.topics().await?;
    let of = |role| topics.iter().find(|topic| topic.role == role).ok_or(ReadError::NoTopic { role });
    let mut report = Report { restored: mode == Mode::Rebuild, ..Report::default() };
    let (events, feedback) = (of(TopicRole::Events)?, of(TopicRole::Feedback)?);
    // While processors run, one of them may hold what is not in the log yet: only a rebuild can say what is gone.
    let copies = if mode == Mode::Rebuild { copies::of(browser, &topics, group).await? } else { HashSet::new() };
    let mut rejected = rejected(browser, &topics, window.rejected_since).await?;
    for number in 0..feedback.partitions {
        let partition = |topic| Partition { topic, number };
        let mut decisions = Decisions::of(Pages::of(browser, partition(TopicRole::Decisions)).await?, schemas);
        let mut feedback = Pages::of(browser, partition(TopicRole::Feedback)).await?;
        let mut restored = Restoring { ledger: (mode == Mode::Rebuild).then_some(ledger), entries: Vec::new() };
        // Put off and not back yet: whatever comes later of their tickets must find them in the ledger.
        let mut away: BTreeMap<u64, Claim> = BTreeMap::new();
        while let Some(page) = feedback.page().await? {
            let mut published = Vec::with_capacity(page.len());
            let mut long_ago = Vec::new();
            for record in &page {
                match told(record, feedback.partition, events, schemas, window, |key| rejected.contains(&key))? {
                    Told::Published(row, decision) => {
                        // Where dead letters are kept for less.
                        if row.verdict.status == FeedbackStatus::Rejected {
                            rejected.insert(row.claim.key);
                        }
                        away.remove(&row.claim.position.offset);
                        published.push((*row, decision));
                    }
                    Told::PutOff(claim) => {
                        away.insert(claim.position.offset, *claim);
                    }
                    Told::Ended(offset) => {
                        away.remove(&offset);
                    }
                    Told::EndedLongAgo { key, offset, at } => {
                        away.remove(&offset);
                        long_ago.push((key, offset, at));
                    }
                    Told::Skipped(ends) => {
                        report.skipped += 1;
                        away.retain(|offset, _| Some(*offset) != ends);
                    }
                    Told::Nothing => {}
                }
            }
            let keys = published.iter().map(|(row, _)| row.claim.key).chain(long_ago.iter().map(|(key, ..)| *key));
            let rows = ledger.find_all(keys.collect()).await?;
            for (key, offset, at) in long_ago {
                let owner = Position { topic_id: events.topic_id.clone(), partition: number, offset };
                if rows.get(&key).is_some_and(|row| row.owner == owner && row.published_at.is_none()) {
                    report.unpublished += 1;
                    restored.push(Entry::Published { key, owner, at }).await?;
                }
            }
            for (mut row, decision) in published {
                if !report.counts(row.fate(rows.get(&row.claim.key))) {
                    continue;
                }
                if let Some((id, version)) = decision {
                    let bytes = decisions.find(&id, row.published_at).await?;
                    report.without_decision += u64::from(bytes.is_none());
                    let past = bytes.as_ref().and_then(|bytes| past_decision(schemas, bytes, row.claim.key));
                    row.decision = past.map(Arc::new);
                    let verdict = Arc::make_mut(&mut row.verdict);
                    verdict.decision = bytes.map(|bytes| SavedDecision { id, version, bytes });
                }
                restored.push(Entry::Restore(row)).await?;
            }
        }
        let mut better = decisions.better_ones(events).await?;
        better.retain(|better| better.published_at >= window.since);
        for page in better.chunks(PAGE.max_records) {
            let rows = ledger.find_all(page.iter().map(|row| row.claim.key).collect()).await?;
            for row in page {
                if report.counts(row.fate(rows.get(&row.claim.key))) {
                    restored.push(Entry::Restore(row.clone())).await?;
                }
            }
        }
        if mode == Mode::Rebuild {
            restored.write().await?;
            let (away, lost): (Vec<_>, Vec<_>) = away.into_values().partition(|claim| copies.contains(&claim.position));
            put_off_again(ledger, away).await?;
            report.lost.extend(lost.iter().map(|claim| (number, claim.position.offset)));
            vanish(ledger, lost).await?;
        }
        tell(feedback.partition, &report);
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
    async fn push(&mut self, entry: Entry) -> Result<(), ReadError> {
        self.entries.push(entry);
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
async fn put_off_again(ledger: &dyn Ledger, claims: Vec<Claim>) -> Result<(), ReadError> {
    let entries = claims.into_iter().flat_map(|claim| {
        let (key, owner, ticket) = (claim.key, claim.position.clone(), claim.ticket.clone());
        [Entry::Claim(claim), Entry::Defer { key, owner, ticket, tier: 0 }]
    });
    write(ledger, entries.collect()).await
}

/// Their copies are gone: nothing waits for them any more, and the same sent again is taken in.
async fn vanish(ledger: &dyn Ledger, lost: Vec<Claim>) -> Result<(), ReadError> {
    let entry = |Position { topic_id, partition, offset }| Entry::Vanished {
        topic_id,
        partition,
        from: offset,
        to: offset + 1,
    };
    write(ledger, lost.into_iter().map(|claim| entry(claim.position)).collect()).await
}

async fn write(ledger: &dyn Ledger, entries: Vec<Entry>) -> Result<(), ReadError> {
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

    /// From there on.
    async fn from(browser: &'a dyn LogBrowser, partition: Partition, offset: u64) -> Result<Self, ReadError> {
        let pages = Self::of(browser, partition).await?;
        Ok(Self { next: pages.next.max(offset), ..pages })
    }

    async fn next(&mut self) -> Result<Option<Record>, ReadError> {
        if self.page.is_empty() {
            self.page = self.page().await?.unwrap_or_default();
        }
        Ok(self.page.pop_front())
    }

    /// The next ones at once; none at the end.
    async fn page(&mut self) -> Result<Option<VecDeque<Record>>, ReadError> {
        if self.next >= self.end {
            return Ok(None);
        }
        let page: VecDeque<Record> = self.browser.read(self.partition, self.next, PAGE).await?.into();
        self.next = page.back().map_or(self.end, |last| last.offset + 1);
        Ok(Some(page))
    }
}

#[cfg(test)]
mod tests;
