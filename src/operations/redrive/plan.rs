//! Which dead letters there are, which of them are asked for, and what would come of sending them again.

mod since;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::RedriveError;
use crate::domain::clock::{CLOCKS_DIFFER_MS, Timestamp};
use crate::domain::dead_letter::DeadLetter;
use crate::domain::event::SupportEvent;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::human_feedback::HumanFeedback;
use crate::domain::identity::DedupeKey;
use crate::domain::position::{Partition, TopicRole};
use crate::domain::record::{HEADERS_UNREADABLE, Record};
use crate::operations::audit::reading::{decode, each};
use crate::operations::log_browser::{LogBrowser, TopicInfo};
use crate::pipeline::dedupe::ledger::{Ledger, Row};
use crate::pipeline::ingest::{key_of_event, key_of_feedback};
use crate::pipeline::schema_set::SchemaSet;

/// Rows asked for at once.
const ROWS: usize = 1_000;

/// A reason is shown in a table: its beginning does.
const REASON_CHARS: usize = 200;

/// Which dead letters; empty lists and nothing mean any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// With one of these reason codes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// With one of these ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Of this tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Of this ticket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// That failed last at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// That failed last before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Of those that are ready the first so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// None that was sent again so often: it would be a loop.
    pub max_redrives: u32,
    /// Also those of which nobody knows any more whether they were decided since.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub forgotten: bool,
}

impl Asked {
    fn is_for(&self, letter: &Letter) -> bool {
        let is = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        (self.reasons.is_empty() || self.reasons.contains(&letter.reason_code))
            && (self.ids.is_empty() || self.ids.contains(&letter.id))
            && is(&self.tenant, &letter.tenant_id)
            && is(&self.ticket, &letter.ticket_id)
            && self.since.is_none_or(|since| letter.failed_at >= since)
            && self.until.is_none_or(|until| letter.failed_at < until)
    }
}

/// What would come of sending a dead letter again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is sent.
    Ready,
    /// It is ready, and behind the limit.
    BeyondLimit,
    /// A copy of its event was decided since.
    Decided,
    /// A copy of its event is in work.
    InWork,
    /// It was rejected so long ago that nobody knows any more whether it was decided since.
    Forgotten,
    /// It was sent again as often as was asked for, and failed each time.
    TooOften,
    /// The same bytes can only end the same way.
    SameEnd,
    /// Its value was too large to be kept.
    NoValue,
    /// It comes from a topic that is not read.
    NotRead,
}

impl Fate {
    /// In words, behind a number.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::BeyondLimit => "beyond --limit",
            Self::Decided => "decided since",
            Self::InWork => "in work again",
            Self::Forgotten => "perhaps decided since: ledger and feedback do not reach back (--forgotten)",
            Self::TooOften => "sent again too often (--max-redrives)",
            Self::SameEnd => "can only end the same way",
            Self::NoValue => "without its value, which only its publisher has",
            Self::NotRead => "from a topic that is not read",
        }
    }
}

/// A dead letter, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Letter {
    /// Where it lies on the dead letters' topic.
    pub partition: u32,
    /// Where it lies.
    pub offset: u64,
    /// See [`DeadLetter`].
    pub id: String,
    /// See [`DeadLetter`].
    pub reason_code: String,
    /// Its beginning.
    pub reason: String,
    /// See [`DeadLetter`].
    pub tenant_id: Option<String>,
    /// See [`DeadLetter`].
    pub ticket_id: Option<String>,
    /// See [`DeadLetter`].
    pub event_id: Option<String>,
    /// When it failed last.
    pub failed_at: Timestamp,
    /// How often it was sent again.
    pub redrives: u32,
    /// What it was read from, if that is still read.
    #[serde(skip)]
    pub role: Option<TopicRole>,
    /// What would come of it now.
    pub fate: Fate,
}

/// What there is, and what would come of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Records on the dead letters' topic.
    pub held: u64,
    /// Those among them that are no dead letters that this build can read.
    pub unreadable: u64,
    /// Earlier failures of records that have a newer dead letter.
    pub earlier: u64,
    /// Those that are asked for, the newest of each record; in the log's order.
    pub letters: Vec<Letter>,
}

impl Plan {
    /// How many are sent.
    #[must_use]
    pub fn ready(&self) -> u64 {
        self.letters.iter().filter(|letter| letter.fate == Fate::Ready).count() as u64
    }
}

