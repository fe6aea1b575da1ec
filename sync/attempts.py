"""One write of a space as a transaction: under its lock or without it, in its turn, and again where it collided.

Owns: when a write may be tried without the lock, how often it is tried, and when that is given up.
Refuses to know: what is written (sync/push.py, sync/server_writes.py), and how a write without the lock finds that it
was too late (storage/push_writes.py).

Without a lock a write is tried where nobody else of this process writes the space: on Postgres a lock costs a
statement, and on SQLite it keeps everybody else waiting. Whatever that attempt meets is no answer yet: it is made again
under the lock (W1).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Final, TypeVar

from storage.database import Database, Transaction
from storage.errors import Busy, Moved, Overloaded
from sync.environment import Environment
from sync.errors import SyncError, TooLarge, Unavailable
from sync.turns import Turns

# A serialization failure on one space means another push was there; three more tries end nearly all of them.
BUSY_RETRIES: Final = 3

Result = TypeVar("Result")
# Makes the write, and is told whether under the lock; it is asked again where it has to be made again.
Attempt = Callable[[bool], Awaitable[Result]]


@dataclass(frozen=True)
class Attempts:
    """The writes of one process into the spaces of one database."""

    database: Database
    environment: Environment
    turns: Turns = field(default_factory=Turns)
    # How many writes into a space are under way in this process, of those that may go without the lock.
    _under_way: dict[str, int] = field(default_factory=dict)

    async def make(self, space: str, attempt: Attempt[Result], *, needs_lock: bool = False) -> Result:
        """What `attempt` returns, which is first made without the lock where it may be.

        Raises Unavailable where it collided again and again, or its turn did not come.
        """
        alone = self._begin(space)
        try:
            return await self._retrying(attempt, unlocked=alone and not needs_lock)
        finally:
            self._end(space)

    async def make_locked(self, attempt: Attempt[Result]) -> Result:
        """What `attempt` returns, which is always made under the lock. Raises as `make`."""
        return await self._retrying(attempt)

    def transaction(self, space: str, *, lock: bool) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that writes the space: as it is about to lock it, or as one statement without that."""
        return self._in_turn(space) if lock else self.database.write(single=True)

    @asynccontextmanager
    async def _in_turn(self, space: str) -> AsyncIterator[Transaction]:
        # SQLite has a line of its own, in which those who wait share a commit.
        turn = self.turns.of(space) if self.database.dialect == "postgresql" else nullcontext()
        async with turn, self.database.write() as tx:
            yield tx

    def _begin(self, space: str) -> bool:
        """Note a write; True where it may be tried without a lock, for nobody else here writes the space now."""
        self._under_way[space] = count = self._under_way.get(space, 0) + 1
        return count == 1 and self.database.reads_unlocked

    def _end(self, space: str) -> None:
        self._under_way[space] -= 1
        if not self._under_way[space]:
            del self._under_way[space]

    async def _retrying(self, attempt: Attempt[Result], *, unlocked: bool = False) -> Result:
        for tries in range(BUSY_RETRIES + 1):
            lock = tries > 0 or not unlocked
            try:
                return await attempt(lock)
            except (Moved, SyncError) as error:
                # What was read without a lock may be outdated: the write finds that out, and nobody is refused for it.
                if lock or isinstance(error, TooLarge):
                    raise
            except Busy as error:
                if tries == BUSY_RETRIES or isinstance(error, Overloaded):
                    raise Unavailable(retry_after_s=1) from None
                jitter = self.environment.token_bytes(1)[0] / 255
                await asyncio.sleep(0.01 * 2**tries * (0.5 + jitter))
        raise AssertionError("unreachable")
