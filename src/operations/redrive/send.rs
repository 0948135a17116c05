//! Reads the letters that are ready once more, with their bytes, and puts them back.

use std::collections::BTreeSet;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::RedriveError;
use super::plan::{Fate, Plan, role_of};
use crate::domain::dead_letter::{DeadLetter, DeadLetterHeader};
use crate::domain::position::{Partition, TopicRole};
use crate::domain::record::{Header, OutRecord, Payload, Record};
use crate::domain::redrive::Redrive;
use crate::operations::audit::reading::decode;
use crate::operations::log_browser::{BrowseError, LogBrowser, ReadLimit, TopicInfo};
use crate::operations::publish::Pace;
use crate::pipeline::schema_set::SchemaSet;

/// Dead letters read at once: what of them is ready goes in batches of at most as many.
const PAGE: ReadLimit = ReadLimit { max_records: 500, max_bytes: 8 << 20 };

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// Records on the log; what becomes of them, the processor tells (`watch`).
    pub sent: u64,
    /// Ids of those that the log does not take any more: it holds smaller records than when they came.
    pub refused: Vec<String>,
    /// Retention took them, or the topic they came from went, between plan and sending.
    pub gone: u64,
}

impl Sent {
    /// Whether all that was ready is out.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.refused.is_empty() && self.gone == 0
    }
}

/// Sends every letter that is ready; `tell` hears how many are out.
///
/// # Errors
/// When the log cannot be read or cannot take them.
pub async fn send(
    plan: &Plan,
    browser: &dyn LogBrowser,
    schemas: &SchemaSet,
    rate: Option<f64>,
    tell: &mut dyn FnMut(u64),
) -> Result<Sent, RedriveError> {
    let topics = browser.topics().await?;
    let (pace, start) = (Pace { limit: None, rate }, Instant::now());
    let mut sent = Sent::default();
    let mut pages = Pages::of(plan, |fate| fate == Fate::Ready);
    while let Some((partition, page)) = pages.next(browser).await? {
        let mut batch = Vec::with_capacity(page.len());
        for record in &page {
            let letter: DeadLetter = decode(schemas, partition, record, "DeadLetter")?;
            let id = letter.dead_letter_id.clone();
            batch.extend(again(letter, &topics).map(|record| (id, record)));
        }
        let mut rest = &*batch;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(pace.room(sent.sent).min(rest.len()));
            rest = later;
            append(browser, now, &mut sent).await?;
            tell(sent.sent);
            sleep(pace.due(sent.sent).saturating_sub(start.elapsed())).await;
        }
    }
    sent.gone = plan.ready().saturating_sub(sent.sent + sent.refused.len() as u64);
    Ok(sent)
}

/// Every letter of a plan whole, in its order, with what would come of it.
///
/// # Errors
/// When the log cannot be read.
pub async fn letters(
    plan: &Plan,
    browser: &dyn LogBrowser,
    schemas: &SchemaSet,
    hear: &mut dyn FnMut(&DeadLetter, Fate),
) -> Result<(), RedriveError> {
    let mut fates = plan.letters.iter();
    let mut pages = Pages::of(plan, |_| true);
    while let Some((partition, page)) = pages.next(browser).await? {
        for record in &page {
            let place =
                |letter: &&super::Letter| (letter.partition, letter.offset) == (partition.number, record.offset);
            if let Some(letter) = fates.find(place) {
                hear(&decode(schemas, partition, record, "DeadLetter")?, letter.fate);
            }
        }
    }
    Ok(())
}

/// All of these at once, or one by one where one of them is larger than the log takes.
async fn append(browser: &dyn LogBrowser, batch: &[(String, OutRecord)], sent: &mut Sent) -> Result<(), RedriveError> {
    let put = |records: &[(String, OutRecord)]| browser.append(records.iter().map(|(_, it)| it.clone()).collect());
    let failed = |sent: &Sent, source| RedriveError::Append { sent: sent.sent, source };
    match put(batch).await {
        Ok(positions) => sent.sent += positions.len() as u64,
        Err(BrowseError::TooLarge(_)) => {
            for one in batch {
                match put(std::slice::from_ref(one)).await {
                    Ok(_) => sent.sent += 1,
                    Err(BrowseError::TooLarge(_)) => sent.refused.push(one.0.clone()),
                    Err(source) => return Err(failed(sent, source)),
                }
            }
        }
        Err(source) => return Err(failed(sent, source)),
    }
    Ok(())
}

/// The record as it came, to where it came from. None: its topic is gone since it was planned.
fn again(letter: DeadLetter, topics: &[TopicInfo]) -> Option<OutRecord> {
    let (topic, partition) = role_of(&letter, topics)?;
    let redrive = Redrive {
        count: u32::try_from(letter.replay_count).unwrap_or(0).saturating_add(1),
        first_failed_at: letter.first_failed_at,
        dead_letter_id: letter.dead_letter_id,
    };
    let own = letter.headers.into_iter().map(|DeadLetterHeader { name, value }| Header {
        name: name.into(),
        value: value.map(|value| Payload::from(value.0)),
    });
    Some(OutRecord {
        topic,
        partition,
        headers: redrive.headers(own),
        key: letter.key.map(|key| key.0.into()),
        value: letter.value.map(|value| value.0.into()),
    })
}

/// Records of a plan's letters, page by page; what lies between them is skipped.
struct Pages {
    places: BTreeSet<(u32, u64)>,
}

impl Pages {
    fn of(plan: &Plan, wanted: impl Fn(Fate) -> bool) -> Self {
        let letters = plan.letters.iter().filter(|letter| wanted(letter.fate));
        Self { places: letters.map(|letter| (letter.partition, letter.offset)).collect() }
    }

    /// The next ones, never none; those that retention has taken meanwhile are left out.
    async fn next(&mut self, browser: &dyn LogBrowser) -> Result<Option<(Partition, Vec<Record>)>, RedriveError> {
        while let Some(&(number, offset)) = self.places.first() {
            let partition = Partition { topic: TopicRole::DeadLetters, number };
            let log_start = browser.watermarks(partition).await?.log_start;
            if offset < log_start {
                self.places.pop_first();
                continue;
            }
            let mut page = browser.read(partition, offset, PAGE).await?;
            // Whatever a page does not reach stays for the next one; a hole where the letter lay ends it.
            let Some(last) = page.last().map(|record| record.offset) else {
                self.places.pop_first();
                continue;
            };
            page.retain(|record| self.places.contains(&(number, record.offset)));
            self.places.retain(|place| place.0 != number || place.1 > last);
            if !page.is_empty() {
                return Ok(Some((partition, page)));
            }
        }
        Ok(None)
    }
}