/// A dead letter with what it is told apart by.
struct Known {
    letter: Letter,
    /// Of its event, as it was claimed, or as it would be now.
    key: Option<DedupeKey>,
    /// Whoever's clock is right, it was rejected no earlier than this.
    failed_after: Timestamp,
}

/// Reads all dead letters; what was decided since, the ledger knows, and where it does not, what was published since.
///
/// # Errors
/// When log or ledger cannot be read.
pub async fn plan(
    asked: &Asked,
    browser: &dyn LogBrowser,
    ledger: Option<&dyn Ledger>,
    schemas: &SchemaSet,
) -> Result<Plan, RedriveError> {
    let topics = browser.topics().await?;
    let letters = topics.iter().find(|topic| topic.role == TopicRole::DeadLetters);
    let mut plan = Plan::default();
    // A letter is that of an earlier one's record if it carries its id and the same bytes. An id alone may come from anybody,
    // and from a topic that was there before one of the same name.
    let mut newest: HashMap<(String, [u8; 32]), Known> = HashMap::new();
    for number in 0..letters.map_or(0, |topic| topic.partitions) {
        let partition = Partition { topic: TopicRole::DeadLetters, number };
        each(browser, partition, |record| {
            plan.held += 1;
            let Ok(letter) = decode::<DeadLetter>(schemas, partition, &record, "DeadLetter") else {
                plan.unreadable += 1;
                return Ok(());
            };
            let key = key_of(&letter, &record, &topics, schemas);
            let bytes = letter.value.as_ref().map_or(&[][..], |value| &value.0);
            let identity = (letter.dead_letter_id.clone(), Sha256::digest(bytes).into());
            let clocks = [letter.last_failed_at, record.timestamp, letter.origin_timestamp].into_iter();
            let failed = clocks.filter(|at| at.is_known()).min().unwrap_or_default();
            let failed_after = Timestamp(failed.0.saturating_sub(CLOCKS_DIFFER_MS));
            let letter = seen(letter, &record, number, &topics, asked.max_redrives);
            let known = Known { letter, key, failed_after };
            plan.earlier += u64::from(keep_newest(&mut newest, identity, known));
            Ok(())
        })
        .await?;
    }
    let ambiguous = that_stand_twice(newest.keys().map(|(id, _)| id));
    // Its publisher may have sent it again too.
    let mut found: Vec<Known> = Vec::with_capacity(newest.len());
    let mut of_event: HashMap<DedupeKey, Known> = HashMap::new();
    for known in newest.into_values() {
        match known.key {
            Some(key) => plan.earlier += u64::from(keep_newest(&mut of_event, key, known)),
            None => found.push(known),
        }
    }
    found.extend(of_event.into_values());
    found.retain(|known| asked.is_for(&known.letter));
    found.sort_by_key(|known| (known.letter.partition, known.letter.offset));
    let mut open: Vec<&mut Known> = found.iter_mut().filter(|known| known.letter.may_be_sent()).collect();
    if let Some(ledger) = ledger {
        open = ask(ledger, open).await?;
    }
    since::look(browser, schemas, &ambiguous, &mut open).await?;
    if asked.forgotten {
        open.iter_mut().filter(|known| known.letter.fate == Fate::Forgotten).for_each(|known| {
            known.letter.fate = if known.letter.redrives >= asked.max_redrives { Fate::TooOften } else { Fate::Ready };
        });
    }
    plan.letters = found.into_iter().map(|known| known.letter).collect();
    let limit = usize::try_from(asked.limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let ready = plan.letters.iter_mut().filter(|letter| letter.fate == Fate::Ready);
    ready.skip(limit).for_each(|letter| letter.fate = Fate::BeyondLimit);
    Ok(plan)
}

/// On a topic that was created anew, or because somebody wrote another's id.
fn that_stand_twice<'a>(ids: impl Iterator<Item = &'a String>) -> HashSet<String> {
    let mut met = HashSet::new();
    ids.filter(|id| !met.insert(*id)).cloned().collect()
}

/// Says whether there was another one.
fn keep_newest<I: Eq + Hash>(of: &mut HashMap<I, Known>, identity: I, known: Known) -> bool {
    match of.entry(identity) {
        Entry::Vacant(place) => {
            place.insert(known);
            false
        }
        Entry::Occupied(mut place) => {
            if known.letter.is_newer_than(&place.get().letter) {
                place.insert(known);
            }
            true
        }
    }
}

