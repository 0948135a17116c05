-- Since its latest claim it was put off: whatever of it is finished in the log is no proof that a verdict was published, which
-- may be saved later, by an owner that lost its partition with a call under way. Its next claim ends that.
ALTER TABLE ledger ADD COLUMN is_put_off INTEGER NOT NULL DEFAULT 0;
