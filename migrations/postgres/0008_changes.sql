-- What operators changed while processors run: tenants' policies and orders to breakers, and at the same time the trail of
-- who did it, when and why. Entries are only ever added.
CREATE TABLE changes (
    revision   BIGINT NOT NULL PRIMARY KEY,
    changed_at BIGINT NOT NULL,
    actor      TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    act        TEXT   NOT NULL,
    previous   BIGINT,
    note       TEXT,
    document   TEXT,
    until      BIGINT
);

CREATE INDEX changes_of ON changes (kind, subject, revision);

CREATE FUNCTION changes_stay() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN RAISE EXCEPTION ''changes are only ever added''; END';

CREATE TRIGGER changes_are_not_edited BEFORE UPDATE OR DELETE OR TRUNCATE ON changes
    FOR EACH STATEMENT EXECUTE FUNCTION changes_stay();

-- How the breakers of every instance are, as it said last. Rows that nobody renews go after a day.
CREATE TABLE breakers (
    instance TEXT   NOT NULL,
    model    TEXT   NOT NULL,
    state    TEXT   NOT NULL,
    since    BIGINT NOT NULL,
    why      TEXT,
    failures BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    said_at  BIGINT NOT NULL,
    PRIMARY KEY (instance, model)
);
