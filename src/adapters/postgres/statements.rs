//! Every statement the ledger runs.
//!
//! All static. A set travels as arrays of equal length, a column each; `$1` to `$4` are always key, topic, partition and
//! offset. `statement_timestamp()` is the server's clock when the statement arrived: the start of the transaction (`now()`)
//! may be long past where it had to wait for locks, and would make a lease end too early.

use std::time::Duration;

/// A statement and the name it has in logs and metrics.
pub(super) struct Statement {
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
}

/// What [`super::connect`] wants to know of a connection.
pub(super) const SESSION: Statement = Statement {
    name: "session",
    sql: "SELECT current_setting('synchronous_commit'), current_setting('fsync'), pg_is_in_recovery(),
                 current_setting('transaction_read_only'),
                 coalesce(current_setting('gatekeeper.only_looks', true), '') = 'on',
                 current_setting('server_encoding')",
};

/// Said in full, because a database may have other defaults. Each statement must see what others committed before it.
pub(super) const BEGIN: Statement =
    Statement { name: "begin", sql: "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE" };

pub(super) const COMMIT: Statement = Statement { name: "commit", sql: "COMMIT" };

/// What an operator asks now and then may read a whole partition's rows, for which there is no index: it would cost every
/// event something.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// For the rest of the transaction; the same as [`PATIENCE`].
pub(super) const BE_PATIENT: Statement = Statement { name: "be_patient", sql: "SET LOCAL statement_timeout = '600s'" };

/// Rows of a batch are locked in the order of keys before anything else, so that two instances do not wait for each other
/// in a circle. Where they still do (over rows that were inserted meanwhile, or over a range), the server ends one of them,
/// and its batch comes again. A single set needs none: its entries stand in that order, and so it takes their rows.
pub(super) const LOCK: Statement = Statement {
    name: "lock",
    sql: "SELECT count(*) FROM (
              SELECT FROM ledger WHERE key = ANY($1) ORDER BY key FOR NO KEY UPDATE) AS locked",
};

/// The first position wins; a later hop of the owner moves the hop along, so that the row tells whether the owner's own
/// offset still stands for it (see [`REPAIR_PUBLISHED`]). A row that is there is locked, changed or not: it stays as it is
/// until it was read back.
pub(super) const CLAIM: Statement = Statement {
    name: "claim",
    sql: "INSERT INTO ledger AS l (key, owner_topic, owner_partition, owner_offset, hop, body_form, body_hash,
                                   tenant_id, event_id, first_seen_at, copy_topic, copy_offset)
          SELECT * FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::smallint[],
                               $7::bytea[], $8::text[], $9::text[], $10::bigint[], $11::text[], $12::bigint[])
                        AS j (key)
          ORDER BY j.key
          ON CONFLICT (key) DO UPDATE
          SET hop = excluded.hop, copy_topic = excluded.copy_topic, copy_offset = excluded.copy_offset, is_put_off = false
          WHERE l.owner_topic = excluded.owner_topic AND l.owner_partition = excluded.owner_partition
            AND l.owner_offset = excluded.owner_offset AND l.hop < excluded.hop",
};

/// What is read again was not put off after all: else its offset would be finished.
pub(super) const READ_AGAIN: Statement = Statement {
    name: "read_again",
    sql: r#"UPDATE ledger AS l SET is_put_off = false
          FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
               AS j (key, topic, partition, "offset", hop)
          WHERE l.key = j.key AND l.is_put_off AND l.hop = j.hop
            AND l.owner_topic = j.topic AND l.owner_partition = j.partition AND l.owner_offset = j."offset""#,
};

/// Compare-and-set on owner and state. `first_seen_at` and `rejected_at` are the event's, not the copy's, and stay.
pub(super) const TAKE_OVER: Statement = Statement {
    name: "take_over",
    sql: r#"UPDATE ledger AS l
          SET owner_topic = j.topic, owner_partition = j.partition, owner_offset = j."offset", hop = j.hop,
              body_form = j.form, body_hash = j.hash, event_id = j.event_id,
              copy_topic = j.copy_topic, copy_offset = j.copy_offset, deferred_ticket = NULL, deferred_to = NULL,
              is_put_off = false, answer = NULL, answered_at = NULL, verdict = NULL, is_rejected = false, published_at = NULL,
              vanished = false, lease_instance = NULL, lease_incarnation = NULL, lease_until = NULL
          FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::smallint[], $7::bytea[],
                      $8::text[], $9::text[], $10::bigint[], $11::text[], $12::bigint[],
                      $13::text[], $14::bigint[], $15::bigint[])
               AS j (key, topic, partition, "offset", hop, form, hash, tenant_id, event_id, at, copy_topic, copy_offset,
                     from_topic, from_partition, from_offset)
          WHERE l.key = j.key
            AND l.owner_topic = j.from_topic AND l.owner_partition = j.from_partition
            AND l.owner_offset = j.from_offset
            AND (l.is_rejected OR (l.vanished AND l.published_at IS NULL))"#,
};

