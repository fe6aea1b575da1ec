"""Ids that a device makes alone: UUIDs of version 7, which sort by the time they were made."""

from __future__ import annotations

import re

from .environment import Environment

__all__ = ["IdMaker", "is_uuid", "uuid7"]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# 74 random bits; those made within one millisecond count up from the first one's (RFC 9562, 6.2, method 2).
_RANDOM_MAX = (1 << 74) - 1


class IdMaker:
    """Makes ids that sort in the order in which they were made, even within a millisecond."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._last = (-1, 0)

    def __call__(self) -> str:
        ms, random = _draw(self._environment)
        if ms <= self._last[0] and self._last[1] < _RANDOM_MAX:
            ms, random = self._last[0], self._last[1] + 1
        self._last = (ms, random)
        return _text(ms, random)


def uuid7(environment: Environment) -> str:
    """A new id in lower case (RFC 9562, version 7: 48 bits of milliseconds, 74 random bits)."""
    return _text(*_draw(environment))


def is_uuid(text: object) -> bool:
    """True for a UUID in lower case, as the wire wants it."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


def _draw(environment: Environment) -> tuple[int, int]:
    ms = min(max(environment.now_ms(), 0), 0xFFFF_FFFF_FFFF)
    return ms, int.from_bytes(environment.random_bytes(10), "big") & _RANDOM_MAX


def _text(ms: int, random: int) -> str:
    number = ms << 80 | 0x7 << 76 | (random >> 62 & 0xFFF) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
