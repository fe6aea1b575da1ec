"""The server's clock and randomness, as values that are passed down.

Owns: the one place that reads the real clock and the real random source. Everything else is given
an `Environment`, so a test (or the simulator) decides what time it is and which ids are made.

Refuses to know: what the times and the bytes are for.
"""

import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Environment:
    """Where time and randomness come from.

    now_ms: the wall clock in whole milliseconds since the Unix epoch.
    token_bytes: that many bytes from a cryptographically strong source.
    """

    now_ms: Callable[[], int]
    token_bytes: Callable[[int], bytes]


def system() -> Environment:
    """Return the real clock and the operating system's random source."""
    return Environment(now_ms=lambda: time.time_ns() // 1_000_000, token_bytes=os.urandom)


def uuid7(environment: Environment) -> str:
    """Return a new UUID of version 7: it sorts by the time it was made, so indexes grow at one end.

    Source: RFC 9562, section 5.7 (48 bits of Unix milliseconds, then 74 random bits).
    """
    head = environment.now_ms().to_bytes(6, "big")
    raw = bytearray(head + environment.token_bytes(10))
    raw[6] = 0x70 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    return str(uuid.UUID(bytes=bytes(raw)))
