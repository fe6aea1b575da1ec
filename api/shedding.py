"""Who is refused because the server is busy is told when to come back: one after the other.

Owns: the line in which they stand. Refuses to know: why the server is busy.

Invariants
    L1  Of those who are refused within a moment, no more than RETURNS_PER_S are told the same second. A herd of five
        thousand that is told "one second" comes back as a herd of five thousand.
    L2  The first ones are told one second, whatever happened before; nobody is told more than LONGEST_S.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

# Fewer than a process serves in a second, so that the line becomes shorter.
RETURNS_PER_S: Final = 200
LONGEST_S: Final = 30


class Line:
    """The line of one process."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._taken_until_ms = 0.0

    def retry_after_s(self, places: int = 1) -> int:
        """Take the next place, or several for what is heavy; in how many seconds its turn comes, from 1 up."""
        now = self._now_ms()
        # A clock that was set back must not leave a line from the future.
        ahead = self._taken_until_ms - now
        if not 0 <= ahead <= LONGEST_S * 1_000:
            ahead = 0.0 if ahead < 0 else LONGEST_S * 1_000
        self._taken_until_ms = now + min(ahead + places * 1_000 / RETURNS_PER_S, LONGEST_S * 1_000)
        return min(1 + int(ahead) // 1_000, LONGEST_S)
