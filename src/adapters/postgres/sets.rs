//! Entries of one kind as columns: what a statement unnests.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;

use super::statements::Statement;
use crate::domain::answer::Answer;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::identity::DedupeKey;
use crate::domain::past_decision::PastDecision;
use crate::domain::position::Position;
use crate::domain::verdict::Verdict;
use crate::pipeline::dedupe::ledger::plan::{Kind, key_of};
use crate::pipeline::dedupe::ledger::restored::Restored;
use crate::pipeline::dedupe::ledger::{Claim, Entry};

pub(super) type Set = Query<'static, Postgres, PgArguments>;

/// Ten years. What is longer is no lease, and would leave the range of the server's clock.
const LONGEST_LEASE: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

/// The entries of a step, in the columns that the statement of their kind unnests.
pub(super) fn of(kind: Kind, statement: &Statement, entries: &[&Entry]) -> Set {
    let set = owners(statement, entries);
    match kind {
        Kind::Claim => copies(claims(set, entries), entries),
        Kind::TakeOver => copies(claims(set, entries), entries)
            .bind(column(entries, |entry| taken_from(entry).map(|from| named(&from.topic_id))))
            .bind(column(entries, |entry| taken_from(entry).map(|from| i64::from(from.partition))))
            .bind(column(entries, |entry| taken_from(entry).map(|from| bound(from.offset)))),
        Kind::Lease => set.bind(column(entries, |entry| match entry {
            Entry::Lease { lasts, .. } => Some(millis((*lasts).min(LONGEST_LEASE))),
            _ => None,
        })),
        Kind::Answer => answers(set, entries),
        Kind::Verdict => {
            let set = set.bind(column(entries, |entry| verdict(entry).map(written)));
            decisions(set.bind(column(entries, |entry| verdict(entry).map(rejected_at))), entries)
        }
        Kind::Decide => {
            let set = answers(set, entries).bind(column(entries, |entry| verdict(entry).map(written)));
            decisions(set, entries)
        }
        Kind::Defer => set
            .bind(column(entries, |entry| match entry {
                Entry::Defer { ticket, .. } => Some(named(ticket)),
                _ => None,
            }))
            .bind(column(entries, |entry| match entry {
                Entry::Defer { tier, .. } => Some(i16::from(*tier)),
                _ => None,
            })),
        Kind::Published => set.bind(column(entries, time)),
        Kind::Restore => claims(set, entries)
            .bind(column(entries, |entry| restored(entry).map(|restored| written(&restored.verdict))))
            .bind(column(entries, |entry| restored(entry).map(|restored| restored.published_at.0)))
            .bind(column(entries, |entry| restored(entry).map(|restored| rejected_at(&restored.verdict)))),
        Kind::Release
        | Kind::Enter
        | Kind::Stands
        | Kind::Mark
        | Kind::Recovered
        | Kind::ActedOn
        | Kind::Vanished
        | Kind::RepairPublished => set,
    }
}

/// Claims, for [`super::statements::READ_AGAIN`].
pub(super) fn read_again(statement: &Statement, entries: &[&Entry]) -> Set {
    owners(statement, entries).bind(column(entries, |entry| claim(entry).map(|claim| i64::from(claim.hop))))
}

/// The columns that every set begins with: key, topic, partition, offset.
fn owners(statement: &Statement, entries: &[&Entry]) -> Set {
    sqlx::query(statement.sql)
        .bind(column(entries, |entry| key_of(entry).map(|key| key.0.to_vec())))
        .bind(column(entries, |entry| owner(entry).map(|owner| named(&owner.topic_id))))
        .bind(column(entries, |entry| owner(entry).map(|owner| i64::from(owner.partition))))
        .bind(column(entries, |entry| owner(entry).map(|owner| bound(owner.offset))))
}

fn claims(set: Set, entries: &[&Entry]) -> Set {
    set.bind(column(entries, |entry| claim(entry).map(|claim| i64::from(claim.hop))))
        .bind(column(entries, |entry| claim(entry).map(|claim| i16::from(claim.body.form))))
        .bind(column(entries, |entry| claim(entry).map(|claim| claim.body.sha256.to_vec())))
        .bind(column(entries, |entry| claim(entry).map(|claim| named(&claim.tenant_id))))
        .bind(column(entries, |entry| claim(entry).map(|claim| named(&claim.event_id))))
        .bind(column(entries, |entry| claim(entry).map(|claim| claim.at.0)))
}

/// What was said, and when.
fn answers(set: Set, entries: &[&Entry]) -> Set {
    set.bind(column(entries, |entry| answer(entry).map(written))).bind(column(entries, time))
}

/// What is kept of decisions, nothing where there is none.
fn decisions(set: Set, entries: &[&Entry]) -> Set {
    set.bind(column(entries, |entry| Some(decision(entry).map(|decision| named(&decision.decision_id)))))
        .bind(column(entries, |entry| Some(decision(entry).map(|decision| named(&decision.tenant_id)))))
        .bind(column(entries, |entry| Some(decision(entry).map(|decision| named(&decision.ticket_id)))))
        .bind(column(entries, |entry| Some(decision(entry).map(|decision| decision.decided_at.0))))
        .bind(column(entries, |entry| Some(decision(entry).map(written))))
}

