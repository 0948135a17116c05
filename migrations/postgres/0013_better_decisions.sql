-- Whether somebody has acted on a fallback's decision (feedback on it, or an event that says that a person has the ticket):
-- then no better one follows.
ALTER TABLE decisions ADD COLUMN acted_on BOOLEAN NOT NULL DEFAULT false;
