"""SQLite behind the port: one writer, a few readers, WAL, every commit on disk, and one commit for all who wait.

A transaction begins with its first statement, in the same visit to the thread: until then it holds its turn among
the writers of this process, and no lock on the file.

What a commit costs is the disk's time, the same for one transaction or for twenty. So a write whose block has ended
does not commit at once: its commit queues behind the writes that wait already, they run in the same transaction of
the file, each behind a savepoint of its own, and all of them return when it is on disk.

While a transaction has its turn nobody else writes, so a single write neither reads in it nor is worked out in it: it
has a line of its own (storage/sqlite_line.py), and joins in the commit of those who wait.

Invariants
    G1  A write returns well only after the commit of the very transaction in which its statements ran.
    G2  A write that fails takes back its own statements alone, unless SQLite gave up the whole transaction; then
        every write of the group fails, and none of them is stored.
    G3  The commit waits for those who waited when the first write of the group ended, and for nobody who came later;
        nor for the next of them, once the first has waited GROUP_S.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import Connection, Executable, text

from storage.cancelling import to_the_end
from storage.database import WAIT_S, Dialect, Parameters, PreparedParameters, Transaction
from storage.errors import DatabaseReadOnly, DatabaseUnavailable, StorageError
from storage.pool import Pool
from storage.prepared import Prepared
from storage.sqlite_connection import ThreadedConnection, Work, path_of, sqlite_engine
from storage.sqlite_line import LOST, Line, SingleWrite, Statements, commit, roll_back, write_all

# Readers never wait for the writer in WAL; more of them than cores only adds memory.
READERS: Final = 4
# The first of a group waits for all of it; past this many the disk's share is a small one anyway.
GROUP_WRITES_MAX: Final = 32
# A write that takes long (its texts are being read) lets those before it go first.
GROUP_S: Final = 0.2

# A file copied back from a backup gets a new one from whoever restores it.
_MAKE_TIMELINE = text(
    "INSERT INTO meta (key, value) VALUES ('timeline', lower(hex(randomblob(8)))) ON CONFLICT (key) DO NOTHING"
)
_TIMELINE = text("SELECT value FROM meta WHERE key = 'timeline'")


class _Group:
    """The writes that share one transaction of the file. `stored` is done when it is on disk, or will never be."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.writes = 0
        self.late_at = math.inf
        self.stored: asyncio.Future[None] = loop.create_future()
        # Who wrote may have been cancelled, so that nobody asks.
        self.stored.add_done_callback(lambda stored: stored.cancelled() or stored.exception())

    @property
    def is_late(self) -> bool:
        """True where its first write has waited long enough."""
        return asyncio.get_running_loop().time() >= self.late_at

    def add(self) -> None:
        """One more write has ended well."""
        if self.writes == 0:
            self.late_at = asyncio.get_running_loop().time() + GROUP_S
        self.writes += 1

    def settle(self, error: StorageError | None) -> None:
        if not self.stored.done():
            if error is None:
                self.stored.set_result(None)
            else:
                self.stored.set_exception(error)


class _Savepoint:
    """Where one write of a group begins; its methods are done in the writer's thread."""

    def __init__(self, writes_before: int) -> None:
        self._first = writes_before == 0
        # A name of its own: rolling back to one that was never set must not reach an earlier one.
        self._name = f"write_{writes_before}"
        self._is_set = False

    def set(self, connection: Connection, driver: sqlite3.Connection) -> None:
        if self._first:
            driver.execute("BEGIN IMMEDIATE")
        elif driver.in_transaction:
            driver.execute(f"SAVEPOINT {self._name}")
        else:
            raise StorageError(LOST)
        self._is_set = True

    def roll_back(self, connection: Connection, driver: sqlite3.Connection) -> bool:
        """Take back what came since; False where the transaction of those before is gone too."""
        if self._first:
            roll_back(driver)
            return True
        if self._is_set and driver.in_transaction:
            driver.execute(f"ROLLBACK TO {self._name}")
        return driver.in_transaction


