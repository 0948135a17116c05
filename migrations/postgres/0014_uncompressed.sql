-- What a model said is some hundred bytes to a few thousand: to compress it takes the server longer than everything else it does
-- for the row, and gains little or nothing.
ALTER TABLE ledger ALTER COLUMN answer SET STORAGE EXTERNAL;
ALTER TABLE ledger ALTER COLUMN verdict SET STORAGE EXTERNAL;
ALTER TABLE decisions ALTER COLUMN decision SET STORAGE EXTERNAL;
