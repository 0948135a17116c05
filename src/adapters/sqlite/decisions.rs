//! Decisions, kept to be joined with feedback: written with their verdicts, asked for by id or by ticket.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::SqliteConnection;

use super::statements::{Statement, written};
use crate::domain::better::Dropped;
use crate::domain::clock::Timestamp;
use crate::domain::identity::DedupeKey;
use crate::domain::past_decision::{DecisionQuestion, OvertakenQuestion, PastDecision};
use crate::domain::position::Position;
use crate::pipeline::dedupe::ledger::Entry;
use crate::pipeline::dedupe::ledger::outcomes::Holder;
use crate::pipeline::dedupe::ledger::restored::Restored;
use crate::telemetry::pace::Pace;

/// Of verdicts that are about to be saved. An element is the key, the owner, and the decision's columns; one without a key
/// is a decision that the log tells. The same decision anew is one whose first owner vanished before it was published.
const REMEMBER: Statement = Statement {
    name: "remember_decision",
    sql: "INSERT INTO decisions (decision_id, tenant_id, ticket_id, decided_at, decision)
          SELECT j.value ->> 4, j.value ->> 5, j.value ->> 6, j.value ->> 7, j.value ->> 8
          FROM jsonb_each(?1) AS j
          WHERE j.value ->> 0 IS NULL
             OR EXISTS (SELECT 1 FROM ledger AS l
                        WHERE l.key = unhex(j.value ->> 0)
                          AND l.owner_topic = j.value ->> 1 AND l.owner_partition = j.value ->> 2
                          AND l.owner_offset = j.value ->> 3 AND l.verdict IS NULL)
          ON CONFLICT (decision_id) DO UPDATE SET decided_at = excluded.decided_at, decision = excluded.decision",
};

/// The same where a row is changed only if [`DECIDE`](super::statements::DECIDE) will change it.
const REMEMBER_DECIDED: Statement = Statement {
    name: "remember_decided",
    sql: "INSERT INTO decisions (decision_id, tenant_id, ticket_id, decided_at, decision)
          SELECT j.value ->> 4, j.value ->> 5, j.value ->> 6, j.value ->> 7, j.value ->> 8
          FROM jsonb_each(?1) AS j
          WHERE EXISTS (SELECT 1 FROM ledger AS l
                        WHERE l.key = unhex(j.value ->> 0)
                          AND l.owner_topic = j.value ->> 1 AND l.owner_partition = j.value ->> 2
                          AND l.owner_offset = j.value ->> 3 AND l.answer IS NULL AND l.verdict IS NULL
                          AND (l.lease_until IS NULL OR l.lease_until <= ?4
                               OR (l.lease_instance = ?2 AND l.lease_incarnation = ?3)))
          ON CONFLICT (decision_id) DO UPDATE SET decided_at = excluded.decided_at, decision = excluded.decision",
};

const RECALL_BY_ID: Statement = Statement {
    name: "recall_by_id",
    sql: "SELECT decision FROM decisions WHERE decision_id = ?3 AND tenant_id = ?1 AND ticket_id = ?2",
};

const RECALL_BY_TICKET: Statement = Statement {
    name: "recall_by_ticket",
    sql: "SELECT decision FROM decisions WHERE tenant_id = ?1 AND ticket_id = ?2 AND decided_at <= ?3
          ORDER BY decided_at DESC, decision_id DESC LIMIT 1",
};

/// Without an id: all of the ticket.
const ACTED_ON: Statement = Statement {
    name: "acted_on",
    sql: "UPDATE decisions SET acted_on = 1
          WHERE tenant_id = ?1 AND ticket_id = ?2 AND (?3 IS NULL OR decision_id = ?3) AND acted_on = 0",
};

/// The latest of a ticket. Who has more than this many since the event was decided has a newer one among them.
const OF_TICKET: Statement = Statement {
    name: "decisions_of_ticket",
    sql: "SELECT decision, acted_on FROM decisions WHERE tenant_id = ?1 AND ticket_id = ?2
          ORDER BY decided_at DESC, decision_id DESC LIMIT 32",
};

pub(super) const FORGET: Statement = Statement {
    name: "forget_decisions",
    sql: "DELETE FROM decisions WHERE id IN (
              SELECT id FROM decisions WHERE decided_at < ?1 ORDER BY decided_at LIMIT ?2)",
};

