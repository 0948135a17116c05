//! Purses on the server: those that a batch is about are locked in order before anything else of it, read, computed, and what
//! is different is written.
//!
//! A row of `open_calls` changes only under the lock of its purse, so what is read after that lock is what counts. Instances
//! that share a budget wait here for each other's batch, and for nothing afterwards: no circle goes through a purse.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::session::Session;
use super::sets::{millis, named};
use super::statements::Statement;
use crate::domain::budget::{Day, Purse};
use crate::domain::money::Money;
use crate::pipeline::dedupe::ledger::Outcome;
use crate::pipeline::dedupe::ledger::outcomes::Holder;
use crate::pipeline::dedupe::ledger::purses::{CallId, KEPT_DAYS, Movement, PurseId, Purses, Reservation, SILENT_FOR};

const OPEN_CALLS: Statement = Statement {
    name: "open_calls",
    sql: "SELECT incarnation, number, tenant, day, expected FROM open_calls
          WHERE instance = $1 AND incarnation = $2 AND number = ANY($3)",
};

/// Those of this instance's dead processes. Apart from the others: no index helps one statement that asks for both, and it would
/// read all that are open, and all that were since the last vacuum.
const LEFT_CALLS: Statement = Statement {
    name: "left_calls",
    sql: "SELECT incarnation, number, tenant, day, expected FROM open_calls WHERE instance = $1 AND incarnation <> $2",
};

/// Calls of other instances that nobody has heard of since: few stand here at any time, so all are read.
const GONE_CALLS: Statement = Statement {
    name: "gone_calls",
    sql: "SELECT o.incarnation, o.number, o.tenant, o.day, o.expected, o.instance
          FROM open_calls AS o JOIN unnest($1::text[], $2::bigint[]) AS j (tenant, day) ON o.tenant = j.tenant AND o.day = j.day
          WHERE o.instance <> $3
            AND NOT EXISTS (SELECT FROM instances AS i
                            WHERE i.instance = o.instance
                              AND i.last_seen_at > statement_timestamp() - $4 * interval '1 millisecond')",
};

const NEW_PURSES: Statement = Statement {
    name: "new_purses",
    sql: "INSERT INTO purses (tenant, day, settled, open)
          SELECT j.tenant, j.day, 0, 0 FROM unnest($1::text[], $2::bigint[]) AS j (tenant, day) ORDER BY j.tenant, j.day
          ON CONFLICT (tenant, day) DO NOTHING",
};

const PURSES: Statement = Statement {
    name: "purses",
    sql: "SELECT p.tenant, p.day, p.settled, p.open
          FROM purses AS p JOIN unnest($1::text[], $2::bigint[]) AS j (tenant, day) ON p.tenant = j.tenant AND p.day = j.day
          ORDER BY p.tenant, p.day FOR NO KEY UPDATE OF p",
};

pub(super) const PURSE: Statement =
    Statement { name: "purse", sql: "SELECT settled, open FROM purses WHERE tenant = $1 AND day = $2" };

const WRITE_PURSES: Statement = Statement {
    name: "write_purses",
    sql: "UPDATE purses AS p SET settled = j.settled, open = j.open
          FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS j (tenant, day, settled, open)
          WHERE p.tenant = j.tenant AND p.day = j.day",
};

const OPEN: Statement = Statement {
    name: "open_call",
    sql: "INSERT INTO open_calls (instance, incarnation, number, tenant, day, expected)
          SELECT $1, $2, * FROM unnest($3::bigint[], $4::text[], $5::bigint[], $6::bigint[])",
};

const CLOSE: Statement = Statement {
    name: "close_call",
    sql: "DELETE FROM open_calls AS o
          USING unnest($1::text[], $2::bigint[], $3::bigint[]) AS j (instance, incarnation, number)
          WHERE o.instance = j.instance AND o.incarnation = j.incarnation AND o.number = j.number",
};

/// By the server's clock too: see [`super::statements::FORGET`].
const FORGET_PURSES: Statement = Statement {
    name: "forget_purses",
    sql: "DELETE FROM purses WHERE day < least($1, floor(extract(epoch FROM now()) / 86400)::bigint) - $2",
};

const FORGET_CALLS: Statement = Statement {
    name: "forget_calls",
    sql: "DELETE FROM open_calls WHERE day < least($1, floor(extract(epoch FROM now()) / 86400)::bigint) - $2",
};

