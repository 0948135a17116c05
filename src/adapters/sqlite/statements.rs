//! Every statement the ledger runs.
//!
//! All static. A set travels as one JSON array of arrays (`?1`), hashes in it as hexadecimal; `jsonb_each` hands out its
//! elements in binary form, so that reaching into one does not parse it again. Where a statement joins the array with
//! the ledger, the array leads and the ledger is searched by key.

use serde::Serialize;

/// A statement and the name it has in logs.
pub(super) struct Statement {
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
}

/// The parameter of a set, or a text of one of its columns.
pub(super) fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("the ledger's values have text keys only, so they can be written as JSON")
}

/// The first position wins; a later hop of the owner moves the hop along, so that the row tells whether the owner's own
/// offset still stands for it (see [`REPAIR_PUBLISHED`]).
pub(super) const CLAIM: Statement = Statement {
    name: "claim",
    sql: "INSERT INTO ledger (key, owner_topic, owner_partition, owner_offset, hop, body_form, body_hash,
                              tenant_id, event_id, first_seen_at, copy_topic, copy_offset)
          SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
                 unhex(value ->> 6), value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11
          FROM jsonb_each(?1) WHERE true
          ON CONFLICT (key) DO UPDATE
          SET hop = excluded.hop, copy_topic = excluded.copy_topic, copy_offset = excluded.copy_offset, is_put_off = 0
          WHERE owner_topic = excluded.owner_topic AND owner_partition = excluded.owner_partition
            AND owner_offset = excluded.owner_offset AND hop < excluded.hop",
};

/// What is read again was not put off after all: else its offset would be finished.
pub(super) const READ_AGAIN: Statement = Statement {
    name: "read_again",
    sql: "UPDATE ledger AS l SET is_put_off = 0
          FROM jsonb_each(?1) AS j
          WHERE l.key = unhex(j.value ->> 0) AND l.is_put_off = 1 AND l.hop = j.value ->> 4
            AND l.owner_topic = j.value ->> 1 AND l.owner_partition = j.value ->> 2
            AND l.owner_offset = j.value ->> 3",
};

/// Compare-and-set on owner and state. `first_seen_at` and `rejected_at` are the event's, not the copy's, and stay.
pub(super) const TAKE_OVER: Statement = Statement {
    name: "take_over",
    sql: "UPDATE ledger AS l
          SET owner_topic = j.value ->> 1, owner_partition = j.value ->> 2, owner_offset = j.value ->> 3,
              hop = j.value ->> 4, body_form = j.value ->> 5, body_hash = unhex(j.value ->> 6),
              event_id = j.value ->> 8, copy_topic = j.value ->> 10, copy_offset = j.value ->> 11,
              answer = NULL, answered_at = NULL, verdict = NULL, published_at = NULL, vanished = 0,
              is_put_off = 0, deferred_ticket = NULL, deferred_to = NULL,
              lease_instance = NULL, lease_incarnation = NULL, lease_until = NULL
          FROM jsonb_each(?1) AS j
          WHERE l.key = unhex(j.value ->> 0)
            AND l.owner_topic = j.value ->> 12 AND l.owner_partition = j.value ->> 13
            AND l.owner_offset = j.value ->> 14
            AND (l.verdict ->> 'status' = 'REJECTED' OR (l.vanished = 1 AND l.published_at IS NULL))",
};

pub(super) const LEASE: Statement = Statement {
    name: "lease",
    sql: "UPDATE ledger AS l
          SET lease_instance = ?2, lease_incarnation = ?3, lease_until = j.value ->> 4
          FROM jsonb_each(?1) AS j
          WHERE l.key = unhex(j.value ->> 0)
            AND l.owner_topic = j.value ->> 1 AND l.owner_partition = j.value ->> 2
            AND l.owner_offset = j.value ->> 3
            AND l.answer IS NULL AND l.verdict IS NULL AND +l.published_at IS NULL
            AND (l.lease_until IS NULL OR l.lease_until <= ?4
                 OR (l.lease_instance = ?2 AND l.lease_incarnation = ?3))",
};

/// Touches every row of the owner, so that the rows changed are the entries that may be answered "done"; clears the
/// lease only where it is ours.
pub(super) const RELEASE: Statement = Statement {
    name: "release",
    sql: "UPDATE ledger AS l
          SET lease_instance    = iif(lease_instance = ?2 AND lease_incarnation = ?3, NULL, lease_instance),
              lease_incarnation = iif(lease_instance = ?2 AND lease_incarnation = ?3, NULL, lease_incarnation),
              lease_until       = iif(lease_instance = ?2 AND lease_incarnation = ?3, NULL, lease_until)
          FROM jsonb_each(?1) AS j
          WHERE l.key = unhex(j.value ->> 0)
            AND l.owner_topic = j.value ->> 1 AND l.owner_partition = j.value ->> 2
            AND l.owner_offset = j.value ->> 3",
};

