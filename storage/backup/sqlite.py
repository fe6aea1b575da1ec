"""A new file of SQLite that a backup is put back into: it is filled beside its name, and gets it as a whole."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from storage.backup.archive import Table
from storage.backup.files import draft
from storage.cancelling import to_the_end
from storage.errors import BackupUnwritable, PlaceTaken
from storage.sqlite_connection import path_of, sqlite_engine, translated

# A file that nobody sees yet needs neither a journal nor the disk's word; the whole of it is synced at its end. And a
# row that names nothing was damage before: it is put back for `fitai check` to name.
_UNSEEN: Final = (
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA cache_size = -131072",
)


class _Filling:
    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    async def run(self, work: Callable[[sa.Connection], object]) -> None:
        await self._in_thread(lambda: work(self._connection))

    async def insert(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        names = ", ".join(column.name for column in table.columns)
        places = ", ".join("?" * len(table.columns))
        statement = f"INSERT INTO {table.name} ({names}) VALUES ({places})"
        driver: Any = self._connection.connection.driver_connection
        await self._in_thread(lambda: driver.executemany(statement, rows))

    async def _in_thread(self, work: Callable[[], object]) -> None:
        def translating() -> None:
            try:
                work()
            except (DBAPIError, sqlite3.Error) as error:
                raise translated(error) from error

        await to_the_end(asyncio.to_thread(translating))


@asynccontextmanager
async def sqlite_place(url: str) -> AsyncIterator[_Filling]:
    """The file of `url`, which must not be there, nor what SQLite keeps beside one.

    Raises PlaceTaken, BackupUnwritable, DatabaseUnavailable where its folder is not there.
    """
    target = path_of(url)
    for there in (target, *(target.with_name(target.name + end) for end in ("-wal", "-shm", "-journal"))):
        if there.exists():
            raise _taken(there)
    try:
        with draft(target) as path:
            engine = sqlite_engine(f"sqlite:///{path}", "rw")
            try:
                with engine.connect() as connection:
                    for pragma in _UNSEEN:
                        connection.exec_driver_sql(pragma)
                    connection.exec_driver_sql("BEGIN")
                    filling = _Filling(connection)
                    yield filling
                    await filling.run(lambda connection: connection.exec_driver_sql("COMMIT"))
            finally:
                engine.dispose()
    except FileExistsError:
        raise _taken(target) from None
    except OSError as error:
        raise BackupUnwritable(
            f"The database {target} cannot be written: {error.strerror}; "
            "see to its folder and the room there, or name another place."
        ) from error


def _taken(there: Path) -> PlaceTaken:
    return PlaceTaken(
        f"{there} is there, and a backup is restored into an empty place only; move it away, or name another one with "
        "--database-url."
    )
