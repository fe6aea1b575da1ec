"""The tables of the local database.

One file a person's account. Every table that grows is keyed by `space`, the local number of a space: the
personal space is number 1 before anyone knows its id.

    spaces   one line a space: where the device stands in it (cursor, version, phase) and what it waits for
    devices  the ids this installation has had; '' stands for the one that will be asked for at first contact
    streams  one line for each (space, device id): the numbers given and the last one the server is known to hold
    log      the device's own changes, in the order they were made (`pos`)
    records  every record, as the server last showed it (`body`) and as it shows with own changes (`shown`)
    aside    records that are no longer shown, kept for undo, or recovered after the server lost them
    inbox    changes that were refused, with the reason
    missing  records that a snapshot lacked and unsent changes touch, until the server was asked about them
    attachments  files of records, and what they are called where they were uploaded to
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["APPLICATION_ID", "DDL", "INDEXES", "INDEXES_DDL", "VERSION", "value_of"]

# Raised with every change of the tables: `database.py` refuses a file from the future, and `migrations.py` brings one
# of before up to date.
VERSION: Final = 3

# By this a file says in its header that it is a device's ("fita").
APPLICATION_ID: Final = 0x66697461

# The fields that apps ask for in thousands of records, by collection; other conditions read the collection's rows.
INDEXES: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "workouts": (("started_at",),),
    "workout_exercises": (("exercise",),),
    "sets": (("completed_at",),),
    "exercises": (("name",),),
    "measurements": (("kind", "at"),),
    "personal_records": (("exercise",),),
}


def value_of(field: str, alias: str = "") -> str:
    """The SQL of a field's value as it shows. An index is used only where its expression is spelled the same."""
    row = f"{alias}." if alias else ""
    return f"json_extract(COALESCE({row}shown, {row}body), '$.values.{field}')"


# With the id at their end they give the order of age too, so that no plan prefers the primary key for it.
INDEXES_DDL: Final = tuple(
    f"CREATE INDEX records_{collection}_{'_'.join(fields)} ON records"
    f" (space, {', '.join(value_of(field) for field in fields)}, id) WHERE collection = '{collection}'"
    for collection, indexes in INDEXES.items()
    for fields in indexes
)

DDL = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE spaces (
    no INTEGER PRIMARY KEY,
    id TEXT UNIQUE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL DEFAULT '',
    role TEXT NOT NULL DEFAULT 'owner',
    state TEXT NOT NULL DEFAULT 'member',
    phase TEXT NOT NULL DEFAULT 'new',
    cursor TEXT,
    life TEXT,
    version TEXT NOT NULL DEFAULT '{}',
    snap INTEGER NOT NULL DEFAULT 0,
    snap_before TEXT,
    snap_cursor TEXT,
    snap_life TEXT,
    snap_version TEXT NOT NULL DEFAULT '{}',
    resync TEXT NOT NULL DEFAULT '',
    resync_acked INTEGER,
    restate INTEGER NOT NULL DEFAULT 0,
    seen TEXT NOT NULL DEFAULT '{}',
    seen_at INTEGER NOT NULL DEFAULT 0,
    pull INTEGER NOT NULL DEFAULT 0,
    checked_at INTEGER NOT NULL DEFAULT 0,
    paused TEXT,
    confirm_deletes INTEGER NOT NULL DEFAULT 0,
    quota TEXT
);

CREATE TABLE devices (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    state TEXT NOT NULL,
    successor_key TEXT
) WITHOUT ROWID;

CREATE TABLE streams (
    space INTEGER NOT NULL,
    device TEXT NOT NULL,
    last_n INTEGER NOT NULL DEFAULT 0,
    after_n INTEGER NOT NULL DEFAULT 0,
    after_hlc TEXT,
    ask INTEGER NOT NULL DEFAULT 0,
    matched INTEGER,
    from_n INTEGER,
    PRIMARY KEY (space, device)
) WITHOUT ROWID;

CREATE TABLE log (
    pos INTEGER PRIMARY KEY AUTOINCREMENT,
    space INTEGER NOT NULL,
    device TEXT NOT NULL,
    n INTEGER NOT NULL,
    hlc TEXT NOT NULL,
    context TEXT NOT NULL,
    life TEXT,
    op TEXT NOT NULL,
    collection TEXT,
    id TEXT,
    fields TEXT,
    grp INTEGER,
    counts INTEGER NOT NULL,
    seen TEXT,
    before TEXT,
    seq INTEGER,
    state INTEGER NOT NULL DEFAULT 0,
    laid INTEGER NOT NULL DEFAULT 1,
    verdict TEXT,
    made_at INTEGER NOT NULL,
    answered_at INTEGER,
    mark TEXT
);
CREATE UNIQUE INDEX log_dot ON log (space, device, n);
CREATE INDEX log_unanswered ON log (space, device, n) WHERE state < 2;
CREATE INDEX log_laid ON log (space, collection, id, pos) WHERE laid = 1;
CREATE INDEX log_answered ON log (answered_at) WHERE state = 2;

CREATE TABLE records (
    space INTEGER NOT NULL,
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    seq INTEGER,
    status INTEGER NOT NULL,
    snap INTEGER NOT NULL DEFAULT 0,
    alive INTEGER NOT NULL,
    parent TEXT,
    conflicted INTEGER NOT NULL DEFAULT 0,
    shown TEXT,
    body TEXT,
    PRIMARY KEY (space, collection, id)
);
CREATE INDEX records_parent ON records (space, collection, parent) WHERE parent IS NOT NULL;
CREATE INDEX records_seq ON records (space, collection, seq);
CREATE INDEX records_conflicted ON records (space) WHERE conflicted = 1;
CREATE INDEX records_waiting ON records (space, status) WHERE status = 2;

CREATE TABLE aside (
    space INTEGER NOT NULL,
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    root TEXT NOT NULL,
    body TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (space, collection, id)
) WITHOUT ROWID;
CREATE INDEX aside_root ON aside (space, root);

CREATE TABLE inbox (
    no INTEGER PRIMARY KEY AUTOINCREMENT,
    space INTEGER NOT NULL,
    device TEXT NOT NULL,
    n INTEGER NOT NULL,
    op TEXT NOT NULL,
    collection TEXT,
    id TEXT,
    fields TEXT,
    code TEXT NOT NULL,
    field TEXT,
    message TEXT NOT NULL,
    at INTEGER NOT NULL,
    cause INTEGER,
    context TEXT,
    schema INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE missing (
    space INTEGER NOT NULL,
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (space, collection, id)
) WITHOUT ROWID;

CREATE TABLE attachments (
    id TEXT PRIMARY KEY,
    space INTEGER NOT NULL,
    collection TEXT NOT NULL,
    record TEXT NOT NULL,
    media_type TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    added_at INTEGER NOT NULL,
    remote TEXT,
    failures INTEGER NOT NULL DEFAULT 0,
    error TEXT
);
CREATE UNIQUE INDEX attachments_record ON attachments (space, collection, record, sha256);
CREATE INDEX attachments_sha256 ON attachments (sha256);
CREATE INDEX attachments_waiting ON attachments (failures, id) WHERE remote IS NULL;
"""
