"""SQLite behind the port: one writer thread, a few reader threads, WAL, every commit on disk.

The driver is synchronous and each connection lives in a thread of its own: a one-row transaction costs a quarter of
what it costs over an asynchronous wrapper, and the event loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Executable, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from storage.database import Dialect, Parameters, Transaction
from storage.errors import Busy, DatabaseReadOnly, DatabaseUnavailable, Duplicate, StorageError

# Readers never wait for the writer in WAL; more of them than cores only adds memory.
READERS = 4
# Another process (a backup, a second worker) may hold the write lock for a moment.
BUSY_TIMEOUT_MS = 5_000
CONNECTION_WAIT_S = 10.0

# A file copied back from a backup gets a new one from whoever restores it.
_MAKE_TIMELINE = text(
    "INSERT INTO meta (key, value) VALUES ('timeline', lower(hex(randomblob(8)))) ON CONFLICT (key) DO NOTHING"
)
_TIMELINE = text("SELECT value FROM meta WHERE key = 'timeline'")

Result = TypeVar("Result")


class _Connection:
    """One connection in one thread."""

    def __init__(self, engine: Engine, *, readonly: bool) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-read" if readonly else "sqlite-write")
        self._engine = engine
        self._readonly = readonly
        self._connection: Connection | None = None

    async def run(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` in the thread. A cancelled caller leaves it running; what follows queues behind it."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    def _work(self, work: Callable[[Connection], Result]) -> Result:
        try:
            if self._connection is None:
                self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                if self._readonly:
                    self._connection.exec_driver_sql("PRAGMA query_only = ON")
            return work(self._connection)
        except SQLAlchemyError as error:
            raise _translated(error) from error

    async def close(self) -> None:
        def shut(connection: Connection) -> None:
            connection.close()

        if self._connection is not None:
            await self.run(shut)
        self._thread.shutdown(wait=True)


class _SqliteTransaction:
    dialect: Dialect = "sqlite"

    def __init__(self, database: SqliteDatabase, connection: _Connection) -> None:
        self._database = database
        self._connection = connection

    async def execute(self, statement: Executable, parameters: Parameters = None) -> Sequence[Any]:
        self._database.statements += 1

        def work(connection: Connection) -> Sequence[Any]:
            result = connection.execute(statement, parameters)
            return result.all() if result.returns_rows else []

        return await self._connection.run(work)


class SqliteDatabase:
    """A Database over one SQLite file."""

    dialect: Dialect = "sqlite"

    def __init__(self, engine: Engine, timeline: str) -> None:
        self._engine = engine
        self.timeline = timeline
        self.statements = 0
        self._writer = _Connection(engine, readonly=False)
        self._turn = asyncio.Lock()
        self._all_readers = [_Connection(engine, readonly=True) for _ in range(READERS)]
        self._readers: asyncio.LifoQueue[_Connection] = asyncio.LifoQueue()
        for reader in self._all_readers:
            self._readers.put_nowait(reader)

    @classmethod
    async def open(cls, url: str) -> SqliteDatabase:
        """Open the file of `url`. Raises DatabaseUnavailable where it cannot be opened or has no tables."""
        engine = sqlite_engine(url)
        opener = _Connection(engine, readonly=False)
        try:
            timeline = await opener.run(_read_timeline)
        except StorageError as error:
            raise DatabaseUnavailable(f"The database {make_url(url).database} cannot be opened: {error}") from error
        finally:
            await opener.close()
        return cls(engine, timeline)

    @asynccontextmanager
    async def read(self, *, snapshot: bool = False) -> AsyncIterator[Transaction]:
        try:
            async with asyncio.timeout(CONNECTION_WAIT_S):
                reader = await self._readers.get()
        except TimeoutError:
            raise Busy("All readers of the database are busy; try again in a moment.") from None
        try:
            if snapshot:
                await reader.run(_begin)
            yield _SqliteTransaction(self, reader)
        finally:
            if snapshot:
                await asyncio.shield(reader.run(_roll_back))
            self._readers.put_nowait(reader)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        async with self._turn:
            try:
                await self._finishing(self._writer.run(_begin_immediate))
                yield _SqliteTransaction(self, self._writer)
            except BaseException:
                await self._finishing(self._writer.run(_roll_back))
                raise
            await self._finishing(self._writer.run(_commit))

    async def _finishing(self, work: Any) -> None:
        """Wait for `work` to its end even where the caller is cancelled meanwhile, then pass the cancellation on."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            with contextlib.suppress(StorageError):
                await task
            raise

    async def close(self) -> None:
        for connection in (self._writer, *self._all_readers):
            await connection.close()
        self._engine.dispose()


def sqlite_engine(url: str) -> Engine:
    """A synchronous engine over the file of `url`, each connection set up as the product needs it."""
    path = make_url(url).database
    if not path or path == ":memory:":
        raise DatabaseUnavailable("SQLite needs a file; write sqlite+aiosqlite:///fitai.db.")
    if not Path(path).parent.is_dir():
        raise DatabaseUnavailable(f"The folder of the database {path} does not exist; make it first.")
    engine = create_engine(
        make_url(url).set(drivername="sqlite+pysqlite"), poolclass=NullPool, connect_args={"check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        # NORMAL would lose acknowledged commits when the power goes.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA cache_size = -32768")
        cursor.close()

    return engine


def _read_timeline(connection: Connection) -> str:
    connection.execute(_MAKE_TIMELINE)
    return str(connection.execute(_TIMELINE).scalar_one())


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _commit(connection: Connection) -> None:
    try:
        connection.exec_driver_sql("COMMIT")
    except DBAPIError:
        # A commit that failed (a full disk) leaves the transaction open.
        with contextlib.suppress(DBAPIError):
            connection.exec_driver_sql("ROLLBACK")
        raise


def _roll_back(connection: Connection) -> None:
    # SQLite may have rolled back by itself already.
    with contextlib.suppress(DBAPIError):
        connection.exec_driver_sql("ROLLBACK")


def _translated(error: SQLAlchemyError) -> StorageError:
    said = str(getattr(error, "orig", None) or error)
    lower = said.lower()
    if "unique constraint" in lower or "primary key" in lower:
        return Duplicate(said)
    if "locked" in lower or "busy" in lower:
        return Busy("The database is locked by another process; try again in a moment.")
    if "readonly" in lower or "read-only" in lower or "full" in lower:
        return DatabaseReadOnly(f"The database takes no writes now ({said}); make room or permissions.")
    if "unable to open" in lower or "disk i/o" in lower or "malformed" in lower or "not a database" in lower:
        return DatabaseUnavailable(f"The database file cannot be used ({said}).")
    return StorageError(said)
