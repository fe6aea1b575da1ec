"""The database of a simulated world: the port of `storage.database`, over one SQLite file in memory, without threads.

The very statements of the product run, each inline, between two turns of the loop: what a statement takes is drawn
and slept in the loop's own time. Every worker process of the world has a `Database` of its own over the one store.
Committed state alone is read, one transaction writes at a time, and who waits for it waits in order.

What may happen to a database happens here: see `StoreFaults` for what strikes a single call, and `SimStore` for what
strikes all of them. A failover that loses a tail is played by running the commits that stand once more, from an image
of the file before them.

Nothing here reads a clock or a random source: the loop's time and `random` decide.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import Connection, Executable, create_engine
from sqlalchemy.pool import StaticPool

from storage.cancelling import to_the_end
from storage.database import WAIT_S, Dialect, Parameters, PreparedParameters, Transaction
from storage.errors import Busy, DatabaseReadOnly, DatabaseUnavailable, StorageError
from storage.migrations import upgrade
from storage.prepared import Prepared
from storage.sqlite_connection import translated

# Commits between two images of the file: a failover can lose as many at least.
IMAGE_EVERY: Final = 64
# A transaction that is to fail does so at one of its first statements, or at its end where it has fewer.
FATE_STATEMENTS: Final = 5

Statement = tuple[Executable | Prepared, PreparedParameters]
Fate = Literal["timeout", "abort", "disk_full"]
_FULL: Final = "The database takes no writes now (disk full); make room, or see to its permissions."
_GONE: Final = "The database went away in the middle; try again when it is back."


@dataclass(frozen=True, slots=True)
class StoreFaults:
    """What a call may meet: chances from 0 to 1, drawn once a transaction, and how long a statement takes.

    latency_s: mean of an exponential draw. abort: a serialization failure. ambiguous: the end of a write says nothing,
    and half of them are stored. timeout: a statement that takes `timeout_s` and is given up. no_connection: there is
    none to be had. disk_full: the write finds no room.
    """

    latency_s: float = 0.0
    abort: float = 0.0
    ambiguous: float = 0.0
    timeout: float = 0.0
    timeout_s: float = 30.0
    no_connection: float = 0.0
    disk_full: float = 0.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The database as it was after commit `number`."""

    number: int
    image: bytes


@dataclass(slots=True)
class _Stretch:
    """An image of the file, and the commits since, up to the next image."""

    image: bytes
    commits: list[tuple[int, list[Statement]]] = field(default_factory=list)


class _File:
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


class _Turns:
    """One writer at a time, in the order of asking."""

    def __init__(self) -> None:
        self._holder: _Transaction | None = None
        self._waiting: deque[tuple[_Transaction, asyncio.Future[None]]] = deque()

    @property
    def holder(self) -> _Transaction | None:
        return self._holder

    async def take(self, tx: _Transaction, wait_s: float) -> None:
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

    def give(self, tx: _Transaction) -> None:
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

    def fail(self, is_lost: Callable[[_Transaction], bool]) -> None:
        """Those who wait and are lost learn it now."""
        for tx, turn in list(self._waiting):
            if is_lost(tx) and not turn.done():
                turn.set_exception(DatabaseUnavailable(_GONE))


class _Transaction:
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
        self.connection: Connection | None = None
        self.log: list[Statement] = []
        self.fate: Fate | None = None
        self.fate_in = 0

    @property
    def lost(self) -> bool:
        """True once the database, or the worker that speaks to it, is another one than at the beginning."""
        return self.era != self.store.era or self.database.is_dead

    def check(self) -> None:
        if self.lost:
            raise DatabaseUnavailable(_GONE)

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
        elif not driver_of(connection).in_transaction:
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
        raise DatabaseReadOnly(_FULL)


class SimDatabase:
    """The `Database` of one worker process. `kill` it when the process dies; nothing of it can be used then."""

    dialect: Dialect = "sqlite"

    def __init__(self, store: SimStore, worker: str, *, wait_s: float) -> None:
        self.store = store
        self.worker = worker
        self.statements = 0
        self.is_dead = False
        self._wait_s = wait_s

    @property
    def timeline(self) -> str:
        return self.store.timeline

    @asynccontextmanager
    async def read(self, *, snapshot: bool = False) -> AsyncIterator[Transaction]:
        tx = _Transaction(self, writes=False, snapshot=snapshot)
        await self.store.begin(tx, self._wait_s)
        try:
            yield tx
        finally:
            self.store.end(tx)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        tx = _Transaction(self, writes=True, snapshot=False)
        await self.store.begin(tx, self._wait_s)
        try:
            yield tx
        except BaseException:
            self.store.end(tx)
            raise
        if tx.failed:
            self.store.end(tx)
            raise StorageError("The transaction was rolled back, since one of its statements had failed.")
        await to_the_end(self.store.commit(tx))

    def kill(self) -> None:
        """The process is gone: what it had open is rolled back, unless its commit has been carried out."""
        self.is_dead = True
        self.store.forget_lost()

    async def close(self) -> None:
        self.kill()


