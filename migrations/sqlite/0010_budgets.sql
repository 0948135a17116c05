-- What each tenant's days have cost, and the paid calls that run now. Millionths of the tenant's currency; days since 1970, UTC.
CREATE TABLE purses (
    tenant  TEXT    NOT NULL,
    day     INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    -- The sum of what stands in open_calls for it.
    open    INTEGER NOT NULL,
    PRIMARY KEY (tenant, day)
) STRICT, WITHOUT ROWID;

-- A call that nobody settled: it runs, or whoever made it is gone.
CREATE TABLE open_calls (
    instance    TEXT    NOT NULL,
    incarnation INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    tenant      TEXT    NOT NULL,
    day         INTEGER NOT NULL,
    expected    INTEGER NOT NULL,
    PRIMARY KEY (instance, incarnation, number)
) STRICT, WITHOUT ROWID;
