-- Which consumer group this ledger remembers for: one row, written when it is first used.
CREATE TABLE bound (
    one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    group_id TEXT    NOT NULL
) STRICT;

-- Where the group stood in a partition when that was last said. A row means that there was a commit, whatever the log says.
CREATE TABLE places (
    topic     TEXT    NOT NULL,
    partition INTEGER NOT NULL,
    base      INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;
