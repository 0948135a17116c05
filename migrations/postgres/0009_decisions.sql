-- What is kept of a decision so that feedback can be joined with it, far longer than its event is remembered. Written with
-- the verdict, which is before anybody can have read the decision. What a join asks for stands in columns of its own, the
-- rest is JSON.
CREATE TABLE decisions (
    decision_id TEXT   NOT NULL PRIMARY KEY,
    tenant_id   TEXT   NOT NULL,
    ticket_id   TEXT   NOT NULL,
    -- Milliseconds since 1970, UTC.
    decided_at  BIGINT NOT NULL,
    decision    TEXT   NOT NULL
);

-- The latest of a ticket.
CREATE INDEX decisions_ticket ON decisions (tenant_id, ticket_id, decided_at);

-- What may go, oldest first.
CREATE INDEX decisions_decided ON decisions (decided_at);
