"""The database as a port: transactions over SQLite or Postgres, and the border where driver errors stop.

`open_database(url)` chooses the adapter by the URL. A `Transaction` takes SQLAlchemy Core statements, or prepared
ones, and returns plain rows; whoever holds one knows the dialect's name and nothing else of the driver.

Invariants
    D1  A write whose block ended and whose `write()` returned has committed, and is on disk (SQLite:
        synchronous=FULL; Postgres: as its synchronous_commit says).
    D2  A transaction that ends by an exception or a cancellation is rolled back before its connection is used
        again; a connection of which that cannot be said is closed.
    D3  Every exception of a driver becomes one of `storage.errors`.
    D4  Nobody waits for a connection or a lock without a bound; who cannot be served in time gets Overloaded.
    D5  Writes of one process wait in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Literal, Protocol

from sqlalchemy import Executable
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from storage.errors import DatabaseUnavailable
from storage.prepared import Prepared

Dialect = Literal["postgresql", "sqlite"]
Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
# A prepared statement takes rows as tuples too, their values in its order.
PreparedParameters = Parameters | Sequence[tuple[Any, ...]]

# Long enough for a burst of pushes to drain, short enough that a client's own timeout does not come first.
WAIT_S: Final = 5.0


class Transaction(Protocol):
    """One transaction, or one reading. Not for use by two tasks at once, nor after its block."""

    @property
    def dialect(self) -> Dialect: ...

    @property
    def timeline(self) -> str:
        """The timeline of the database that this very transaction speaks to; see `Database.timeline`."""
        ...

    async def execute(self, statement: Executable | Prepared, parameters: Parameters = None) -> Sequence[Any]:
        """The rows of a statement, as tuples; an empty list where it returns none.

        A list of parameters runs the statement once for each, as one statement, and returns no rows.

        Raises StorageError; the transaction is then of no use any more.
        """
        ...

    async def execute_all(self, *statements: tuple[Prepared, PreparedParameters]) -> None:
        """Run statements whose rows nobody asks for, one after the other; on SQLite in one visit to the thread.

        Raises as `execute`; those that follow a failed one are not run. Moved, where one of them looks for what the
        write rests on (`Prepared`) and does not find it.
        """
        ...


class Database(Protocol):
    """One database. Open it with `open_database`, close it with `close`. For one event loop."""

    # How many statements were run, BEGIN and COMMIT not counted: tests hold budgets with it.
    statements: int

    @property
    def reads_unlocked(self) -> bool:
        """Whether `write(single=True)` reads without a lock, so that a write which is alone is sooner done by it."""
        ...

    @property
    def dialect(self) -> Dialect: ...

    @property
    def timeline(self) -> str:
        """Names the database's history: another one after a restore or a failover, as far as is known by now."""
        ...

    def read(self, *, snapshot: bool = False) -> AbstractAsyncContextManager[Transaction]:
        """A reading. Each statement sees one state; with `snapshot` all of them see the same one.

        Raises Overloaded where no connection is to be had in time, DatabaseUnavailable where the database is gone.
        """
        ...

    def write(self, *, single: bool = False) -> AbstractAsyncContextManager[Transaction]:
        """A transaction: committed where the block ends well, rolled back where it does not. Raises as `read`.

        single: the block writes by one statement, its last one; on SQLite by one `execute_all`. That commits by itself,
        which spares two trips to the server, or the turn among the writers while something is read and worked out;
        what was read before it is locked by nothing, so it names what it rests on.
        """
        ...

    async def close(self) -> None:
        """Close every connection. The caller has seen to it that no transaction is under way."""
        ...


async def open_database(url: str, *, pool_size: int = 10, wait_s: float = WAIT_S, patient: bool = False) -> Database:
    """Open `sqlite+aiosqlite:///file` or `postgresql+asyncpg://…`, whose tables `upgrade` has made.

    Args:
        url: where it is.
        pool_size: the connections to Postgres at most. (SQLite has one writer and a few readers.)
        wait_s: how long a transaction waits for a connection before it is Overloaded, in seconds.
        patient: for what goes over all that is stored; a statement, and a pause within a transaction, may then take as
            long as it needs.

    Raises DatabaseUnavailable, in one sentence that names the URL without its password.
    """
    # Each imports its driver, and the other one's is not needed.
    if backend_of(url) == "sqlite":
        from storage.sqlite import SqliteDatabase

        return await SqliteDatabase.open(url, wait_s=wait_s)
    from storage.postgres import PostgresDatabase

    return await PostgresDatabase.open(url, pool_size=pool_size, wait_s=wait_s, patient=patient)


def backend_of(url: str) -> Dialect:
    """Which of the two databases a URL names. Raises DatabaseUnavailable for any other."""
    try:
        backend = make_url(url).get_backend_name()
    except (ArgumentError, ValueError):
        # What is no URL may still hold a password: it is not repeated.
        raise DatabaseUnavailable(
            "The database URL is no URL; write sqlite+aiosqlite:///fitai.db or postgresql+asyncpg://user@host/name."
        ) from None
    if backend == "postgres":
        backend = "postgresql"
    if backend not in ("sqlite", "postgresql"):
        raise DatabaseUnavailable(
            f"FitAI keeps its data in SQLite or Postgres and not in {backend}; correct the database URL {masked(url)}."
        )
    return "sqlite" if backend == "sqlite" else "postgresql"


def masked(url: str) -> str:
    """A URL as it may be shown: without its password."""
    return make_url(url).render_as_string(hide_password=True)