/// Not under somebody else's lease: that one is calling at this moment, and its answer will be the one.
pub(super) const ANSWER: Statement = Statement {
    name: "answer",
    sql: "UPDATE ledger AS l
          SET answer = j.value ->> 4, answered_at = j.value ->> 5,
              lease_instance = NULL, lease_incarnation = NULL, lease_until = NULL
          FROM jsonb_each(?1) AS j
          WHERE l.key = unhex(j.value ->> 0)
            AND l.owner_topic = j.value ->> 1 AND l.owner_partition = j.value ->> 2
            AND l.owner_offset = j.value ->> 3 AND l.answer IS NULL
            AND (l.lease_until IS NULL OR l.lease_until <= ?4
                 OR (l.lease_instance = ?2 AND l.lease_incarnation = ?3))",
};

/// The last element is the time of the rejection, null for any other verdict.
pub(super) const VERDICT: Statement = Statement {
    name: "verdict",
    sql: "UPDATE ledger AS l
          SET verdict = j.value ->> 4, rejected_at = coalesce(j.value ->> 5, l.rejected_at),
              lease_instance = NULL, lease_incarnation = NULL, lease_until = NULL
          FROM jsonb_each(?1) AS j
          WHERE l.key = unhex(j.value ->> 0)
            AND l.owner_topic = j.value ->> 1 AND l.owner_partition = j.value ->> 2
            AND l.owner_offset = j.value ->> 3 AND l.verdict IS NULL",
};

/// [`ANSWER`] and [`VERDICT`] in one, where neither is there: a row less to write for nearly every event.
pub(super) const DECIDE: Statement = Statement {
    name: "decide",
    sql: "UPDATE ledger AS l
          SET answer = j.value ->> 4, answered_at = j.value ->> 5, verdict = j.value ->> 6,
              lease_instance = NULL, lease_incarnation = NULL, lease_until = NULL
          FROM jsonb_each(?1) AS j
          WHERE l.key = unhex(j.value ->> 0)
            AND l.owner_topic = j.value ->> 1 AND l.owner_partition = j.value ->> 2
            AND l.owner_offset = j.value ->> 3 AND l.answer IS NULL AND l.verdict IS NULL
            AND (l.lease_until IS NULL OR l.lease_until <= ?4
                 OR (l.lease_instance = ?2 AND l.lease_incarnation = ?3))",
};

/// Touches every row of the owner; where there is a verdict nothing changes any more.
pub(super) const DEFER: Statement = Statement {
    name: "defer",
    sql: "UPDATE ledger AS l
          SET deferred_ticket = j.value ->> 4, deferred_to = j.value ->> 5, is_put_off = 1
          FROM jsonb_each(?1) AS j
          WHERE l.key = unhex(j.value ->> 0)
            AND l.owner_topic = j.value ->> 1 AND l.owner_partition = j.value ->> 2
            AND l.owner_offset = j.value ->> 3 AND l.verdict IS NULL",
};

/// What is put off and comes before each claim of a batch, by the claim's place in it. Where nothing is put off, this
/// looks once into an empty index for each.
pub(super) const AHEAD: Statement = Statement {
    name: "ahead",
    sql: "SELECT j.value ->> 0 AS place, count(*), max(l.owner_offset), l.deferred_to
          FROM jsonb_each(?1) AS j CROSS JOIN ledger AS l INDEXED BY ledger_deferred
          WHERE l.deferred_ticket = j.value ->> 1 AND l.owner_topic = j.value ->> 2
            AND l.owner_partition = j.value ->> 3 AND l.owner_offset < j.value ->> 4
            AND l.published_at IS NULL AND l.deferred_ticket IS NOT NULL AND l.vanished = 0
          GROUP BY place",
};

/// The first mark stays: the window runs from there.
pub(super) const PUBLISHED: Statement = Statement {
    name: "published",
    sql: "UPDATE ledger AS l
          SET published_at = coalesce(l.published_at, j.value ->> 4)
          FROM jsonb_each(?1) AS j
          WHERE l.key = unhex(j.value ->> 0)
            AND l.owner_topic = j.value ->> 1 AND l.owner_partition = j.value ->> 2
            AND l.owner_offset = j.value ->> 3",
};

/// Counts rows that had vanished before, so that the same batch again has the same outcome.
pub(super) const VANISHED: Statement = Statement {
    name: "vanished",
    sql: "UPDATE ledger SET vanished = 1
          WHERE owner_topic = ?1 AND owner_partition = ?2 AND owner_offset >= ?3 AND owner_offset < ?4
            AND published_at IS NULL",
};

