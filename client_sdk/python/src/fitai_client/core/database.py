"""The local database: one SQLite file, one writer, and transactions that remember what they showed before.

Owns: opening, the schema's version, durability, and the border at which sqlite3's exceptions become ours.

Invariants
    D1  Whatever the process dies at, a transaction is there whole or not at all (WAL).
    D2  What leaves the device is on the disk before, and so is what the device made of it since: before each push
        of changes everything is made durable (`make_durable`, synchronous FULL). Other transactions are NORMAL: a
        process that is killed loses nothing, and a power cut at most the writes since the last durable one, none of
        which any server has heard of. So no number is ever used twice for two different changes, and none that was
        taken back by a void is a change again.
    D3  A file of a newer version of this package, of a server or of another program is not touched.
    D4  What was written is in the file that has this name: where that is another one now, nothing is written any more.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import DatabaseError
from .environment import Environment
from .migrations import bring_up_to_date
from .reads import Record, read_one
from .reserve import has_no_room
from .schema import APPLICATION_ID, VERSION

__all__ = ["Changed", "Damaged", "LocalDatabase", "Tx", "border", "connect", "looking"]

# Another process of the same device (a second terminal) may hold the file for a page of a snapshot.
BUSY_TIMEOUT_S = 10.0
# 16 MiB of pages in memory: the indexes of 100,000 records.
_CACHE_KIB = 16 * 1024
# More than this package has: a statement that falls out of the cache is parsed and planned again.
_STATEMENTS_KEPT = 512

# Of a long answer the next one is mostly another.
_REMEMBERED_ROWS_MAX = 64

# What tells a server's database: its migrations, and tables that no device has.
_SERVERS_TABLES = frozenset({"alembic_version", "users"})

Place = tuple[int, str, str]
Changed = tuple[int, str, str, Record | None, Record | None]


class Memory:
    """Answers of one connection's readings, good for as long as nobody writes to the file."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self._answers: dict[tuple[str, tuple[Any, ...]], list[Any]] = {}
        # What this connection had written when they were given, and what others had.
        self._written = -1
        self._of_others = -1

    def begin(self) -> bool:
        """A transaction begins that nobody else can write beside. Whether others may have written since the last one,
        as before the first one."""
        version = self._conn.execute("PRAGMA data_version").fetchone()[0]
        if version == self._of_others:
            return False
        self._of_others = version
        self._answers.clear()
        return True

    def forget(self) -> None:
        """What was written was rolled back."""
        self._answers.clear()

    def update(self, table: str, sql: str, parameters: Sequence[Any]) -> int:
        """Run a statement that changes this table alone: an answer that does not name it is as good as before."""
        self._look()
        changed = self._conn.execute(sql, parameters).rowcount
        self._written = self._conn.total_changes
        for asked in [asked for asked in self._answers if table in asked[0]]:
            del self._answers[asked]
        return changed

    def _look(self) -> None:
        written = self._conn.total_changes
        if written != self._written:
            self._written = written
            self._answers.clear()

    def recall(self, sql: str, parameters: tuple[Any, ...]) -> list[Any]:
        """The rows of a reading; not to be changed."""
        self._look()
        asked = (sql, parameters)
        rows = self._answers.get(asked)
        if rows is None:
            rows = self._conn.execute(sql, parameters).fetchall()
            if len(rows) <= _REMEMBERED_ROWS_MAX:
                self._answers[asked] = rows
        return rows


