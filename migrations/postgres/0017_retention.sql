-- What was rejected stays longer than what was not, and an index lets nobody pass over rows that must stay: the server reads each
-- from the table to see whether it is visible. So both kinds stand apart, each by the time that counts for it; a row is in one
-- of them, as it was before. First what needs the table for itself: who waits for that while an index is built waits in a circle.
DROP INDEX ledger_published;

CREATE INDEX ledger_ordinary ON ledger (published_at) WHERE published_at IS NOT NULL AND rejected_at IS NULL;

CREATE INDEX ledger_rejected ON ledger (rejected_at, published_at) WHERE published_at IS NOT NULL AND rejected_at IS NOT NULL;

-- As for the ledger: the default would let a fifth of a large table die before cleaning up.
ALTER TABLE decisions SET (autovacuum_vacuum_scale_factor = 0.02);
