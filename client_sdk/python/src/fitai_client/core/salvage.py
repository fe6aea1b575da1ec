"""Reading what SQLite still gives of a damaged file, row by row.

The rows go into a fresh database of the same tables, which can be exported like any other. It is no device: where
changes are missing from a log, going on under its id could give one number to two different changes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .migrations import bring_up_to_date
from .spaces import PERSONAL

__all__ = ["salvage"]

# What an export is made of. Each has a rowid to walk along.
_TABLES = ("spaces", "log", "records", "inbox", "attachments")
# The version of the file with which a table came.
_SINCE = {"attachments": 3}
# Beyond this many rows that cannot be read, the rest of a table is taken to be gone.
_UNREADABLE_MAX = 20_000
# Where even the newest row cannot be told.
_ROWID_MAX = 1 << 20


def salvage(path: Path) -> tuple[sqlite3.Connection, int]:
    """A temporary database with what can be read of `path`, and how many rows or tables could not be.

    Raises:
        sqlite3.DatabaseError: nothing at all can be read of it.
    """
    saved = sqlite3.connect("", isolation_level=None)
    bring_up_to_date(saved, 0)
    # mode=ro: closing must not copy the log of the last transactions into a file that is damaged.
    damaged = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    # A flipped bit may be in a text: the row is judged by its JSON, not refused for a character.
    damaged.text_factory = lambda raw: raw.decode("utf-8", "replace")
    try:
        damaged.execute("SELECT name FROM sqlite_master LIMIT 1").fetchone()
        version = damaged.execute("PRAGMA user_version").fetchone()[0]
        tables = [table for table in _TABLES if version >= _SINCE.get(table, 1)]
        unreadable = sum(_copy(damaged, saved, table) for table in tables)
    except BaseException:
        saved.close()
        raise
    finally:
        damaged.close()
    for table in ("log", "records", "attachments"):
        saved.execute(
            "INSERT OR IGNORE INTO spaces (no, kind)"
            f" SELECT DISTINCT space, CASE space WHEN {PERSONAL} THEN 'personal' ELSE 'shared' END FROM {table}"
        )
    return saved, unreadable


def _copy(damaged: sqlite3.Connection, saved: sqlite3.Connection, table: str) -> int:
    """Copy the readable rows of a table; how many were not."""
    ours = [row[1] for row in saved.execute(f"PRAGMA table_info({table})")]
    try:
        theirs = {row[1] for row in damaged.execute(f"PRAGMA table_info({table})")}
        top = damaged.execute(f"SELECT MAX(rowid) FROM {table}").fetchone()[0] or 0
    except sqlite3.DatabaseError:
        theirs, top = set(ours), _ROWID_MAX
    names = ", ".join(name for name in ours if name in theirs)
    if not names:
        return 1
    marks = ", ".join("?" for name in ours if name in theirs)
    unreadable = 0
    for row in _rows(damaged, table, names, top):
        if row is None:
            unreadable += 1
            if unreadable > _UNREADABLE_MAX:
                break
            continue
        try:
            saved.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", row)
        except sqlite3.DatabaseError:
            unreadable += 1
    for name in ("body", "shown", "fields"):
        if name in ours:
            broken = f"{name} IS NOT NULL AND NOT json_valid({name})"
            unreadable += saved.execute(f"DELETE FROM {table} WHERE {broken}").rowcount
    return unreadable


def _rows(conn: sqlite3.Connection, table: str, names: str, top: int) -> Iterator[tuple[Any, ...] | None]:
    """Every row, halving what cannot be read until the rows that are to blame stand alone; None for each of these."""
    ranges = [(1, top)]
    while ranges:
        low, high = ranges.pop()
        if low > high:
            continue
        try:
            rows = conn.execute(
                f"SELECT {names} FROM {table} NOT INDEXED WHERE rowid BETWEEN ? AND ?", (low, high)
            ).fetchall()
        except sqlite3.DatabaseError:
            if low == high:
                yield None
                continue
            middle = (low + high) // 2
            ranges += [(middle + 1, high), (low, middle)]
        else:
            yield from rows
