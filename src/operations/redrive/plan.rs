//! Which dead letters there are, which of them are asked for, and what would come of sending them again.

use std::collections::HashMap;

use serde::Serialize;

use super::RedriveError;
use crate::domain::clock::Timestamp;
use crate::domain::dead_letter::DeadLetter;
use crate::domain::event::SupportEvent;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::human_feedback::HumanFeedback;
use crate::domain::identity::DedupeKey;
use crate::domain::position::{Partition, TopicRole};
use crate::domain::record::Record;
use crate::operations::audit::reading::{decode, each};
use crate::operations::log_browser::{LogBrowser, TopicInfo};
use crate::pipeline::dedupe::ledger::{Ledger, Row};
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
    /// What would come of it now.
    pub fate: Fate,
}

/// What there is, and what would come of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Dead letters that the log holds.
    pub held: u64,
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

/// What makes two dead letters those of one record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Identity {
    Key(DedupeKey),
    Id(String),
}

/// Reads all dead letters; of what was decided since, the ledger knows, if there is one.
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
    let partitions =
        topics.iter().find(|topic| topic.role == TopicRole::DeadLetters).map_or(0, |topic| topic.partitions);
    let mut newest: HashMap<Identity, Letter> = HashMap::new();
    let mut plan = Plan::default();
    for number in 0..partitions {
        let partition = Partition { topic: TopicRole::DeadLetters, number };
        each(browser, partition, |record| {
            plan.held += 1;
            let letter: DeadLetter = decode(schemas, partition, &record, "DeadLetter")?;
            let identity = key_of(&letter, &record, &topics, schemas)
                .map_or_else(|| Identity::Id(letter.dead_letter_id.clone()), Identity::Key);
            let seen = seen(letter, &record, number, &topics, asked.max_redrives);
            match newest.get(&identity) {
                Some(other) if other.failed_at > seen.failed_at => plan.earlier += 1,
                Some(_) => {
                    plan.earlier += 1;
                    newest.insert(identity, seen);
                }
                None => {
                    newest.insert(identity, seen);
                }
            }
            Ok(())
        })
        .await?;
    }
    let mut found: Vec<(Identity, Letter)> = newest.into_iter().filter(|(_, letter)| asked.is_for(letter)).collect();
    found.sort_by_key(|(_, letter)| (letter.partition, letter.offset));
    if let Some(ledger) = ledger {
        ask(ledger, &mut found).await?;
    }
    plan.letters = found.into_iter().map(|(_, letter)| letter).collect();
    let limit = usize::try_from(asked.limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let ready = plan.letters.iter_mut().filter(|letter| letter.fate == Fate::Ready);
    ready.skip(limit).for_each(|letter| letter.fate = Fate::BeyondLimit);
    Ok(plan)
}

/// Where it was read from, by the names that topics have now.
pub(super) fn role_of(letter: &DeadLetter, topics: &[TopicInfo]) -> Option<(TopicRole, u32)> {
    let topic = topics.iter().find(|topic| topic.name == letter.origin_topic)?;
    let partition = u32::try_from(letter.origin_partition).ok().filter(|number| *number < topic.partitions)?;
    matches!(topic.role, TopicRole::Events | TopicRole::HumanFeedback).then_some((topic.role, partition))
}

/// As it was claimed; of one that could not be read then, as it can be read now.
fn key_of(letter: &DeadLetter, record: &Record, topics: &[TopicInfo], schemas: &SchemaSet) -> Option<DedupeKey> {
    let written = record.header("gk-dedupe-key").and_then(|key| std::str::from_utf8(key).ok()?.parse().ok());
    written.or_else(|| {
        let value = &*letter.value.as_ref()?.0;
        match role_of(letter, topics)?.0 {
            TopicRole::Events => {
                schemas.read::<SupportEvent>("SupportEvent", value).ok().map(|event| DedupeKey::of_event(&event))
            }
            TopicRole::HumanFeedback => {
                let feedback = schemas.read::<HumanFeedback>("HumanFeedback", value).ok();
                feedback.map(|feedback| DedupeKey::of_feedback(&feedback))
            }
            _ => None,
        }
    })
}

fn seen(letter: DeadLetter, record: &Record, number: u32, topics: &[TopicInfo], max_redrives: u32) -> Letter {
    let redrives = u32::try_from(letter.replay_count).unwrap_or(0);
    let fate = if letter.value.is_none() {
        if letter.value_sha256.is_some() { Fate::NoValue } else { Fate::SameEnd }
    } else if role_of(&letter, topics).is_none() {
        Fate::NotRead
    } else if !letter.replayable {
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
        fate,
    }
}

/// What became of the events of those that could be sent.
async fn ask(ledger: &dyn Ledger, found: &mut [(Identity, Letter)]) -> Result<(), RedriveError> {
    let mut open: Vec<(DedupeKey, &mut Letter)> = found
        .iter_mut()
        .filter(|(_, letter)| matches!(letter.fate, Fate::Ready | Fate::TooOften))
        .filter_map(|(identity, letter)| match identity {
            Identity::Key(key) => Some((*key, letter)),
            Identity::Id(_) => None,
        })
        .collect();
    for chunk in open.chunks_mut(ROWS) {
        let rows = ledger.find_all(chunk.iter().map(|(key, _)| *key).collect()).await?;
        for (key, letter) in chunk {
            if let Some(fate) = rows.get(key).and_then(since) {
                letter.fate = fate;
            }
        }
    }
    Ok(())
}

/// What its row says has happened to an event since it was rejected; none: nothing.
fn since(row: &Row) -> Option<Fate> {
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
