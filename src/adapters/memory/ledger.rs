//! The ledger in memory: for the simulation, and the reference that SQLite is compared with.
//!
//! Written entry by entry as the port's words stand there, not set by set. [`Rows`] is the database: it outlives the
//! handles of a process, so a simulated crash keeps what was committed and loses what was not.

mod calling;
mod decisions;
mod places;
mod purses;
mod restored;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::domain::clock::{Clock, Timestamp};
use crate::domain::feedback::FeedbackStatus;
use crate::domain::identity::DedupeKey;
use crate::domain::position::Position;
use crate::pipeline::dedupe::ledger::{Ahead, Claim, Entry, Ledger, LedgerError, Outcome, Row};

/// What a database would hold.
#[derive(Debug, Clone, Default)]
pub struct Rows(Arc<Mutex<Database>>);

#[derive(Debug, Clone, Default)]
struct Database {
    rows: Map,
    places: places::Book,
    decisions: decisions::Shelf,
    purses: purses::Shelf,
}

/// When a commit can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Nothing has happened yet; failing now, nothing will have.
    BeforeApply,
    /// All of it has happened; failing now, the caller cannot know.
    AfterApply,
}

/// What happens at such a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fault {
    /// First it takes this long.
    pub delay: Duration,
    /// Then the commit fails.
    pub fails: bool,
}

/// Asked twice a commit.
pub trait Faults: Send + Sync + 'static {
    /// What goes wrong with this batch at this moment.
    fn at(&self, moment: Moment, batch: &[Entry]) -> Fault;
}

impl<F: Fn(Moment, &[Entry]) -> Fault + Send + Sync + 'static> Faults for F {
    fn at(&self, moment: Moment, batch: &[Entry]) -> Fault {
        self(moment, batch)
    }
}

/// One process's connection to [`Rows`].
pub struct MemoryLedger {
    rows: Rows,
    me: Holder,
    clock: Arc<dyn Clock>,
    faults: Arc<dyn Faults>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Holder {
    instance: String,
    incarnation: u64,
}

#[derive(Debug, Clone)]
struct Held {
    row: Row,
    rejected_at: Option<Timestamp>,
    lease: Option<(Holder, Timestamp)>,
    /// The lane of a deferred event.
    deferred_ticket: Option<Arc<str>>,
    /// Since its latest claim.
    is_put_off: bool,
}

impl MemoryLedger {
    /// A handle for this incarnation of this instance. `predecessor_is_dead`: what earlier incarnations leased is free.
    #[must_use]
    pub fn open(
        rows: Rows,
        instance: &str,
        incarnation: u64,
        predecessor_is_dead: bool,
        clock: Arc<dyn Clock>,
    ) -> Self {
        if predecessor_is_dead {
            // As the databases have it: of a published row nothing is asked any more.
            for held in rows.lock().rows.values_mut().filter(|held| held.row.published_at.is_none()) {
                held.lease.take_if(|(holder, _)| holder.instance == instance);
            }
        }
        rows.lock().purses.hear(instance, clock.now());
        let me = Holder { instance: instance.to_owned(), incarnation };
        Self { rows, me, clock, faults: Arc::new(|_: Moment, _: &[Entry]| Fault::default()) }
    }

    /// The same with things going wrong.
    #[must_use]
    pub fn with_faults(self, faults: Arc<dyn Faults>) -> Self {
        Self { faults, ..self }
    }

    async fn pass(&self, moment: Moment, batch: &[Entry]) -> Result<(), LedgerError> {
        let fault = self.faults.at(moment, batch);
        if !fault.delay.is_zero() {
            tokio::time::sleep(fault.delay).await;
        }
        if fault.fails { Err(LedgerError::Unavailable(format!("fault injected: {moment:?}"))) } else { Ok(()) }
    }
}

impl Ledger for MemoryLedger {
    fn commit(&self, entries: Vec<Entry>) -> BoxFuture<'_, Result<Vec<Outcome>, LedgerError>> {
        Box::pin(async move {
            self.pass(Moment::BeforeApply, &entries).await?;
            let outcomes = {
                let mut database = self.rows.lock();
                let now = self.clock.now();
                let mut moved = database.purses.apply(&self.me, now, &entries);
                let outcomes: Vec<_> = entries.iter().map(|entry| apply(&mut database, entry, &self.me, now)).collect();
                entries
                    .iter()
                    .zip(outcomes)
                    .enumerate()
                    .map(|(place, (entry, outcome))| match entry {
                        Entry::Money(_) => moved.remove(&place).unwrap_or(outcome),
                        Entry::Recall(question) => Outcome::Recalled(database.decisions.recall(question)),
                        Entry::Overtaken(question) => Outcome::Overtaken(database.decisions.overtaken(question)),
                        _ => look_ahead(&database.rows, entry, outcome),
                    })
                    .collect()
            };
            self.pass(Moment::AfterApply, &entries).await?;
            Ok(outcomes)
        })
    }

