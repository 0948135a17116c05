-- How many partitions of a topic are read. While it has more: how many (growing_to), and where the old ones ended when that
-- was noticed (a JSON array of offsets).
CREATE TABLE counts (
    topic      TEXT    NOT NULL PRIMARY KEY,
    settled    INTEGER NOT NULL,
    growing_to INTEGER NOT NULL,
    ends       TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
