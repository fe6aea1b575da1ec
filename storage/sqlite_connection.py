"""One connection to a SQLite file, in a thread of its own, and what its driver's errors become.

The driver is synchronous and each connection lives in a thread of its own: a one-row transaction costs a quarter of
what it costs over an asynchronous wrapper, and the event loop never waits for the disk. What comes out of a thread
is plain rows, never a cursor.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from sqlalchemy import Connection, Engine, Executable, create_engine, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from storage.database import WAIT_S, Parameters, PreparedParameters
from storage.errors import DatabaseReadOnly, DatabaseUnavailable, Duplicate, Overloaded, StorageError
from storage.prepared import Prepared

CACHE_KIB: Final = {"rw": 32 * 1024, "rwc": 32 * 1024, "ro": 8 * 1024}
# A reader that stayed long made the log grow; it is cut back to this once it has been copied into the file.
WAL_BYTES_KEPT: Final = 64 * 1024 * 1024

# How many steps of SQLite's machine a statement runs before it looks whether it was cut off: about a millisecond.
STEPS_BETWEEN_LOOKS: Final = 50_000

# rw: an existing file; rwc: made where it is not there; ro: no write gets through.
Mode = Literal["rw", "rwc", "ro"]

Result = TypeVar("Result")
# Something to be done in the thread, by SQLAlchemy's connection or by the driver's own.
Work = Callable[[Connection, sqlite3.Connection], Result]


class ThreadedConnection:
    """One connection in one thread."""

    def __init__(self, engine: Engine) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._engine = engine
        self._connection: Connection | None = None
        self._driver: sqlite3.Connection | None = None
        self._cut = False

    async def run(self, work: Work[Result]) -> Result:
        """Run `work` in the thread. A cancelled caller leaves it running; what follows queues behind it."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    def _work(self, work: Work[Result]) -> Result:
        try:
            if self._connection is None or self._driver is None:
                self._connection = self._engine.connect()
                self._driver = _driver_of(self._connection)
                # sqlite3.Connection.interrupt() would miss a statement that is only about to begin.
                self._driver.set_progress_handler(lambda: self._cut, STEPS_BETWEEN_LOOKS)
            return work(self._connection, self._driver)
        except Exception as error:
            # Whatever it is that the driver raises becomes ours (D3).
            raise translated(error) from error

    async def execute(
        self, statement: Executable | Prepared, parameters: Parameters, *, first: Work[None] | None = None
    ) -> Sequence[Any]:
        """The rows of a statement, in one visit to the thread with what is to be done before it."""

        def work(connection: Connection, driver: sqlite3.Connection) -> Sequence[Any]:
            if first is not None:
                first(connection, driver)
            if isinstance(statement, Prepared):
                return run_prepared(driver, statement, parameters)
            result = connection.execute(statement, parameters)
            return result.all() if result.returns_rows else ()

        return await self.run(work)

    async def execute_all(
        self, statements: Sequence[tuple[Prepared, PreparedParameters]], *, first: Work[None] | None = None
    ) -> None:
        """Prepared statements one after the other, in one visit to the thread."""

        def work(connection: Connection, driver: sqlite3.Connection) -> None:
            if first is not None:
                first(connection, driver)
            for statement, parameters in statements:
                run_prepared(driver, statement, parameters)

        await self.run(work)

    def cut_off(self) -> None:
        """Stop the statement under way, or waiting to begin: nobody waits for its rows. `end` must follow."""
        self._cut = True

    async def end(self, work: Work[Result]) -> Result:
        """COMMIT or ROLLBACK: nothing cuts it off."""

        def uncut(connection: Connection, driver: sqlite3.Connection) -> Result:
            self._cut = False
            return work(connection, driver)

        return await self.run(uncut)

    async def close(self) -> None:
        def shut() -> None:
            if self._connection is not None:
                self._connection.close()

        await asyncio.get_running_loop().run_in_executor(self._thread, shut)
        self._thread.shutdown(wait=True)


