"""Writers of one space wait here, and not each with a connection to the database in its hands.

Postgres serves the writers of a space one after the other: its row is locked first (W1). Sixty-four devices that write
into one space would hold every connection of the process to wait for each other, and nobody else would get one.

Owns: how many writers of a space may be with the database at once. Refuses to know: what they write.

Invariants
    N1  At most AT_ONCE writers of a space hold a connection: one that works, and one that is ready when it is done.
    N2  Who came first goes first; nobody waits longer than `wait_s`, and no more than WAITING_MAX wait for one space.
    N3  A space in which nobody writes costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from storage.database import WAIT_S
from storage.errors import Overloaded

AT_ONCE: Final = 2
# Each holds its batch in memory. A space has at most a few hundred devices that are awake at once.
WAITING_MAX: Final = 500


@dataclass
class _Line:
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    writers: int = 0


class Turns:
    """The lines of one process, by space."""

    def __init__(self, wait_s: float = WAIT_S) -> None:
        """`wait_s`: how long a writer waits for its turn."""
        self._wait_s = wait_s
        self._lines: dict[str, _Line] = {}

    def __len__(self) -> int:
        """In how many spaces somebody writes or waits."""
        return len(self._lines)

    @asynccontextmanager
    async def of(self, space: str) -> AsyncIterator[None]:
        """Hold a turn of `space` for the time of the block.

        Raises Overloaded where none came in time; nothing has been tried then.
        """
        line = self._lines.setdefault(space, _Line())
        if line.writers >= AT_ONCE + WAITING_MAX:
            raise Overloaded(f"{WAITING_MAX} others wait to write into this space; try again in a moment.")
        line.writers += 1
        try:
            try:
                async with asyncio.timeout(self._wait_s):
                    await line.gate.acquire()
            except TimeoutError:
                raise Overloaded("The turn to write into this space did not come in time; try again later.") from None
            try:
                yield
            finally:
                line.gate.release()
        finally:
            line.writers -= 1
            if line.writers == 0:
                del self._lines[space]
