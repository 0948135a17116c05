//! Does one step of a plan: one statement for all its entries, and what each came to.

use serde::Serialize;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row as _, Sqlite, SqliteConnection};

use super::decisions;
use super::places::{self, Place, bound};
use super::rows;
use super::statements::{self, Statement, written};
use crate::domain::clock::Timestamp;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::identity::{DedupeKey, hex};
use crate::domain::position::Position;
use crate::pipeline::dedupe::ledger::outcomes::{self, Holder};
use crate::pipeline::dedupe::ledger::plan::{Kind, Step, key_of};
use crate::pipeline::dedupe::ledger::restored::Restored;
use crate::pipeline::dedupe::ledger::{Ahead, Claim, Entry, Outcome};
use crate::telemetry::pace::Pace;

/// Writes the steps of one batch, inside its transaction and at one time.
pub(super) struct Scribe<'a> {
    pub(super) connection: &'a mut SqliteConnection,
    pub(super) me: &'a Holder,
    pub(super) now: Timestamp,
    pub(super) pace: Pace,
    /// Whether it is time to say again that this instance is alive; not any more once it was said.
    pub(super) beat_is_due: bool,
    /// Whether the ledger said, after everything else of the batch, that nothing at all is deferred.
    pub(super) nothing_is_deferred: bool,
}

