"""What the bodies of requests may cost all together: each has a limit of its own, and hundreds come at once.

Owns: the count of bytes that bodies under way hold, and the line of those that wait to be read.
Refuses to know: what a body says.

A batch of a mebibyte becomes ten times as much while it is decoded and judged. So bodies arrive side by side, as slowly
as their networks are, and are worked on a few at a time.

Invariants
    B1  What bodies under way hold never passes HELD_BYTES_MAX; past BEGIN_BYTES_MAX no large one begins. Only bytes
        that have arrived count: whoever promises much and sends little takes nothing from others.
    B2  Bodies that are worked on at once have at most WORKED_BYTES_MAX together, or are one; who came first goes first.
    B3  Small bodies, which nearly all are, wait for nobody.
    B4  Whoever is refused has cost nothing but the reading.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

from aiohttp import web

from api.errors import Busy

# Some dozens of sets: what a phone sends while somebody trains.
SMALL_BYTES: Final = 16_384
BEGIN_BYTES_MAX: Final = 16 * 1_048_576
HELD_BYTES_MAX: Final = 64 * 1_048_576
WORKED_BYTES_MAX: Final = 4 * 1_048_576
# A large body takes as long as so many ordinary requests.
LARGE_PLACES: Final = 32
# Below what a client waits for an answer.
WAIT_S: Final = 10.0


class Held:
    """The bytes of one body."""

    __slots__ = ("_bodies", "size")

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.size = 0

    def add(self, size: int) -> None:
        """So many more are there. Raises Busy where they are too many for the process (B1)."""
        if self._bodies.held + size > HELD_BYTES_MAX:
            raise _busy()
        self.size += size
        self._bodies.held += size


class Bodies:
    """The bodies of one process."""

    def __init__(self, wait_s: float = WAIT_S) -> None:
        """`wait_s`: how long a body waits to be worked on."""
        self._wait_s = wait_s
        self._worked = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self.held = 0

    @property
    def waiting(self) -> int:
        """How many bodies wait to be worked on."""
        return sum(not waiter.done() for _, waiter in self._waiting)

    @contextmanager
    def holding(self, announced: int | None) -> Iterator[Held]:
        """Count a body for the time of the block.

        announced: its Content-Length, if it has one.

        Raises Busy where no large body may begin.
        """
        if self.held >= BEGIN_BYTES_MAX and (announced is None or announced > SMALL_BYTES):
            raise _busy()
        held = Held(self)
        try:
            yield held
        finally:
            self.held -= held.size

    @asynccontextmanager
    async def working(self, size: int, *, patient: bool = False) -> AsyncIterator[None]:
        """Work on a body of `size` bytes for the time of the block.

        patient: wait as long as it takes; for whoever is not read from meanwhile.

        Raises Busy where its turn did not come in time.
        """
        if size <= SMALL_BYTES:
            yield
            return
        if self._waiting or not self._has_room(size):
            await self._wait(size, None if patient else self._wait_s)
        else:
            self._worked += size
        try:
            yield
        finally:
            self._leave(size)

    def _has_room(self, size: int) -> bool:
        return self._worked == 0 or self._worked + size <= WORKED_BYTES_MAX

    async def _wait(self, size: int, wait_s: float | None) -> None:
        entry = (size, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(wait_s):
                await entry[1]
        except BaseException as error:
            if entry[1].done() and not entry[1].cancelled():
                # It was let in and given up in the same turn of the loop.
                self._leave(size)
            else:
                with suppress(ValueError):
                    self._waiting.remove(entry)
                self._let_in()
            if isinstance(error, TimeoutError):
                raise _busy() from None
            raise

    def _leave(self, size: int) -> None:
        self._worked -= size
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._has_room(self._waiting[0][0]):
            size, waiter = self._waiting.popleft()
            if not waiter.done():
                self._worked += size
                waiter.set_result(None)


BODIES: Final = web.AppKey("bodies", Bodies)


def _busy() -> Busy:
    error = Busy("Too many large requests are under way; send the same again when it is your turn.")
    error.places = LARGE_PLACES
    return error
