"""Bringing a device's file of an earlier version up to date: one step a version, all in one transaction.

A step is never changed once it was shipped; tests/client_sdk/schema_*.sql keep the tables it starts from.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Final

from .schema import APPLICATION_ID, DDL, INDEXES_DDL, VERSION

__all__ = ["bring_up_to_date"]


def bring_up_to_date(conn: sqlite3.Connection, version: int) -> None:
    """Make the tables of an empty file (version 0), or take the steps from `version` on. In an open transaction."""
    if version == 0:
        for statement in (*DDL.split(";"), *INDEXES_DDL):
            conn.execute(statement)
    else:
        for step in range(version, VERSION):
            _STEPS[step](conn)
    conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    conn.execute(f"PRAGMA user_version = {VERSION}")


def _from_1(conn: sqlite3.Connection) -> None:
    # The first files of version 1 lack `seq`. Without it a delete counts as made before anything below it was pulled.
    if "seq" not in _columns(conn, "log"):
        conn.execute("ALTER TABLE log ADD COLUMN seq INTEGER")
    conn.execute("ALTER TABLE log ADD COLUMN mark TEXT")
    conn.execute("ALTER TABLE inbox ADD COLUMN cause INTEGER")
    conn.execute("ALTER TABLE inbox ADD COLUMN context TEXT")
    conn.execute("ALTER TABLE inbox ADD COLUMN schema INTEGER NOT NULL DEFAULT 0")
    for statement in INDEXES_DDL:
        conn.execute(statement)


def _from_2(conn: sqlite3.Connection) -> None:
    conn.execute(
        "CREATE TABLE attachments (id TEXT PRIMARY KEY, space INTEGER NOT NULL, collection TEXT NOT NULL,"
        " record TEXT NOT NULL, media_type TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL,"
        " added_at INTEGER NOT NULL, remote TEXT, failures INTEGER NOT NULL DEFAULT 0, error TEXT)"
    )
    conn.execute("CREATE UNIQUE INDEX attachments_record ON attachments (space, collection, record, sha256)")
    conn.execute("CREATE INDEX attachments_sha256 ON attachments (sha256)")
    conn.execute("CREATE INDEX attachments_waiting ON attachments (failures, id) WHERE remote IS NULL")


def _columns(conn: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in conn.execute(f"PRAGMA table_info({table})")}


_STEPS: Final[Mapping[int, Callable[[sqlite3.Connection], None]]] = {1: _from_1, 2: _from_2}
