-- What instances have in common of a tenant's limit: its state as src/pipeline/admit/shares/account.rs writes it, JSON. A row
-- that was not touched for an hour says what no row says, and goes. SQLite has none: its ledger belongs to one instance.
CREATE TABLE shared_limits (
    tenant     TEXT        NOT NULL PRIMARY KEY,
    account    TEXT        NOT NULL,
    touched_at TIMESTAMPTZ NOT NULL
) WITH (
    -- A row is written every second by each instance that works for its tenant, and no index is touched.
    fillfactor = 20,
    autovacuum_vacuum_scale_factor = 0.02
);
