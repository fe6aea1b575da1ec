"""The file under a simulated database: its connections, its image, and one statement run on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from sqlalchemy import Connection, Executable, create_engine, pool

from storage.database import PreparedParameters
from storage.prepared import Prepared
from storage.sqlite_connection import translated

Statement = tuple[Executable | Prepared, PreparedParameters]


class File:
    """The file, one connection that writes, one that reads, and some for readings that hold one state."""

    def __init__(self, path: Path, image: bytes) -> None:
        path.write_bytes(image)
        self._path = path
        self.writer = _opened(path)
        self.reader = _opened(path)
        self._idle: list[Connection] = []
        self._all = [self.writer, self.reader]

    def take_snapshot_reader(self) -> Connection:
        if self._idle:
            return self._idle.pop()
        self._all.append(_opened(self._path))
        return self._all[-1]

    def give_snapshot_reader(self, connection: Connection) -> None:
        if connection in self._all:
            roll_back(connection)
            self._idle.append(connection)

    def image(self) -> bytes:
        """All that is committed."""
        return driver_of(self.reader).serialize()

    def close(self) -> None:
        for connection in self._all:
            connection.close()
            connection.engine.dispose()
        self._all, self._idle = [], []
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def _opened(path: Path) -> Connection:
    driver = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0, cached_statements=256)
    driver.execute("PRAGMA journal_mode = WAL")
    # Nothing outlives the process anyway.
    driver.execute("PRAGMA synchronous = OFF")
    driver.execute("PRAGMA temp_store = MEMORY")
    driver.execute("PRAGMA foreign_keys = ON")
    # The pool notes when a connection was opened; nobody asks, and inside the simulated world there is no such clock.
    with mock.patch.object(pool.base, "time", SimpleNamespace(time=lambda: 0.0)):
        return create_engine("sqlite+pysqlite://", creator=lambda: driver, poolclass=pool.StaticPool).connect()


def driver_of(connection: Connection) -> sqlite3.Connection:
    """The driver's own connection."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def roll_back(connection: Connection) -> None:
    """SQLite may have rolled back by itself already."""
    if driver_of(connection).in_transaction:
        driver_of(connection).execute("ROLLBACK")


def run(connection: Connection, statement: Executable | Prepared, parameters: PreparedParameters) -> Sequence[Any]:
    """The rows of a statement, as the product's own adapter runs it. Raises StorageError."""
    try:
        if isinstance(statement, Prepared):
            if isinstance(parameters, Sequence):
                driver_of(connection).executemany(*statement.rows("sqlite", parameters))
                return ()
            query, arguments = statement.compiled("sqlite")
            return driver_of(connection).execute(query, arguments(parameters or {})).fetchall()
        result = connection.execute(statement, parameters)  # type: ignore[arg-type]
        return result.all() if result.returns_rows else ()
    except Exception as error:
        # Whatever it is that the driver raises becomes ours, as in the product.
        raise translated(error) from error
