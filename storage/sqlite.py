"""SQLite behind the port: one writer thread, a few reader threads, WAL, every commit on disk.

The driver is synchronous and each connection lives in a thread of its own: a one-row transaction costs a quarter of
what it costs over an asynchronous wrapper, and the event loop never waits for the disk. What comes out of a thread
is plain rows, never a cursor.

A transaction begins with its first statement, in the same visit to the thread: until then it holds its turn among
the writers of this process, and no lock on the file.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from sqlalchemy import Connection, Engine, Executable, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from storage.database import WAIT_S, Dialect, Parameters, Transaction
from storage.errors import Busy, DatabaseReadOnly, DatabaseUnavailable, Duplicate, StorageError
from storage.pool import Pool
from storage.prepared import Prepared

# Readers never wait for the writer in WAL; more of them than cores only adds memory.
READERS: Final = 4
CACHE_KIB: Final = {"rw": 32 * 1024, "rwc": 32 * 1024, "ro": 8 * 1024}
# A reader that stayed long made the log grow; it is cut back to this once it has been copied into the file.
WAL_BYTES_KEPT: Final = 64 * 1024 * 1024

# How many steps of SQLite's machine a statement runs before it looks whether it was cut off: about a millisecond.
STEPS_BETWEEN_LOOKS: Final = 50_000

# rw: an existing file; rwc: made where it is not there; ro: no write gets through.
Mode = Literal["rw", "rwc", "ro"]

# A file copied back from a backup gets a new one from whoever restores it.
_MAKE_TIMELINE = text(
    "INSERT INTO meta (key, value) VALUES ('timeline', lower(hex(randomblob(8)))) ON CONFLICT (key) DO NOTHING"
)
_TIMELINE = text("SELECT value FROM meta WHERE key = 'timeline'")

Result = TypeVar("Result")


class _Connection:
    """One connection in one thread."""

    def __init__(self, engine: Engine, *, begin: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._engine = engine
        self._begin = begin
        self._connection: Connection | None = None
        self._driver: sqlite3.Connection | None = None
        self._cut = False

    async def run(self, work: Callable[[Connection, sqlite3.Connection], Result]) -> Result:
        """Run `work` in the thread. A cancelled caller leaves it running; what follows queues behind it."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    def _work(self, work: Callable[[Connection, sqlite3.Connection], Result]) -> Result:
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
        self, statement: Executable | Prepared, parameters: Parameters, *, in_transaction: bool
    ) -> Sequence[Any]:
        def work(connection: Connection, driver: sqlite3.Connection) -> Sequence[Any]:
            if in_transaction and not driver.in_transaction:
                driver.execute(self._begin)
            if isinstance(statement, Prepared):
                query, arguments = statement.compiled("sqlite")
                if isinstance(parameters, Sequence):
                    driver.executemany(query, [arguments(each) for each in parameters])
                    return ()
                return driver.execute(query, arguments(parameters or {})).fetchall()
            result = connection.execute(statement, parameters)
            return result.all() if result.returns_rows else ()

        return await self.run(work)

    def cut_off(self) -> None:
        """Stop the statement under way, or waiting to begin: nobody waits for its rows. `end` must follow."""
        self._cut = True

    async def end(self, work: Callable[[Connection, sqlite3.Connection], Result]) -> Result:
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


class _SqliteTransaction:
    dialect: Dialect = "sqlite"

    def __init__(self, database: SqliteDatabase, connection: _Connection, *, in_transaction: bool) -> None:
        self._database = database
        self._connection = connection
        self._in_transaction = in_transaction
        self._failed = False
        self.timeline = database.timeline

    async def execute(self, statement: Executable | Prepared, parameters: Parameters = None) -> Sequence[Any]:
        if self._failed:
            # SQLite may have ended the transaction by itself: nothing may be written outside of it.
            raise StorageError("The transaction is over, since one of its statements had failed.")
        self._database.statements += 1
        try:
            return await self._connection.execute(statement, parameters, in_transaction=self._in_transaction)
        except BaseException:
            self._failed = True
            raise

    @property
    def failed(self) -> bool:
        return self._failed