class _SqliteTransaction:
    dialect: Dialect = "sqlite"

    def __init__(self, database: SqliteDatabase, connection: ThreadedConnection, begin: Work[None] | None) -> None:
        """`begin` is done in the thread right before the first statement."""
        self._database = database
        self._connection = connection
        self._begin = begin
        self.begun = False
        self.failed = False
        self.timeline = database.timeline

    async def execute(self, statement: Executable | Prepared, parameters: Parameters = None) -> Sequence[Any]:
        with self._statements(1) as first:
            return await self._connection.execute(statement, parameters, first=first)

    async def execute_all(self, *statements: tuple[Prepared, PreparedParameters]) -> None:
        with self._statements(len(statements)) as first:
            await self._connection.execute_all(statements, first=first)

    @contextlib.contextmanager
    def _statements(self, count: int) -> Iterator[Work[None] | None]:
        if self.failed:
            # SQLite may have ended the transaction by itself: nothing may be written outside of it.
            raise StorageError("The transaction is over, since one of its statements had failed.")
        self._database.statements += count
        first, self.begun = None if self.begun else self._begin, True
        try:
            yield first
        except BaseException:
            self.failed = True
            raise


class _SingleWrite:
    """Each statement reads by itself, without a lock, and the one `execute_all` is the write (`Database.write`)."""

    dialect: Dialect = "sqlite"

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self.timeline = database.timeline

    async def execute(self, statement: Executable | Prepared, parameters: Parameters = None) -> Sequence[Any]:
        async with self._database.read() as tx:
            return await tx.execute(statement, parameters)

    async def execute_all(self, *statements: tuple[Prepared, PreparedParameters]) -> None:
        await self._database.write_at_once(statements)


