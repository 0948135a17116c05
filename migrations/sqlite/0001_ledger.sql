-- One row a dedupe key. A rowid table with a unique index: the big texts stay out of the tree that is searched by hash,
-- and rows written together stay together (WITHOUT ROWID with rows of this size is five times slower).
CREATE TABLE ledger (
    id                INTEGER PRIMARY KEY,
    key               BLOB    NOT NULL CHECK (length(key) = 32),
    -- The copy that owns the event.
    owner_topic       TEXT    NOT NULL,
    owner_partition   INTEGER NOT NULL,
    owner_offset      INTEGER NOT NULL,
    hop               INTEGER NOT NULL,
    body_form         INTEGER NOT NULL,
    body_hash         BLOB    NOT NULL CHECK (length(body_hash) = 32),
    -- For people who look in here.
    tenant_id         TEXT    NOT NULL,
    event_id          TEXT    NOT NULL,
    -- Times are milliseconds since 1970, UTC.
    first_seen_at     INTEGER NOT NULL,
    -- Who is calling for it, and until when.
    lease_instance    TEXT,
    lease_incarnation INTEGER,
    lease_until       INTEGER,
    answered_at       INTEGER,
    published_at      INTEGER,
    vanished          INTEGER NOT NULL DEFAULT 0,
    -- When it was rejected last. Survives a takeover: such a row lives as long as its dead letter.
    rejected_at       INTEGER,
    -- JSON.
    answer            TEXT,
    verdict           TEXT
) STRICT;

CREATE UNIQUE INDEX ledger_key ON ledger (key);

-- What is under way, by owner: small, because a row leaves it when it is published.
CREATE INDEX ledger_unpublished ON ledger (owner_topic, owner_partition, owner_offset) WHERE published_at IS NULL;

-- What may be forgotten, oldest first; rejected_at is in it so that rows which must stay are passed over in the index.
CREATE INDEX ledger_published ON ledger (published_at, rejected_at) WHERE published_at IS NOT NULL;

-- Who has worked on this ledger, and when they last took a lease.
CREATE TABLE instances (
    instance     TEXT    NOT NULL PRIMARY KEY,
    incarnation  INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL
) STRICT;