def run_prepared(driver: sqlite3.Connection, statement: Prepared, parameters: PreparedParameters) -> Sequence[Any]:
    """The rows of a prepared statement; none where it is run for each of many rows. To be called in the thread."""
    if isinstance(parameters, Sequence):
        driver.executemany(*statement.rows("sqlite", parameters))
        return ()
    query, arguments = statement.compiled("sqlite")
    return driver.execute(query, arguments(parameters or {})).fetchall()


def path_of(url: str) -> Path:
    """The file of a SQLite URL. Raises DatabaseUnavailable where it names none."""
    name = make_url(url).database
    if not name or name == ":memory:":
        raise DatabaseUnavailable("SQLite needs a file; write sqlite+aiosqlite:///fitai.db.")
    return Path(name).absolute()


def _refuse_foreign(driver: sqlite3.Connection) -> None:
    """Raise DatabaseUnavailable where a file holds what is no server's: a device's log, or another program's.

    SQLite's own tables (the figures of an ANALYZE) are nobody's.
    """
    tables = {
        name
        for (name,) in driver.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'sqlite_*'"
        )
    }
    if tables and "alembic_version" not in tables:
        raise DatabaseUnavailable(
            "It is no database of a FitAI server, but a device's or another program's, and stays as it is; "
            "name another file."
        )


def sqlite_engine(url: str, mode: Mode, *, wait_s: float = WAIT_S) -> Engine:
    """A synchronous engine over the file of `url`; SQLAlchemy begins no transaction on its connections by itself.

    `wait_s` bounds the wait for a lock that another process holds: a backup, a second worker.

    Raises DatabaseUnavailable where the folder of the file is not there; so do connections that may write where the
    file is no server's, before anything is written into it.
    """
    path = path_of(url)
    if not path.parent.is_dir():
        raise DatabaseUnavailable(f"The folder of the database {path} does not exist; make it first.")

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            # Each stays in its one thread, but is opened and closed by whichever calls first.
            check_same_thread=False,
            timeout=wait_s,
            cached_statements=256,
        )
        try:
            if mode != "ro":
                # Before all else: how a file keeps its journal stands in the file, and is its program's to say.
                _refuse_foreign(connection)
                connection.execute("PRAGMA journal_mode = WAL")
                # NORMAL would lose acknowledged commits when the power goes.
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")
                # What was deleted is gone: the file's free room holds zeros and nobody's training.
                connection.execute("PRAGMA secure_delete = ON")
                # What a savepoint may have to put back is kept out of the file system.
                connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB[mode]}")
        except (sqlite3.Error, DatabaseUnavailable):
            connection.close()
            raise
        return connection

    return create_engine("sqlite+pysqlite://", creator=connect, poolclass=NullPool)


def _driver_of(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_READ_ONLY: Final = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_PERM}
_UNUSABLE: Final = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOMEM,
}
_DUPLICATE: Final = {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY}


def translated(error: Exception) -> StorageError:
    """One of our errors for what the driver, or SQLAlchemy over it, raised."""
    if isinstance(error, StorageError):
        return error
    original = error.orig or error if isinstance(error, DBAPIError) else error
    said = str(original) or type(original).__name__
    extended = int(getattr(original, "sqlite_errorcode", 0))
    code = extended & 0xFF
    if extended in _DUPLICATE:
        return Duplicate(f"The database has this already ({said}).")
    if code in _BUSY:
        return Overloaded("The database is locked by another process; try again in a moment.")
    if code in _READ_ONLY:
        return DatabaseReadOnly(f"The database takes no writes now ({said}); make room, or see to its permissions.")
    if code in _UNUSABLE:
        return DatabaseUnavailable(f"The database file cannot be used ({said}); see to the file and its disk.")
    if "no such table" in said:
        return StorageError("It has no tables yet; make them with `fitai db upgrade`.")
    return StorageError(f"The database refuses a statement ({said}).")
