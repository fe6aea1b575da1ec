"""Postgres behind the port: asyncpg under SQLAlchemy Core, with a bounded pool."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Executable, event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from storage.database import Dialect, Parameters, Transaction, masked
from storage.errors import Busy, DatabaseReadOnly, DatabaseUnavailable, Duplicate, StorageError

CONNECTION_WAIT_S = 10.0
CONNECT_TIMEOUT_S = 10.0
# A transaction of ours takes milliseconds; one that waits longer for a lock answers Busy and is tried again.
LOCK_TIMEOUT_MS = 10_000

_TIMELINE = """
SELECT s.system_identifier::text || '-' || c.timeline_id::text
FROM pg_control_system() AS s, pg_control_checkpoint() AS c
"""

_BUSY = {"40001", "40P01", "55P03", "57014", "53300"}
_READ_ONLY = {"25006", "53100", "42501"}


class _PostgresTransaction:
    dialect: Dialect = "postgresql"

    def __init__(self, database: PostgresDatabase, connection: AsyncConnection) -> None:
        self._database = database
        self._connection = connection

    async def execute(self, statement: Executable, parameters: Parameters = None) -> Sequence[Any]:
        self._database.statements += 1
        try:
            result = await self._connection.execute(statement, parameters)
            return result.all() if result.returns_rows else []
        except (SQLAlchemyError, OSError) as error:
            raise translated(error) from error


class PostgresDatabase:
    """A Database over one Postgres database."""

    dialect: Dialect = "postgresql"

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")
        self.timeline = ""
        self.statements = 0

        @event.listens_for(engine.sync_engine, "connect")
        def read_timeline(connection: Any, _: Any) -> None:
            # A standby that was promoted has another timeline; every new connection tells.
            cursor = connection.cursor()
            cursor.execute(_TIMELINE)
            self.timeline = str(cursor.fetchone()[0])
            cursor.close()

    @classmethod
    async def open(cls, url: str, *, pool_size: int = 10) -> PostgresDatabase:
        """Connect once. Raises DatabaseUnavailable where nothing answers at `url`."""
        engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=CONNECTION_WAIT_S,
            connect_args={
                "timeout": CONNECT_TIMEOUT_S,
                "server_settings": {"lock_timeout": str(LOCK_TIMEOUT_MS), "jit": "off"},
            },
        )
        database = cls(engine)
        try:
            async with database.read() as tx:
                await tx.execute(text("SELECT 1"))
        except StorageError as error:
            await engine.dispose()
            raise DatabaseUnavailable(f"No database answers at {masked(url)}: {error}") from error
        return database

    @asynccontextmanager
    async def read(self, *, snapshot: bool = False) -> AsyncIterator[Transaction]:
        engine = self._engine if snapshot else self._reading
        connection = await self._connect(engine)
        try:
            if snapshot:
                await connection.execution_options(isolation_level="REPEATABLE READ")
            yield _PostgresTransaction(self, connection)
        finally:
            await _to_the_end(_release(connection))

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        connection = await self._connect(self._engine)
        try:
            yield _PostgresTransaction(self, connection)
            await _to_the_end(_commit(connection))
        finally:
            # Closing rolls back what was not committed.
            await _to_the_end(_release(connection))

    async def _connect(self, engine: AsyncEngine) -> AsyncConnection:
        try:
            return await engine.connect()
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            raise translated(error) from error

    async def close(self) -> None:
        await self._engine.dispose()


async def _commit(connection: AsyncConnection) -> None:
    try:
        await connection.commit()
    except (SQLAlchemyError, OSError) as error:
        raise translated(error) from error


async def _release(connection: AsyncConnection) -> None:
    with contextlib.suppress(SQLAlchemyError, OSError):
        await connection.close()


async def _to_the_end(work: Awaitable[None]) -> None:
    """Wait for `work` even where the caller is cancelled meanwhile, so that no connection goes back half used."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        with contextlib.suppress(StorageError):
            await task
        raise


def translated(error: BaseException) -> StorageError:
    """One of our errors for one of the driver's."""
    if isinstance(error, PoolTimeout):
        return Busy("All connections to the database are in use; try again in a moment.")
    original = getattr(error, "orig", None)
    said = str(original or error).splitlines()[0] if str(original or error) else type(error).__name__
    state = getattr(original, "sqlstate", None) or ""
    if state in _BUSY:
        return Busy(said)
    if state == "23505":
        return Duplicate(said)
    if state in _READ_ONLY:
        return DatabaseReadOnly(f"The database takes no writes now ({said}).")
    gone = isinstance(error, DBAPIError) and error.connection_invalidated
    if gone or state[:2] in ("08", "57", "28", "3D") or isinstance(error, (OSError, TimeoutError)) or not state:
        return DatabaseUnavailable(f"The database is not to be reached ({said}).")
    return StorageError(said)
