"""Long work on the loop that everybody shares: slices of a millisecond, with a rest after each.

Owns: how long a slice is, how long is rested, and whose slice is next. Refuses to know: what is worked on.

Not a thread: while one works, whoever serves somebody else waits for the interpreter's lock, up to five milliseconds at
each trip to the database. That made every request four times as long while one person's million records were read.

Invariants
    L1  Whoever else waits for the loop waits for one slice of a pace at a time, and for one step more at worst.
    L2  Those who share a pace take turns slice by slice: what is long holds up what is short no longer than it takes
        itself.
    L3  What fits into one slice is done at once, and rests for nothing.
    L4  Who is cancelled takes no further step.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from figures import Steps

T = TypeVar("T")

# A fifth of what a push takes, and twenty times what going through the loop costs.
SLICE_S: Final = 0.001
# A machine that stood still for seconds has not worked for seconds.
REST_MAX_S: Final = 0.1


@dataclass
class Pace:
    """How fast long work goes. rest: for each slice so many times as long is left to everybody else.

    now_s: a clock that goes on within a turn of the loop, in seconds. sleep: as asyncio's.
    """

    rest: float
    slice_s: float = SLICE_S
    now_s: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    # How long slices took by now, with the rests after them.
    spent_s: float = 0.0
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def take_slice(self, steps: Steps[T]) -> tuple[T] | None:
        """Go so many steps as fit into one slice, and rest; what they found, in a tuple, once they are at their end."""
        async with self._turn:
            began = self.now_s()
            until = began + self.slice_s
            try:
                while self.now_s() < until:
                    next(steps)
            except StopIteration as end:
                return (end.value,)
            try:
                await self.sleep(min(self.rest * (self.now_s() - began), REST_MAX_S))
            finally:
                self.spent_s += self.now_s() - began
        return None


async def take_all(steps: Steps[T], pace: Callable[[], Pace]) -> T:
    """Go all the steps, and return what they found. pace: asked anew before each slice."""
    try:
        while (found := await pace().take_slice(steps)) is None:
            pass
        return found[0]
    finally:
        steps.close()