/// Do what a batch does with money, inside its transaction; what each movement came to, by its place.
pub(super) async fn apply(
    session: &mut Session<'_>,
    me: &Holder,
    movements: Vec<(usize, &Movement)>,
) -> Result<Vec<(usize, Outcome)>, sqlx::Error> {
    if movements.is_empty() {
        return Ok(Vec::new());
    }
    let movements: Vec<(usize, Movement)> =
        movements.into_iter().map(|(place, movement)| (place, storable(movement))).collect();
    let all = || movements.iter().map(|(place, movement)| (*place, movement));
    let mut before = read(session, me, &movements).await?;
    let mut after = before.clone();
    let (mut moved, waiting) = after.apply_all(me, all());
    let gone = gone(session, me, &waiting).await?;
    if !gone.is_empty() {
        (after, moved) = before.again_without(gone, me, all());
    }
    write(session, me, &before, &after).await?;
    Ok(moved.into_iter().map(|(place, moved)| (place, Outcome::Moved(moved))).collect())
}

/// With a tenant's name as the server can hold it.
fn storable(movement: &Movement) -> Movement {
    let mut movement = movement.clone();
    if let Movement::Reserve { call, .. } | Movement::Settle { call, .. } = &mut movement {
        call.tenant = named(&call.tenant).into();
    }
    movement
}

type Places = BTreeSet<PurseId>;

async fn read(session: &mut Session<'_>, me: &Holder, movements: &[(usize, Movement)]) -> Result<Purses, sqlx::Error> {
    let calls = || movements.iter().filter_map(|(_, movement)| movement.call());
    let forfeits = movements.iter().any(|(_, movement)| matches!(movement, Movement::Forfeit));
    let numbers: Vec<i64> = calls().map(|call| call.number.cast_signed()).collect();
    let mut wanted: Places = calls().map(place).collect();
    if forfeits {
        // Which purses they stand in is not known before; whether they still do is asked again under the lock.
        wanted.extend(open_calls(session, me, &numbers, true).await?.values().map(place));
    }
    let mut days = purses(session, &wanted).await?;
    let missing: Places = wanted.into_iter().filter(|at| !days.contains_key(at)).collect();
    if !missing.is_empty() {
        let (tenants, numbers) = columns(&missing);
        session.change(&NEW_PURSES, sqlx::query(NEW_PURSES.sql).bind(tenants).bind(numbers)).await?;
        days.extend(purses(session, &missing).await?);
        forget(session, &missing).await?;
    }
    let mut open = open_calls(session, me, &numbers, forfeits).await?;
    // One that was opened under this name meanwhile is forfeit at the next start.
    open.retain(|_, call| days.contains_key(&place(call)));
    Ok(Purses { days, open })
}

async fn open_calls(
    session: &mut Session<'_>,
    me: &Holder,
    numbers: &[i64],
    forfeits: bool,
) -> Result<BTreeMap<CallId, Reservation>, sqlx::Error> {
    let query = sqlx::query(OPEN_CALLS.sql).bind(me.instance.clone()).bind(me.incarnation).bind(numbers.to_vec());
    let mut rows = session.read(&OPEN_CALLS, query).await?;
    if forfeits {
        let query = sqlx::query(LEFT_CALLS.sql).bind(me.instance.clone()).bind(me.incarnation);
        rows.extend(session.read(&LEFT_CALLS, query).await?);
    }
    rows.iter().map(|row| call(me.instance.clone(), row)).collect()
}

/// What is open in these purses, which are locked, and will not be settled any more.
async fn gone(
    session: &mut Session<'_>,
    me: &Holder,
    waiting: &Places,
) -> Result<BTreeMap<CallId, Reservation>, sqlx::Error> {
    if waiting.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (tenants, days) = columns(waiting);
    let query = sqlx::query(GONE_CALLS.sql).bind(tenants).bind(days).bind(me.instance.clone()).bind(millis(SILENT_FOR));
    session.read(&GONE_CALLS, query).await?.iter().map(|row| call(row.try_get(5)?, row)).collect()
}

