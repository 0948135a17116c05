-- One row a dedupe key. What we stamp is milliseconds since 1970, UTC (first_seen_at, answered_at, published_at,
-- rejected_at); what several instances compare is the server's own time (lease_until, last_seen_at).
CREATE TABLE ledger (
    key               BYTEA    NOT NULL PRIMARY KEY CHECK (octet_length(key) = 32),
    -- The copy that owns the event.
    owner_topic       TEXT     NOT NULL,
    owner_partition   BIGINT   NOT NULL,
    owner_offset      BIGINT   NOT NULL,
    hop               BIGINT   NOT NULL,
    body_form         SMALLINT NOT NULL,
    body_hash         BYTEA    NOT NULL CHECK (octet_length(body_hash) = 32),
    -- For people who look in here.
    tenant_id         TEXT     NOT NULL,
    event_id          TEXT     NOT NULL,
    first_seen_at     BIGINT   NOT NULL,
    -- Who is calling for it, and until when.
    lease_instance    TEXT,
    lease_incarnation BIGINT,
    lease_until       TIMESTAMPTZ,
    answered_at       BIGINT,
    published_at      BIGINT,
    vanished          BOOLEAN  NOT NULL DEFAULT false,
    -- Whether the verdict is a rejection.
    is_rejected       BOOLEAN  NOT NULL DEFAULT false,
    -- When it was rejected last. Survives a takeover: such a row lives as long as its dead letter.
    rejected_at       BIGINT,
    -- JSON, as text: jsonb refuses the character U+0000, which a ticket may contain.
    answer            TEXT,
    verdict           TEXT
) WITH (
    -- A row is written about five times in its first seconds; with room beside it, all but the last touch no index.
    fillfactor = 70,
    -- The defaults would let a fifth of a large table die before cleaning up.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02
);

-- What is under way, by owner: small, because a row leaves it when it is published.
CREATE INDEX ledger_unpublished ON ledger (owner_topic, owner_partition, owner_offset) WHERE published_at IS NULL;

-- What may be forgotten, oldest first; rejected_at is in it so that rows which must stay are passed over in the index.
CREATE INDEX ledger_published ON ledger (published_at, rejected_at) WHERE published_at IS NOT NULL;

-- Lives of instances, and when each was last heard of. A life without a row is dead.
CREATE TABLE instances (
    instance     TEXT        NOT NULL,
    incarnation  BIGINT      NOT NULL,
    last_seen_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (instance, incarnation)
);
