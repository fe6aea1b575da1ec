"""Deleting an account: everything about a user goes, from every table; what others share with them stays theirs.

Owns: the order, and what is promised.
Refuses to know: the statements (storage/erasure.py), and who owns a space then (sync/leaving.py).

The answer comes when the account has ended: it has no name, address or password any more, and all its sessions and
sockets are over. The rest is taken away behind it, step by step, by a job that never gives up.

Invariants
    X1  What is promised holds from the answer on: nobody signs in, nothing is found, the address is free.
    X2  Every step is found from what is left, so a job that was killed goes on as if it had not been.
    X3  The job's own row, and the account's, go last and together.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import msgspec

from api.accounts.authenticator import CACHE_MS
from api.accounts.confirming import Confirmation
from api.accounts.model import Origin
from api.operations.jobs import Job
from storage import erasure as store
from storage.accounts import lock_user
from storage.audit_log import Event
from storage.database import Database, Transaction
from storage.personal import PERSONAL
from storage.tables import jobs, users
from sync.audit_trail import note
from sync.bus import Bus, user_topic
from sync.caller import Caller
from sync.environment import Environment
from sync.errors import Unauthenticated
from sync.leaving import Told, leave_for_good

log = logging.getLogger(__name__)

T = TypeVar("T")

# By then everything is gone; usually it takes seconds.
PROMISED_MS: Final = 86_400_000
# What was under way when the account ended has ended too, and no process believes in its sessions any more.
SETTLE_MS: Final = CACHE_MS + 1_000

_encode: Final = msgspec.json.encode


@dataclass(frozen=True)
class Erasure:
    """The erasures of one database."""

    database: Database
    bus: Bus
    environment: Environment
    confirmation: Confirmation
    # Lets go of files whose rows are gone.
    sweep: Callable[[], Awaitable[int]]

    async def begin(self, caller: Caller, password: str | None, origin: Origin) -> int:
        """End the caller's account; until when (Unix milliseconds) everything is gone.

        Raises what `Confirmation.check` raises.
        """
        await self.confirmation.check(caller, password, origin, purpose="deletion of account")
        now_ms = self.environment.now_ms()
        async with self.database.write() as tx:
            if await lock_user(tx, caller.user) is None:
                raise Unauthenticated
            await store.begin_erasure(tx, caller.user, now_ms=now_ms, due_at=now_ms + SETTLE_MS)
            # The one line that stays: it names nobody, and goes with the ledger's hash.
            await note(tx, self.environment, Event.DELETED, user=None, account=store.hash_of_user(caller.user))
        log.info("user %s: the account is being erased", caller.user)
        # Without a session's name it means all of them.
        await self.bus.publish(user_topic(caller.user), _encode({"kind": "session_ended"}))
        return now_ms + PROMISED_MS

    async def erase(self, job: Job) -> None:
        """Take away everything about the job's user (X2)."""
        user, most = job.user, store.ROWS_PER_STEP
        while await self._leave_one(job):
            pass
        while (doomed := await self._found(partial(store.next_doomed, user=user))) is not None:
            await self._repeat(job, partial(store.purge_space, space=doomed, most=most))
        while (trace := await self._found(partial(store.next_trace, user=user))) is not None:
            await self._disown(job, trace)
        await self._repeat(job, partial(store.disown_served, user=user, most=most))
        await self._repeat(job, partial(store.disinvite, user=user))
        for personal in PERSONAL:
            if personal.table not in (jobs, users):
                await self._repeat(job, partial(store.purge_rows, personal=personal, user=user, most=most))
        async with self.database.write() as tx:
            await job.keep(tx)
            await store.purge_rest(tx, user)  # X3
        job.finished = True
        await self.sweep()
        log.info("an account is erased, %d rows in all", job.done)

    async def _leave_one(self, job: Job) -> bool:
        async with self.database.write() as tx:
            space = await store.next_place(tx, job.user)
            if space is None:
                return False
            told = await leave_for_good(tx, space, job.user)
            job.done += 1
            await job.keep(tx)
        await self._tell(told)
        return True

    async def _disown(self, job: Job, trace: store.Trace) -> None:
        going: store.Trace | None = trace
        while going is not None:
            async with self.database.write() as tx:
                going = await store.disown_lines(tx, going, store.ROWS_PER_STEP)
                await job.keep(tx)

    async def _found(self, look: Callable[[Transaction], Awaitable[T]]) -> T:
        async with self.database.read() as tx:
            return await look(tx)

    async def _repeat(self, job: Job, step: Callable[[Transaction], Awaitable[int]]) -> None:
        """Do a step until nothing is left for it, each time in a transaction of its own."""
        rows = 1
        while rows:
            async with self.database.write() as tx:
                rows = await step(tx)
                job.done += rows
                await job.keep(tx)

    async def _tell(self, told: Iterable[Told]) -> None:
        for user, space, role, state in told:
            event = {"kind": "space", "space": space, "role": role, "state": state}
            await self.bus.publish(user_topic(user), _encode(event))