/// A lease of an earlier life of this instance counts only while that life is heard of. The nulls are counted because
/// `published_at IS NULL` would let a plan made over an empty table walk the index of unpublished rows.
pub(super) const LEASE: Statement = Statement {
    name: "lease",
    sql: r#"UPDATE ledger AS l
          SET lease_instance = $6, lease_incarnation = $7,
              lease_until = statement_timestamp() + j.lasts * interval '1 millisecond'
          FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
               AS j (key, topic, partition, "offset", lasts)
          WHERE l.key = j.key
            AND l.owner_topic = j.topic AND l.owner_partition = j.partition AND l.owner_offset = j."offset"
            AND num_nonnulls(l.answer, l.verdict, l.published_at) = 0
            AND (l.lease_until IS NULL OR l.lease_until <= statement_timestamp()
                 OR (l.lease_instance = $6
                     AND (l.lease_incarnation = $7
                          OR NOT EXISTS (
                              SELECT FROM instances AS i
                              WHERE i.instance = $6 AND i.incarnation = l.lease_incarnation
                                AND i.last_seen_at > statement_timestamp() - $8 * interval '1 millisecond'))))"#,
};

/// Touches every row of the owner, so that the rows changed are the entries that may be answered "done"; clears the
/// lease only where it is ours.
pub(super) const RELEASE: Statement = Statement {
    name: "release",
    sql: r#"UPDATE ledger AS l
          SET lease_until = CASE WHEN l.lease_instance = $5 AND l.lease_incarnation = $6 THEN NULL
                                 ELSE l.lease_until END
          FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[]) AS j (key, topic, partition, "offset")
          WHERE l.key = j.key
            AND l.owner_topic = j.topic AND l.owner_partition = j.partition AND l.owner_offset = j."offset""#,
};

/// Not under somebody else's lease: that one is calling at this moment, and its answer will be the one.
pub(super) const ANSWER: Statement = Statement {
    name: "answer",
    sql: r#"UPDATE ledger AS l
          SET answer = j.answer, answered_at = j.at,
              lease_instance = NULL, lease_incarnation = NULL, lease_until = NULL
          FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[])
               AS j (key, topic, partition, "offset", answer, at)
          WHERE l.key = j.key
            AND l.owner_topic = j.topic AND l.owner_partition = j.partition AND l.owner_offset = j."offset"
            AND l.answer IS NULL
            AND (l.lease_until IS NULL OR l.lease_until <= statement_timestamp()
                 OR (l.lease_instance = $7 AND l.lease_incarnation = $8))"#,
};

/// `$6` is the time of the rejection, null for any other verdict; the last columns are what is kept of its decision, null
/// where there is none. One statement, because a second one would be a second trip. Answered with how many were saved. The
/// same decision anew is one whose first owner vanished before it was published.
pub(super) const VERDICT: Statement = Statement {
    name: "verdict",
    sql: r#"WITH j AS MATERIALIZED (
              SELECT * FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[],
                                   $7::text[], $8::text[], $9::text[], $10::bigint[], $11::text[])
                   AS j (key, topic, partition, "offset", verdict, rejected_at,
                         decision_id, tenant_id, ticket_id, decided_at, decision)),
          saved AS (
              UPDATE ledger AS l
              SET verdict = j.verdict, is_rejected = j.rejected_at IS NOT NULL,
                  rejected_at = coalesce(j.rejected_at, l.rejected_at),
                  lease_instance = NULL, lease_incarnation = NULL, lease_until = NULL
              FROM j
              WHERE l.key = j.key
                AND l.owner_topic = j.topic AND l.owner_partition = j.partition AND l.owner_offset = j."offset"
                AND l.verdict IS NULL
              RETURNING j.decision_id, j.tenant_id, j.ticket_id, j.decided_at, j.decision),
          remembered AS (
              INSERT INTO decisions (decision_id, tenant_id, ticket_id, decided_at, decision)
              SELECT * FROM saved WHERE decision_id IS NOT NULL ORDER BY decision_id
              ON CONFLICT (decision_id) DO UPDATE SET decided_at = excluded.decided_at, decision = excluded.decision)
          SELECT count(*) FROM saved"#,
};

