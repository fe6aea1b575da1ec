"""Reading what SQLite still gives of a damaged file, row by row.

The rows go into a fresh database of the same tables, which can be exported like any other. It is no device: where
changes are missing from a log, going on under its id could give one number to two different changes.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .migrations import bring_up_to_date
from .schema import VERSION
from .spaces import PERSONAL

__all__ = ["salvage"]

# What an export is made of. Each has a rowid to walk along.
_TABLES = ("spaces", "log", "records", "inbox", "attachments")
# The version of the file with which a table came.
_SINCE = {"attachments": 3}
# The columns that have objects of JSON.
_OBJECTS = ("body", "shown", "fields")
# The numbers that decide what of a row is told, and where.
_NUMBERS = ("space", "alive", "state")
# Beyond this many rows that cannot be read, the rest of a table is taken to be gone.
_UNREADABLE_MAX = 20_000
# As SQLite has it by default; a file is opened with no other.
_PAGE = 4096
# The magic words; pages of 4096 bytes, WAL, nothing reserved, the fractions that SQLite demands; tables of format 4
# and texts in UTF-8.
_HEADER = b"SQLite format 3\0\x10\0\2\2\0\x40\x20\x20".ljust(44, b"\0") + b"\0\0\0\4".ljust(12, b"\0") + b"\0\0\0\1"
# Where even the newest row cannot be told.
_ROWID_MAX = 1 << 20


def salvage(path: Path) -> tuple[sqlite3.Connection, int]:
    """A temporary database with what can be read of `path`, and how many rows or tables could not be.

    Where the file's beginning is damaged, or its end is gone, a copy is read whose beginning is mended.

    Raises:
        sqlite3.DatabaseError: nothing at all can be read of it.
    """
    first: sqlite3.DatabaseError | None = None
    for mend in (None, _mend_header, _renew_first_page):
        try:
            return _read(path) if mend is None else _read_mended(path, mend)
        except sqlite3.DatabaseError as error:
            first = first or error
    assert first is not None
    raise first


def _read(path: Path) -> tuple[sqlite3.Connection, int]:
    saved = sqlite3.connect("", isolation_level=None)
    bring_up_to_date(saved, 0)
    # They would refuse a row for a number that nothing is told by here, and one of which half makes sense.
    for (index,) in saved.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall():
        saved.execute(f"DROP INDEX {index}")
    # mode=ro: closing must not copy the log of the last transactions into a file that is damaged.
    damaged = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    # A flipped bit may be in a text: the row is judged by its JSON, not refused for a character.
    damaged.text_factory = lambda raw: raw.decode("utf-8", "replace")
    try:
        # A table whose definition cannot be read does not take the others along.
        damaged.execute("PRAGMA writable_schema = ON")
        there = {row[0] for row in damaged.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        version = damaged.execute("PRAGMA user_version").fetchone()[0]
        if not there & {"log", "records"}:
            raise _nothing()
        if not 0 < version <= VERSION:
            # It is damaged itself: what is there tells.
            version = VERSION if "attachments" in there else 1
        tables = [table for table in _TABLES if version >= _SINCE.get(table, 1)]
        unreadable = sum(_copy(damaged, saved, table) for table in tables) + _copy_recovered(damaged, saved)
        # Which spaces there were is nothing that somebody logged.
        held = ["aside", *(table for table in _TABLES if table != "spaces")]
        if unreadable and not any(saved.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in held):
            raise _nothing()
    except BaseException:
        saved.close()
        raise
    finally:
        damaged.close()
    for table in ("log", "records", "aside", "attachments"):
        saved.execute(
            "INSERT OR IGNORE INTO spaces (no, kind)"
            f" SELECT DISTINCT space, CASE space WHEN {PERSONAL} THEN 'personal' ELSE 'shared' END FROM {table}"
        )
    saved.execute("UPDATE spaces SET kind = 'personal' WHERE no = ?", (PERSONAL,))
    return saved, unreadable


def _nothing() -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError("nothing of a device can be read of it")
    error.sqlite_errorcode = sqlite3.SQLITE_NOTADB
    return error


def _read_mended(path: Path, mend: Callable[[bytearray, Path], None]) -> tuple[sqlite3.Connection, int]:
    """Read a copy of the file, and of the log beside it, with its beginning mended."""
    with TemporaryDirectory(prefix="fitai-") as folder:
        copy = Path(folder) / "copy.db"
        shutil.copyfile(path, copy)
        if (log := Path(f"{path}-wal")).exists():
            shutil.copyfile(log, Path(f"{copy}-wal"))
        with copy.open("r+b") as file:
            page = bytearray(file.read(_PAGE))
            mend(page, Path(folder))
            file.seek(0)
            file.write(page)
            # A torn page at the end reads as one that is damaged.
            size = file.seek(0, 2)
            file.truncate(-(-size // _PAGE) * _PAGE)
        return _read(copy)


def _mend_header(page: bytearray, _folder: Path) -> None:
    """The first hundred bytes, which are the same in every device's file but for counters that nothing here needs."""
    version, mark = page[60:64], page[68:72]
    # Without a number of pages SQLite takes those that are there.
    page[:100] = _HEADER.ljust(100, b"\0")
    page[60:64], page[68:72] = version, mark


