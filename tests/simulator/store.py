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
import contextvars
import random
import sqlite3
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from storage.cancelling import to_the_end
from storage.database import WAIT_S, Dialect, Transaction
from storage.errors import Busy, DatabaseReadOnly, DatabaseUnavailable, StorageError
from storage.migrations import upgrade
from storage.sqlite_connection import translated
from tests.simulator.store_file import File, Opened, Statement, run
from tests.simulator.store_transaction import FULL, GONE, Fate, SimTransaction, Turns

# Commits between two images of the file: a failover can lose as many at least.
IMAGE_EVERY: Final = 64
# A transaction that is to fail does so at one of its first statements, or at its end where it has fewer.
FATE_STATEMENTS: Final = 5

# A process that is stopped in the middle of a write holds up the others no longer than this; a statement may take less.
IDLE_S: Final = 40.0


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


class SimDatabase:
    """The `Database` of one worker process. `kill` it when the process dies; nothing of it can be used then."""

    dialect: Dialect = "sqlite"
    reads_unlocked = False

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
        tx = SimTransaction(self, writes=False, snapshot=snapshot)
        await self.store.begin(tx, self._wait_s)
        try:
            yield tx
        finally:
            self.store.end(tx)

    @asynccontextmanager
    async def write(self, *, single: bool = False) -> AsyncIterator[Transaction]:
        tx = SimTransaction(self, writes=True, snapshot=False)
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
        self._turns = Turns()
        shm = Path("/dev/shm")
        self._folder = tempfile.TemporaryDirectory(prefix="sim", dir=shm if shm.is_dir() else None)
        self._files = 0
        self._file: File
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
        return self.reader().driver.execute(statement, arguments).fetchall()

    # -- for transactions ----------------------------------------------------------------------------------------

    def draw(self, chance: float) -> bool:
        return chance > 0 and self._random.random() < chance

    async def pause(self) -> None:
        """What a statement, or its answer, takes."""
        mean_s = self.faults.latency_s
        await asyncio.sleep(self._random.expovariate(1 / mean_s) if mean_s > 0 else 0)

    def reader(self) -> Opened:
        """A connection that reads what is committed now. Between two writes that is the writer's own, which knows the
        pages that it wrote; the other one would read them again after each commit."""
        writer = self._file.writer
        return self._file.reader if writer.driver.in_transaction else writer

    async def begin(self, tx: SimTransaction, wait_s: float) -> None:
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
            tx.connection.driver.execute("BEGIN IMMEDIATE")
            # Nothing of the process that asks: the database itself sees to it.
            loop = asyncio.get_running_loop()
            tx.patience = loop.call_later(IDLE_S, self._cut_off, tx, context=contextvars.Context())
        elif tx.snapshot:
            tx.connection = self._file.take_snapshot_reader()
            tx.connection.driver.execute("BEGIN")

    def end(self, tx: SimTransaction) -> None:
        """`tx` is over, and nothing of it is stored that was not yet."""
        tx.over = True
        if tx.patience is not None:
            tx.patience.cancel()
        if tx.connection is None:
            return
        connection, tx.connection = tx.connection, None
        if not tx.writes:
            self._file.give_snapshot_reader(connection)
        elif self._turns.holder is tx:
            connection.roll_back()
            self._turns.give(tx)

    async def commit(self, tx: SimTransaction) -> None:
        """Store what `tx` wrote, or raise as the port does."""
        try:
            await self.pause()
            tx.check()
            await tx.meet_fate(at_end=True)
            tx.check()
            if tx.log and self.is_full:
                raise DatabaseReadOnly(FULL)
            ambiguous = self.draw(self.faults.ambiguous)
            if ambiguous:
                self._struck("ambiguous")
            if ambiguous and self.draw(0.5):
                raise DatabaseUnavailable(GONE)
            self._carry_out(tx)
            if ambiguous:
                raise DatabaseUnavailable(GONE)
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
                holder.connection.roll_back()
            self._turns.give(holder)

    def _cut_off(self, tx: SimTransaction) -> None:
        if self._turns.holder is tx:
            self._struck("idle")
            tx.is_cut_off = True
            self.forget_lost()

    def _carry_out(self, tx: SimTransaction) -> None:
        assert tx.connection is not None
        try:
            if not tx.connection.driver.in_transaction:
                raise StorageError("The transaction was given up by SQLite; nothing of it is stored.")
            tx.connection.driver.execute("COMMIT")
        except sqlite3.Error as error:
            raise translated(error) from error
        if tx.log:
            self.number += 1
            self._remember(self.number, tx.log)
        self._turns.give(tx)
        if tx.log and self.on_commit is not None:
            self.on_commit(self.number)

    def _fate(self, tx: SimTransaction) -> Fate | None:
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
        self._file.writer.driver.execute("INSERT OR REPLACE INTO meta VALUES ('timeline', ?)", (self.timeline,))
        self._stretches = deque([_Stretch(self._file.image())])

    def _open_file(self, image: bytes) -> None:
        if self._files:
            self._file.close()
        self._files += 1
        self._file = File(Path(self._folder.name) / f"{self._files}.db", image)


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
