//! Purses in the file: what a batch is about is read, computed, and what is different is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::statements::{Statement, written};
use crate::domain::budget::{Day, Purse};
use crate::domain::clock::Timestamp;
use crate::domain::money::Money;
use crate::pipeline::dedupe::ledger::Outcome;
use crate::pipeline::dedupe::ledger::outcomes::Holder;
use crate::pipeline::dedupe::ledger::purses::{CallId, KEPT_DAYS, Movement, PurseId, Purses, Reservation, SILENT_FOR};
use crate::telemetry::pace::Pace;

const OPEN_CALLS: Statement = Statement {
    name: "open_calls",
    sql: "SELECT incarnation, number, tenant, day, expected FROM open_calls
          WHERE instance = ?1 AND incarnation = ?2 AND number IN (SELECT j.value FROM json_each(?3) AS j)",
};

/// Those of this instance's dead processes. Apart from the others: one statement that asks for both reads all that are open.
const LEFT_CALLS: Statement = Statement {
    name: "left_calls",
    sql: "SELECT incarnation, number, tenant, day, expected FROM open_calls WHERE instance = ?1 AND incarnation <> ?2",
};

/// Calls of other instances that nobody has heard of since: few stand here at any time, so all are read.
const GONE_CALLS: Statement = Statement {
    name: "gone_calls",
    sql: "SELECT o.incarnation, o.number, o.tenant, o.day, o.expected, o.instance FROM open_calls AS o
          WHERE o.tenant = ?1 AND o.day = ?2 AND o.instance <> ?3
            AND NOT EXISTS (SELECT 1 FROM instances AS i WHERE i.instance = o.instance AND i.heartbeat_at > ?4)",
};

pub(super) const PURSE: Statement =
    Statement { name: "purse", sql: "SELECT settled, open FROM purses WHERE tenant = ?1 AND day = ?2" };

const WRITE_PURSE: Statement = Statement {
    name: "write_purse",
    sql: "INSERT INTO purses (tenant, day, settled, open) VALUES (?1, ?2, ?3, ?4)
          ON CONFLICT (tenant, day) DO UPDATE SET settled = excluded.settled, open = excluded.open",
};

const OPEN_CALL: Statement = Statement {
    name: "open_call",
    sql: "INSERT INTO open_calls (instance, incarnation, number, tenant, day, expected) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
};

const CLOSE_CALL: Statement = Statement {
    name: "close_call",
    sql: "DELETE FROM open_calls WHERE instance = ?1 AND incarnation = ?2 AND number = ?3",
};

const FORGET_PURSES: Statement = Statement { name: "forget_purses", sql: "DELETE FROM purses WHERE day < ?1" };

const FORGET_CALLS: Statement = Statement { name: "forget_calls", sql: "DELETE FROM open_calls WHERE day < ?1" };

/// Do what a batch does with money, inside its transaction; what each movement came to, by its place.
pub(super) async fn apply(
    connection: &mut SqliteConnection,
    (me, pace, now): (&Holder, Pace, Timestamp),
    movements: Vec<(usize, &Movement)>,
) -> Result<Vec<(usize, Outcome)>, sqlx::Error> {
    if movements.is_empty() {
        return Ok(Vec::new());
    }
    let mut shelf = Shelf { connection, me, pace };
    let mut before = shelf.read(&movements).await?;
    let mut after = before.clone();
    let (mut moved, waiting) = after.apply_all(me, movements.iter().copied());
    let gone = shelf.gone(&waiting, now).await?;
    if !gone.is_empty() {
        (after, moved) = before.again_without(gone, me, movements);
    }
    shelf.write(&before, &after).await?;
    Ok(moved.into_iter().map(|(place, moved)| (place, Outcome::Moved(moved))).collect())
}

struct Shelf<'a> {
    connection: &'a mut SqliteConnection,
    me: &'a Holder,
    pace: Pace,
}

