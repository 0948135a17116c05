-- What each tenant's days have cost, and the paid calls that run now. Millionths of the tenant's currency; days since 1970, UTC.
CREATE TABLE purses (
    tenant  TEXT   NOT NULL,
    day     BIGINT NOT NULL,
    settled BIGINT NOT NULL,
    -- The sum of what stands in open_calls for it.
    open    BIGINT NOT NULL,
    PRIMARY KEY (tenant, day)
) WITH (
    -- A row is written with every batch of each instance that works for its tenant, and no index is touched.
    fillfactor = 20,
    autovacuum_vacuum_scale_factor = 0.02
);

-- A call that nobody settled: it runs, or whoever made it is gone.
CREATE TABLE open_calls (
    instance    TEXT   NOT NULL,
    incarnation BIGINT NOT NULL,
    number      BIGINT NOT NULL,
    tenant      TEXT   NOT NULL,
    day         BIGINT NOT NULL,
    expected    BIGINT NOT NULL,
    PRIMARY KEY (instance, incarnation, number)
);