class Tx:
    """One open write transaction.

    `touch` must be called for a record before anything that may change what it shows, or whether it shows; it
    costs nothing while nobody watches its collection.
    """

    def __init__(
        self,
        conn: sqlite3.Connection,
        environment: Environment,
        watched: Callable[[int, str], bool],
        memory: Memory | None = None,
    ):
        self.conn = conn
        self.environment = environment
        self._watched = watched
        self._memory = memory
        self._before: dict[Place, Record | None] = {}

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement; the number of rows it changed."""
        return self.conn.execute(sql, parameters).rowcount

    def update(self, table: str, sql: str, parameters: Sequence[Any] = ()) -> int:
        """As `execute`, for a statement that changes this table alone: what `recall` gave of others is kept."""
        if self._memory is None:
            return self.execute(sql, parameters)
        return self._memory.update(table, sql, parameters)

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            self.conn.executemany(sql, rows)

    def all(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return self.conn.execute(sql, parameters).fetchall()

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """The first row, or None."""
        return self.conn.execute(sql, parameters).fetchone()

    def roll_back_to(self, savepoint: str) -> None:
        """Undo what was written since a SAVEPOINT, and forget what was read of it."""
        self.conn.execute(f"ROLLBACK TO {savepoint}")
        if self._memory is not None:
            self._memory.forget()

    def recall(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        """As `all`, for what is asked over and over: remembered until anybody writes to the file."""
        if self._memory is None:
            return self.all(sql, parameters)
        return self._memory.recall(sql, parameters)

    def meta(self, key: str) -> str | None:
        row = self.one("SELECT value FROM meta WHERE key = ?", (key,))
        return row[0] if row else None

    def set_meta(self, key: str, value: str | None) -> None:
        if value is None:
            self.execute("DELETE FROM meta WHERE key = ?", (key,))
        else:
            self.execute(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
            )

    def watches(self, space: int, collection: str) -> bool:
        return self._watched(space, collection)

    def touch(self, space: int, collection: str, id: str) -> None:
        place = (space, collection, id)
        if place not in self._before and self._watched(space, collection):
            self._before[place] = read_one(self.conn, *place)

    def changed(self) -> list[Changed]:
        """What the touched records showed before and show now, where that differs."""
        found = []
        for place, before in self._before.items():
            after = read_one(self.conn, *place)
            if before != after:
                found.append((*place, before, after))
        return found


class LocalDatabase:
    """The one writing connection to a device's file. Use it from one thread at a time."""

    def __init__(self, path: str | os.PathLike[str], environment: Environment, *, durable: bool = False) -> None:
        """Open the file, or make it.

        durable: make every transaction survive a power cut (some milliseconds each).

        Raises:
            DatabaseError: not a database, damaged, of a newer version, or not writable.
        """
        self.path = Path(path)
        self.environment = environment
        self._sync_each = durable
        self._unsynced = False
        # What the connection's `synchronous` was set to last.
        self._synchronous = ""
        self._tx: Tx | None = None
        self.watched: Callable[[int, str], bool] = lambda space, collection: False
        self.on_change: Callable[[list[Changed]], None] = lambda changes: None
        with border(self.path):
            self.conn = connect(self.path)
            try:
                self._prepare()
            except BaseException:
                self.conn.close()
                raise
        # Where this is, whatever the process takes for its folder later.
        self._place = self.path.absolute()
        self._file = _file_at(self._place)
        self._memory = Memory(self.conn)

    @contextmanager
    def write(self, *, durable: bool = False) -> Iterator[Tx]:
        """One transaction; inside another, the same one. Rolls back on any exception, then raises it.

        durable: afterwards it, and everything that was committed before it, is on the disk.
        """
        if self._tx is not None:
            yield self._tx
            return
        durable = durable or self._sync_each
        before = self.conn.total_changes
        # Not inside of `border`: a block around a block costs more than a short transaction's statements.
        try:
            self._synchronise("FULL" if durable else "NORMAL")
            self._check_place()
            self.conn.execute("BEGIN IMMEDIATE")
            try:
                # Whoever wrote it may have left it unsynced, a process of before that was killed as well.
                self._unsynced |= self._memory.begin()
                self._tx = Tx(self.conn, self.environment, self.watched, self._memory)
                yield self._tx
                changes = self._tx.changed()
                wrote = self.conn.total_changes != before
                if durable and (wrote or self._unsynced):
                    self._mark(self._tx)
                self.conn.execute("COMMIT")
            except BaseException:
                if self.conn.in_transaction:
                    self.conn.execute("ROLLBACK")
                self._memory.forget()
                raise
            finally:
                self._tx = None
        except _DAMAGE as error:
            ours = _ours(self.path, error)
            if ours is None:
                raise
            raise ours from error
        self._unsynced = not durable and (wrote or self._unsynced)
        if changes:
            self.on_change(changes)

    def _synchronise(self, how: str) -> None:
        if how != self._synchronous:
            self.conn.execute(f"PRAGMA synchronous = {how}")
            self._synchronous = how

    def make_durable(self) -> None:
        """Put everything that was committed on the disk."""
        if self._unsynced:
            with self.write(durable=True):
                pass

    def _mark(self, tx: Tx) -> None:
        """Write something new: a commit that writes nothing, or what is there already, syncs nothing."""
        tx.update(
            "meta", "INSERT INTO meta VALUES ('syncs', '1') ON CONFLICT (key) DO UPDATE SET value = meta.value + 1"
        )

    def close(self) -> None:
        with border(self.path):
            try:
                self.make_durable()
            finally:
                self.conn.close()

    def _check_place(self) -> None:
        """D4. What is written into a file without a name is gone with its last process, and nothing would say so."""
        if _file_at(self._place) != self._file:
            raise DatabaseError(
                f"{self.path} was moved, deleted or replaced while it was open, and nothing was written: put it back, "
                "or save what this client shows with export(), close it, and open the file anew.",
                code="moved",
            )

    def _prepare(self) -> None:
        version = self._version()
        self.conn.execute("PRAGMA journal_mode = WAL")
        if version == VERSION:
            return
        self._synchronise("FULL")
        self.conn.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have made the tables while this one waited.
            version = self._version()
            if version < VERSION:
                self._bring_up_to_date(version)
            self.conn.execute("COMMIT")
        except BaseException:
            if self.conn.in_transaction:
                self.conn.execute("ROLLBACK")
            raise

    def _bring_up_to_date(self, version: int) -> None:
        try:
            bring_up_to_date(self.conn, version)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            # A flipped bit in the version's number, or in a table's definition.
            raise DatabaseError(
                f"{self.path} is damaged (its tables are not those of its version): "
                "Client.rescue(path, to) saves what can still be read.",
                code="corrupt",
            ) from error

    def _version(self) -> int:
        """The version of the file's tables; 0 where it is empty.

        Raises:
            DatabaseError: it is another program's, or of a newer version of this one; it was not touched.
        """
        version: int = self.conn.execute("PRAGMA user_version").fetchone()[0]
        if self.conn.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            tables = {row[0] for row in self.conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if tables & _SERVERS_TABLES:
                raise DatabaseError(
                    f"{self.path} is the database of a FitAI server: a device needs a file of its own.", code="foreign"
                )
            # The files of version 1 bear no mark.
            if tables and not {"meta", "spaces", "log", "records"} <= tables:
                raise DatabaseError(
                    f"{self.path} is the database of another program: choose another file.", code="foreign"
                )
        if version < 0:
            raise DatabaseError(
                f"{self.path} is damaged: Client.rescue(path, to) saves what can still be read.",
                code="corrupt",
            )
        if version > VERSION:
            raise DatabaseError(
                f"{self.path} was written by a newer version of fitai_client, or is damaged: update this one, and "
                "where that changes nothing Client.rescue(path, to) saves what can still be read.",
                code="newer_version",
            )
        return version


@contextmanager
def looking(conn: sqlite3.Connection, environment: Environment) -> Iterator[Tx]:
    """One state of the database to read from, on a connection of its own: no writer is waited for."""
    conn.execute("BEGIN")
    try:
        yield Tx(conn, environment, lambda space, collection: False)
    finally:
        conn.execute("COMMIT")


def _file_at(path: Path) -> tuple[int, int] | None:
    """Which file has this name now; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode; `write` opens transactions by hand."""
    # A read-only one needs no file mode of its own: query_only keeps it from writing, and lets it make the -shm file.
    conn = sqlite3.connect(
        path,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS_KEPT,
    )
    conn.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    if read_only:
        conn.execute("PRAGMA query_only = ON")
    return conn


class Damaged(Exception):
    """A row that every device's file has is gone, or makes no sense."""


# All JSON that is read at the file is its own: answers are decoded before.
_DAMAGE = (sqlite3.DatabaseError, json.JSONDecodeError, UnicodeDecodeError, Damaged)


@contextmanager
def border(path: Path) -> Iterator[None]:
    """sqlite3's exceptions become ours; those that tell of a mistake in this package stay what they are."""
    try:
        yield
    except _DAMAGE as error:
        ours = _ours(path, error)
        if ours is None:
            raise
        raise ours from error


def _ours(path: Path, error: Exception) -> DatabaseError | None:
    # The extended codes keep the plain one in their lowest byte.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return DatabaseError(f"{path} is in use by another process: try again.", code="locked")
    if code == sqlite3.SQLITE_FULL or (code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and has_no_room(path)):
        return DatabaseError(f"The disk is full: {path} was left as it was.", code="full")
    flipped = isinstance(error, json.JSONDecodeError | UnicodeDecodeError) or "decode to UTF-8" in str(error)
    if flipped or isinstance(error, Damaged) or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        # A flipped bit that SQLite takes for part of a value; Python's sentence would quote what somebody wrote.
        what = "a value in it cannot be read" if flipped else error
        return DatabaseError(
            f"{path} is damaged or is no database ({what}): Client.rescue(path, to) saves what can still be read.",
            code="corrupt",
        )
    if isinstance(error, sqlite3.OperationalError):
        return DatabaseError(
            f"{path} cannot be used: {error}; see to its folder, its disk and the permissions.", code="unusable"
        )
    return None
