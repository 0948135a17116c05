-- The id of the topic that is read in each role, as it was when this ledger was first used with it. A topic of another id has
-- other records at the same offsets.
CREATE TABLE topics (
    role  TEXT NOT NULL PRIMARY KEY,
    topic TEXT NOT NULL
) STRICT, WITHOUT ROWID;