/// What these entries, which are about to be written, leave of their decisions.
pub(super) async fn remember(
    connection: &mut SqliteConnection,
    pace: Pace,
    entries: impl Iterator<Item = &Entry>,
) -> Result<(), sqlx::Error> {
    let lines = entries.filter_map(|entry| match entry {
        Entry::Verdict { key, owner, decision, .. } => Some(line(Some((key, owner)), decision.as_deref()?)),
        Entry::Restore(Restored { decision, .. }) => Some(line(None, decision.as_deref()?)),
        _ => None,
    });
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(REMEMBER.sql).bind(written(&lines));
    pace.watch(REMEMBER.name, query.execute(connection)).await.map(drop)
}

/// The same for verdicts that are about to be saved together with their answers.
pub(super) async fn remember_decided(
    connection: &mut SqliteConnection,
    pace: Pace,
    entries: impl Iterator<Item = &Entry>,
    me: &Holder,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let lines = entries.filter_map(|entry| match entry {
        Entry::Decide { key, owner, decision, .. } => Some(line(Some((key, owner)), decision.as_deref()?)),
        _ => None,
    });
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(REMEMBER_DECIDED.sql).bind(written(&lines));
    let query = query.bind(&me.instance).bind(me.incarnation).bind(now.0);
    pace.watch(REMEMBER_DECIDED.name, query.execute(connection)).await.map(drop)
}

/// In the order in which the statements count.
type Line<'a> = (Option<String>, Option<&'a str>, Option<u32>, Option<u64>, &'a str, &'a str, &'a str, i64, String);

fn line<'a>(owner: Option<(&DedupeKey, &'a Position)>, decision: &'a PastDecision) -> Line<'a> {
    (
        owner.map(|(key, _)| key.to_hex()),
        owner.map(|(_, at)| &*at.topic_id),
        owner.map(|(_, at)| at.partition),
        owner.map(|(_, at)| at.offset),
        &decision.decision_id,
        &decision.tenant_id,
        &decision.ticket_id,
        decision.decided_at.0,
        written(decision),
    )
}

/// The decisions that are meant, by the places of their questions.
pub(super) async fn recall(
    connection: &mut SqliteConnection,
    pace: Pace,
    questions: Vec<(usize, &DecisionQuestion)>,
) -> Result<HashMap<usize, Arc<PastDecision>>, sqlx::Error> {
    let mut found = HashMap::with_capacity(questions.len());
    for (place, DecisionQuestion { tenant_id, ticket_id, decision_id, until }) in questions {
        let statement = if decision_id.is_some() { &RECALL_BY_ID } else { &RECALL_BY_TICKET };
        let query = sqlx::query_scalar::<_, String>(statement.sql).bind(tenant_id).bind(ticket_id);
        let query = match decision_id {
            Some(id) => query.bind(id),
            None => query.bind(until.0),
        };
        if let Some(text) = pace.watch(statement.name, query.fetch_optional(&mut *connection)).await? {
            let decision = serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            found.insert(place, Arc::new(decision));
        }
    }
    Ok(found)
}

/// A person has acted on a decision, or on all that there are of a ticket.
pub(super) async fn acted_on(
    connection: &mut SqliteConnection,
    pace: Pace,
    tenant_id: &str,
    ticket_id: &str,
    decision_id: Option<&str>,
) -> Result<(), sqlx::Error> {
    let query = sqlx::query(ACTED_ON.sql).bind(tenant_id).bind(ticket_id).bind(decision_id);
    pace.watch(ACTED_ON.name, query.execute(connection)).await.map(drop)
}

/// What speaks against better decisions, by the places of their questions.
pub(super) async fn overtaken(
    connection: &mut SqliteConnection,
    pace: Pace,
    questions: Vec<(usize, &OvertakenQuestion)>,
) -> Result<HashMap<usize, Dropped>, sqlx::Error> {
    let mut found = HashMap::new();
    for (place, question) in questions {
        let query = sqlx::query_as::<_, (String, bool)>(OF_TICKET.sql);
        let query = query.bind(&question.tenant_id).bind(&question.ticket_id);
        let rows = pace.watch(OF_TICKET.name, query.fetch_all(&mut *connection)).await?;
        let read = |(text, acted_on): (String, bool)| Ok((serde_json::from_str(&text)?, acted_on));
        let decisions: Result<Vec<(PastDecision, bool)>, serde_json::Error> = rows.into_iter().map(read).collect();
        let decisions = decisions.map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let against = question.answer(decisions.iter().map(|(decision, acted_on)| (decision, *acted_on)));
        found.extend(against.map(|why| (place, why)));
    }
    Ok(found)
}
