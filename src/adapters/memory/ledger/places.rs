//! What the ledger in memory knows of places in the log.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::BoxFuture;

use super::{Held, Map, MemoryLedger, Rows};
use crate::domain::position::TopicRole;
use crate::pipeline::dedupe::ledger::LedgerError;
use crate::pipeline::dedupe::ledger::places::{Counted, Entered, LastCommit, Mark, Places};

/// There is one.
const LEDGER: u16 = 1;

/// By topic and partition.
#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    group: Option<String>,
    writers: BTreeMap<(String, u32), String>,
    /// Everybody who ever entered.
    entries: BTreeSet<(String, u32, String)>,
    bases: BTreeMap<(String, u32), u64>,
    marks: BTreeMap<(u16, String), u64>,
    counts: BTreeMap<String, Counted>,
    topics: BTreeMap<TopicRole, String>,
}

impl Book {
    pub(super) fn enter(
        &mut self,
        place: (&str, u32),
        writer: &str,
        committed: Option<u64>,
        last: Option<&LastCommit>,
    ) -> Entered {
        let stood_at = self.bases.get(&owned(place)).copied();
        self.writers.insert(owned(place), writer.to_owned());
        self.entries.insert((place.0.to_owned(), place.1, writer.to_owned()));
        if let Some(base) = committed {
            self.stands(place, base);
        }
        let batches = last.and_then(|last| self.marks.get(&(last.mark.ledger(), last.writer.clone())));
        Entered { stood_at, batches: batches.copied().unwrap_or_default() }
    }

    pub(super) fn stands(&mut self, place: (&str, u32), base: u64) {
        self.bases.insert(owned(place), base);
    }

    pub(super) fn mark(&mut self, writer: &str) -> Mark {
        let batches = self.marks.entry((LEDGER, writer.to_owned())).or_default();
        *batches += 1;
        Mark::new(LEDGER, *batches)
    }

    pub(super) fn recovered(&mut self, commit: &LastCommit) {
        let batches = self.marks.entry((commit.mark.ledger(), commit.writer.clone())).or_default();
        *batches = commit.mark.batches().max(*batches);
    }

    fn first_open(&self, place: (&str, u32), rows: &Map) -> Option<u64> {
        let of_place =
            || rows.values().map(|held| &held.row).filter(|row| (&*row.owner.topic_id, row.owner.partition) == place);
        let open = of_place().filter(|row| row.published_at.is_none() && !row.vanished);
        let open = open.map(|row| row.owner.offset).min();
        let open = open.or_else(|| of_place().map(|row| row.owner.offset + 1).max());
        open.max(self.bases.get(&owned(place)).copied())
    }
}

fn owned((topic_id, partition): (&str, u32)) -> (String, u32) {
    (topic_id.to_owned(), partition)
}

impl Held {
    /// Whether it is not published and cannot come again without this topic: then it has vanished.
    fn vanish_with(&mut self, role: TopicRole, topic_id: &str) -> bool {
        let waits_there = matches!(role, TopicRole::Deferred(tier) if self.row.deferred_to == Some(tier));
        let came_from_there = self.row.copy.as_ref().is_some_and(|copy| copy.topic_id == topic_id);
        let is_carried_by_it = if self.is_put_off { waits_there } else { came_from_there };
        let in_work = self.row.published_at.is_none() && !self.row.vanished;
        let vanishes = in_work && (self.row.owner.topic_id == topic_id || is_carried_by_it);
        self.row.vanished |= vanishes;
        vanishes
    }
}

impl Rows {
    /// Who entered this partition last.
    #[must_use]
    pub fn writer(&self, topic_id: &str, partition: u32) -> Option<String> {
        self.lock().places.writers.get(&(topic_id.to_owned(), partition)).cloned()
    }

    /// Whether this writer ever entered this partition.
    #[must_use]
    pub fn was_entered_by(&self, topic_id: &str, partition: u32, writer: &str) -> bool {
        self.lock().places.entries.contains(&(topic_id.to_owned(), partition, writer.to_owned()))
    }

    /// Where the group stood in this partition when that was last said.
    #[must_use]
    pub fn stood_at(&self, topic_id: &str, partition: u32) -> Option<u64> {
        self.lock().places.bases.get(&(topic_id.to_owned(), partition)).copied()
    }
}

impl Places for MemoryLedger {
    fn bind<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<String, LedgerError>> {
        let bound = self.rows.lock().places.group.get_or_insert_with(|| group.to_owned()).clone();
        Box::pin(std::future::ready(Ok(bound)))
    }

    fn topic<'a>(&'a self, role: TopicRole, topic_id: &'a str) -> BoxFuture<'a, Result<String, LedgerError>> {
        let topics = &mut self.rows.lock().places.topics;
        let known = topics.entry(role).or_insert_with(|| topic_id.to_owned()).clone();
        Box::pin(std::future::ready(Ok(known)))
    }

    fn recreated<'a>(&'a self, role: TopicRole, old: &'a str, new: &'a str) -> BoxFuture<'a, Result<u64, LedgerError>> {
        let mut database = self.rows.lock();
        database.places.topics.insert(role, new.to_owned());
        let gone = database.rows.values_mut().map(|held| u64::from(held.vanish_with(role, old))).sum();
        Box::pin(std::future::ready(Ok(gone)))
    }

    fn writer<'a>(&'a self, topic_id: &'a str, partition: u32) -> BoxFuture<'a, Result<Option<String>, LedgerError>> {
        Box::pin(std::future::ready(Ok(self.rows.writer(topic_id, partition))))
    }

    fn counted<'a>(&'a self, topic_id: &'a str) -> BoxFuture<'a, Result<Option<Counted>, LedgerError>> {
        let counted = self.rows.lock().places.counts.get(topic_id).cloned();
        Box::pin(std::future::ready(Ok(counted)))
    }

    fn count<'a>(
        &'a self,
        topic_id: &'a str,
        from: Option<&'a Counted>,
        to: &'a Counted,
    ) -> BoxFuture<'a, Result<Counted, LedgerError>> {
        let counts = &mut self.rows.lock().places.counts;
        if counts.get(topic_id) == from {
            counts.insert(topic_id.to_owned(), to.clone());
        }
        Box::pin(std::future::ready(Ok(counts.get(topic_id).unwrap_or(to).clone())))
    }

    fn first_open<'a>(&'a self, topic_id: &'a str, partition: u32) -> BoxFuture<'a, Result<Option<u64>, LedgerError>> {
        let database = self.rows.lock();
        Box::pin(std::future::ready(Ok(database.places.first_open((topic_id, partition), &database.rows))))
    }
}