impl Letter {
    /// Whether nothing about itself speaks against it.
    const fn may_be_sent(&self) -> bool {
        matches!(self.fate, Fate::Ready | Fate::TooOften)
    }

    /// A clock is the last that is believed: whoever rejected one may have had a wrong one.
    fn is_newer_than(&self, other: &Self) -> bool {
        if self.id == other.id && self.redrives != other.redrives {
            self.redrives > other.redrives
        } else if self.partition == other.partition {
            self.offset > other.offset
        } else {
            self.failed_at > other.failed_at
        }
    }
}

/// Where it was read from, by the names that topics have now.
pub(super) fn role_of(letter: &DeadLetter, topics: &[TopicInfo]) -> Option<(TopicRole, u32)> {
    let topic = topics.iter().find(|topic| topic.name == letter.origin_topic)?;
    let partition = u32::try_from(letter.origin_partition).ok().filter(|number| *number < topic.partitions)?;
    matches!(topic.role, TopicRole::Events | TopicRole::HumanFeedback).then_some((topic.role, partition))
}

fn key_of(letter: &DeadLetter, record: &Record, topics: &[TopicInfo], schemas: &SchemaSet) -> Option<DedupeKey> {
    if let Some(claimed) = header_key(record) {
        return Some(claimed);
    }
    let value = &*letter.value.as_ref()?.0;
    match role_of(letter, topics)?.0 {
        TopicRole::Events => key_of_event(&schemas.read::<SupportEvent>("SupportEvent", value).ok()?),
        TopicRole::HumanFeedback => key_of_feedback(&schemas.read::<HumanFeedback>("HumanFeedback", value).ok()?),
        _ => None,
    }
}

/// Of whose outputs it is.
fn header_key(record: &Record) -> Option<DedupeKey> {
    record.header("gk-dedupe-key").and_then(|key| std::str::from_utf8(key).ok()?.parse().ok())
}

fn seen(letter: DeadLetter, record: &Record, number: u32, topics: &[TopicInfo], max_redrives: u32) -> Letter {
    let redrives = u32::try_from(letter.replay_count).unwrap_or(0);
    // What stands in their place cannot be told from a header, and means the same when it comes again.
    let has_headers = letter.headers.iter().all(|header| header.name != HEADERS_UNREADABLE);
    let role = role_of(&letter, topics).map(|(role, _)| role);
    let fate = if letter.value.is_none() {
        if letter.value_sha256.is_some() { Fate::NoValue } else { Fate::SameEnd }
    } else if role.is_none() {
        Fate::NotRead
    } else if !letter.replayable || !has_headers {
        Fate::SameEnd
    } else if redrives >= max_redrives {
        Fate::TooOften
    } else {
        Fate::Ready
    };
    Letter {
        partition: number,
        offset: record.offset,
        id: letter.dead_letter_id,
        reason_code: letter.reason_code,
        reason: letter.reason.chars().take(REASON_CHARS).collect(),
        tenant_id: letter.tenant_id,
        ticket_id: letter.ticket_id,
        event_id: letter.event_id,
        failed_at: letter.last_failed_at,
        redrives,
        role,
        fate,
    }
}

/// What became of their events, as far as the ledger knows; answered with those of which it knows nothing.
async fn ask<'a>(ledger: &dyn Ledger, mut open: Vec<&'a mut Known>) -> Result<Vec<&'a mut Known>, RedriveError> {
    let keys: Vec<DedupeKey> = open.iter().filter_map(|known| known.key).collect();
    let mut rows = HashMap::with_capacity(keys.len());
    for keys in keys.chunks(ROWS) {
        for (key, row) in ledger.find_all(keys.to_vec()).await? {
            rows.insert(key, fate_of(&row));
        }
    }
    open.retain_mut(|known| {
        let Some(key) = known.key else { return true };
        match rows.get(&key) {
            Some(fate) => known.letter.fate = fate.unwrap_or(known.letter.fate),
            // It has gone, or never was: rows of human feedback are not rebuilt.
            None => return true,
        }
        false
    });
    Ok(open)
}

/// What its row says has happened to an event since it was rejected; none: nothing.
fn fate_of(row: &Row) -> Option<Fate> {
    match &row.verdict {
        Some(verdict) if verdict.status == FeedbackStatus::Rejected => None,
        Some(_) => Some(Fate::Decided),
        // Nobody can end it any more; whoever comes takes it over.
        None if row.vanished => None,
        None => Some(Fate::InWork),
    }
}

#[cfg(test)]
mod tests;
