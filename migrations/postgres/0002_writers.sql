-- Who entered a partition last: the only one who may have left a transaction open there. An owner enters once the positions
-- can be read, so whatever earlier ones left open has ended by then.
CREATE TABLE writers (
    topic     TEXT NOT NULL,
    partition BIGINT NOT NULL,
    writer    TEXT NOT NULL,
    PRIMARY KEY (topic, partition)
);