class SimStore:
    """One database, its accidents, and the `Database` of each worker. `close` it at the end.

    commit: `number` counts commits from 1 and never names another one again, also where commits were lost.
    on_commit: called with the number right after a commit, in a task with the context variables of who wrote.
    """

    def __init__(self, image: bytes, draws: random.Random, faults: StoreFaults) -> None:
        self.faults = faults
        self.timeline = ""
        # Counts what breaks every connection: a stop, a crash, another history.
        self.era = 0
        self.number = 0
        self.on_commit: Callable[[int], None] | None = None
        self.is_stopped = False
        self.is_full = False
        # How often each fault has struck, by its name.
        self.struck: dict[str, int] = {}
        self._random = draws
        self._turns = _Turns()
        shm = Path("/dev/shm")
        self._folder = tempfile.TemporaryDirectory(prefix="sim", dir=shm if shm.is_dir() else None)
        self._files = 0
        self._file: _File
        self._stretches: deque[_Stretch] = deque()
        self._begin_history(image)

    @classmethod
    def open(cls, template: Path | bytes, random: random.Random, faults: StoreFaults = StoreFaults()) -> SimStore:
        """A store over a copy of `template`, a migrated SQLite file or its bytes."""
        return cls(template if isinstance(template, bytes) else template.read_bytes(), random, faults)

    def database(self, worker: str = "worker", *, wait_s: float = WAIT_S) -> SimDatabase:
        """What one worker process opens. One for each start of a process."""
        return SimDatabase(self, worker, wait_s=wait_s)

    def close(self) -> None:
        self.era += 1
        self._file.close()
        self._folder.cleanup()

    # -- what strikes all ----------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Nothing can be reached any more, and what was open is rolled back, until `start`."""
        self.is_stopped = True
        self._break()

    def start(self) -> None:
        self.is_stopped = False

    def crash(self) -> None:
        """It went down and came back: every connection is gone, and what had not committed."""
        self._break()

    def fill_disk(self) -> None:
        """No write finds room, until `free_disk`; readings go on."""
        self.is_full = True

    def free_disk(self) -> None:
        self.is_full = False

    def snapshot(self) -> Snapshot:
        """What is committed now, as a backup has it."""
        return Snapshot(self.number, self._file.image())

    def restore(self, snapshot: Snapshot) -> None:
        """A backup in the place of what is there. Another timeline begins; the commits since are lost."""
        self._break()
        self._begin_history(snapshot.image)

    def fail_over(self, lose: int) -> list[int]:
        """A standby takes over that had not got the last `lose` commits. Another timeline begins.

        Returns the numbers of the lost ones: fewer than asked for where the history is shorter, or not kept any more.
        """
        self._break()
        lost: list[int] = []
        while len(lost) < lose and self._stretches:
            commits = self._stretches[-1].commits
            while commits and len(lost) < lose:
                lost.append(commits.pop()[0])
            if len(lost) == lose or len(self._stretches) == 1:
                break
            self._stretches.pop()
        stretch = self._stretches[-1]
        self._open_file(stretch.image)
        for _, statements in stretch.commits:
            for statement, parameters in statements:
                run(self._file.writer, statement, parameters)
        self._begin_history(self._file.image())
        return lost[::-1]

    # -- for oracles ---------------------------------------------------------------------------------------------

    def query(self, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Rows of committed state, at once and whatever the faults."""
        return driver_of(self._file.reader).execute(statement, arguments).fetchall()

    # -- for transactions ----------------------------------------------------------------------------------------

    def draw(self, chance: float) -> bool:
        return chance > 0 and self._random.random() < chance

    async def pause(self) -> None:
        """What a statement, or its answer, takes."""
        mean_s = self.faults.latency_s
        await asyncio.sleep(self._random.expovariate(1 / mean_s) if mean_s > 0 else 0)

    def reader(self) -> Connection:
        return self._file.reader

    async def begin(self, tx: _Transaction, wait_s: float) -> None:
        if self.is_stopped or tx.lost:
            await asyncio.sleep(0)
            raise DatabaseUnavailable("The database is not to be reached; try again when it is back.")
        if self.draw(self.faults.no_connection):
            self._struck("no_connection")
            await asyncio.sleep(wait_s)
            raise Busy(f"No connection to the database came free within {wait_s:g} s; try again in a moment.")
        tx.fate = self._fate(tx)
        tx.fate_in = self._random.randint(1, FATE_STATEMENTS) if tx.fate else 0
        if tx.writes:
            await self._turns.take(tx, wait_s)
            try:
                tx.check()
            except StorageError:
                self._turns.give(tx)
                raise
            tx.connection = self._file.writer
            driver_of(tx.connection).execute("BEGIN IMMEDIATE")
        elif tx.snapshot:
            tx.connection = self._file.take_snapshot_reader()
            driver_of(tx.connection).execute("BEGIN")

    def end(self, tx: _Transaction) -> None:
        """`tx` is over, and nothing of it is stored that was not yet."""
        tx.over = True
        if tx.connection is None:
            return
        connection, tx.connection = tx.connection, None
        if not tx.writes:
            self._file.give_snapshot_reader(connection)
        elif self._turns.holder is tx:
            roll_back(connection)
            self._turns.give(tx)

    async def commit(self, tx: _Transaction) -> None:
        """Store what `tx` wrote, or raise as the port does."""
        try:
            await self.pause()
            tx.check()
            await tx.meet_fate(at_end=True)
            tx.check()
            if tx.log and self.is_full:
                raise DatabaseReadOnly(_FULL)
            ambiguous = self.draw(self.faults.ambiguous)
            if ambiguous:
                self._struck("ambiguous")
            if ambiguous and self.draw(0.5):
                raise DatabaseUnavailable(_GONE)
            self._carry_out(tx)
            if ambiguous:
                raise DatabaseUnavailable(_GONE)
            if self.draw(0.5):
                # The answer is on its way; the next writer does not wait for it.
                await self.pause()
                tx.check()
        finally:
            self.end(tx)

    def forget_lost(self) -> None:
        """Roll back what belongs to nobody any more, and let the next one write."""
        self._turns.fail(lambda tx: tx.lost)
        holder = self._turns.holder
        if holder is not None and holder.lost:
            if holder.connection is not None:
                roll_back(holder.connection)
            self._turns.give(holder)

    def _carry_out(self, tx: _Transaction) -> None:
        assert tx.connection is not None
        try:
            if not driver_of(tx.connection).in_transaction:
                raise StorageError("The transaction was given up by SQLite; nothing of it is stored.")
            driver_of(tx.connection).execute("COMMIT")
        except sqlite3.Error as error:
            raise translated(error) from error
        if tx.log:
            self.number += 1
            self._remember(self.number, tx.log)
        self._turns.give(tx)
        if tx.log and self.on_commit is not None:
            self.on_commit(self.number)

    def _fate(self, tx: _Transaction) -> Fate | None:
        chances: tuple[tuple[Fate, float], ...] = (("timeout", self.faults.timeout),)
        if tx.writes:
            chances += (("abort", self.faults.abort), ("disk_full", self.faults.disk_full))
        for fate, chance in chances:
            if self.draw(chance):
                self._struck(fate)
                return fate
        return None

    def _struck(self, name: str) -> None:
        self.struck[name] = self.struck.get(name, 0) + 1

    # -- the file ------------------------------------------------------------------------------------------------

    def _break(self) -> None:
        self.era += 1
        self.forget_lost()

    def _remember(self, number: int, statements: list[Statement]) -> None:
        self._stretches[-1].commits.append((number, statements))
        if len(self._stretches[-1].commits) >= IMAGE_EVERY:
            self._stretches.append(_Stretch(self._file.image()))
            if len(self._stretches) > 2:
                self._stretches.popleft()

    def _begin_history(self, image: bytes) -> None:
        """Another timeline, from this image on."""
        self._open_file(image)
        self.timeline = f"{self._random.getrandbits(64):016x}"
        driver_of(self._file.writer).execute("INSERT OR REPLACE INTO meta VALUES ('timeline', ?)", (self.timeline,))
        self._stretches = deque([_Stretch(self._file.image())])

    def _open_file(self, image: bytes) -> None:
        if self._files:
            self._file.close()
        self._files += 1
        self._file = _File(Path(self._folder.name) / f"{self._files}.db", image)


def _opened(path: Path) -> Connection:
    driver = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0, cached_statements=256)
    driver.execute("PRAGMA journal_mode = WAL")
    # Nothing outlives the process anyway.
    driver.execute("PRAGMA synchronous = OFF")
    driver.execute("PRAGMA temp_store = MEMORY")
    driver.execute("PRAGMA foreign_keys = ON")
    return create_engine("sqlite+pysqlite://", creator=lambda: driver, poolclass=StaticPool).connect()


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
        result = connection.execute(statement, parameters)
        return result.all() if result.returns_rows else ()
    except Exception as error:
        # Whatever it is that the driver raises becomes ours, as in the product.
        raise translated(error) from error


@lru_cache(maxsize=1)
def migrated() -> bytes:
    """A migrated database with nothing in it. Not to be called from inside a loop."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.db"
        asyncio.run(upgrade(f"sqlite+aiosqlite:///{path}"))
        return path.read_bytes()


def without_faults(faults: StoreFaults) -> StoreFaults:
    """The same store on a good day: it keeps its latency."""
    return replace(StoreFaults(), latency_s=faults.latency_s)
