"""Single writes on SQLite: they wait in a line, and whoever waits when the writer is free is written in one visit to
its thread, with one commit.

While one visit waits for the disk, the next writes read, by readers' connections, and are worked out on the loop. So
what they cost each other is their statements, and not a trip to the thread and back for each.

Invariants
    G1 and G2 of storage/sqlite.py
    G4  Who is no longer in the line has been tried, or is being tried; who gave up in it never is.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from storage.cancelling import to_the_end
from storage.database import PreparedParameters
from storage.errors import Moved, Overloaded, StorageError
from storage.pool import WAITERS_MAX
from storage.prepared import Prepared
from storage.sqlite_connection import run_prepared, translated

Statements = Sequence[tuple[Prepared, PreparedParameters]]

LOST: Final = "The transaction was given up by SQLite; nothing of it is stored."


class SingleWrite:
    """The statements of one write. `stored` is done when they are on disk, or will never be."""

    def __init__(self, statements: Statements) -> None:
        self.statements = statements
        self.stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Who wrote may have been cancelled, so that nobody asks.
        self.stored.add_done_callback(lambda stored: stored.cancelled() or stored.exception())

    def settle(self, error: StorageError | None) -> None:
        if self.stored.done():
            return
        if error is None:
            self.stored.set_result(None)
        else:
            self.stored.set_exception(error)


class Line:
    """Those who wait, in the order in which they came (D5). For one event loop."""

    def __init__(self, wait_s: float) -> None:
        """`wait_s`: how long one waits at most, in seconds (D4)."""
        self._wait_s = wait_s
        self._waiting: deque[SingleWrite] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, statements: Statements) -> SingleWrite:
        """One more; then await `wait` with it. Raises Overloaded where too many wait."""
        if len(self._waiting) >= WAITERS_MAX:
            raise Overloaded(f"{WAITERS_MAX} others wait to write; try again in a moment.")
        self._waiting.append(write := SingleWrite(statements))
        return write

    async def wait(self, write: SingleWrite) -> None:
        """Until it is stored. Raises what it failed by, and Overloaded where its turn did not come in time."""
        loop = asyncio.get_running_loop()
        # A turn later: what became free while the loop stood still is taken first.
        end = loop.call_later(self._wait_s, loop.call_soon, self._end_wait, write)
        try:
            await asyncio.shield(write.stored)
        except asyncio.CancelledError:
            if not self._drop(write):
                # What is being written is carried to its end, as a COMMIT is.
                with contextlib.suppress(StorageError):
                    await to_the_end(_until(write.stored))
            raise
        finally:
            end.cancel()

    def take(self, most: int) -> list[SingleWrite]:
        """The first ones, at most so many."""
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def put_back(self, writes: Sequence[SingleWrite]) -> None:
        """These were taken and not tried."""
        self._waiting.extendleft(reversed(writes))

    def _end_wait(self, write: SingleWrite) -> None:
        if self._drop(write):
            write.settle(Overloaded("The turn to write did not come in time; try again when fewer write."))

    def _drop(self, write: SingleWrite) -> bool:
        try:
            self._waiting.remove(write)
        except ValueError:
            return False
        return True


async def _until(stored: asyncio.Future[None]) -> None:
    await stored


def write_all(
    driver: sqlite3.Connection, writes: Sequence[SingleWrite], *, joins: bool, is_late: Callable[[], bool]
) -> list[StorageError | None]:
    """Run writes in one transaction, each behind a savepoint, and commit it. To be called in the writer's thread.

    joins: a transaction is open, with writes that waited for this commit.
    is_late: where it is, no further one is begun.

    Returns what became of each that was tried. Raises where nothing of the transaction is stored.
    """
    if not joins:
        driver.execute("BEGIN IMMEDIATE")
    elif not driver.in_transaction:
        raise StorageError(LOST)
    outcomes: list[StorageError | None] = []
    try:
        for write in writes:
            outcomes.append(_write_one(driver, write))
            if is_late():
                break
    except BaseException:
        roll_back(driver)
        raise
    commit(driver)
    return outcomes


def _write_one(driver: sqlite3.Connection, write: SingleWrite) -> StorageError | None:
    driver.execute("SAVEPOINT single")
    try:
        for statement, parameters in write.statements:
            rows = run_prepared(driver, statement, parameters)
            if statement.or_moved and not rows:
                raise Moved("Somebody else wrote what this rests on meanwhile; read it again.")
    except Exception as error:
        ours = translated(error)
        if not driver.in_transaction:
            # A full disk, say: SQLite gave up those before it too, for the same reason.
            raise ours from error
        driver.execute("ROLLBACK TO single")
        driver.execute("RELEASE single")
        return ours
    driver.execute("RELEASE single")
    return None


def commit(driver: sqlite3.Connection) -> None:
    """COMMIT, or nothing is left open."""
    if not driver.in_transaction:
        raise StorageError(LOST)
    try:
        driver.execute("COMMIT")
    except sqlite3.Error:
        # A commit that failed (a full disk) may leave the transaction open.
        roll_back(driver)
        raise


def roll_back(driver: sqlite3.Connection) -> None:
    """ROLLBACK, unless SQLite has rolled back by itself already."""
    if driver.in_transaction:
        driver.execute("ROLLBACK")