    fn find_all(&self, keys: Vec<DedupeKey>) -> BoxFuture<'_, Result<HashMap<DedupeKey, Row>, LedgerError>> {
        let row = |key| Some((key, self.rows.lock().rows.get(&key)?.row.clone()));
        Box::pin(std::future::ready(Ok(keys.into_iter().filter_map(row).collect())))
    }

    fn forget(
        &self,
        published_before: Timestamp,
        rejected_after: Timestamp,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, LedgerError>> {
        Box::pin(async move {
            let rows = &mut self.rows.lock().rows;
            let mut old: Vec<(Timestamp, DedupeKey)> = rows
                .values()
                .filter(|held| held.rejected_at.is_none_or(|rejected| rejected <= rejected_after))
                .filter_map(|held| Some((held.row.published_at.filter(|at| *at < published_before)?, held.row.key)))
                .collect();
            old.sort_unstable();
            old.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            for (_, key) in &old {
                rows.remove(key);
            }
            Ok(old.len() as u64)
        })
    }
}

impl Rows {
    /// A copy, as a backup would be.
    #[must_use]
    pub fn back_up(&self) -> Self {
        Self(Arc::new(Mutex::new(self.lock().clone())))
    }

    /// Everything as it is in this copy.
    pub fn set_back_to(&self, copy: &Self) {
        let old = copy.lock().clone();
        *self.lock() = old;
    }

    /// No entry can leave rows half-written, so a poisoned lock holds good rows.
    fn lock(&self) -> MutexGuard<'_, Database> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Map = BTreeMap<DedupeKey, Held>;

fn apply(database: &mut Database, entry: &Entry, me: &Holder, now: Timestamp) -> Outcome {
    let Database { rows, places, decisions, .. } = database;
    match entry {
        Entry::Enter { topic_id, partition, writer, committed, last } => {
            Outcome::Entered(places.enter((topic_id, *partition), writer, *committed, last.as_ref()))
        }
        Entry::Mark { writer } => Outcome::Marked(places.mark(writer)),
        Entry::Recovered(commit) => {
            places.recovered(commit);
            Outcome::Done
        }
        Entry::Restore(restored) => {
            restored::restore(rows, restored);
            decisions.remember(restored.decision.as_ref());
            Outcome::Done
        }
        Entry::Stands { topic_id, partition, base } => {
            places.stands((topic_id, *partition), *base);
            Outcome::Done
        }
        Entry::Claim(claim) => claim_row(rows, claim),
        Entry::TakeOver { claim, from } => {
            take_over(rows, claim, from);
            claim_row(rows, claim)
        }
        Entry::Lease { key, owner, lasts } => calling::lease(owned(rows, *key, owner), *lasts, me, now),
        Entry::Release { key, owner } => match owned(rows, *key, owner) {
            Some(held) => {
                held.lease.take_if(|(holder, _)| holder == me);
                Outcome::Done
            }
            None => Outcome::NotOwner,
        },
        Entry::Answer { key, owner, answer, at } => match owned(rows, *key, owner) {
            Some(held) => calling::save_answer(held, answer, *at, me, now),
            None => Outcome::NotOwner,
        },
        Entry::Decide { key, owner, answer, at, verdict, decision } => match owned(rows, *key, owner) {
            Some(held) => {
                if let Some(verdict) = &held.row.verdict {
                    return Outcome::Reached(Arc::clone(verdict));
                }
                let is_first = held.row.answer.is_none();
                match calling::save_answer(held, answer, *at, me, now) {
                    Outcome::Saved(_) if is_first => {
                        decisions.remember(decision.as_ref());
                        Outcome::Reached(Arc::clone(held.row.verdict.insert(Arc::clone(verdict))))
                    }
                    otherwise => otherwise,
                }
            }
            None => Outcome::NotOwner,
        },
        // Done before everything else.
        Entry::Money(_) => Outcome::Done,
        // Answered when everything is written.
        Entry::Recall(_) => Outcome::Recalled(None),
        Entry::Overtaken(_) => Outcome::Overtaken(None),
        Entry::ActedOn { tenant_id, ticket_id, decision_id } => {
            decisions.acted_on(tenant_id, ticket_id, decision_id.as_deref());
            Outcome::Done
        }
        Entry::Verdict { key, owner, verdict, decision } => match owned(rows, *key, owner) {
            Some(held) => {
                if held.row.verdict.is_none() {
                    held.lease = None;
                    decisions.remember(decision.as_ref());
                    if verdict.status == FeedbackStatus::Rejected {
                        held.row.rejected = true;
                        held.rejected_at = Some(verdict.processed_at);
                    }
                }
                Outcome::Reached(Arc::clone(held.row.verdict.get_or_insert_with(|| Arc::clone(verdict))))
            }
            None => Outcome::NotOwner,
        },
        Entry::Defer { key, owner, ticket, tier } => match owned(rows, *key, owner) {
            Some(held) => match &held.row.verdict {
                Some(verdict) => Outcome::Reached(Arc::clone(verdict)),
                None => {
                    held.row.deferred_to = Some(*tier);
                    held.deferred_ticket = Some(Arc::clone(ticket));
                    held.is_put_off = true;
                    Outcome::Done
                }
            },
            None => Outcome::NotOwner,
        },
        Entry::Published { key, owner, at } => match owned(rows, *key, owner) {
            Some(held) => {
                held.row.published_at.get_or_insert(*at);
                Outcome::Done
            }
            None => Outcome::NotOwner,
        },
        Entry::Vanished { topic_id, partition, from, to } => change(rows, topic_id, *partition, |row| {
            let vanishes = row.published_at.is_none() && (*from..*to).contains(&row.owner.offset);
            row.vanished |= vanishes;
            vanishes
        }),
        Entry::RepairPublished { topic_id, partition, to, unfinished, at } => {
            let mut changed = 0;
            for row in rows.values_mut().filter(|held| !held.is_put_off).map(|held| &mut held.row) {
                let latest = if row.hop == 0 { Some(&row.owner) } else { row.copy.as_ref() };
                let is_finished = |at: &Position| {
                    at.topic_id == *topic_id
                        && at.partition == *partition
                        && at.offset < *to
                        && !unfinished.contains(&at.offset)
                };
                let unmarked = row.published_at.is_none() && row.verdict.is_some() && !row.vanished;
                if unmarked && latest.is_some_and(is_finished) {
                    row.published_at = Some(*at);
                    changed += 1;
                }
            }
            Outcome::Changed(changed)
        }
    }
}

fn owned<'a>(rows: &'a mut Map, key: DedupeKey, owner: &Position) -> Option<&'a mut Held> {
    rows.get_mut(&key).filter(|held| held.row.owner == *owner)
}

