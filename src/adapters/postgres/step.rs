//! Does one step of a plan: one statement for all its entries, and what each came to.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::decisions;
use super::places;
use super::rows;
use super::session::Session;
use super::sets::{self, bound, millis, named};
use super::statements;
use crate::pipeline::dedupe::ledger::outcomes::{self, Holder};
use crate::pipeline::dedupe::ledger::plan::{Kind, Step, key_of};
use crate::pipeline::dedupe::ledger::{Ahead, Claim, Entry, Outcome};

/// Writes the steps of one batch, inside its transaction.
pub(super) struct Scribe<'a> {
    pub(super) session: Session<'a>,
    pub(super) me: &'a Holder,
    /// After how long without a heartbeat an earlier life of ours is dead.
    pub(super) heartbeat_stale: Duration,
    /// Whether the ledger said, after everything else of the batch, that nothing at all is deferred.
    pub(super) nothing_is_deferred: bool,
}

impl Scribe<'_> {
    /// The outcomes of the step's entries, in its order.
    pub(super) async fn write(&mut self, step: &Step, batch: &[Entry]) -> Result<Vec<Outcome>, sqlx::Error> {
        let entries: Vec<&Entry> = step.entries.iter().map(|index| &batch[*index]).collect();
        self.nothing_is_deferred &= step.kind != Kind::Defer;
        if step.kind == Kind::Vanished {
            return self.vanished(&entries).await;
        }
        if step.kind.is_keyless() {
            let mut outcomes = Vec::with_capacity(entries.len());
            for entry in entries {
                outcomes.push(self.write_keyless(entry).await?);
            }
            return Ok(outcomes);
        }
        let changed = self.write_set(step.kind, &entries).await?;
        if changed == entries.len() as u64
            && let Some(outcomes) = entries.iter().map(|entry| outcomes::usual(entry)).collect()
        {
            return Ok(outcomes);
        }
        if matches!(step.kind, Kind::Claim | Kind::TakeOver) {
            let again = sets::read_again(&statements::READ_AGAIN, &entries);
            self.session.change(&statements::READ_AGAIN, again).await?;
        }
        let held = rows::read(&mut self.session, entries.iter().filter_map(|entry| key_of(entry))).await?;
        let row_of = |entry| key_of(entry).and_then(|key| held.get(&key));
        let outcomes: Option<Vec<Outcome>> =
            entries.iter().map(|entry| outcomes::read_off(entry, row_of(entry), self.me)).collect();
        outcomes.ok_or_else(|| unexplained(step.kind))
    }

    /// A batch of new decisions and its mark, which most batches of answers are, in a transaction of one statement. `None`: it
    /// is another kind of batch, or not all went the usual way: then the batch has to come again, step by step.
    pub(super) async fn decide_at_once(
        &mut self,
        steps: &[Step],
        batch: &[Entry],
    ) -> Result<Option<Vec<(usize, Outcome)>>, sqlx::Error> {
        let [Step { kind: Kind::Decide, entries: decided }, Step { kind: Kind::Mark, entries: marked }] = steps else {
            return Ok(None);
        };
        let &[place] = &marked[..] else { return Ok(None) };
        let Entry::Mark { writer } = &batch[place] else { return Ok(None) };
        // Questions and money are in no step.
        if decided.len() + 1 != batch.len() {
            return Ok(None);
        }
        let entries: Vec<&Entry> = decided.iter().map(|place| &batch[*place]).collect();
        let usual = decided.iter().map(|place| Some((*place, outcomes::usual(&batch[*place])?)));
        let Some(mut outcomes) = usual.collect::<Option<Vec<_>>>() else { return Ok(None) };
        let set = sets::of(Kind::Decide, &statements::DECIDE_AND_MARK, &entries);
        let set = set.bind(self.me.instance.clone()).bind(self.me.incarnation).bind(named(writer));
        let rows = self.session.read(&statements::DECIDE_AND_MARK, set).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let (saved, ledger, batches): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        outcomes.push((place, Outcome::Marked(places::mark_in(ledger, batches)?)));
        Ok((saved.unsigned_abs() == decided.len() as u64).then_some(outcomes))
    }

    /// How many rows the set changed.
    async fn write_set(&mut self, kind: Kind, entries: &[&Entry]) -> Result<u64, sqlx::Error> {
        let statement = match kind {
            Kind::Claim => &statements::CLAIM,
            Kind::TakeOver => &statements::TAKE_OVER,
            Kind::Lease => &statements::LEASE,
            Kind::Release => &statements::RELEASE,
            Kind::Answer => &statements::ANSWER,
            Kind::Verdict => &statements::VERDICT,
            Kind::Decide => &statements::DECIDE,
            Kind::Defer => &statements::DEFER,
            Kind::Published => &statements::PUBLISHED,
            Kind::Restore => &statements::RESTORE,
            Kind::Enter
            | Kind::Stands
            | Kind::Mark
            | Kind::Recovered
            | Kind::ActedOn
            | Kind::Vanished
            | Kind::RepairPublished => {
                unreachable!("these are written one by one")
            }
        };
        let set = sets::of(kind, statement, entries);
        let (instance, incarnation) = (self.me.instance.clone(), self.me.incarnation);
        let set = match kind {
            Kind::Lease => set.bind(instance).bind(incarnation).bind(millis(self.heartbeat_stale)),
            Kind::Answer | Kind::Decide | Kind::Release => set.bind(instance).bind(incarnation),
            _ => set,
        };
        let changed = match kind {
            // They do two things, and their answer says how often they did the first.
            Kind::Verdict | Kind::Decide => decisions::saved(&self.session.read(statement, set).await?)?,
            _ => self.session.change(statement, set).await?,
        };
        if kind == Kind::Restore {
            decisions::remember(&mut self.session, entries).await?;
        }
        if kind == Kind::TakeOver {
            // Where the old row is gone (forgotten meanwhile) there is nothing to take over: a plain claim.
            let claims = sets::of(Kind::Claim, &statements::CLAIM, entries);
            self.session.change(&statements::CLAIM, claims).await?;
        }
        Ok(changed)
    }

    /// What is put off and comes before each of these claims, by its place among them.
    pub(super) async fn ahead(&mut self, claims: &[&Claim]) -> Result<Vec<(usize, Ahead)>, sqlx::Error> {
        // Seldom is anything: then nobody need be looked for.
        if claims.is_empty() || self.nothing_is_deferred {
            return Ok(Vec::new());
        }
        let rows = self.session.read(&statements::AHEAD, sets::places(&statements::AHEAD, claims)).await?;
        let decode = |row: &PgRow| {
            let (place, count, tier): (i64, i64, i16) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let ahead = Ahead { count: count.unsigned_abs(), tier: u8::try_from(tier).unwrap_or(u8::MAX) };
            Ok((usize::try_from(place - 1).unwrap_or(usize::MAX), ahead))
        };
        rows.iter().map(decode).collect()
    }

    async fn vanished(&mut self, entries: &[&Entry]) -> Result<Vec<Outcome>, sqlx::Error> {
        let ranges = sets::ranges(&statements::VANISHED, entries);
        let mut outcomes = vec![Outcome::Changed(0); entries.len()];
        for row in self.session.read(&statements::VANISHED, ranges).await? {
            let (place, count): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            let outcome = usize::try_from(place - 1).ok().and_then(|index| outcomes.get_mut(index));
            *outcome.ok_or_else(|| unexplained(Kind::Vanished))? = Outcome::Changed(count.unsigned_abs());
        }
        Ok(outcomes)
    }

    async fn write_keyless(&mut self, entry: &Entry) -> Result<Outcome, sqlx::Error> {
        match entry {
            Entry::Enter { topic_id, partition, writer, committed, last } => {
                let (session, place) = (&mut self.session, (topic_id.as_str(), *partition));
                places::enter(session, place, writer, *committed, last.as_ref()).await.map(Outcome::Entered)
            }
            Entry::Mark { writer } => {
                let (mark, is_any_deferred) = places::mark(&mut self.session, writer).await?;
                self.nothing_is_deferred = !is_any_deferred;
                Ok(Outcome::Marked(mark))
            }
            Entry::Recovered(commit) => places::recovered(&mut self.session, commit).await.map(|()| Outcome::Done),
            Entry::Stands { topic_id, partition, base } => {
                places::stands(&mut self.session, (topic_id, *partition), *base).await.map(|()| Outcome::Done)
            }
            Entry::ActedOn { tenant_id, ticket_id, decision_id } => {
                let (session, id) = (&mut self.session, decision_id.as_deref());
                decisions::acted_on(session, tenant_id, ticket_id, id).await.map(|()| Outcome::Done)
            }
            Entry::RepairPublished { topic_id, partition, to, unfinished, at } => {
                let unfinished: Vec<i64> = unfinished.iter().map(|offset| bound(*offset)).collect();
                let mut changed = 0;
                for statement in [&statements::REPAIR_PUBLISHED, &statements::REPAIR_COPIES] {
                    let query = sqlx::query(statement.sql).bind(named(topic_id)).bind(i64::from(*partition));
                    let query = query.bind(bound(*to)).bind(unfinished.clone()).bind(at.0);
                    changed += self.session.change(statement, query).await?;
                }
                Ok(Outcome::Changed(changed))
            }
            _ => unreachable!("only what speaks of no key is planned so"),
        }
    }
}

/// No outcome can be read off a row. One that a statement left as it was is not locked: what kept an answer away, another
/// instance's lease, may have ended before the row was read back. The same batch again saves it. Nothing else may be so.
fn unexplained(kind: Kind) -> sqlx::Error {
    match kind {
        Kind::Answer | Kind::Decide => {
            sqlx::Error::Protocol("a lease ended while an answer was kept away by it".into())
        }
        _ => sqlx::Error::Decode("a row is not there right after it was written".into()),
    }
}