class SqliteDatabase:
    """A Database over one SQLite file."""

    dialect: Dialect = "sqlite"
    reads_unlocked = True

    def __init__(self, url: str, timeline: str, *, wait_s: float) -> None:
        self.timeline = timeline
        self.statements = 0
        # How often the disk was waited for: tests hold the groups with it.
        self.commits = 0
        self._writing = sqlite_engine(url, "rw", wait_s=wait_s)
        self._reading = sqlite_engine(url, "ro", wait_s=wait_s)
        # In the order in which they close: who goes last folds the log into the file, and a reader cannot.
        self._all: list[ThreadedConnection] = []
        self._group: _Group | None = None
        self._line = Line(wait_s)
        self._serving = False
        self._committing: set[asyncio.Task[None]] = set()

        async def open_writer() -> ThreadedConnection:
            self._all.append(connection := ThreadedConnection(self._writing))
            return connection

        async def open_reader() -> ThreadedConnection:
            self._all.insert(0, connection := ThreadedConnection(self._reading))
            return connection

        # A pool of one is the queue of the writers (D5).
        self._writers = Pool(open_writer, lambda _: True, size=1, wait_s=wait_s)
        self._readers = Pool(open_reader, lambda _: True, size=READERS, wait_s=wait_s)

    @classmethod
    async def open(cls, url: str, *, wait_s: float = WAIT_S) -> SqliteDatabase:
        """Open the file of `url`. Raises DatabaseUnavailable where it is not there, cannot be used or has no tables."""
        path = path_of(url)
        if not path.is_file():
            # Rather another folder than a new database: a backup of an empty one would be worth nothing.
            raise DatabaseUnavailable(
                f"There is no database at {path}; name another with --database-url, or FITAI_DATABASE_URL, or make a "
                "new one with `fitai db upgrade`."
            )
        opener = ThreadedConnection(sqlite_engine(url, "rw", wait_s=wait_s))
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
        tx = _SqliteTransaction(self, reader, _begin_reading if snapshot else None)
        try:
            yield tx
        finally:
            if snapshot or tx.failed:
                reader.cut_off()
                try:
                    await to_the_end(reader.end(_roll_back))
                finally:
                    self._readers.release(reader)
            else:
                self._readers.release(reader)

    @asynccontextmanager
    async def write(self, *, single: bool = False) -> AsyncIterator[Transaction]:
        if single:
            yield _SingleWrite(self)
            return
        writer = await self._writers.acquire()
        if self._group is not None and self._group.is_late:
            try:
                await to_the_end(self._store(writer, self._group))
            except BaseException:
                self._writers.release(writer)
                raise
        group = self._group = self._group or _Group()
        savepoint = _Savepoint(group.writes)
        tx = _SqliteTransaction(self, writer, savepoint.set)
        try:
            yield tx
        except BaseException:
            await self._take_back(writer, group, savepoint)
            raise
        if tx.failed:
            # Its error was passed over inside the block; what it left is not stored by halves (D1).
            await self._take_back(writer, group, savepoint)
            raise StorageError("The transaction was rolled back, since one of its statements had failed.")
        if not tx.begun:
            self._writers.release(writer)
            return
        group.add()
        if group.writes == 1:
            # In the queue before the writer is free: behind those who wait now, and before who comes later (G3).
            self._later(self._commit_in_turn(group))
        if group.writes >= GROUP_WRITES_MAX:
            self._later(self._commit(writer, group))
        else:
            self._writers.release(writer)
        await to_the_end(_until(group.stored))

    async def write_at_once(self, statements: Statements) -> None:
        """Run statements, and commit them together with those of others who wait. Raises as `execute_all`."""
        write = self._line.join(statements)
        self.statements += len(statements)
        if not self._serving:
            self._serving = True
            self._later(self._serve_line())
        await self._line.wait(write)

    async def _serve_line(self) -> None:
        try:
            while self._line:
                writer = await self._writers.acquire(patient=True)
                try:
                    await self._serve(writer, self._line.take(GROUP_WRITES_MAX))
                finally:
                    self._writers.release(writer)
        finally:
            self._serving = False

    async def _serve(self, writer: ThreadedConnection, writes: Sequence[SingleWrite]) -> None:
        """Write and commit, and with it what waits for a commit already."""
        if not writes:
            return
        # One that has no write yet has begun no transaction.
        group = self._group if self._group is not None and self._group.writes else None
        failure: StorageError | None = None
        outcomes: Sequence[StorageError | None]
        now = asyncio.get_running_loop().time
        late_at = now() + GROUP_S
        try:
            outcomes = await writer.end(
                lambda _, driver: write_all(driver, writes, joins=group is not None, is_late=lambda: now() >= late_at)
            )
        except StorageError as error:
            outcomes, failure = [error] * len(writes), error
        except BaseException:
            # The database was closed under them, or the loop ends: who waits must not wait for ever.
            failure = DatabaseUnavailable("The database was closed while this was to be written.")
            outcomes = [failure] * len(writes)
            raise
        finally:
            self.commits += 1
            if group is not None:
                self._leave(group, failure)
            for write, outcome in zip(writes, outcomes, strict=False):
                write.settle(outcome)
            self._line.put_back(writes[len(outcomes) :])

    async def _take_back(self, writer: ThreadedConnection, group: _Group, savepoint: _Savepoint) -> None:
        """Undo what one write did, before the next one has its turn."""

        async def take_back() -> None:
            try:
                if group.writes == 0:
                    # Nobody else is in it, so that even a statement under way may be stopped.
                    writer.cut_off()
                if not await writer.end(savepoint.roll_back):
                    self._leave(group, StorageError(LOST))
            except StorageError as error:
                self._leave(group, error)
                await writer.end(_roll_back)
            finally:
                self._writers.release(writer)

        await to_the_end(take_back())

    async def _commit_in_turn(self, group: _Group) -> None:
        writer = await self._writers.acquire(patient=True)
        if self._group is group:
            await self._commit(writer, group)
        else:
            self._writers.release(writer)

    async def _commit(self, writer: ThreadedConnection, group: _Group) -> None:
        await self._store(writer, group)
        self._writers.release(writer)

    async def _store(self, writer: ThreadedConnection, group: _Group) -> None:
        error: StorageError | None = None
        try:
            await writer.end(_commit)
        except StorageError as failure:
            error = failure
        self.commits += 1
        self._leave(group, error)

    def _leave(self, group: _Group, error: StorageError | None) -> None:
        if self._group is group:
            self._group = None
        group.settle(error)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._committing.add(task)
        task.add_done_callback(self._committing.discard)

    async def close(self) -> None:
        while self._committing:
            await asyncio.wait(set(self._committing))
        for connection in self._all:
            await connection.close()
        self._writing.dispose()
        self._reading.dispose()


async def _until(stored: asyncio.Future[None]) -> None:
    await stored


def _read_timeline(connection: Connection, driver: sqlite3.Connection) -> str:
    connection.execute(_MAKE_TIMELINE)
    return str(connection.execute(_TIMELINE).scalar_one())


def _begin_reading(connection: Connection, driver: sqlite3.Connection) -> None:
    driver.execute("BEGIN")


def _commit(connection: Connection, driver: sqlite3.Connection) -> None:
    commit(driver)


def _roll_back(connection: Connection, driver: sqlite3.Connection) -> None:
    roll_back(driver)