def _renew_first_page(page: bytearray, folder: Path) -> None:
    """The whole page, from a new device's file: it has only the tables' definitions, and every file's stand alike."""
    new = folder / "new.db"
    with closing(sqlite3.connect(new, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("BEGIN IMMEDIATE")
        bring_up_to_date(conn, 0)
        conn.execute("COMMIT")
    page[:] = new.read_bytes()[:_PAGE]
    _mend_header(page, folder)


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
            saved.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", [_text(value) for value in row])
        except (sqlite3.DatabaseError, OverflowError):
            unreadable += 1
    if table == "records":
        # One of the two is enough: what was laid over is in the log as well.
        for broken, whole in (("shown", "body"), ("body", "shown")):
            halved = f"{broken} IS NOT NULL AND NOT {_makes_sense(broken)} AND {_makes_sense(whole)}"
            unreadable += saved.execute(f"UPDATE records SET {broken} = NULL WHERE {halved}").rowcount
    return unreadable + sum(
        saved.execute(f"DELETE FROM {table} WHERE {senseless}").rowcount for senseless in _senseless(saved, table)
    )


def _copy_recovered(damaged: sqlite3.Connection, saved: sqlite3.Connection) -> int:
    """Copy what was kept aside because the server lost it; 1 where not all of it can be read.

    It has no rowid to walk along, and is a handful: it is read from either end.
    """
    rows: dict[Any, Any] = {}
    unreadable = 0
    for order in ("ASC", "DESC"):
        try:
            for row in damaged.execute(
                "SELECT space, collection, id, kind, root, body, at FROM aside WHERE kind = 'recovered'"
                f" ORDER BY space {order}, collection {order}, id {order}"
            ):
                rows[row[:3]] = row
        except sqlite3.DatabaseError:
            unreadable = 1
        if not unreadable:
            break
    for row in rows.values():
        try:
            saved.execute("INSERT INTO aside VALUES (?, ?, ?, ?, ?, ?, ?)", [_text(value) for value in row])
        except sqlite3.DatabaseError:
            unreadable += 1
    sense = f"typeof(space) = 'integer' AND {_makes_sense('body')}"
    return unreadable + saved.execute(f"DELETE FROM aside WHERE NOT ({sense})").rowcount


def _makes_sense(name: str) -> str:
    """What is true where a column has a record as this database keeps it."""
    values = f"COALESCE(json_type({name}, '$.values'), 'null') IN ('object', 'null')"
    return f"CASE WHEN json_valid({name}) THEN json_type({name}) = 'object' AND {values} ELSE 0 END"


def _text(value: Any) -> Any:
    """One bit makes a BLOB of a text, and no column of ours has BLOBs."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _senseless(saved: sqlite3.Connection, table: str) -> Iterator[str]:
    """What is true of rows that can be read, and that would stop whoever makes sense of them."""
    for _, name, type_, *_ in saved.execute(f"PRAGMA table_info({table})").fetchall():
        if type_ == "INTEGER" and name in _NUMBERS:
            yield f"typeof({name}) <> 'integer'"
        if name in _OBJECTS:
            yield f"{name} IS NOT NULL AND CASE WHEN json_valid({name}) THEN json_type({name}) <> 'object' ELSE 1 END"
    if table == "records":
        yield "alive = 1 AND COALESCE(shown, body) IS NULL"
        yield "COALESCE(json_type(COALESCE(shown, body), '$.values'), 'null') NOT IN ('object', 'null')"


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
