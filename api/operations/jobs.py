"""Jobs: taking up what is due, seeing it through, and going on where a process was killed.

Owns: when a job runs, its lease, its retries, and what becomes of it.
Refuses to know: what a job does. Each kind is a handler, and the statements are in storage/jobs.py.

A handler works in steps. Each step is one transaction, in which it writes its effect and, by `Job.keep`, how far it
is; so a step counts once, and a job that is taken up again goes on behind its last step. What cannot be in a
transaction (a file) is made so that making it twice is as good as once.

Invariants
    K1  Of a job's effects, those count that were written while the job was the writer's: whoever lost it (the lease
        ran out, its row is gone) gets JobLost out of the transaction, which is rolled back.
    K2  A job that fails is tried again, ever later; after `tries_max` it has failed, and its owner is told so.
    K3  A server that stops gives its jobs back at once; of one that was killed they are due after LEASE_MS. One that
        lives says so for its jobs, so a step may take longer than that.
    K4  A process works on `at_once` jobs of each kind, those that have been due for longest first, and each of another
        person (J3): a job that takes long holds up neither another kind nor everybody else's.
    K5  A job that says between two steps that it gives way is due again behind those of its kind that have waited, and
        goes on behind its last step: so who waits does so for turns, not for all that others have to do.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from api.operations.carrying_on import CarryingOn
from storage import jobs as store
from storage.database import Database, Transaction
from storage.errors import StorageError
from storage.jobs import JobRow
from sync.environment import Environment
from sync.tasks import end_tasks

log = logging.getLogger(__name__)

# How long a job may be silent. Steps take a second or so; and what a killed process had is not waited for long.
LEASE_MS: Final = 60_000
# How often a process says of its jobs that it still works on them.
BEAT_S: Final = 15.0
# Jobs of this process begin at once; for those that others left behind this is soon enough.
POLL_S: Final = 5.0
# Who has been due for so long found no process idle.
WAITED_MS: Final = 5_000
RETRY_MS_FIRST: Final = 2_000
RETRY_MS_MAX: Final = 3_600_000
TRIES_MAX: Final = 5
# What `GET` shows of a failure. The log has the rest.
FAILED: Final = "It failed several times; the server's log says why. Ask for it again later."

_encode = msgspec.json.encode


class JobLost(Exception):
    """The job is no longer this process's: leave everything as it is. Handlers let it pass."""


class TurnOver(Exception):
    """The job gives way to others, and comes again. Handlers let it pass."""


@dataclass
class Job:
    """One job in the hands of its handler."""

    row: JobRow
    database: Database
    environment: Environment
    memory: Any = None
    done: int = 0
    total: int | None = None
    finished: bool = False

    @property
    def id(self) -> str:
        return self.row.id

    @property
    def user(self) -> str:
        """Whose it is."""
        assert self.row.user is not None, "this kind of job is of a user"
        return self.row.user

    @property
    def arguments(self) -> Any:
        """What it was begun with."""
        return msgspec.json.decode(self.row.arguments)

    async def keep(self, tx: Transaction) -> None:
        """Note `memory`, `done` and `total` in the transaction of a step. Raises JobLost (K1)."""
        kept = await store.keep_job(
            tx,
            job=self.id,
            attempt=self.row.attempt,
            memory=None if self.memory is None else _encode(self.memory),
            done=self.done,
            total=self.total,
            until=self.environment.now_ms() + LEASE_MS,
        )
        if not kept:
            raise JobLost

    async def beat(self) -> None:
        """As `keep`, in a transaction of its own: between the steps of what is written elsewhere. Raises JobLost."""
        async with self.database.write() as tx:
            await self.keep(tx)

    async def give_way(self) -> None:
        """Let others of this kind have their turn, where they wait (K5). Raises TurnOver: nothing is written any more
        until the job is taken up again, with the `memory` that it kept."""
        async with self.database.read() as tx:
            waiting = await store.due_kinds(tx, [self.row.kind], self.environment.now_ms() - WAITED_MS)
        if waiting:
            raise TurnOver

    async def finish(self, tx: Transaction, result: Any = None) -> None:
        """End the job in the transaction of its last step. Raises JobLost."""
        now_ms = self.environment.now_ms()
        if not await store.finish_job(tx, job=self.id, attempt=self.row.attempt, result=_encode(result), now_ms=now_ms):
            raise JobLost
        self.finished = True


# What it returns is the job's result, where it has not finished by itself.
Handler = Callable[[Job], Awaitable[Any]]


@dataclass(frozen=True)
class Kind:
    """tries_max: None for what must not be given up. kept_ms: how long an ended one can be looked at. at_once: how many
    a process works on (K4)."""

    handler: Handler
    tries_max: int | None = TRIES_MAX
    kept_ms: int = 86_400_000
    at_once: int = 1


