"""An empty Postgres database that a backup is put back into, in one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import asyncpg
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from storage.backup.archive import Table
from storage.database import masked
from storage.errors import DatabaseUnavailable, PlaceTaken
from storage.migrations import LOCK, strange_step
from storage.postgres import translated
from storage.tables import metadata

_DRIVERS: Final = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


class _Filling:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def run(self, work: Callable[[sa.Connection], object]) -> None:
        try:
            await self._connection.run_sync(work)
        except _DRIVERS as error:
            raise translated(error) from error

    async def insert(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        raw = await self._connection.get_raw_connection()
        driver: Any = raw.driver_connection
        try:
            await driver.copy_records_to_table(
                table.name, records=rows, columns=[column.name for column in table.columns]
            )
        except (*_DRIVERS, ValueError, TypeError) as error:
            raise translated(error) from error


@asynccontextmanager
async def postgres_place(url: str) -> AsyncIterator[_Filling]:
    """The database of `url`, in which none of our tables may have a row; empty ones are made anew.

    Raises PlaceTaken, DatabaseUnavailable.
    """
    engine = create_async_engine(sa.make_url(url).set(drivername="postgresql+asyncpg"), poolclass=NullPool)
    try:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(engine.dispose)
            connection = await stack.enter_async_context(engine.connect())
            await stack.enter_async_context(connection.begin())
            filling = _Filling(connection)
            await filling.run(lambda connection: _empty(connection, url))
            yield filling
            # Without figures of the tables the first plans would be guesses, and plans are kept.
            names = ", ".join(metadata.tables)
            await filling.run(lambda connection: connection.execute(sa.text(f"ANALYZE {names}")))
    except _DRIVERS as error:
        raise DatabaseUnavailable(f"The database {masked(url)} cannot be used: {translated(error)}") from error


def _empty(connection: sa.Connection, url: str) -> None:
    """Wait for whoever migrates, see that no table has a row, and take the empty ones away."""
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    if (step := strange_step(connection)) is not None:
        raise PlaceTaken(
            f"The database {masked(url)} has the schema {step} of a later version of FitAI, or of another program, and "
            "a backup is restored into an empty one only; make one (`createdb`), and name it with --database-url."
        )
    found = set(sa.inspect(connection).get_table_names())
    tables = [table for table in metadata.sorted_tables if table.name in found]
    for table in tables:
        # Nobody writes into it from here on.
        connection.execute(sa.text(f"LOCK TABLE {table.name} IN ACCESS EXCLUSIVE MODE"))
        (count,) = connection.execute(sa.select(sa.func.count()).select_from(table)).one()
        if count:
            raise PlaceTaken(
                f"The database {masked(url)} has {count} rows in {table.name}, and a backup is restored into an empty "
                "one only; make one (`createdb`), and name it with --database-url."
            )
    for name in [*(table.name for table in reversed(tables)), *({"alembic_version"} & found)]:
        connection.execute(sa.text(f"DROP TABLE {name}"))