/// Answers and verdicts of rows that have neither, and what is kept of the decisions; `saved` are those that were.
macro_rules! deciding {
    () => {
        r#"WITH j AS MATERIALIZED (
              SELECT * FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[],
                                   $7::text[], $8::text[], $9::text[], $10::text[], $11::bigint[], $12::text[])
                   AS j (key, topic, partition, "offset", answer, at, verdict,
                         decision_id, tenant_id, ticket_id, decided_at, decision)),
          saved AS (
              UPDATE ledger AS l
              SET answer = j.answer, answered_at = j.at, verdict = j.verdict,
                  lease_instance = NULL, lease_incarnation = NULL, lease_until = NULL
              FROM j
              WHERE l.key = j.key
                AND l.owner_topic = j.topic AND l.owner_partition = j.partition AND l.owner_offset = j."offset"
                AND l.answer IS NULL AND l.verdict IS NULL
                AND (l.lease_until IS NULL OR l.lease_until <= statement_timestamp()
                     OR (l.lease_instance = $13 AND l.lease_incarnation = $14))
              RETURNING j.decision_id, j.tenant_id, j.ticket_id, j.decided_at, j.decision),
          remembered AS (
              INSERT INTO decisions (decision_id, tenant_id, ticket_id, decided_at, decision)
              SELECT * FROM saved WHERE decision_id IS NOT NULL ORDER BY decision_id
              ON CONFLICT (decision_id) DO UPDATE SET decided_at = excluded.decided_at, decision = excluded.decision)"#
    };
}

/// [`ANSWER`] and [`VERDICT`] in one, where neither is there: a row less to write for nearly every event.
pub(super) const DECIDE: Statement =
    Statement { name: "decide", sql: concat!(deciding!(), " SELECT count(*) FROM saved") };

/// A whole transaction in one trip: [`DECIDE`] and, once that has its rows, the mark of the batch. Answered with how many were
/// saved and with the mark.
pub(super) const DECIDE_AND_MARK: Statement = Statement {
    name: "decide_and_mark",
    sql: concat!(
        deciding!(),
        ", marked AS (
              INSERT INTO marks (ledger, writer, batches)
              SELECT ledger, $15, 1 FROM identity, (SELECT count(*) FROM saved) AS first
              ON CONFLICT (ledger, writer) DO UPDATE SET batches = marks.batches + 1
              RETURNING ledger, batches)
          SELECT (SELECT count(*) FROM saved), ledger, batches FROM marked"
    ),
};

/// Touches every row of the owner; where there is a verdict nothing changes any more.
pub(super) const DEFER: Statement = Statement {
    name: "defer",
    sql: r#"UPDATE ledger AS l
          SET deferred_ticket = j.ticket, deferred_to = j.tier, is_put_off = true
          FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::smallint[])
               AS j (key, topic, partition, "offset", ticket, tier)
          WHERE l.key = j.key
            AND l.owner_topic = j.topic AND l.owner_partition = j.partition AND l.owner_offset = j."offset"
            AND l.verdict IS NULL"#,
};