impl Scribe<'_> {
    /// The outcomes of the step's entries, in its order.
    pub(super) async fn write(&mut self, step: &Step, batch: &[Entry]) -> Result<Vec<Outcome>, sqlx::Error> {
        self.nothing_is_deferred &= step.kind != Kind::Defer;
        if step.kind.is_keyless() {
            let mut outcomes = Vec::with_capacity(step.entries.len());
            for index in &step.entries {
                outcomes.push(self.write_keyless(&batch[*index]).await?);
            }
            return Ok(outcomes);
        }
        let entries = || step.entries.iter().map(|index| &batch[*index]);
        // Before the verdicts: then it can be told which of them will be the ones that are saved.
        decisions::remember(&mut *self.connection, self.pace, entries()).await?;
        decisions::remember_decided(&mut *self.connection, self.pace, entries(), self.me, self.now).await?;
        let changed = self.write_set(step.kind, &set(entries(), self.now)).await?;
        if changed == step.entries.len() as u64
            && let Some(outcomes) = entries().map(outcomes::usual).collect()
        {
            return Ok(outcomes);
        }
        if matches!(step.kind, Kind::Claim | Kind::TakeOver) {
            self.run(&statements::READ_AGAIN, &set(entries(), self.now)).await?;
        }
        let held = rows::read(&mut *self.connection, entries().filter_map(key_of), self.now);
        let held = self.pace.watch(statements::READ.name, held).await?;
        let row_of = |entry| key_of(entry).and_then(|key| held.get(&key));
        let outcomes: Option<Vec<Outcome>> =
            entries().map(|entry| outcomes::read_off(entry, row_of(entry), self.me)).collect();
        outcomes.ok_or_else(|| sqlx::Error::Decode("a row is not there right after it was written".into()))
    }

    /// How many rows the set changed.
    async fn write_set(&mut self, kind: Kind, json: &str) -> Result<u64, sqlx::Error> {
        match kind {
            Kind::Claim => self.run(&statements::CLAIM, json).await,
            Kind::TakeOver => {
                let changed = self.run(&statements::TAKE_OVER, json).await?;
                // Where the old row is gone (forgotten meanwhile) there is nothing to take over: a plain claim.
                self.run(&statements::CLAIM, json).await?;
                Ok(changed)
            }
            Kind::Lease => {
                if std::mem::take(&mut self.beat_is_due) {
                    beat(&mut *self.connection, self.me, self.now, self.pace).await?;
                }
                self.run_for(&statements::LEASE, json).await
            }
            Kind::Release => self.run_for(&statements::RELEASE, json).await,
            Kind::Answer => self.run_for(&statements::ANSWER, json).await,
            Kind::Verdict => self.run(&statements::VERDICT, json).await,
            Kind::Decide => self.run_for(&statements::DECIDE, json).await,
            Kind::Defer => self.run(&statements::DEFER, json).await,
            Kind::Published => self.run(&statements::PUBLISHED, json).await,
            Kind::Restore => self.run(&statements::RESTORE, json).await,
            Kind::Enter
            | Kind::Stands
            | Kind::Mark
            | Kind::Recovered
            | Kind::ActedOn
            | Kind::Vanished
            | Kind::RepairPublished => {
                unreachable!("these are written one by one")
            }
        }
    }

    async fn run(&mut self, statement: &Statement, json: &str) -> Result<u64, sqlx::Error> {
        self.change(statement, sqlx::query(statement.sql).bind(json)).await
    }

    /// The same for a statement that asks who we are and what time it is.
    async fn run_for(&mut self, statement: &Statement, json: &str) -> Result<u64, sqlx::Error> {
        let query = sqlx::query(statement.sql).bind(json).bind(&self.me.instance).bind(self.me.incarnation);
        self.change(statement, query.bind(self.now.0)).await
    }

    /// What is put off and comes before each of these claims, by its place among them.
    pub(super) async fn ahead(&mut self, claims: &[&Claim]) -> Result<Vec<(usize, Ahead)>, sqlx::Error> {
        // Seldom is anything: then nobody need be looked for.
        if claims.is_empty() || self.nothing_is_deferred {
            return Ok(Vec::new());
        }
        let lines = claims.iter().enumerate().map(|(place, claim)| {
            let Position { topic_id, partition, offset } = &claim.position;
            (place, &claim.ticket, topic_id, partition, bound(*offset))
        });
        let query = sqlx::query(statements::AHEAD.sql).bind(written(&lines.collect::<Vec<_>>()));
        let rows = self.pace.watch(statements::AHEAD.name, query.fetch_all(&mut *self.connection)).await?;
        let decode = |row: &SqliteRow| {
            let (place, count): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            let ahead = Ahead { count: count.unsigned_abs(), tier: row.try_get(3)? };
            Ok((usize::try_from(place).unwrap_or(usize::MAX), ahead))
        };
        rows.iter().map(decode).collect()
    }

    async fn write_keyless(&mut self, entry: &Entry) -> Result<Outcome, sqlx::Error> {
        match entry {
            Entry::Enter { topic_id, partition, writer, committed, last } => {
                let mut place = self.place(topic_id, *partition);
                place.enter(writer, *committed, last.as_ref()).await.map(Outcome::Entered)
            }
            Entry::Mark { writer } => {
                let (mark, is_any_deferred) = places::mark(&mut *self.connection, writer, self.pace).await?;
                self.nothing_is_deferred = !is_any_deferred;
                Ok(Outcome::Marked(mark))
            }
            Entry::Recovered(commit) => {
                places::recovered(&mut *self.connection, commit, self.pace).await.map(|()| Outcome::Done)
            }
            Entry::Stands { topic_id, partition, base } => {
                self.place(topic_id, *partition).stands(*base).await.map(|()| Outcome::Done)
            }
            Entry::ActedOn { tenant_id, ticket_id, decision_id } => {
                let (connection, id) = (&mut *self.connection, decision_id.as_deref());
                decisions::acted_on(connection, self.pace, tenant_id, ticket_id, id).await.map(|()| Outcome::Done)
            }
            Entry::Vanished { topic_id, partition, from, to } => {
                let query = sqlx::query(statements::VANISHED.sql).bind(topic_id).bind(partition);
                let query = query.bind(bound(*from)).bind(bound(*to));
                self.change(&statements::VANISHED, query).await.map(Outcome::Changed)
            }
            Entry::RepairPublished { topic_id, partition, to, unfinished, at } => {
                let unfinished = written(unfinished);
                let mut changed = 0;
                for statement in [&statements::REPAIR_PUBLISHED, &statements::REPAIR_COPIES] {
                    let query = sqlx::query(statement.sql).bind(topic_id).bind(partition).bind(bound(*to));
                    changed += self.change(statement, query.bind(&unfinished).bind(at.0)).await?;
                }
                Ok(Outcome::Changed(changed))
            }
            _ => unreachable!("only what speaks of no key is planned so"),
        }
    }

    fn place<'a>(&'a mut self, topic_id: &'a str, partition: u32) -> Place<'a> {
        Place { connection: &mut *self.connection, pace: self.pace, topic_id, partition }
    }

    async fn change(
        &mut self,
        statement: &Statement,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<u64, sqlx::Error> {
        Ok(self.pace.watch(statement.name, query.execute(&mut *self.connection)).await?.rows_affected())
    }
}

/// The parameter of a set: an array a line, its elements in the order in which the statements count them.
fn set<'a>(entries: impl Iterator<Item = &'a Entry>, now: Timestamp) -> String {
    let lines: Vec<Line> = entries.map(|entry| line(entry, now)).collect();
    written(&lines)
}

