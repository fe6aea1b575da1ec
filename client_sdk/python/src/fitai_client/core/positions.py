"""Order keys: strings whose order by code point is the order of the records that carry them, with room between any two.

The keys of a list that is made at once are `importing/ids.py`'s.
"""

from __future__ import annotations

import re
from typing import Final

from ..errors import InvalidWrite

__all__ = ["position_between"]

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# The middle one: room on both sides of what is put behind a key.
_MIDDLE: Final = "V"
# What a key may hold: printable ASCII without blanks.
_LOWEST: Final = ord("!")
_HIGHEST: Final = ord("~")
_KEY: Final = re.compile(r"[!-~]+")


def position_between(before: str | None, after: str | None) -> str:
    """The `position` of a record that goes between two others, whose positions these are.

    before: None for the first place of a list. after: None for the last one. Both None: of an empty list.

    Two devices that put something into one place give it the same key, and there is no room between those two. The
    later one then needs a new position first: `position_between` of its own and that of the one behind it.

    Raises:
        InvalidWrite: there is no room between the two, they are in the wrong order, or no positions.
    """
    for key in (before, after):
        if key is not None and not (isinstance(key, str) and _KEY.fullmatch(key)):
            raise InvalidWrite(f"A position is a text like 'a0', or None, not {repr(key)[:50]}.", field="position")
    if after is None:
        return _behind(before)
    low = before or ""
    if low >= after:
        raise _no_room(low, after)
    return _within(low, after)


def _no_room(low: str, high: str) -> InvalidWrite:
    if low > high:
        return InvalidWrite(
            f"{low!r} stands behind {high!r}, not before it: give the position of the earlier place first.",
            field="position",
        )
    return InvalidWrite(
        f"There is no room between {low!r} and {high!r}: give the record of the later place another position first.",
        field="position",
    )


def _behind(last: str | None) -> str:
    """Where the last character can be counted up it is, so that a list that only grows keeps its keys short."""
    if last is None:
        return "a0"
    digit = _DIGITS.find(last[-1])
    if len(last) > 1 and 0 <= digit < len(_DIGITS) - 1:
        return last[:-1] + _DIGITS[digit + 1]
    return last + _MIDDLE


def _within(low: str, high: str) -> str:
    """A key between two. It never ends with the lowest character: below such a one there would be no room."""
    made = ""
    while made != high:
        place = len(made)
        least = ord(low[place]) if place < len(low) else _LOWEST - 1
        most = ord(high[place]) if high.startswith(made) else _HIGHEST + 1
        middle = ord(_MIDDLE) if least < ord(_MIDDLE) < most else max((least + most) // 2, _LOWEST + 1)
        if least < middle < most:
            return made + chr(middle)
        # No room here: the next place decides, below the same character, or the lowest there is.
        made += chr(max(least, _LOWEST))
    raise _no_room(low, high)
