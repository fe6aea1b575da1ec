"""Postgres behind the port: asyncpg under SQLAlchemy Core, over a bounded pool of our own.

Connections are in autocommit for SQLAlchemy, and transactions are BEGIN and COMMIT sent by us: so nothing else
decides when one begins or ends, and a statement of the hot path can go straight to the driver inside it.

What a cancellation may leave behind is decided here alone (D2): a connection whose statement was cut off in the
middle is closed and never used again; COMMIT and ROLLBACK are carried to their end first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
from sqlalchemy import Executable, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from storage.cancelling import to_the_end
from storage.database import WAIT_S, Dialect, Parameters, PreparedParameters, Transaction, masked
from storage.errors import Busy, DatabaseReadOnly, DatabaseUnavailable, Duplicate, Overloaded, StorageError
from storage.pool import Pool
from storage.prepared import Prepared

CONNECT_TIMEOUT_S: Final = 5.0
# A transaction of ours takes milliseconds. One that waits longer for a lock is refused, and its device comes back.
LOCK_TIMEOUT_MS: Final = 5_000
# Where no connection comes back for so long, all of them are held up, and who waits is told so at once.
STALL_S: Final = 1.0
# No statement of ours is meant to run for long; one that does gives its connection back.
STATEMENT_TIMEOUT_MS: Final = 30_000
# The server answers nothing at all: it is stopped, or the network swallows everything.
COMMAND_TIMEOUT_S: Final = 35.0
# A process that is stopped in the middle of a push holds the space's lock no longer than this.
IDLE_IN_TRANSACTION_MS: Final = 30_000

SERVER_SETTINGS: Final = {
    "application_name": "fitai",
    "jit": "off",
    # Plans depend on no value: each statement names its space, and planning anew costs more than running.
    "plan_cache_mode": "force_generic_plan",
    # What is asked for is in memory. Where a page elsewhere were dearer, as many as few rows would be fetched in the
    # order of the disk and sorted: a whole history for each page of it, since the planner takes every space for small.
    "random_page_cost": "1",
    "lock_timeout": str(LOCK_TIMEOUT_MS),
    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
    "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
}
_PATIENT: Final = {"statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}

# The system and the database tell a restore into another cluster, or under another name; the first eight digits of
# the WAL file tell a promotion at once (the control file tells it only after the next checkpoint).
_TIMELINE = """
SELECT (SELECT to_hex(system_identifier) FROM pg_control_system()) || '-'
    || (SELECT oid::text FROM pg_database WHERE datname = current_database()) || '-'
    || CASE WHEN pg_is_in_recovery() THEN (SELECT lpad(upper(to_hex(timeline_id)), 8, '0') FROM pg_control_checkpoint())
       ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END
"""

_HAS_TABLES: Final = Prepared("SELECT to_regclass('spaces') IS NOT NULL")

# Serialization failures and deadlocks: the next try goes well.
_BUSY: Final = {"40001", "40P01"}
# Locks and statements that took too long, and no connection left at the server: the time to wait is over.
_OVERLOADED: Final = {"55P03", "57014", "53300"}
_READ_ONLY: Final = {"25006", "53100", "42501"}
# Classes of SQLSTATE: connection exceptions, operator intervention, wrong login, no such database.
_GONE: Final = {"08", "57", "28", "3D"}


class _Connection:
    """One connection: SQLAlchemy's view of it, and the driver's."""

    def __init__(self, connection: AsyncConnection, driver: asyncpg.Connection[Any], timeline: str) -> None:
        self.connection = connection
        self.driver = driver
        self.timeline = timeline
        # A statement is under way, or was cut off: who finds this closes the connection.
        self.unsettled = False

    async def command(self, statement: str) -> str:
        """BEGIN, COMMIT or ROLLBACK; the server's word for what it did. Raises StorageError."""
        self.unsettled = True
        try:
            said = await self.driver.execute(statement)
        except Exception as error:
            # Whatever it is that the driver raises becomes ours (D3).
            raise self._failed(error) from error
        self.unsettled = False
        return said

    async def execute(self, statement: Executable | Prepared, parameters: Parameters) -> Sequence[Any]:
        if isinstance(statement, Prepared):
            return await self.execute_prepared(statement, parameters)
        with self._settling():
            result = await self.connection.execute(statement, parameters)
            return result.all() if result.returns_rows else ()

    async def execute_prepared(self, statement: Prepared, parameters: PreparedParameters) -> Sequence[Any]:
        with self._settling():
            if isinstance(parameters, Sequence):
                await self.driver.executemany(*statement.rows("postgresql", parameters))
                return ()
            text, arguments = statement.compiled("postgresql")
            return await self.driver.fetch(text, *arguments(parameters or {}))

    @contextlib.contextmanager
    def _settling(self) -> Iterator[None]:
        self.unsettled = True
        try:
            yield
        except Exception as error:
            # Whatever it is that the driver raises becomes ours (D3).
            raise self._failed(error) from error
        self.unsettled = False

    def _failed(self, error: Exception) -> StorageError:
        ours = translated(error)
        # What the server itself answered leaves the connection in order: a ROLLBACK ends the matter.
        self.unsettled = isinstance(ours, DatabaseUnavailable) or self.driver.is_closed()
        return ours

    async def close(self) -> None:
        """Let go of it, whatever state it is in."""
        with _whatever_it_says():
            await self.connection.invalidate()
        with _whatever_it_says():
            await self.connection.close()


