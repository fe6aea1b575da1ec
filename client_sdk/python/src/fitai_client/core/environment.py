"""Time and randomness of a device, as arguments. `system()` is the SDK's one reader of the real ones.

There are two times, for a person may set the clock: what is written down bears the wall clock's, and what waits counts
the time that went by. A wait by the wall clock lasts for as long as the clock was set back.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Environment", "system"]


def _elapsed_ms() -> int:
    return time.monotonic_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Environment:
    """now_ms: this machine's clock, in milliseconds since the Unix epoch; right or wrong.
    random_bytes: that many unpredictable bytes.
    elapsed_ms: the milliseconds that went by since some moment, the same while the process runs; never set."""

    now_ms: Callable[[], int]
    random_bytes: Callable[[int], bytes]
    elapsed_ms: Callable[[], int] = _elapsed_ms


def system() -> Environment:
    """The real clock and the system's randomness."""
    return Environment(lambda: time.time_ns() // 1_000_000, os.urandom)
