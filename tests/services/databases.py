"""Databases of one cluster for one process: a test takes one, migrated and empty, and what it leaves is wiped.

To truncate the tables that have something in them costs a fraction of what another copy of the template costs, and
leaves them as new to the byte, so that no row comes in another order than in a new one. What a wipe could not make as
new is thrown away: a database whose tables, settings or statistics are no longer the template's.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import asyncpg

from tests.services.postgres import run_statement

T = TypeVar("T")

# Each wipe leaves dead rows in the catalogs, which nobody vacuums.
USES_MAX: Final = 40

_TABLES: Final = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
_FILLED: Final = f"{_TABLES} AND pg_relation_size(oid) > 0"

# Whatever changes a definition writes a row of one of these; statistics of tables are written over in place.
_DEFINITIONS: Final = """
SELECT count(*), max(xmin::text::bigint), (
    SELECT sum(reltuples) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
), (SELECT sum(last_value) FROM pg_sequences)
FROM (
    SELECT xmin FROM pg_class UNION ALL SELECT xmin FROM pg_attribute UNION ALL SELECT xmin FROM pg_attrdef
    UNION ALL SELECT xmin FROM pg_constraint UNION ALL SELECT xmin FROM pg_index UNION ALL SELECT xmin FROM pg_trigger
    UNION ALL SELECT xmin FROM pg_proc UNION ALL SELECT xmin FROM pg_type UNION ALL SELECT xmin FROM pg_namespace
    UNION ALL SELECT xmin FROM pg_statistic UNION ALL SELECT xmin FROM pg_extension
    UNION ALL SELECT xmin FROM pg_db_role_setting
    WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
) definitions
"""

# Backends of connections that were closed a moment ago may not have ended yet, and others were never closed.
_END_OTHERS: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
# Postgres itself looks every 100 ms whether one has ended, and most have after one.
_LOOK_S: Final = 0.001
_LOOKS_MAX: Final = 30_000


@dataclass
class _Database:
    url: str
    connection: asyncpg.Connection[Any]
    definitions: tuple[Any, ...]
    uses: int = 0


class Databases:
    """What one process takes of a cluster.

    cluster: its URL, as the product writes it, without a database.
    template: the database of which each is a copy.
    """

    def __init__(self, cluster: str, template: str) -> None:
        self._cluster = cluster
        self._template = template
        # A loop of its own: between two tests there is none, and connections stay.
        self._loop = asyncio.new_event_loop()
        self._free: list[_Database] = []
        self._taken: dict[str, _Database] = {}
        # The rows that the template has.
        self._kept: dict[str, str] | None = None

    def new(self, template: str = "template0") -> str:
        """The URL of a new copy of a database. The caller drops it."""
        name = f"test_{uuid.uuid4().hex[:16]}"
        self._say(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return f"{self._cluster}/{name}"

    def drop(self, url: str) -> None:
        """Drop a database, whoever is connected to it."""
        self._say(f'DROP DATABASE IF EXISTS "{url.rpartition("/")[2]}" WITH (FORCE)')

    def take(self) -> str:
        """The URL of a database that nobody else has until it is given back."""
        database = self._free.pop() if self._free else self._run(self._opened(self.new(self._template)))
        self._taken[database.url] = database
        return database.url

    def give_back(self, url: str) -> None:
        """Whoever is still connected to it is cut off."""
        database = self._taken.pop(url)
        if self._run(self._is_as_new(database)):
            self._free.append(database)
        else:
            self._run(_closed(database.connection))
            self.drop(url)

    def close(self) -> None:
        """Let go of all of them. They end with the cluster."""
        for database in (*self._free, *self._taken.values()):
            self._run(_closed(database.connection))
        self._loop.close()

    def _say(self, statement: str) -> None:
        asyncio.run(run_statement(f"{self._cluster}/postgres", statement))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    async def _opened(self, url: str) -> _Database:
        connection = await _connected(url)
        if self._kept is None:
            filled = [row[0] for row in await connection.fetch(_FILLED)]
            self._kept = {
                table: await connection.fetchval(f'SELECT json_agg(one) FROM "{table}" one') for table in filled
            }
        return _Database(url, connection, tuple(await connection.fetchrow(_DEFINITIONS)))

    async def _is_as_new(self, database: _Database) -> bool:
        """Wipe it. False where that is not enough."""
        try:
            if database.connection.is_closed():
                database.connection = await _connected(database.url)
            connection = database.connection
            if (
                not await _is_alone(connection)
                or tuple(await connection.fetchrow(_DEFINITIONS)) != database.definitions
            ):
                return False
            filled = ", ".join(f'"{row[0]}"' for row in await connection.fetch(_FILLED))
            await connection.execute(f"TRUNCATE {filled} CASCADE" if filled else "")
            for table, rows in (self._kept or {}).items():
                await connection.execute(
                    f'INSERT INTO "{table}" SELECT * FROM json_populate_recordset(NULL::"{table}", $1)', rows
                )
            database.definitions = tuple(await connection.fetchrow(_DEFINITIONS))
            database.uses += 1
            return database.uses < USES_MAX
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            # The test ended every connection, or it is a database that nobody may use any more.
            return False


async def _is_alone(connection: asyncpg.Connection[Any]) -> bool:
    """End whoever else is there. False where somebody does not go."""
    for _ in range(_LOOKS_MAX):
        if not await connection.fetch(_END_OTHERS):
            return True
        await asyncio.sleep(_LOOK_S)
    return False


async def _connected(url: str) -> asyncpg.Connection[Any]:
    return await asyncpg.connect(url.replace("postgresql+asyncpg://", "postgresql://"))


async def _closed(connection: asyncpg.Connection[Any]) -> None:
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
        await connection.close(timeout=10)
