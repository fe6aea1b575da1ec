"""A bounded set of connections, handed out in the order of asking.

Owns: who has which connection, who waits, and for how long.
Refuses to know: what a connection is. It is told how to open one, and whether one is still alive.

Invariants
    P1  At most `size` connections are open or being opened at any time.
    P2  Work that has had a connection comes before work that has not had one yet, so that what was begun is finished
        and not refused in its middle; of either kind, who asked first is served first. A connection that comes back
        goes straight to who is next.
    P3  Nobody waits longer than `wait_s`, and no more than WAITERS_MAX wait at once: then it is Overloaded. (But for
        those whose work others wait for; they are few.)
    P5  Where somebody waits and no connection has come back for `stall_s`, the line stands still: all who wait are
        Overloaded, and so is whoever comes, at once, until one comes back. Only time counts in which the event loop
        ran: where this process stood still, answers may lie there that nobody has read yet.
    P4  A caller that is cancelled, whenever it is, takes no connection with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final, Generic, TypeVar

from storage.errors import Overloaded

# Past this many, who comes next would wait in vain: the last of them would be served after `wait_s` anyway.
WAITERS_MAX: Final = 2_000
# How often the line is looked at before it is found to stand still; the loop gets to read answers between two looks.
LOOKS: Final = 10

T = TypeVar("T")

_begun: Final = ContextVar("begun", default=False)


def begin_work(*, waited: bool = False) -> None:
    """What is asked for from here on, in this context, is another piece of work (P2). Call it where a request begins.

    waited: it has stood in a line of its own already.
    """
    _begun.set(waited)


class Pool(Generic[T]):
    """Connections of one kind to one database. For one event loop."""

    def __init__(
        self,
        opener: Callable[[], Awaitable[T]],
        alive: Callable[[T], bool],
        *,
        size: int,
        wait_s: float,
        stall_s: float = math.inf,
    ) -> None:
        """`opener` opens a connection, or raises StorageError; `alive` tells whether one can still be used."""
        self._opener = opener
        self._alive = alive
        self._wait_s = wait_s
        self._stall_s = stall_s
        # Looks at a line in which somebody waits, since a connection last was given or came back.
        self._looks = 0
        self._next_look: asyncio.TimerHandle | None = None
        self._free = size
        self._idle: list[T] = []
        # A waiter is given a connection, or None: the leave to open one.
        self._begun: deque[asyncio.Future[T | None]] = deque()
        self._new: deque[asyncio.Future[T | None]] = deque()
        self._patient: set[asyncio.Future[T | None]] = set()
        self._opening: set[asyncio.Task[T]] = set()

    @property
    def waiting(self) -> int:
        """How many callers wait for a connection."""
        return sum(not waiter.done() for waiter in (*self._begun, *self._new))

    async def acquire(self, *, patient: bool = False) -> T:
        """A connection for the caller alone, who gives it back by `release` or `discard`.

        `patient` is for work that others wait for, and that cannot be left undone: it waits as long as it takes.

        Raises Overloaded where none came free in time, and what the opener raises.
        """
        item = await self._acquire(None if patient else self._wait_s)
        self._moved()
        _begun.set(True)
        return item

    async def _acquire(self, wait_s: float | None) -> T:
        while self._idle:
            # The one used last: its statements are still prepared, and the others may fall asleep.
            item = self._idle.pop()
            if self._alive(item):
                return item
            self._free += 1
        if self._free > 0:
            self._free -= 1
            return await self._open()
        item_or_leave = await self._wait(wait_s)
        if item_or_leave is None:
            return await self._open()
        if self._alive(item_or_leave):
            return item_or_leave
        return await self._open()

    def release(self, item: T) -> None:
        """Give a connection back in good order."""
        if not self._hand_over(item):
            self._idle.append(item)

    def discard(self) -> None:
        """A connection is not coming back: another may be opened in its place."""
        if not self._hand_over(None):
            self._free += 1

    def take_idle(self) -> list[T]:
        """Take every connection that nobody uses out of the pool, to close it."""
        taken, self._idle = self._idle, []
        self._free += len(taken)
        return taken

    async def settle(self) -> None:
        """Wait until no connection is being opened any more."""
        while self._opening:
            await asyncio.wait(self._opening)
            await asyncio.sleep(0)

    async def _wait(self, wait_s: float | None) -> T | None:
        if wait_s is not None:
            self._check_line()
        waiter: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        line = self._begun if _begun.get() else self._new
        line.append(waiter)
        if wait_s is None:
            self._patient.add(waiter)
        self._look_later()
        loop = asyncio.get_running_loop()
        # A turn later: what came free while the loop stood still is handed over first.
        end = None if wait_s is None else loop.call_later(wait_s, loop.call_soon, _end_wait, waiter)
        try:
            return await waiter
        except BaseException:
            self._give_up(waiter, line)
            raise
        finally:
            if end is not None:
                end.cancel()
            self._patient.discard(waiter)

    def _check_line(self) -> None:
        if len(self._begun) + len(self._new) >= WAITERS_MAX:
            raise Overloaded(f"{WAITERS_MAX} others wait for a connection to the database; try again in a moment.")
        if self._looks >= LOOKS:
            raise Overloaded("Every connection to the database is held up; try again in a moment.")

    def _look_later(self) -> None:
        if self._next_look is None and self._stall_s < math.inf:
            loop = asyncio.get_running_loop()
            self._next_look = loop.call_later(self._stall_s / LOOKS, self._look)

    def _look(self) -> None:
        """One more look, however long ago the last one was: a time in which the loop stood still counts as one (P5)."""
        self._next_look = None
        if not self._begun and not self._new:
            return
        self._looks += 1
        if self._looks < LOOKS:
            self._look_later()
            return
        for waiter in (*self._begun, *self._new):
            if not waiter.done() and waiter not in self._patient:
                waiter.set_exception(_too_late())

    def _give_up(self, waiter: asyncio.Future[T | None], line: deque[asyncio.Future[T | None]]) -> None:
        if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            # It was served and cancelled in the same turn of the loop (P4).
            item = waiter.result()
            if item is None:
                self.discard()
            else:
                self.release(item)
            return
        waiter.cancel()
        with contextlib.suppress(ValueError):
            line.remove(waiter)

    def _moved(self) -> None:
        self._looks = 0
        if self._begun or self._new:
            self._look_later()

    def _hand_over(self, item: T | None) -> bool:
        self._moved()
        while line := self._begun or self._new:
            waiter = line.popleft()
            if not waiter.done():
                waiter.set_result(item)
                return True
        return False

    async def _open(self) -> T:
        # A task of its own: a caller that is cancelled meanwhile leaves no half-open connection behind (P4).
        task = asyncio.ensure_future(self._opener())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._opened_for_nobody)
            raise
        except BaseException:
            self.discard()
            raise

    def _opened_for_nobody(self, task: asyncio.Future[T]) -> None:
        if task.cancelled() or task.exception() is not None:
            self.discard()
        else:
            self.release(task.result())


def _end_wait(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_exception(_too_late())


def _too_late() -> Overloaded:
    return Overloaded("No connection to the database came free in time; try again when the line has become shorter.")