class _PostgresTransaction:
    dialect: Dialect = "postgresql"

    def __init__(self, database: PostgresDatabase, connection: _Connection) -> None:
        self._database = database
        self._connection = connection
        self.timeline = connection.timeline

    async def execute(self, statement: Executable | Prepared, parameters: Parameters = None) -> Sequence[Any]:
        self._database.statements += 1
        return await self._connection.execute(statement, parameters)

    async def execute_all(self, *statements: tuple[Prepared, PreparedParameters]) -> None:
        for statement, parameters in statements:
            self._database.statements += 1
            await self._connection.execute_prepared(statement, parameters)


class _SingleWrite(_PostgresTransaction):
    """No BEGIN and no COMMIT: each statement commits by itself, and only the last one writes (`Database.write`)."""

    def __init__(self, database: PostgresDatabase, connection: _Connection) -> None:
        super().__init__(database, connection)
        self._begun = False

    @property
    def connection(self) -> _Connection:
        """The one in use, to be given back."""
        return self._connection

    async def execute(self, statement: Executable | Prepared, parameters: Parameters = None) -> Sequence[Any]:
        begun, self._begun = self._begun, True
        try:
            return await super().execute(statement, parameters)
        except DatabaseUnavailable:
            if begun:
                raise
            # It died in the pool, and the first statement only reads: as with a BEGIN, nothing has been said yet.
            self._connection = await self._database.replaced(self._connection)
            self.timeline = self._connection.timeline
            return await super().execute(statement, parameters)