fn claim_row(rows: &mut Map, claim: &Claim) -> Outcome {
    let held = rows.entry(claim.key).or_insert_with(|| Held {
        row: Row::left_by(claim),
        rejected_at: None,
        lease: None,
        deferred_ticket: None,
        is_put_off: false,
    });
    if held.row.owner == claim.position {
        // What is read again was not put off after all: else its offset would be finished.
        held.is_put_off &= claim.hop < held.row.hop;
        if held.row.hop < claim.hop {
            held.row.hop = claim.hop;
            held.row.copy.clone_from(&claim.copy);
        }
    }
    Outcome::Row(Arc::new(held.row.clone()))
}

fn take_over(rows: &mut Map, claim: &Claim, from: &Position) {
    let Some(held) = owned(rows, claim.key, from) else { return };
    let rejected = held.row.verdict.as_ref().is_some_and(|verdict| verdict.status == FeedbackStatus::Rejected);
    if rejected || (held.row.vanished && held.row.published_at.is_none()) {
        held.lease = None;
        held.row = Row {
            key: claim.key,
            owner: claim.position.clone(),
            hop: claim.hop,
            copy: claim.copy.clone(),
            body: claim.body,
            first_seen_at: held.row.first_seen_at,
            answer: None,
            answered_at: None,
            verdict: None,
            published_at: None,
            vanished: false,
            rejected: held.row.rejected,
            deferred_to: None,
            ahead: None,
        };
        held.deferred_ticket = None;
        held.is_put_off = false;
    }
}

/// What of the same ticket is put off and comes before a claim, as it is once the whole batch is written.
fn look_ahead(rows: &Map, entry: &Entry, outcome: Outcome) -> Outcome {
    let (Entry::Claim(claim) | Entry::TakeOver { claim, .. }, Outcome::Row(row)) = (entry, &outcome) else {
        return outcome;
    };
    let place = &claim.position;
    let is_ahead = |held: &&Held| {
        let owner = &held.row.owner;
        held.deferred_ticket.as_ref() == Some(&claim.ticket)
            && (&owner.topic_id, owner.partition) == (&place.topic_id, place.partition)
            && owner.offset < place.offset
            && held.row.published_at.is_none()
            && !held.row.vanished
    };
    let ahead: Vec<&Held> = rows.values().filter(is_ahead).collect();
    let latest = ahead.iter().max_by_key(|held| held.row.owner.offset).and_then(|held| held.row.deferred_to);
    let ahead = latest.map(|tier| Ahead { count: ahead.len() as u64, tier });
    Outcome::Row(Arc::new(Row { ahead, ..Row::clone(row) }))
}

fn change(rows: &mut Map, topic_id: &str, partition: u32, mut changes: impl FnMut(&mut Row) -> bool) -> Outcome {
    let of_partition =
        rows.values_mut().filter(|held| held.row.owner.topic_id == topic_id && held.row.owner.partition == partition);
    let mut changed = 0;
    for held in of_partition {
        changed += u64::from(changes(&mut held.row));
    }
    Outcome::Changed(changed)
}
