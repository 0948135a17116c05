-- The embedded log: topics, their partitions, the records, and where each group stands.
-- Written by src/adapters/embedded_log only; the layout of `records.place` is documented in place.rs there.

-- "GKLG": tells this file from any other SQLite file before anything is written into it.
PRAGMA application_id = 0x474B4C47;

-- AUTOINCREMENT: the number of a deleted topic never comes back, so neither do places made from it.
CREATE TABLE topics (
    number     INTEGER PRIMARY KEY AUTOINCREMENT CHECK (number BETWEEN 1 AND 1023),
    name       TEXT    NOT NULL UNIQUE,
    id         TEXT    NOT NULL UNIQUE,
    partitions INTEGER NOT NULL CHECK (partitions BETWEEN 1 AND 2048),
    created_at INTEGER NOT NULL
) STRICT;

-- `bytes` counts keys, values and headers of the records between log_start and next_offset.
CREATE TABLE partitions (
    topic       INTEGER NOT NULL REFERENCES topics (number) ON DELETE CASCADE,
    partition   INTEGER NOT NULL,
    log_start   INTEGER NOT NULL DEFAULT 0,
    next_offset INTEGER NOT NULL DEFAULT 0,
    bytes       INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    PRIMARY KEY (topic, partition),
    CHECK (log_start BETWEEN 0 AND next_offset)
) STRICT, WITHOUT ROWID;

-- One b-tree, ordered by topic, partition and offset at once. Not WITHOUT ROWID: large rows would be five times slower.
CREATE TABLE records (
    place      INTEGER PRIMARY KEY,
    written_at INTEGER NOT NULL,
    key        BLOB,
    value      BLOB,
    headers    BLOB
) STRICT;

-- What each group committed: the lowest unfinished offset, and metadata that is the group's own business.
CREATE TABLE positions (
    group_id  TEXT    NOT NULL,
    topic     INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    base      INTEGER NOT NULL,
    metadata  TEXT    NOT NULL,
    PRIMARY KEY (group_id, topic, partition),
    FOREIGN KEY (topic, partition) REFERENCES partitions (topic, partition) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Retention asks by partition, not by group.
CREATE INDEX positions_by_partition ON positions (topic, partition, base);
