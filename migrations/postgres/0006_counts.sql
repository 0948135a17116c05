-- How many partitions of a topic are read. While it has more: how many (growing_to), and where the old ones ended when that
-- was noticed.
CREATE TABLE counts (
    topic      TEXT     NOT NULL PRIMARY KEY,
    settled    BIGINT   NOT NULL,
    growing_to BIGINT   NOT NULL,
    ends       BIGINT[] NOT NULL
);
