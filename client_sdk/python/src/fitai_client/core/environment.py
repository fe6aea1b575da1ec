"""Time and randomness of a device, as arguments. `system()` is the SDK's one reader of the real ones."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Environment", "system"]


@dataclass(frozen=True, slots=True)
class Environment:
    """now_ms: this machine's clock, in milliseconds since the Unix epoch; right or wrong.
    random_bytes: that many unpredictable bytes."""

    now_ms: Callable[[], int]
    random_bytes: Callable[[int], bytes]


def system() -> Environment:
    """The real clock and the system's randomness."""
    return Environment(lambda: time.time_ns() // 1_000_000, os.urandom)