impl Shelf<'_> {
    async fn read(&mut self, movements: &[(usize, &Movement)]) -> Result<Purses, sqlx::Error> {
        let calls = || movements.iter().filter_map(|(_, movement)| movement.call());
        let numbers = written(&calls().map(|call| call.number).collect::<Vec<_>>());
        let forfeits = movements.iter().any(|(_, movement)| matches!(movement, Movement::Forfeit));
        let query = sqlx::query(OPEN_CALLS.sql).bind(&self.me.instance).bind(self.me.incarnation);
        let mut rows = self.pace.watch(OPEN_CALLS.name, query.bind(numbers).fetch_all(&mut *self.connection)).await?;
        if forfeits {
            let query = sqlx::query(LEFT_CALLS.sql).bind(&self.me.instance).bind(self.me.incarnation);
            rows.extend(self.pace.watch(LEFT_CALLS.name, query.fetch_all(&mut *self.connection)).await?);
        }
        let instance = &self.me.instance;
        let open = rows.iter().map(|row| call(instance.clone(), row)).collect::<Result<BTreeMap<_, _>, _>>()?;
        let of_calls = calls().chain(open.values()).map(|call| (Arc::clone(&call.tenant), call.day));
        let wanted: BTreeSet<_> = of_calls.collect();
        let mut days = BTreeMap::new();
        for (tenant, day) in wanted {
            let query = sqlx::query(PURSE.sql).bind(&*tenant).bind(day.0);
            if let Some(row) = self.pace.watch(PURSE.name, query.fetch_optional(&mut *self.connection)).await? {
                days.insert((tenant, day), purse(&row)?);
            }
        }
        Ok(Purses { days, open })
    }

    /// What is open in these purses and will not be settled any more.
    async fn gone(
        &mut self,
        waiting: &BTreeSet<PurseId>,
        now: Timestamp,
    ) -> Result<BTreeMap<CallId, Reservation>, sqlx::Error> {
        let mut gone = BTreeMap::new();
        for (tenant, day) in waiting {
            let query = sqlx::query(GONE_CALLS.sql).bind(&**tenant).bind(day.0).bind(&self.me.instance);
            let query = query.bind(now.before(SILENT_FOR).0);
            for row in self.pace.watch(GONE_CALLS.name, query.fetch_all(&mut *self.connection)).await? {
                let (id, reservation) = call(row.try_get(5)?, &row)?;
                gone.insert(id, reservation);
            }
        }
        Ok(gone)
    }

    async fn write(&mut self, before: &Purses, after: &Purses) -> Result<(), sqlx::Error> {
        for ((tenant, day), purse) in after.days.iter().filter(|(at, purse)| before.days.get(*at) != Some(*purse)) {
            let query = sqlx::query(WRITE_PURSE.sql).bind(&**tenant).bind(day.0);
            let query = query.bind(micros(purse.settled)).bind(micros(purse.open));
            self.pace.watch(WRITE_PURSE.name, query.execute(&mut *self.connection)).await?;
        }
        for ((holder, number), _) in before.open.iter().filter(|(id, call)| after.open.get(*id) != Some(*call)) {
            let query = sqlx::query(CLOSE_CALL.sql).bind(&holder.instance).bind(holder.incarnation);
            let query = query.bind(number.cast_signed());
            self.pace.watch(CLOSE_CALL.name, query.execute(&mut *self.connection)).await?;
        }
        for ((holder, number), call) in after.open.iter().filter(|(id, call)| before.open.get(*id) != Some(*call)) {
            let query = sqlx::query(OPEN_CALL.sql).bind(&holder.instance).bind(holder.incarnation);
            let query = query.bind(number.cast_signed()).bind(&*call.tenant).bind(call.day.0);
            let query = query.bind(micros(call.expected));
            self.pace.watch(OPEN_CALL.name, query.execute(&mut *self.connection)).await?;
        }
        let is_new = |at: &&PurseId| !before.days.contains_key(*at);
        if let Some((_, day)) = after.days.keys().find(is_new) {
            for statement in [&FORGET_PURSES, &FORGET_CALLS] {
                let query = sqlx::query(statement.sql).bind(day.0.saturating_sub(KEPT_DAYS));
                self.pace.watch(statement.name, query.execute(&mut *self.connection)).await?;
            }
        }
        Ok(())
    }
}

fn call(instance: String, row: &SqliteRow) -> Result<(CallId, Reservation), sqlx::Error> {
    let holder = Holder { instance, incarnation: row.try_get(0)? };
    let number = row.try_get::<i64, _>(1)?.cast_unsigned();
    let (tenant, day): (String, i64) = (row.try_get(2)?, row.try_get(3)?);
    let reservation = Reservation { number, tenant: tenant.into(), day: Day(day), expected: money(row.try_get(4)?) };
    Ok(((holder, number), reservation))
}

pub(super) fn purse(row: &SqliteRow) -> Result<Purse, sqlx::Error> {
    Ok(Purse { settled: money(row.try_get(0)?), open: money(row.try_get(1)?) })
}

fn money(micros: i64) -> Money {
    Money(micros.max(0).unsigned_abs())
}

fn micros(money: Money) -> i64 {
    i64::try_from(money.0).unwrap_or(i64::MAX)
}
