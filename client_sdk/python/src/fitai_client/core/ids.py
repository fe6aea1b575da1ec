"""Ids that a device makes alone: UUIDs of version 7, which sort by the time they were made."""

from __future__ import annotations

import re

from .environment import Environment

__all__ = ["is_uuid", "uuid7"]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def uuid7(environment: Environment) -> str:
    """A new id in lower case (RFC 9562, version 7: 48 bits of milliseconds, 74 random bits)."""
    ms = min(max(environment.now_ms(), 0), 0xFFFF_FFFF_FFFF)
    random = int.from_bytes(environment.random_bytes(10), "big")
    number = ms << 80 | 0x7 << 76 | (random >> 62 & 0xFFF) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def is_uuid(text: object) -> bool:
    """True for a UUID in lower case, as the wire wants it."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None
