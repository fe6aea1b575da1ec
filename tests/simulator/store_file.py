"""The file under a simulated database: its connections, its image, and one statement run on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from sqlalchemy import Executable, create_engine, pool

from storage.database import PreparedParameters
from storage.prepared import Prepared
from storage.sqlite_connection import translated

Statement = tuple[Executable | Prepared, PreparedParameters]


# One engine for all: making one takes a millisecond, and each accident opens the file anew.
_coming: list[sqlite3.Connection] = []
_engine = create_engine("sqlite+pysqlite://", creator=_coming.pop, poolclass=pool.NullPool)


class Opened:
    """One connection to the file."""

    def __init__(self, path: Path) -> None:
        self.driver = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=0, cached_statements=256
        )
        self.driver.execute("PRAGMA journal_mode = WAL")
        # Nothing outlives the process anyway.
        self.driver.execute("PRAGMA synchronous = OFF")
        self.driver.execute("PRAGMA temp_store = MEMORY")
        self.driver.execute("PRAGMA foreign_keys = ON")
        _coming.append(self.driver)
        # The pool notes when a connection was opened; nobody asks, and in the simulated world there is no such clock.
        with mock.patch.object(pool.base, "time", SimpleNamespace(time=lambda: 0.0)):
            # The same connection, for statements that are not prepared.
            self.sqlalchemy = _engine.connect()

    def roll_back(self) -> None:
        """SQLite may have rolled back by itself already."""
        if self.driver.in_transaction:
            self.driver.execute("ROLLBACK")

    def close(self) -> None:
        self.sqlalchemy.close()
        self.driver.close()


class File:
    """The file, one connection that writes, one that reads, and some for readings that hold one state."""

    def __init__(self, path: Path, image: bytes) -> None:
        path.write_bytes(image)
        self._path = path
        self.writer = Opened(path)
        self.reader = Opened(path)
        self._idle: list[Opened] = []
        self._all = [self.writer, self.reader]

    def take_snapshot_reader(self) -> Opened:
        if self._idle:
            return self._idle.pop()
        self._all.append(Opened(self._path))
        return self._all[-1]

    def give_snapshot_reader(self, connection: Opened) -> None:
        if connection in self._all:
            connection.roll_back()
            self._idle.append(connection)

    def image(self) -> bytes:
        """All that is committed."""
        return self.reader.driver.serialize()

    def close(self) -> None:
        for connection in self._all:
            connection.close()
        self._all, self._idle = [], []
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def run(connection: Opened, statement: Executable | Prepared, parameters: PreparedParameters) -> Sequence[Any]:
    """The rows of a statement, as the product's own adapter runs it. Raises StorageError."""
    try:
        if isinstance(statement, Prepared):
            if isinstance(parameters, Sequence):
                connection.driver.executemany(*statement.rows("sqlite", parameters))
                return ()
            query, arguments = statement.compiled("sqlite")
            return connection.driver.execute(query, arguments(parameters or {})).fetchall()
        result = connection.sqlalchemy.execute(statement, parameters)  # type: ignore[arg-type]
        return result.all() if result.returns_rows else ()
    except Exception as error:
        # Whatever it is that the driver raises becomes ours, as in the product.
        raise translated(error) from error
