"""Ids and positions that come out the same at every import of the same rows.

Ids are UUIDs of version 5 below one namespace, derived from (source app, natural key): no counter, no random number.
Positions are fractional indexes: strings whose order by code point is the order of the numbers, with room between any
two of them for a later insertion.
"""

from __future__ import annotations

from uuid import UUID, uuid5

_NAMESPACE = UUID("6f2c1a34-8f0e-5b7d-9c57-3d1b5e0a77c1")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def derived_id(*key: str) -> str:
    """The id for a natural key. The parts are joined by U+001F, which no cell keeps, so that no two keys meet."""
    return str(uuid5(_NAMESPACE, "\x1f".join(part.replace("\x1f", " ") for part in key)))


def position(index: int) -> str:
    """The fractional index of place `index`, from 0: a0 … az, b00 … bzz, c000 …

    The first character tells how many digits follow (a: 1, b: 2, …), so longer numbers sort after shorter ones.
    """
    width = 1
    while index >= 62**width:
        index -= 62**width
        width += 1
    digits = ""
    for _ in range(width):
        index, digit = divmod(index, 62)
        digits = _DIGITS[digit] + digits
    return "abcdefghij"[width - 1] + digits