/// Written as an array; the statements count its elements. The first four are key, topic, partition and offset.
#[derive(Serialize)]
#[serde(untagged)]
enum Line<'a> {
    Claim(
        String,
        &'a str,
        u32,
        u64,
        u32,
        u8,
        String,
        &'a str,
        &'a str,
        i64,
        Option<&'a str>,
        Option<u64>,
        Option<&'a str>,
        Option<u32>,
        Option<u64>,
    ),
    Restore(String, &'a str, u32, u64, u32, u8, String, &'a str, &'a str, i64, String, i64, Option<i64>),
    Owner(String, &'a str, u32, u64),
    Time(String, &'a str, u32, u64, i64),
    Text(String, &'a str, u32, u64, String, Option<i64>),
    Decided(String, &'a str, u32, u64, String, i64, String),
    Lane(String, &'a str, u32, u64, &'a str, u8),
}

fn line(entry: &Entry, now: Timestamp) -> Line<'_> {
    match entry {
        Entry::Claim(claim) => claimed(claim, None),
        Entry::TakeOver { claim, from } => claimed(claim, Some(from)),
        Entry::Lease { key, owner, lasts } => timed(*key, owner, now.after(*lasts)),
        Entry::Release { key, owner } => Line::Owner(key.to_hex(), &owner.topic_id, owner.partition, owner.offset),
        Entry::Published { key, owner, at } => timed(*key, owner, *at),
        Entry::Defer { key, owner, ticket, tier } => {
            Line::Lane(key.to_hex(), &owner.topic_id, owner.partition, owner.offset, ticket, *tier)
        }
        Entry::Answer { key, owner, answer, at } => text(*key, owner, written(answer), Some(*at)),
        Entry::Verdict { key, owner, verdict, .. } => {
            let rejected_at = (verdict.status == FeedbackStatus::Rejected).then_some(verdict.processed_at);
            text(*key, owner, written(verdict), rejected_at)
        }
        Entry::Decide { key, owner, answer, at, verdict, .. } => Line::Decided(
            key.to_hex(),
            &owner.topic_id,
            owner.partition,
            owner.offset,
            written(answer),
            at.0,
            written(verdict),
        ),
        Entry::Restore(Restored { claim, verdict, published_at, .. }) => {
            let p = &claim.position;
            let rejected_at = (verdict.status == FeedbackStatus::Rejected).then_some(verdict.processed_at.0);
            Line::Restore(
                claim.key.to_hex(),
                &p.topic_id,
                p.partition,
                p.offset,
                claim.hop,
                claim.body.form,
                hex(&claim.body.sha256),
                &claim.tenant_id,
                &claim.event_id,
                claim.at.0,
                written(verdict),
                published_at.0,
                rejected_at,
            )
        }
        Entry::Enter { .. }
        | Entry::Stands { .. }
        | Entry::Mark { .. }
        | Entry::Recovered(_)
        | Entry::Money(_)
        | Entry::Recall(_)
        | Entry::ActedOn { .. }
        | Entry::Overtaken(_)
        | Entry::Vanished { .. }
        | Entry::RepairPublished { .. } => unreachable!("these are written one by one"),
    }
}

/// The owner's place, what is claimed, where its copy stands, and whom it is taken over from.
fn claimed<'a>(claim: &'a Claim, from: Option<&'a Position>) -> Line<'a> {
    let Claim {
        key, position: Position { topic_id, partition, offset }, hop, copy, body, tenant_id, event_id, at, ..
    } = claim;
    Line::Claim(
        key.to_hex(),
        topic_id,
        *partition,
        *offset,
        *hop,
        body.form,
        hex(&body.sha256),
        tenant_id,
        event_id,
        at.0,
        copy.as_ref().map(|copy| &*copy.topic_id),
        copy.as_ref().map(|copy| copy.offset),
        from.map(|from| &*from.topic_id),
        from.map(|from| from.partition),
        from.map(|from| from.offset),
    )
}

fn timed(key: DedupeKey, owner: &Position, time: Timestamp) -> Line<'_> {
    Line::Time(key.to_hex(), &owner.topic_id, owner.partition, owner.offset, time.0)
}

fn text(key: DedupeKey, owner: &Position, text: String, time: Option<Timestamp>) -> Line<'_> {
    Line::Text(key.to_hex(), &owner.topic_id, owner.partition, owner.offset, text, time.map(|time| time.0))
}

/// Says that this instance is alive, in this incarnation.
pub(super) async fn beat(
    connection: &mut SqliteConnection,
    me: &Holder,
    now: Timestamp,
    pace: Pace,
) -> Result<(), sqlx::Error> {
    let query = sqlx::query(statements::HEARTBEAT.sql).bind(&me.instance).bind(me.incarnation).bind(now.0);
    pace.watch(statements::HEARTBEAT.name, query.execute(connection)).await.map(drop)
}
