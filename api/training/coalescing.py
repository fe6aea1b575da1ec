"""Many askings, few doings: what was asked for is due once nobody has asked again for a moment.

Owns: when each key is due. Refuses to know: what it stands for, and what time it is; the caller says that, in seconds
of one clock that never goes back.

Invariants
    C1  A key is due `quiet_s` after it was last asked for, and at the latest `longest_s` after it was first.
    C2  What was asked for is due once, and again only for an asking that came after it was taken.
    C3  What is put back is due at once, behind everything that is due already.
    C4  A key that rests is due once its rest is over, however often it is asked for.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field


@dataclass
class Coalescing:
    """The keys that were asked for and are not yet taken. Each asking and each taking costs O(log keys) at most."""

    quiet_s: float
    longest_s: float
    # Key → (first asked for, last asked for).
    _asked: dict[str, tuple[float, float]] = field(default_factory=dict)
    # (looked at again at, key): one entry for each key, never later than it is due.
    _looks: list[tuple[float, str]] = field(default_factory=list)
    # Key → when its rest is over.
    _rests: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._asked)

    def ask(self, key: str, now: float) -> None:
        """Ask for a key."""
        asked = self._asked.get(key)
        if asked is None:
            self._asked[key] = now, now
            heapq.heappush(self._looks, (now + min(self.quiet_s, self.longest_s), key))
        else:
            self._asked[key] = asked[0], now

    def put_back(self, key: str, now: float) -> None:
        """Ask for what was taken and is not done (C3)."""
        if key not in self._asked:
            self._asked[key] = now - self.longest_s, now
            heapq.heappush(self._looks, (now, key))

    def rest(self, key: str, now: float, for_s: float) -> None:
        """Let nothing be due of a key for so long (C4). Costs O(keys that rest)."""
        self._rests = {each: until for each, until in self._rests.items() if until > now} | {key: now + for_s}

    def take(self, now: float) -> str | None:
        """A key that is due, which is forgotten with this; None where none is."""
        while self._looks and self._looks[0][0] <= now:
            key = self._looks[0][1]
            first, last = self._asked[key]
            due = max(min(last + self.quiet_s, first + self.longest_s), self._rests.get(key, 0))
            if due <= now:
                heapq.heappop(self._looks)
                del self._asked[key]
                return key
            heapq.heapreplace(self._looks, (due, key))
        return None

    def wait_s(self, now: float) -> float | None:
        """How long `take` has nothing for certain; None until something is asked for."""
        return max(0.0, self._looks[0][0] - now) if self._looks else None