/// What is put off and comes before each claim of a batch, by the claim's place in it (from 1). Each lane is read once, however
/// many of its events claim: a ticket may have tens of thousands that were put off. A lane is looked up by its name alone: of
/// a table whose statistics are old, the planner would rather read all that is unpublished in the partition.
pub(super) const AHEAD: Statement = Statement {
    name: "ahead",
    sql: r#"WITH j AS MATERIALIZED (
              SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
                            AS j (ticket, topic, partition, "offset", place)),
          lanes AS MATERIALIZED (
              SELECT ticket, topic, partition, max("offset") AS until FROM j GROUP BY ticket, topic, partition),
          away AS MATERIALIZED (
              SELECT lanes.ticket, lanes.topic, lanes.partition, l.owner_offset AS "offset", l.deferred_to AS tier
              FROM lanes JOIN ledger AS l ON l.deferred_ticket = lanes.ticket AND l.owner_topic || '' = lanes.topic
                                         AND l.owner_partition + 0 = lanes.partition AND l.owner_offset + 0 < lanes.until
              WHERE l.published_at IS NULL AND l.deferred_ticket IS NOT NULL AND NOT l.vanished),
          told AS (
              SELECT place, count(tier) OVER before AS count,
                     (max(ARRAY["offset", tier]) FILTER (WHERE tier IS NOT NULL) OVER before)[2] AS tier
              FROM (SELECT ticket, topic, partition, "offset", NULL::bigint AS tier, place FROM j
                    UNION ALL
                    SELECT ticket, topic, partition, "offset", tier, NULL FROM away) AS all_of_them
              WINDOW before AS (PARTITION BY ticket, topic, partition ORDER BY "offset", tier IS NOT NULL
                                ROWS UNBOUNDED PRECEDING))
          SELECT place, count, tier::smallint FROM told WHERE place IS NOT NULL AND count > 0"#,
};

/// The first mark stays: the window runs from there.
pub(super) const PUBLISHED: Statement = Statement {
    name: "published",
    sql: r#"UPDATE ledger AS l
          SET published_at = coalesce(l.published_at, j.at)
          FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
               AS j (key, topic, partition, "offset", at)
          WHERE l.key = j.key
            AND l.owner_topic = j.topic AND l.owner_partition = j.partition AND l.owner_offset = j."offset""#,
};

/// How many rows of each range, by its place among them (from 1). Counts those that had vanished before, so that the same batch
/// again has the same outcome.
pub(super) const VANISHED: Statement = Statement {
    name: "vanished",
    sql: "WITH gone AS (
              UPDATE ledger AS l SET vanished = true
              FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
                   AS j (topic, partition, first, until, place)
              WHERE l.owner_topic = j.topic AND l.owner_partition = j.partition
                AND l.owner_offset >= j.first AND l.owner_offset < j.until AND l.published_at IS NULL
              RETURNING j.place)
          SELECT place, count(*) FROM gone GROUP BY place",
};

/// A finished offset proves a published verdict only where there is a verdict (it is saved before its burst), where the
/// owner did not vanish (a gap counts as finished too), and where no deferred copy went on for it, or will: then the owner's
/// offset was finished by the deferral, and [`REPAIR_COPIES`] asks the copy's.
pub(super) const REPAIR_PUBLISHED: Statement = Statement {
    name: "repair_published",
    sql: "UPDATE ledger SET published_at = $5
          WHERE owner_topic = $1 AND owner_partition = $2 AND owner_offset < $3 AND owner_offset <> ALL($4)
            AND published_at IS NULL AND verdict IS NOT NULL AND NOT vanished AND NOT is_put_off AND hop = 0",
};

/// The same for events that were put off: the latest copy's offset speaks for them.
pub(super) const REPAIR_COPIES: Statement = Statement {
    name: "repair_copies",
    sql: "UPDATE ledger SET published_at = $5
          WHERE copy_topic = $1 AND owner_partition = $2 AND copy_offset < $3 AND copy_offset <> ALL($4)
            AND published_at IS NULL AND copy_topic IS NOT NULL AND verdict IS NOT NULL AND NOT vanished
            AND NOT is_put_off AND hop > 0",
};

/// Columns in the order in which [`super::rows`] reads them; column 16 is how many milliseconds the lease still lasts.
pub(super) const READ: Statement = Statement {
    name: "read",
    sql: "SELECT key, owner_topic, owner_partition, owner_offset, hop, body_form, body_hash, first_seen_at,
                 answer, answered_at, verdict, published_at, vanished, rejected_at, lease_instance, lease_incarnation,
                 ceil(extract(epoch FROM lease_until - statement_timestamp()) * 1000)::bigint,
                 copy_topic, copy_offset, deferred_to
          FROM ledger WHERE key = ANY($1)",
};