@dataclass
class Jobs:
    """The jobs that one process works on."""

    database: Database
    environment: Environment
    kinds: Mapping[str, Kind]
    beat_s: float = BEAT_S
    _wake: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    _working: dict[str, set[asyncio.Task[None]]] = field(default_factory=lambda: defaultdict(set), repr=False)
    # Of which jobs were found while their kind had all its workers, perhaps too late for any of these to see them.
    _found_late: set[str] = field(default_factory=set, repr=False)

    def start(self) -> Callable[[], Awaitable[None]]:
        """Begin; await what is returned to stop, which gives back what is under way (K3)."""
        task = asyncio.create_task(self._look(), name="jobs")

        async def stop() -> None:
            # Nobody begins another one while those that work are ended.
            await end_tasks([task])
            await end_tasks([each for working in self._working.values() for each in working])

        return stop

    def wake(self) -> None:
        """Look for jobs now: one was added."""
        self._wake.set()

    async def forget(self) -> int:
        """Let go of jobs that ended long ago; how many."""
        gone = 0
        for name, kind in self.kinds.items():
            async with self.database.write() as tx:
                before_ms = self.environment.now_ms() - kind.kept_ms
                gone += len(await store.forget_jobs(tx, kind=name, before_ms=before_ms))
        return gone

    async def _look(self) -> None:
        while True:
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            due: Sequence[str] = ()
            with CarryingOn(log, "the jobs wait"):
                async with self.database.read() as tx:
                    due = await store.due_kinds(tx, list(self.kinds), self.environment.now_ms())
            for kind in due:
                # One more for each look; each job that is taken up is a reason to look whether there is another.
                if len(self._working[kind]) < self.kinds[kind].at_once:
                    self._working[kind].add(asyncio.create_task(self._work_off(kind), name=f"jobs {kind}"))
                else:
                    self._found_late.add(kind)

    async def _work_off(self, kind: str) -> None:
        try:
            await self.work(kind)
        finally:
            self._working[kind].discard(_this_task())
            if kind in self._found_late:
                self._found_late.discard(kind)
                self.wake()

    async def work(self, kind: str) -> int:
        """Do the jobs of one kind, one after the other, until none is due; how many that were."""
        done = 0
        with CarryingOn(log, f"the jobs of the kind {kind} wait"):
            while (row := await self._claim(kind)) is not None:
                self._wake.set()
                await self._do(row)
                done += 1
        return done

    async def _claim(self, kind: str) -> JobRow | None:
        now_ms = self.environment.now_ms()
        async with self.database.write() as tx:
            return await store.claim_job(tx, kind=kind, now_ms=now_ms, until=now_ms + LEASE_MS)

    async def _do(self, row: JobRow) -> None:
        beating = asyncio.create_task(self._beat(row), name=f"job {row.id} is worked on")
        try:
            await self._see_through(row)
        finally:
            await end_tasks([beating])

    async def _beat(self, row: JobRow) -> None:
        """Say that the job is worked on, for as long as it is this process's (K3)."""
        is_ours = True
        while is_ours:
            await asyncio.sleep(self.beat_s)
            with CarryingOn(log, f"job {row.id} ({row.kind}) waits"):
                async with self.database.write() as tx:
                    until = self.environment.now_ms() + LEASE_MS
                    is_ours = await store.hold_job(tx, job=row.id, attempt=row.attempt, until=until)

    async def _see_through(self, row: JobRow) -> None:
        memory = None if row.memory is None else msgspec.json.decode(row.memory)
        job = Job(row, self.database, self.environment, memory, row.done, row.total)
        try:
            result = await self.kinds[row.kind].handler(job)
            if not job.finished:
                async with self.database.write() as tx:
                    await job.finish(tx, result)
            log.info("job %s (%s) is done", row.id, row.kind)
        except JobLost:
            log.info("job %s (%s) was taken away", row.id, row.kind)
        except TurnOver:
            log.info("job %s (%s) gives way", row.id, row.kind)
            await self._release(row)
        except asyncio.CancelledError:
            await self._release(row)
            raise
        except Exception as error:
            # Whatever it was: the job is tried again, and no other one suffers.
            log.exception("job %s (%s) failed", row.id, row.kind)
            await self._failed(row, error)

    async def _release(self, row: JobRow) -> None:
        """Let whoever looks next take it up where it stands, behind what has been due for longer."""
        async with self.database.write() as tx:
            await store.release_job(tx, job=row.id, attempt=row.attempt, now_ms=self.environment.now_ms())

    async def _failed(self, row: JobRow, error: Exception) -> None:
        # A database that is away is no fault of the job's.
        waits = isinstance(error, StorageError) and error.retryable
        tries_max = self.kinds[row.kind].tries_max
        now_ms = self.environment.now_ms()
        async with self.database.write() as tx:
            if not waits and tries_max is not None and row.failures + 1 >= tries_max:
                await store.fail_job(tx, job=row.id, attempt=row.attempt, error=FAILED, now_ms=now_ms)
            else:
                wait_ms = min(RETRY_MS_MAX, RETRY_MS_FIRST << min(row.failures, 20))
                await store.retry_job(
                    tx, job=row.id, attempt=row.attempt, due_at=now_ms + wait_ms, error=type(error).__name__
                )


def _this_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None
    return task
