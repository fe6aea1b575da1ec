"""One transaction of a simulated database, and the queue of those that write."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import Executable

from storage.database import Dialect, Parameters, PreparedParameters
from storage.errors import Busy, DatabaseReadOnly, DatabaseUnavailable, StorageError
from storage.prepared import Prepared
from tests.simulator.store_file import Opened, Statement, run

if TYPE_CHECKING:
    from tests.simulator.store import SimDatabase

# What strikes a transaction at one of its statements.
Fate = Literal["timeout", "abort", "disk_full"]
FULL: Final = "The database takes no writes now (disk full); make room, or see to its permissions."
GONE: Final = "The database went away in the middle; try again when it is back."


class Turns:
    """One writer at a time, in the order of asking."""

    def __init__(self) -> None:
        self._holder: SimTransaction | None = None
        self._waiting: deque[tuple[SimTransaction, asyncio.Future[None]]] = deque()

    @property
    def holder(self) -> SimTransaction | None:
        return self._holder

    async def take(self, tx: SimTransaction, wait_s: float) -> None:
        if self._holder is None:
            self._holder = tx
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((tx, turn))
        try:
            async with asyncio.timeout(wait_s):
                await turn
        except TimeoutError:
            self.give(tx)
            raise Busy("The database is locked by another process; try again in a moment.") from None
        except BaseException:
            self.give(tx)
            raise

    def give(self, tx: SimTransaction) -> None:
        """`tx` writes no more, or waits no more."""
        if self._holder is not tx:
            self._waiting = deque(each for each in self._waiting if each[0] is not tx)
            return
        self._holder = None
        while self._waiting:
            following, turn = self._waiting.popleft()
            if not turn.done():
                self._holder = following
                turn.set_result(None)
                return

    def fail(self, is_lost: Callable[[SimTransaction], bool]) -> None:
        """Those who wait and are lost learn it now."""
        for tx, turn in list(self._waiting):
            if is_lost(tx) and not turn.done():
                turn.set_exception(DatabaseUnavailable(GONE))


class SimTransaction:
    dialect: Dialect = "sqlite"

    def __init__(self, database: SimDatabase, *, writes: bool, snapshot: bool) -> None:
        self.database = database
        self.store = database.store
        self.timeline = self.store.timeline
        self.era = self.store.era
        self.writes = writes
        self.snapshot = snapshot
        self.failed = False
        self.over = False
        self.connection: Opened | None = None
        self.log: list[Statement] = []
        self.patience: asyncio.TimerHandle | None = None
        self.is_cut_off = False
        self.fate: Fate | None = None
        self.fate_in = 0

    @property
    def lost(self) -> bool:
        """True once the database, or the worker that speaks to it, is another one than at the beginning, or once the
        database has given it up."""
        return self.is_cut_off or self.era != self.store.era or self.database.is_dead

    def check(self) -> None:
        if self.lost:
            raise DatabaseUnavailable(GONE)

    async def execute(self, statement: Executable | Prepared, parameters: Parameters = None) -> Sequence[Any]:
        return await self._run([(statement, parameters)])

    async def execute_all(self, *statements: tuple[Prepared, PreparedParameters]) -> None:
        await self._run(statements)

    async def _run(self, statements: Sequence[Statement]) -> Sequence[Any]:
        assert not self.over, "a transaction is used after its block"
        if self.failed:
            raise StorageError("The transaction is over, since one of its statements had failed.")
        self.database.statements += len(statements)
        try:
            return await self._answered(statements)
        except BaseException:
            self.failed = True
            raise

    async def _answered(self, statements: Sequence[Statement]) -> Sequence[Any]:
        rows: Sequence[Any] = ()
        # What is read may be old by the time it is known, or new when it was long asked for.
        late = self.store.draw(0.5)
        if not late:
            await self.store.pause()
        for statement, parameters in statements:
            await self.meet_fate()
            self.check()
            rows = self._inline(statement, parameters)
        if late:
            await self.store.pause()
            self.check()
        return rows

    def _inline(self, statement: Executable | Prepared, parameters: PreparedParameters) -> Sequence[Any]:
        connection = self.connection
        if connection is None:
            connection = self.store.reader()
        elif not connection.driver.in_transaction:
            raise StorageError("The transaction was given up by SQLite; nothing of it is stored.")
        if self.writes:
            # As it was now: a caller may go on with its dictionary.
            kept = dict(parameters) if isinstance(parameters, dict) else parameters
            self.log.append((statement, kept))
        return run(connection, statement, parameters)

    async def meet_fate(self, *, at_end: bool = False) -> None:
        """Raise what was drawn for this transaction, where its time has come."""
        if self.fate is None:
            return
        self.fate_in -= 1
        if self.fate_in > 0 and not at_end:
            return
        if self.fate == "timeout":
            await asyncio.sleep(self.store.faults.timeout_s)
            raise Busy("The database is busy (canceling statement due to timeout); try again in a moment.")
        if self.fate == "abort":
            raise Busy("The database is busy (could not serialize access); try again in a moment.")
        raise DatabaseReadOnly(FULL)