class PostgresDatabase:
    """A Database over one Postgres database."""

    dialect: Dialect = "postgresql"
    reads_unlocked = True

    def __init__(self, engine: AsyncEngine, *, pool_size: int, wait_s: float) -> None:
        self._engine = engine
        self._pool = Pool(self._connect, self._alive, size=pool_size, wait_s=wait_s, stall_s=STALL_S)
        self._closing: set[asyncio.Task[None]] = set()
        self.timeline = ""
        self.statements = 0

    @classmethod
    async def open(
        cls, url: str, *, pool_size: int = 10, wait_s: float = WAIT_S, patient: bool = False
    ) -> PostgresDatabase:
        """Connect once. Raises DatabaseUnavailable where nothing answers at `url`, or what answers has no tables."""
        database = cls(engine_of(url, patient=patient), pool_size=pool_size, wait_s=wait_s)
        try:
            async with database.read() as tx:
                if not (await tx.execute(_HAS_TABLES))[0][0]:
                    raise DatabaseUnavailable("It has no tables yet; make them with `fitai db upgrade`.")
        except StorageError as error:
            await database.close()
            raise DatabaseUnavailable(f"The database {masked(url)} cannot be used: {error}") from error
        database.statements = 0
        return database

    @asynccontextmanager
    async def read(self, *, snapshot: bool = False) -> AsyncIterator[Transaction]:
        if snapshot:
            async with self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY") as tx:
                yield tx
            return
        connection = await self._pool.acquire()
        try:
            yield _PostgresTransaction(self, connection)
        finally:
            self._give_back(connection)

    @asynccontextmanager
    async def write(self, *, single: bool = False) -> AsyncIterator[Transaction]:
        if not single:
            async with self._transaction("BEGIN") as tx:
                yield tx
            return
        one = _SingleWrite(self, await self._pool.acquire())
        try:
            yield one
        finally:
            self._give_back(one.connection)

    @asynccontextmanager
    async def _transaction(self, begin: str) -> AsyncIterator[Transaction]:
        connection = await self._begun(begin)
        try:
            yield _PostgresTransaction(self, connection)
        except BaseException:
            try:
                if not connection.unsettled:
                    await to_the_end(_rolled_back(connection))
            finally:
                self._give_back(connection)
            raise
        try:
            await to_the_end(_committed(connection))
        finally:
            self._give_back(connection)

    async def _begun(self, begin: str) -> _Connection:
        """A connection with an open transaction. One that died in the pool is replaced: nothing has been said yet."""
        try:
            return await self._begun_once(begin)
        except DatabaseUnavailable:
            self._drop_idle()
            return await self._begun_once(begin)

    async def replaced(self, connection: _Connection) -> _Connection:
        """Another connection for one that turned out to be dead."""
        self._give_back(connection)
        self._drop_idle()
        return await self._pool.acquire()

    def _drop_idle(self) -> None:
        # The server was restarted, most likely, and what else is idle is as dead.
        for idle in self._pool.take_idle():
            self._close_later(idle)

    async def _begun_once(self, begin: str) -> _Connection:
        connection = await self._pool.acquire()
        try:
            await connection.command(begin)
        except BaseException:
            self._give_back(connection)
            raise
        return connection

    async def _connect(self) -> _Connection:
        connection: AsyncConnection | None = None
        try:
            connection = await self._engine.connect()
            raw = await connection.get_raw_connection()
            driver: asyncpg.Connection[Any] = raw.driver_connection  # type: ignore[assignment]
            timeline = str(await driver.fetchval(_TIMELINE))
        except Exception as error:
            if connection is not None:
                with _whatever_it_says():
                    await connection.close()
            raise translated(error) from error
        # A standby that was promoted has another timeline; every new connection tells.
        self.timeline = timeline
        return _Connection(connection, driver, timeline)

    def _alive(self, connection: _Connection) -> bool:
        if connection.driver.is_closed():
            self._close_later(connection)
            return False
        return True

    def _give_back(self, connection: _Connection) -> None:
        if connection.unsettled or connection.driver.is_closed():
            self._close_later(connection)
            self._pool.discard()
        else:
            self._pool.release(connection)

    def _close_later(self, connection: _Connection) -> None:
        if connection.unsettled:
            # No farewell: the server may be stopped, or in the middle of an answer.
            connection.driver.terminate()
        task = asyncio.ensure_future(connection.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        await self._pool.settle()
        for idle in self._pool.take_idle():
            self._close_later(idle)
        while self._closing:
            await asyncio.wait(set(self._closing))
        await self._engine.dispose()


def engine_of(url: str, *, patient: bool = False) -> AsyncEngine:
    """An engine that opens connections as this product wants them, and keeps none; `patient` as `open_database`."""
    return create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={
            "timeout": CONNECT_TIMEOUT_S,
            "command_timeout": None if patient else COMMAND_TIMEOUT_S,
            "server_settings": SERVER_SETTINGS | (_PATIENT if patient else {}),
        },
    )


async def _committed(connection: _Connection) -> None:
    # Postgres answers COMMIT with ROLLBACK where a statement had failed and its error was passed over (D1).
    if await connection.command("COMMIT") == "ROLLBACK":
        raise StorageError("The transaction was rolled back, since one of its statements had failed.")


async def _rolled_back(connection: _Connection) -> None:
    with contextlib.suppress(StorageError):
        await connection.command("ROLLBACK")


def _whatever_it_says() -> contextlib.AbstractContextManager[None]:
    """Around the end of a connection that is given up anyway."""
    return contextlib.suppress(SQLAlchemyError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


def translated(error: Exception) -> StorageError:
    """One of our errors for what the driver, or SQLAlchemy over it, raised."""
    if isinstance(error, StorageError):
        return error
    original: BaseException = error.orig or error if isinstance(error, DBAPIError) else error
    original = original.__cause__ or original
    said = (str(original).splitlines() or [type(original).__name__])[0].rstrip(".")
    state = str(getattr(original, "sqlstate", None) or "")
    if state in _BUSY or isinstance(original, asyncpg.InvalidCachedStatementError):
        return Busy(f"The database is busy ({said}); try again in a moment.")
    if state in _OVERLOADED:
        return Overloaded(f"The database is overloaded ({said}); try again in a moment.")
    if state == "23505":
        return Duplicate(f"The database has this already ({said}).")
    if state in _READ_ONLY:
        return DatabaseReadOnly(f"The database takes no writes now ({said}); make room, or see to its permissions.")
    refused = isinstance(original, asyncpg.InterfaceError) and not isinstance(original, ValueError)
    if state[:2] in _GONE or refused or isinstance(original, (OSError, asyncpg.InternalClientError)):
        return DatabaseUnavailable(f"The database is not to be reached ({said}); try again when it is back.")
    return StorageError(f"The database refuses a statement ({said}).")
