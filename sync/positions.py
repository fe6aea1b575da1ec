"""Positions: fractional indexes, strings whose order by code point is the order of the things that carry them.

Between any two of them there is room for another, so that a device that inserts offline renumbers nothing.
"""

from __future__ import annotations

from typing import Final

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# The middle one: room on both sides of what is put behind a position.
_MIDDLE: Final = "V"


def position_at(index: int) -> str:
    """The position of place `index`, from 0, in a list that is made at once: a0 … az, b00 … bzz, c000 …

    The first character tells how many digits follow, so longer numbers sort after shorter ones.
    """
    width = 1
    while index >= len(_DIGITS) ** width:
        index -= len(_DIGITS) ** width
        width += 1
    digits = ""
    for _ in range(width):
        index, digit = divmod(index, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return "abcdefghij"[width - 1] + digits


def position_after(last: str | None) -> str:
    """A position behind `last`, or the first one of an empty list.

    One that ends below the last digit counts up; else a digit is put behind it.
    """
    if not last:
        return position_at(0)
    digit = _DIGITS.find(last[-1])
    if len(last) > 1 and 0 <= digit < len(_DIGITS) - 1:
        return last[:-1] + _DIGITS[digit + 1]
    return last + _MIDDLE