fn call(instance: String, row: &PgRow) -> Result<(CallId, Reservation), sqlx::Error> {
    let holder = Holder { instance, incarnation: row.try_get(0)? };
    let number = row.try_get::<i64, _>(1)?.cast_unsigned();
    let (tenant, day): (String, i64) = (row.try_get(2)?, row.try_get(3)?);
    let expected = money(row.try_get(4)?);
    Ok(((holder, number), Reservation { number, tenant: tenant.into(), day: Day(day), expected }))
}

async fn purses(session: &mut Session<'_>, wanted: &Places) -> Result<BTreeMap<PurseId, Purse>, sqlx::Error> {
    let (tenants, days) = columns(wanted);
    let decode = |row: &PgRow| {
        let (tenant, day): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        let purse = Purse { settled: money(row.try_get(2)?), open: money(row.try_get(3)?) };
        Ok(((tenant.into(), Day(day)), purse))
    };
    let query = sqlx::query(PURSES.sql).bind(tenants).bind(days);
    session.read(&PURSES, query).await?.iter().map(decode).collect()
}

/// A new day: those of long ago go.
async fn forget(session: &mut Session<'_>, new: &Places) -> Result<(), sqlx::Error> {
    let Some(day) = new.iter().map(|(_, day)| day.0).min() else { return Ok(()) };
    for statement in [&FORGET_PURSES, &FORGET_CALLS] {
        let query = sqlx::query(statement.sql).bind(day).bind(KEPT_DAYS);
        session.change(statement, query).await?;
    }
    Ok(())
}

async fn write(session: &mut Session<'_>, me: &Holder, before: &Purses, after: &Purses) -> Result<(), sqlx::Error> {
    let changed = after.days.iter().filter(|(at, purse)| before.days.get(*at) != Some(*purse));
    let changed: BTreeMap<_, _> = changed.collect();
    if !changed.is_empty() {
        let places = changed.keys().map(|at| (*at).clone()).collect();
        let (tenants, days) = columns(&places);
        let column = |of: fn(&Purse) -> Money| changed.values().map(|purse| micros(of(purse))).collect::<Vec<_>>();
        let query = sqlx::query(WRITE_PURSES.sql).bind(tenants).bind(days);
        let query = query.bind(column(|purse| purse.settled)).bind(column(|purse| purse.open));
        session.change(&WRITE_PURSES, query).await?;
    }
    let closed: Vec<&CallId> =
        before.open.iter().filter(|(id, call)| after.open.get(*id) != Some(*call)).map(|(id, _)| id).collect();
    if !closed.is_empty() {
        let query = sqlx::query(CLOSE.sql);
        let query = query.bind(closed.iter().map(|(holder, _)| holder.instance.clone()).collect::<Vec<_>>());
        let query = query.bind(closed.iter().map(|(holder, _)| holder.incarnation).collect::<Vec<_>>());
        let query = query.bind(closed.iter().map(|(_, number)| number.cast_signed()).collect::<Vec<_>>());
        session.change(&CLOSE, query).await?;
    }
    let opened: Vec<&Reservation> =
        after.open.iter().filter(|(id, call)| before.open.get(*id) != Some(*call)).map(|(_, call)| call).collect();
    if !opened.is_empty() {
        let query = sqlx::query(OPEN.sql).bind(me.instance.clone()).bind(me.incarnation);
        let query = query.bind(opened.iter().map(|call| call.number.cast_signed()).collect::<Vec<_>>());
        let query = query.bind(opened.iter().map(|call| call.tenant.to_string()).collect::<Vec<_>>());
        let query = query.bind(opened.iter().map(|call| call.day.0).collect::<Vec<_>>());
        let query = query.bind(opened.iter().map(|call| micros(call.expected)).collect::<Vec<_>>());
        session.change(&OPEN, query).await?;
    }
    Ok(())
}

fn place(call: &Reservation) -> PurseId {
    (Arc::clone(&call.tenant), call.day)
}

fn columns(places: &Places) -> (Vec<String>, Vec<i64>) {
    places.iter().map(|(tenant, day)| (tenant.to_string(), day.0)).unzip()
}

/// Of a row of `PURSE`.
pub(super) fn purse(row: &PgRow) -> Result<Purse, sqlx::Error> {
    Ok(Purse { settled: money(row.try_get(0)?), open: money(row.try_get(1)?) })
}

fn money(micros: i64) -> Money {
    Money(micros.max(0).unsigned_abs())
}

fn micros(money: Money) -> i64 {
    i64::try_from(money.0).unwrap_or(i64::MAX)
}
