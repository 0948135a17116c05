-- What operators changed while processors run: tenants' policies and orders to breakers, and at the same time the trail of
-- who did it, when and why. Entries are only ever added.
CREATE TABLE changes (
    revision   INTEGER NOT NULL PRIMARY KEY,
    changed_at INTEGER NOT NULL,
    actor      TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    act        TEXT    NOT NULL,
    previous   INTEGER,
    note       TEXT,
    document   TEXT,
    until      INTEGER
) STRICT;

CREATE INDEX changes_of ON changes (kind, subject, revision);

CREATE TRIGGER changes_are_not_edited BEFORE UPDATE ON changes
BEGIN SELECT raise(ABORT, 'changes are only ever added'); END;

CREATE TRIGGER changes_are_not_deleted BEFORE DELETE ON changes
BEGIN SELECT raise(ABORT, 'changes are only ever added'); END;

-- How the breakers of every instance are, as it said last. Rows that nobody renews go after a day.
CREATE TABLE breakers (
    instance TEXT    NOT NULL,
    model    TEXT    NOT NULL,
    state    TEXT    NOT NULL,
    since    INTEGER NOT NULL,
    why      TEXT,
    failures INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    said_at  INTEGER NOT NULL,
    PRIMARY KEY (instance, model)
) STRICT, WITHOUT ROWID;
