-- Which consumer group this ledger remembers for: one row, written when it is first used.
CREATE TABLE bound (
    one      BOOLEAN NOT NULL PRIMARY KEY CHECK (one),
    group_id TEXT    NOT NULL
);

-- Where the group stood in a partition when that was last said. A row means that there was a commit, whatever the log says.
CREATE TABLE places (
    topic     TEXT   NOT NULL,
    partition BIGINT NOT NULL,
    base      BIGINT NOT NULL,
    PRIMARY KEY (topic, partition)
);