/// Where the copies stand that claim.
fn copies(set: Set, entries: &[&Entry]) -> Set {
    set.bind(column(entries, |entry| claim(entry).map(|claim| claim.copy.as_ref().map(|copy| named(&copy.topic_id)))))
        .bind(column(entries, |entry| claim(entry).map(|claim| claim.copy.as_ref().map(|copy| bound(copy.offset)))))
}

/// The claims of a batch by lane and position.
pub(super) fn places(statement: &Statement, claims: &[&Claim]) -> Set {
    sqlx::query(statement.sql)
        .bind(claims.iter().map(|claim| named(&claim.ticket)).collect::<Vec<_>>())
        .bind(claims.iter().map(|claim| named(&claim.position.topic_id)).collect::<Vec<_>>())
        .bind(claims.iter().map(|claim| i64::from(claim.position.partition)).collect::<Vec<_>>())
        .bind(claims.iter().map(|claim| bound(claim.position.offset)).collect::<Vec<_>>())
}

/// Ranges of offsets.
pub(super) fn ranges(statement: &Statement, entries: &[&Entry]) -> Set {
    fn of<T>(entries: &[&Entry], value: impl Fn((&str, u32, u64, u64)) -> T) -> Vec<T> {
        column(entries, |entry| match entry {
            Entry::Vanished { topic_id, partition, from, to } => Some(value((topic_id, *partition, *from, *to))),
            _ => None,
        })
    }
    sqlx::query(statement.sql)
        .bind(of(entries, |(topic_id, ..)| named(topic_id)))
        .bind(of(entries, |(_, partition, ..)| i64::from(partition)))
        .bind(of(entries, |(_, _, from, _)| bound(from)))
        .bind(of(entries, |(.., to)| bound(to)))
}

/// Keys alone.
pub(super) fn keys(statement: &Statement, keys: impl Iterator<Item = DedupeKey>) -> Set {
    sqlx::query(statement.sql).bind(keys.map(|key| key.0.to_vec()).collect::<Vec<_>>())
}

/// One value an entry: entries of one kind have the same parts.
fn column<T>(entries: &[&Entry], value: impl Fn(&Entry) -> Option<T>) -> Vec<T> {
    entries.iter().filter_map(|entry| value(entry)).collect()
}

fn owner(entry: &Entry) -> Option<&Position> {
    match entry {
        Entry::Claim(claim) | Entry::TakeOver { claim, .. } => Some(&claim.position),
        Entry::Restore(restored) => Some(&restored.claim.position),
        Entry::Lease { owner, .. }
        | Entry::Release { owner, .. }
        | Entry::Answer { owner, .. }
        | Entry::Verdict { owner, .. }
        | Entry::Decide { owner, .. }
        | Entry::Defer { owner, .. }
        | Entry::Published { owner, .. } => Some(owner),
        Entry::Enter { .. }
        | Entry::Stands { .. }
        | Entry::Mark { .. }
        | Entry::Recovered(_)
        | Entry::Money(_)
        | Entry::Recall(_)
        | Entry::ActedOn { .. }
        | Entry::Overtaken(_)
        | Entry::Vanished { .. }
        | Entry::RepairPublished { .. } => None,
    }
}

fn claim(entry: &Entry) -> Option<&Claim> {
    match entry {
        Entry::Claim(claim) | Entry::TakeOver { claim, .. } => Some(claim),
        Entry::Restore(restored) => Some(&restored.claim),
        _ => None,
    }
}

fn restored(entry: &Entry) -> Option<&Restored> {
    match entry {
        Entry::Restore(restored) => Some(restored),
        _ => None,
    }
}

fn taken_from(entry: &Entry) -> Option<&Position> {
    match entry {
        Entry::TakeOver { from, .. } => Some(from),
        _ => None,
    }
}

fn answer(entry: &Entry) -> Option<&Arc<Answer>> {
    match entry {
        Entry::Answer { answer, .. } | Entry::Decide { answer, .. } => Some(answer),
        _ => None,
    }
}

fn verdict(entry: &Entry) -> Option<&Arc<Verdict>> {
    match entry {
        Entry::Verdict { verdict, .. } | Entry::Decide { verdict, .. } => Some(verdict),
        _ => None,
    }
}

/// What is kept of its decision, if it has one.
pub(super) fn decision(entry: &Entry) -> Option<&PastDecision> {
    match entry {
        Entry::Verdict { decision, .. } | Entry::Decide { decision, .. } => decision.as_deref(),
        Entry::Restore(restored) => restored.decision.as_deref(),
        _ => None,
    }
}

fn rejected_at(verdict: &Arc<Verdict>) -> Option<i64> {
    (verdict.status == FeedbackStatus::Rejected).then_some(verdict.processed_at.0)
}

fn time(entry: &Entry) -> Option<i64> {
    match entry {
        Entry::Answer { at, .. } | Entry::Decide { at, .. } | Entry::Published { at, .. } => Some(at.0),
        _ => None,
    }
}

/// A name as the server can hold it: it refuses the character U+0000 in a text, and an event that is refused for having
/// one in its id still has its row.
pub(super) fn named(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// An end of a range as the server can hold it: no log counts further than signed numbers do.
pub(super) fn bound(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("the ledger's values have text keys only, so they can be written as JSON")
}