/// A finished offset proves a published verdict only where there is a verdict (it is saved before its burst), where the
/// owner did not vanish (a gap counts as finished too), and where no deferred copy went on for it, or will: then the owner's
/// offset was finished by the deferral, and [`REPAIR_COPIES`] asks the copy's.
pub(super) const REPAIR_PUBLISHED: Statement = Statement {
    name: "repair_published",
    sql: "UPDATE ledger SET published_at = ?5
          WHERE owner_topic = ?1 AND owner_partition = ?2 AND owner_offset < ?3
            AND owner_offset NOT IN (SELECT value FROM json_each(?4))
            AND published_at IS NULL AND verdict IS NOT NULL AND vanished = 0 AND is_put_off = 0 AND hop = 0",
};

/// The same for events that were put off: the latest copy's offset speaks for them.
pub(super) const REPAIR_COPIES: Statement = Statement {
    name: "repair_copies",
    sql: "UPDATE ledger INDEXED BY ledger_copies SET published_at = ?5
          WHERE copy_topic = ?1 AND owner_partition = ?2 AND copy_offset < ?3
            AND copy_offset NOT IN (SELECT value FROM json_each(?4))
            AND published_at IS NULL AND copy_topic IS NOT NULL AND verdict IS NOT NULL AND vanished = 0
            AND is_put_off = 0 AND hop > 0",
};

/// Columns in the order in which [`super::rows`] reads them.
pub(super) const READ: Statement = Statement {
    name: "read",
    sql: "SELECT l.key, l.owner_topic, l.owner_partition, l.owner_offset, l.hop, l.body_form, l.body_hash,
                 l.first_seen_at, l.answer, l.answered_at, l.verdict, l.published_at, l.vanished, l.rejected_at,
                 l.lease_instance, l.lease_incarnation, l.lease_until, l.copy_topic, l.copy_offset, l.deferred_to
          FROM json_each(?1) AS j CROSS JOIN ledger AS l ON l.key = unhex(j.value)",
};

/// A row that was published stays if it ranks as high (`restored::rank`).
pub(super) const RESTORE: Statement = Statement {
    name: "restore",
    sql:
        "INSERT INTO ledger AS l (key, owner_topic, owner_partition, owner_offset, hop, body_form, body_hash, tenant_id,
                                   event_id, first_seen_at, verdict, published_at, rejected_at)
          SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
                 unhex(value ->> 6), value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12
          FROM jsonb_each(?1) WHERE true
          ON CONFLICT (key) DO UPDATE
          SET answer = iif(l.owner_topic = excluded.owner_topic AND l.owner_partition = excluded.owner_partition
                           AND l.owner_offset = excluded.owner_offset, l.answer, NULL),
              answered_at = iif(l.owner_topic = excluded.owner_topic AND l.owner_partition = excluded.owner_partition
                                AND l.owner_offset = excluded.owner_offset, l.answered_at, NULL),
              owner_topic = excluded.owner_topic, owner_partition = excluded.owner_partition,
              owner_offset = excluded.owner_offset, hop = excluded.hop, body_form = excluded.body_form,
              body_hash = excluded.body_hash, event_id = excluded.event_id, verdict = excluded.verdict,
              published_at = excluded.published_at, rejected_at = coalesce(excluded.rejected_at, l.rejected_at),
              vanished = 0, copy_topic = NULL, copy_offset = NULL,
              is_put_off = 0, deferred_ticket = NULL, deferred_to = NULL,
              lease_instance = NULL, lease_incarnation = NULL, lease_until = NULL
          WHERE l.published_at IS NULL
             OR (l.verdict ->> 'status' IS 'REJECTED' AND excluded.verdict ->> 'status' IS NOT 'REJECTED')
             OR ((l.verdict ->> 'status' IS 'REJECTED') = (excluded.verdict ->> 'status' IS 'REJECTED')
                 AND l.published_at < excluded.published_at)",
};

pub(super) const FORGET: Statement = Statement {
    name: "forget",
    sql: "DELETE FROM ledger WHERE id IN (
              SELECT id FROM ledger
              WHERE published_at < ?1 AND (rejected_at IS NULL OR rejected_at <= ?2)
              ORDER BY published_at LIMIT ?3)",
};

pub(super) const HEARTBEAT: Statement = Statement {
    name: "heartbeat",
    sql: "INSERT INTO instances (instance, incarnation, heartbeat_at) VALUES (?1, ?2, ?3)
          ON CONFLICT (instance) DO UPDATE
          SET incarnation = excluded.incarnation, heartbeat_at = excluded.heartbeat_at",
};

/// Leases stand on unpublished rows only; without the index this would read the whole window.
pub(super) const INHERIT_LEASES: Statement = Statement {
    name: "inherit_leases",
    sql: "UPDATE ledger INDEXED BY ledger_unpublished
          SET lease_instance = NULL, lease_incarnation = NULL, lease_until = NULL
          WHERE published_at IS NULL AND lease_instance = ?1",
};