/// A row that was published stays if it ranks as high (`restored::rank`).
pub(super) const RESTORE: Statement = Statement {
    name: "restore",
    sql: r#"INSERT INTO ledger AS l (key, owner_topic, owner_partition, owner_offset, hop, body_form, body_hash, tenant_id,
                                     event_id, first_seen_at, verdict, published_at, is_rejected, rejected_at)
          SELECT j.key, j.topic, j.partition, j."offset", j.hop, j.form, j.hash, j.tenant_id, j.event_id, j.at, j.verdict,
                 j.published_at, j.rejected_at IS NOT NULL, j.rejected_at
          FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::smallint[], $7::bytea[],
                      $8::text[], $9::text[], $10::bigint[], $11::text[], $12::bigint[], $13::bigint[])
               AS j (key, topic, partition, "offset", hop, form, hash, tenant_id, event_id, at, verdict, published_at,
                     rejected_at)
          ORDER BY j.key
          ON CONFLICT (key) DO UPDATE
          SET answer = CASE WHEN (l.owner_topic, l.owner_partition, l.owner_offset)
                                 = (excluded.owner_topic, excluded.owner_partition, excluded.owner_offset)
                            THEN l.answer END,
              answered_at = CASE WHEN (l.owner_topic, l.owner_partition, l.owner_offset)
                                      = (excluded.owner_topic, excluded.owner_partition, excluded.owner_offset)
                                 THEN l.answered_at END,
              owner_topic = excluded.owner_topic, owner_partition = excluded.owner_partition,
              owner_offset = excluded.owner_offset, hop = excluded.hop, body_form = excluded.body_form,
              body_hash = excluded.body_hash, event_id = excluded.event_id, verdict = excluded.verdict,
              published_at = excluded.published_at, is_rejected = excluded.is_rejected,
              rejected_at = coalesce(excluded.rejected_at, l.rejected_at),
              vanished = false, copy_topic = NULL, copy_offset = NULL,
              is_put_off = false, deferred_ticket = NULL, deferred_to = NULL, lease_instance = NULL, lease_incarnation = NULL, lease_until = NULL
          WHERE l.published_at IS NULL
             OR (l.is_rejected AND NOT excluded.is_rejected)
             OR (l.is_rejected = excluded.is_rejected AND l.published_at < excluded.published_at)"#,
};

/// Rows that somebody holds at this moment wait for the next time: instances share the work instead of queueing for it. The
/// server's clock has its say (`now()` is the earlier, so it takes no more): one instance whose clock is ahead would delete
/// what all of them know duplicates by. Rows that were rejected live longer, so they stand in an index of their own, by the
/// time that counts: the many that must stay are not read to find the few that may go.
pub(super) const FORGET: Statement = Statement {
    name: "forget",
    sql: "WITH rejected AS MATERIALIZED (
              SELECT key FROM ledger
              WHERE rejected_at <= least($2, (extract(epoch FROM now()) * 1000)::bigint - $5)
                AND published_at < least($1, (extract(epoch FROM now()) * 1000)::bigint - $4)
              ORDER BY rejected_at LIMIT $3
              FOR UPDATE SKIP LOCKED),
          ordinary AS MATERIALIZED (
              SELECT key FROM ledger
              WHERE published_at < least($1, (extract(epoch FROM now()) * 1000)::bigint - $4) AND rejected_at IS NULL
              ORDER BY published_at LIMIT $3 - (SELECT count(*) FROM rejected)
              FOR UPDATE SKIP LOCKED),
          old AS MATERIALIZED (SELECT key FROM rejected UNION ALL SELECT key FROM ordinary)
          DELETE FROM ledger USING old WHERE ledger.key = old.key",
};

pub(super) const HEARTBEAT: Statement = Statement {
    name: "heartbeat",
    sql: "INSERT INTO instances (instance, incarnation, last_seen_at) VALUES ($1, $2, statement_timestamp())
          ON CONFLICT (instance, incarnation) DO UPDATE SET last_seen_at = excluded.last_seen_at",
};

/// Lives that fell silent, of whichever instance, and (`$3`) those of ours that are known to be dead.
pub(super) const BURY: Statement = Statement {
    name: "bury",
    sql: "DELETE FROM instances
          WHERE last_seen_at <= statement_timestamp() - $4 * interval '1 millisecond'
             OR ($3 AND instance = $1 AND incarnation <> $2)",
};

/// Leases stand on unpublished rows only, of which there are few.
pub(super) const INHERIT_LEASES: Statement = Statement {
    name: "inherit_leases",
    sql: "UPDATE ledger SET lease_instance = NULL, lease_incarnation = NULL, lease_until = NULL
          WHERE published_at IS NULL AND lease_instance = $1",
};
