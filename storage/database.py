"""The database as a port: transactions over SQLite or Postgres, and the border where driver errors stop.

`Database.open(url)` chooses the adapter by the URL. A `Transaction` takes SQLAlchemy Core statements and returns
plain rows; whoever holds one knows the dialect's name and nothing else of the driver.

Invariants
    D1  A write that returns from `write()` has committed, and was on disk first (SQLite: synchronous=FULL).
    D2  A transaction that ends by an exception or a cancellation is rolled back before its connection is used again.
    D3  Every exception of a driver becomes one of `storage.errors`.
    D4  Nobody waits for a connection without a bound.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol

from sqlalchemy import Executable
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from storage.errors import DatabaseUnavailable

Dialect = Literal["postgresql", "sqlite"]
Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None


class Transaction(Protocol):
    """One transaction, or one reading. Not for use by two tasks at once."""

    @property
    def dialect(self) -> Dialect: ...

    async def execute(self, statement: Executable, parameters: Parameters = None) -> Sequence[Any]:
        """The rows of a statement, as tuples; an empty list where it returns none.

        Raises StorageError; the transaction is then of no use any more.
        """
        ...


class Database(Protocol):
    """One database. Open it with `open_database`, close it with `close`."""

    # How many statements were run, BEGIN and COMMIT not counted: tests hold budgets with it.
    statements: int

    @property
    def dialect(self) -> Dialect: ...

    @property
    def timeline(self) -> str:
        """Names the database's history: another one after a restore or a failover."""
        ...

    def read(self, *, snapshot: bool = False) -> AbstractAsyncContextManager[Transaction]:
        """A reading. Each statement sees one state; with `snapshot` all of them see the same one."""
        ...

    def write(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction: committed where the block ends well, rolled back where it does not."""
        ...

    async def close(self) -> None:
        """Close every connection. Transactions under way are not waited for."""
        ...


async def open_database(url: str, *, pool_size: int = 10) -> Database:
    """Open `sqlite+aiosqlite:///file` or `postgresql+asyncpg://…`, whose tables `upgrade` has made.

    Raises DatabaseUnavailable, in one sentence that names the URL without its password.
    """
    from storage.postgres import PostgresDatabase
    from storage.sqlite import SqliteDatabase

    backend = backend_of(url)
    if backend == "sqlite":
        return await SqliteDatabase.open(url)
    return await PostgresDatabase.open(url, pool_size=pool_size)


def backend_of(url: str) -> Dialect:
    """Which of the two databases a URL names. Raises DatabaseUnavailable for any other."""
    try:
        backend = make_url(url).get_backend_name()
    except ArgumentError:
        raise DatabaseUnavailable(
            "The database URL is no URL; write sqlite+aiosqlite:///fitai.db or postgresql+asyncpg://user@host/name."
        ) from None
    if backend not in ("sqlite", "postgresql"):
        raise DatabaseUnavailable(
            f"FitAI keeps its data in SQLite or Postgres and not in {backend}; set FITAI_DATABASE_URL accordingly."
        )
    return backend  # type: ignore[return-value]


def masked(url: str) -> str:
    """A URL as it may be shown: without its password."""
    return make_url(url).render_as_string(hide_password=True)


Transactions = AsyncIterator[Transaction]