class SqliteDatabase:
    """A Database over one SQLite file."""

    dialect: Dialect = "sqlite"

    def __init__(self, url: str, timeline: str, *, wait_s: float) -> None:
        self.timeline = timeline
        self.statements = 0
        self._writing = sqlite_engine(url, "rw", wait_s=wait_s)
        self._reading = sqlite_engine(url, "ro", wait_s=wait_s)
        self._all: list[_Connection] = []

        async def open_writer() -> _Connection:
            return self._opened(_Connection(self._writing, begin="BEGIN IMMEDIATE"))

        async def open_reader() -> _Connection:
            return self._opened(_Connection(self._reading, begin="BEGIN"))

        # A pool of one is the queue of the writers (D5).
        self._writers = Pool(open_writer, lambda _: True, size=1, wait_s=wait_s)
        self._readers = Pool(open_reader, lambda _: True, size=READERS, wait_s=wait_s)

    def _opened(self, connection: _Connection) -> _Connection:
        self._all.append(connection)
        return connection

    @classmethod
    async def open(cls, url: str, *, wait_s: float = WAIT_S) -> SqliteDatabase:
        """Open the file of `url`. Raises DatabaseUnavailable where it is not there, cannot be used or has no tables."""
        path = path_of(url)
        if not path.is_file():
            raise DatabaseUnavailable(f"There is no database at {path}; make it with `fitai db upgrade`.")
        opener = _Connection(sqlite_engine(url, "rw", wait_s=wait_s), begin="BEGIN IMMEDIATE")
        try:
            timeline = await opener.run(_read_timeline)
        except DatabaseReadOnly as error:
            raise DatabaseReadOnly(f"The database {path} cannot be written: {error}") from error
        except StorageError as error:
            raise DatabaseUnavailable(f"The database {path} cannot be used: {error}") from error
        finally:
            await opener.close()
        return cls(url, timeline, wait_s=wait_s)

    @asynccontextmanager
    async def read(self, *, snapshot: bool = False) -> AsyncIterator[Transaction]:
        reader = await self._readers.acquire()
        tx = _SqliteTransaction(self, reader, in_transaction=snapshot)
        try:
            yield tx
        finally:
            if snapshot or tx.failed:
                reader.cut_off()
                await _to_the_end(reader.end(_roll_back), then=lambda: self._readers.release(reader))
            else:
                self._readers.release(reader)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        writer = await self._writers.acquire()
        tx = _SqliteTransaction(self, writer, in_transaction=True)

        def next_one() -> None:
            self._writers.release(writer)

        try:
            yield tx
        except BaseException:
            writer.cut_off()
            await _to_the_end(writer.end(_roll_back), then=next_one)
            raise
        if tx.failed:
            # Its error was passed over inside the block; what it left is not stored by halves (D1).
            await _to_the_end(writer.end(_roll_back), then=next_one)
            raise StorageError("The transaction was rolled back, since one of its statements had failed.")
        await _to_the_end(writer.end(_commit), then=next_one)

    async def close(self) -> None:
        for connection in self._all:
            await connection.close()
        self._writing.dispose()
        self._reading.dispose()


async def _to_the_end(work: Coroutine[Any, Any, None], *, then: Callable[[], None]) -> None:
    """Carry `work` to its end and do `then`, even where the caller is cancelled; pass the cancellation on after it."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda _: then())
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
        except StorageError:
            break
    if cancelled is not None:
        with contextlib.suppress(StorageError):
            task.result()
        raise cancelled
    task.result()


def path_of(url: str) -> Path:
    """The file of a SQLite URL. Raises DatabaseUnavailable where it names none."""
    name = make_url(url).database
    if not name or name == ":memory:":
        raise DatabaseUnavailable("SQLite needs a file; write sqlite+aiosqlite:///fitai.db.")
    return Path(name).absolute()


def sqlite_engine(url: str, mode: Mode, *, wait_s: float = WAIT_S) -> Engine:
    """A synchronous engine over the file of `url`; SQLAlchemy begins no transaction on its connections by itself.

    `wait_s` bounds the wait for a lock that another process holds: a backup, a second worker.

    Raises DatabaseUnavailable where the folder of the file is not there.
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
                connection.execute("PRAGMA journal_mode = WAL")
                # NORMAL would lose acknowledged commits when the power goes.
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB[mode]}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    return create_engine("sqlite+pysqlite://", creator=connect, poolclass=NullPool)


def _driver_of(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _read_timeline(connection: Connection, driver: sqlite3.Connection) -> str:
    connection.execute(_MAKE_TIMELINE)
    return str(connection.execute(_TIMELINE).scalar_one())


def _commit(connection: Connection, driver: sqlite3.Connection) -> None:
    if not driver.in_transaction:
        return
    try:
        driver.execute("COMMIT")
    except sqlite3.Error:
        # A commit that failed (a full disk) may leave the transaction open.
        _roll_back(connection, driver)
        raise


def _roll_back(connection: Connection, driver: sqlite3.Connection) -> None:
    # SQLite may have rolled back by itself already.
    if driver.in_transaction:
        driver.execute("ROLLBACK")


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
        return Busy("The database is locked by another process; try again in a moment.")
    if code in _READ_ONLY:
        return DatabaseReadOnly(f"The database takes no writes now ({said}); make room, or see to its permissions.")
    if code in _UNUSABLE:
        return DatabaseUnavailable(f"The database file cannot be used ({said}); see to the file and its disk.")
    if "no such table" in said:
        return StorageError("It has no tables yet; make them with `fitai db upgrade`.")
    return StorageError(f"The database refuses a statement ({said}).")
