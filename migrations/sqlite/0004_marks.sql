-- Tells this ledger from any other one, in commit metadata: 1 to 65,535.
CREATE TABLE identity (
    one    INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    ledger INTEGER NOT NULL
) STRICT;

INSERT INTO identity (one, ledger) VALUES (1, 1 + (random() & 9223372036854775807) % 65535);

-- How many batches each writer has saved, in this ledger and in those that it was rebuilt after.
CREATE TABLE marks (
    ledger  INTEGER NOT NULL,
    writer  TEXT    NOT NULL,
    batches INTEGER NOT NULL,
    PRIMARY KEY (ledger, writer)
) STRICT, WITHOUT ROWID;
