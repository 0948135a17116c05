//! Decisions, kept to be joined with feedback: written by the statement that saves their verdicts, asked for by id or by
//! ticket.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::session::Session;
use super::sets::{self, named, written};
use super::statements::Statement;
use crate::domain::better::Dropped;
use crate::domain::past_decision::{DecisionQuestion, OvertakenQuestion, PastDecision};
use crate::pipeline::dedupe::ledger::Entry;

/// Of verdicts that the log tells.
const REMEMBER: Statement = Statement {
    name: "remember_decision",
    sql: "INSERT INTO decisions (decision_id, tenant_id, ticket_id, decided_at, decision)
          SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[]) AS j (decision_id)
          ORDER BY j.decision_id
          ON CONFLICT (decision_id) DO UPDATE SET decided_at = excluded.decided_at, decision = excluded.decision",
};

/// The place of each question (from 1), and the decision that is meant.
const RECALL: Statement = Statement {
    name: "recall",
    sql: "SELECT j.place, d.decision
          FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) WITH ORDINALITY
               AS j (tenant_id, ticket_id, decision_id, until, place)
          CROSS JOIN LATERAL (
              (SELECT decision FROM decisions
               WHERE decision_id = j.decision_id AND tenant_id = j.tenant_id AND ticket_id = j.ticket_id)
              UNION ALL
              (SELECT decision FROM decisions
               WHERE j.decision_id IS NULL AND tenant_id = j.tenant_id AND ticket_id = j.ticket_id
                 AND decided_at <= j.until
               ORDER BY decided_at DESC, decision_id DESC LIMIT 1)) AS d",
};

/// Without an id: all of the ticket.
const ACTED_ON: Statement = Statement {
    name: "acted_on",
    sql: "UPDATE decisions SET acted_on = true
          WHERE tenant_id = $1 AND ticket_id = $2 AND ($3::text IS NULL OR decision_id = $3) AND NOT acted_on",
};

/// The place of each question (from 1), and the latest decisions of its ticket. Who has more than this many since the event
/// was decided has a newer one among them.
const OF_TICKETS: Statement = Statement {
    name: "decisions_of_tickets",
    sql: "SELECT j.place, d.decision, d.acted_on
          FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS j (tenant_id, ticket_id, place)
          CROSS JOIN LATERAL (
              SELECT decision, acted_on FROM decisions
              WHERE tenant_id = j.tenant_id AND ticket_id = j.ticket_id
              ORDER BY decided_at DESC, decision_id DESC LIMIT 32) AS d",
};

/// Rows that somebody holds at this moment wait for the next time. By the server's clock too: see [`super::statements::FORGET`].
pub(super) const FORGET: Statement = Statement {
    name: "forget_decisions",
    sql: "WITH old AS MATERIALIZED (
              SELECT decision_id FROM decisions
              WHERE decided_at < least($1, (extract(epoch FROM now()) * 1000)::bigint - $3)
              ORDER BY decided_at LIMIT $2
              FOR UPDATE SKIP LOCKED)
          DELETE FROM decisions USING old WHERE decisions.decision_id = old.decision_id",
};

/// How many verdicts were saved.
pub(super) fn saved(rows: &[PgRow]) -> Result<u64, sqlx::Error> {
    let count: i64 = rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)?;
    Ok(count.unsigned_abs())
}

/// What these entries, which the log told, leave of their decisions.
pub(super) async fn remember(session: &mut Session<'_>, entries: &[&Entry]) -> Result<(), sqlx::Error> {
    let decisions: Vec<&PastDecision> = entries.iter().filter_map(|entry| sets::decision(entry)).collect();
    if decisions.is_empty() {
        return Ok(());
    }
    let column = |value: fn(&PastDecision) -> String| decisions.iter().map(|one| value(one)).collect::<Vec<_>>();
    let query = sqlx::query(REMEMBER.sql)
        .bind(column(|decision| named(&decision.decision_id)))
        .bind(column(|decision| named(&decision.tenant_id)))
        .bind(column(|decision| named(&decision.ticket_id)))
        .bind(decisions.iter().map(|decision| decision.decided_at.0).collect::<Vec<_>>())
        .bind(column(|decision| written(&decision)));
    session.change(&REMEMBER, query).await.map(drop)
}

/// The decisions that are meant, by the places of their questions.
pub(super) async fn recall(
    session: &mut Session<'_>,
    questions: Vec<(usize, &DecisionQuestion)>,
) -> Result<HashMap<usize, Arc<PastDecision>>, sqlx::Error> {
    if questions.is_empty() {
        return Ok(HashMap::new());
    }
    let asked = || questions.iter().map(|(_, question)| question);
    let query = sqlx::query(RECALL.sql)
        .bind(asked().map(|question| named(&question.tenant_id)).collect::<Vec<_>>())
        .bind(asked().map(|question| named(&question.ticket_id)).collect::<Vec<_>>())
        .bind(asked().map(|question| question.decision_id.as_deref().map(named)).collect::<Vec<_>>())
        .bind(asked().map(|question| question.until.0).collect::<Vec<_>>());
    let found = |row: &PgRow| {
        let place = usize::try_from(row.try_get::<i64, _>(0)? - 1).ok().and_then(|index| questions.get(index));
        let (place, _) = place.ok_or_else(|| sqlx::Error::Decode("an answer to nothing that was asked".into()))?;
        let decision = serde_json::from_str(row.try_get(1)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok((*place, Arc::new(decision)))
    };
    session.read(&RECALL, query).await?.iter().map(found).collect()
}

/// A person has acted on a decision, or on all that there are of a ticket.
pub(super) async fn acted_on(
    session: &mut Session<'_>,
    tenant_id: &str,
    ticket_id: &str,
    decision_id: Option<&str>,
) -> Result<(), sqlx::Error> {
    let query = sqlx::query(ACTED_ON.sql).bind(named(tenant_id)).bind(named(ticket_id)).bind(decision_id.map(named));
    session.change(&ACTED_ON, query).await.map(drop)
}

/// What speaks against better decisions, by the places of their questions.
pub(super) async fn overtaken(
    session: &mut Session<'_>,
    questions: Vec<(usize, &OvertakenQuestion)>,
) -> Result<HashMap<usize, Dropped>, sqlx::Error> {
    if questions.is_empty() {
        return Ok(HashMap::new());
    }
    let asked = || questions.iter().map(|(_, question)| question);
    let query = sqlx::query(OF_TICKETS.sql)
        .bind(asked().map(|question| named(&question.tenant_id)).collect::<Vec<_>>())
        .bind(asked().map(|question| named(&question.ticket_id)).collect::<Vec<_>>());
    let mut decisions: Vec<Vec<(PastDecision, bool)>> = vec![Vec::new(); questions.len()];
    for row in session.read(&OF_TICKETS, query).await? {
        let of = usize::try_from(row.try_get::<i64, _>(0)? - 1).ok().and_then(|index| decisions.get_mut(index));
        let of = of.ok_or_else(|| sqlx::Error::Decode("an answer to nothing that was asked".into()))?;
        let decision = serde_json::from_str(row.try_get(1)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        of.push((decision, row.try_get(2)?));
    }
    let answer = |((place, question), of): (&(usize, &OvertakenQuestion), &Vec<(PastDecision, bool)>)| {
        let against = question.answer(of.iter().map(|(decision, acted_on)| (decision, *acted_on)));
        against.map(|why| (*place, why))
    };
    Ok(questions.iter().zip(&decisions).filter_map(answer).collect())
}
