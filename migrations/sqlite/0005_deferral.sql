-- An event that was put off: a copy of its record stands in a delay tier.
-- The latest copy that came back: its commit proves what the owner's cannot.
ALTER TABLE ledger ADD COLUMN copy_topic TEXT;
ALTER TABLE ledger ADD COLUMN copy_offset INTEGER;
-- The lane (tenant|ticket), and the number of the tier it went to last.
ALTER TABLE ledger ADD COLUMN deferred_ticket TEXT;
ALTER TABLE ledger ADD COLUMN deferred_to INTEGER;

-- What later events of a ticket must not pass.
CREATE INDEX ledger_deferred ON ledger (deferred_ticket, owner_topic, owner_partition, owner_offset)
    WHERE published_at IS NULL AND deferred_ticket IS NOT NULL;

-- What a restored frontier of a deferred topic proves.
CREATE INDEX ledger_copies ON ledger (copy_topic, owner_partition, copy_offset)
    WHERE published_at IS NULL AND copy_topic IS NOT NULL;
