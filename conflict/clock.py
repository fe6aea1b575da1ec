"""Hybrid logical clock: one stamp a change, ordered like cause and effect within one device.

A stamp (HLC) is a text of 16 lowercase hex digits: 12 of Unix milliseconds, 4 of a counter. Because the digits
are of fixed width, comparing the texts compares the times. Ties between devices are broken elsewhere, by the
device's id.

Invariants
    H1  A device never issues the same stamp twice, nor a smaller one after a larger (`tick`), whatever its
        wall clock does.
    H2  A counter that is full carries into the milliseconds; it never wraps.
    H3  `clamp` leaves no stamp more than DRIFT_MAX_MS ahead of the server's clock: a device in the year 2099
        does not win for ever.

Nothing here reads a clock: callers pass `now_ms`. Stamps only rank concurrent writes; causality is a matter
of version vectors (vectors.py). Source: Kulkarni et al., "Logical Physical Clocks", 2014.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from conflict.errors import BadHlc

# How far ahead of the server a device's clock may be before its stamps are set back: phones on network time
# are within a second, so a minute keeps every honest clock and bounds what a wrong one can win.
DRIFT_MAX_MS = 60_000
WALL_MS_MAX = (1 << 48) - 1
COUNTER_MAX = (1 << 16) - 1

_HLC = re.compile(r"[0-9a-f]{16}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The last millisecond that RFC 3339 can write (four digits of year); a stamp's 48 bits reach the year 10889.
_RFC3339_MS_MAX = 253_402_300_799_999


def is_hlc(text: object) -> bool:
    """Return True where `text` is a str of exactly 16 lowercase hex digits."""
    return isinstance(text, str) and _HLC.fullmatch(text) is not None


def pack(wall_ms: int, counter: int) -> str:
    """Return the stamp of `wall_ms` (Unix milliseconds) and `counter`.

    Raises:
        BadHlc: either number is negative or does not fit (48 and 16 bits).
    """
    if not (0 <= wall_ms <= WALL_MS_MAX and 0 <= counter <= COUNTER_MAX):
        raise BadHlc(f"No stamp holds {wall_ms} ms and counter {counter}; check the clock that gave them.")
    return f"{wall_ms:012x}{counter:04x}"


def wall_ms(hlc: str) -> int:
    """Return the stamp's Unix milliseconds. Raises BadHlc where it is none."""
    return _checked(hlc) >> 16


def counter(hlc: str) -> int:
    """Return the stamp's counter. Raises BadHlc where it is none."""
    return _checked(hlc) & COUNTER_MAX


def tick(last: str | None, now_ms: int) -> str:
    """Return the next stamp of a device whose newest one is `last` (None: it has none yet).

    Later than `last` always, and at `now_ms` where the wall clock has moved on. The caller keeps the result as
    its new `last`, durably, before it uses it.

    Raises:
        BadHlc: `last` is no stamp, or is the very last one there is.
    """
    if last is None:
        return pack(now_ms, 0)
    used = _checked(last)
    if now_ms > used >> 16:
        return pack(now_ms, 0)
    # One number, so that a full counter carries into the milliseconds by itself.
    return pack((used + 1) >> 16, (used + 1) & COUNTER_MAX)


def clamp(hlc: str, now_ms: int) -> str:
    """Return `hlc`, or the stamp of `now_ms` where `hlc` is more than DRIFT_MAX_MS ahead of it.

    The caller ranks the change by the result and keeps the stamp as it was sent for comparing repeats.
    Raises BadHlc where it is no stamp.
    """
    return hlc if wall_ms(hlc) - now_ms <= DRIFT_MAX_MS else pack(now_ms, 0)


def rfc3339(ms: int) -> str:
    """Return Unix milliseconds as RFC 3339 in UTC with milliseconds: "2026-11-23T10:00:00.123Z".

    What lies past the year 9999, which the format cannot write, is given as its last millisecond.
    """
    seconds, rest = divmod(min(ms, _RFC3339_MS_MAX), 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


def time_of(stamp: str) -> str:
    """Return the wall clock of a stamp that has been checked before, as RFC 3339."""
    return rfc3339(int(stamp[:12], 16))


# What is logged together shares its second, and so does a whole import.
@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


def _checked(hlc: str) -> int:
    if not is_hlc(hlc):
        raise BadHlc(f"{hlc!r} is no stamp; it must be 16 lowercase hex digits.")
    return int(hlc, 16)
