-- The tables of a device's file of version 2.

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

CREATE INDEX records_workouts_started_at ON records (space, json_extract(COALESCE(shown, body), '$.values.started_at'), id) WHERE collection = 'workouts';
CREATE INDEX records_workout_exercises_exercise ON records (space, json_extract(COALESCE(shown, body), '$.values.exercise'), id) WHERE collection = 'workout_exercises';
CREATE INDEX records_sets_completed_at ON records (space, json_extract(COALESCE(shown, body), '$.values.completed_at'), id) WHERE collection = 'sets';
CREATE INDEX records_exercises_name ON records (space, json_extract(COALESCE(shown, body), '$.values.name'), id) WHERE collection = 'exercises';
CREATE INDEX records_measurements_kind_at ON records (space, json_extract(COALESCE(shown, body), '$.values.kind'), json_extract(COALESCE(shown, body), '$.values.at'), id) WHERE collection = 'measurements';
CREATE INDEX records_personal_records_exercise ON records (space, json_extract(COALESCE(shown, body), '$.values.exercise'), id) WHERE collection = 'personal_records';
