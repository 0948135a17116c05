-- Tells this ledger from any other one, in commit metadata: 1 to 65,535.
CREATE TABLE identity (
    one    BOOLEAN NOT NULL PRIMARY KEY CHECK (one),
    ledger BIGINT  NOT NULL
);

INSERT INTO identity (one, ledger) VALUES (true, 1 + floor(random() * 65535)::bigint);

-- How many batches each writer has saved, in this ledger and in those that it was rebuilt after.
CREATE TABLE marks (
    ledger  BIGINT NOT NULL,
    writer  TEXT   NOT NULL,
    batches BIGINT NOT NULL,
    PRIMARY KEY (ledger, writer)
);
