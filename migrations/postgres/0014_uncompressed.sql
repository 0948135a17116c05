-- What a model said is some hundred bytes to a few thousand: to compress it took an eighth of the server's time, and most of it
-- did not get smaller.
ALTER TABLE ledger ALTER COLUMN answer SET STORAGE EXTERNAL;
ALTER TABLE ledger ALTER COLUMN verdict SET STORAGE EXTERNAL;
ALTER TABLE decisions ALTER COLUMN decision SET STORAGE EXTERNAL;
