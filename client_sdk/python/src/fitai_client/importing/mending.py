"""Rows whose quotes were dropped: the commas within a date made cells of its parts, which are put together again.

Owns one repair, and takes it only where the row then has the right width and numbers where numbers belong: a comma in a
title or a note cannot be told from a delimiter, and such a row stays an error.
"""

from __future__ import annotations

from collections.abc import Sequence

from .moments import read_moment
from .numbers import BadCell, read_number
from .plan import Plan

# "May 7, 2026, 6:13 AM"
_PARTS_MAX = 3
_NUMBERS = ("weight", "reps", "distance", "rpe")


def rejoin(plan: Plan, cells: Sequence[str]) -> list[str] | None:
    """The cells of the row with its dates in one piece, or None where that does not mend it."""
    mended = list(cells)
    if len(mended) <= len(plan.header):
        return None
    for index in sorted(i for i, meaning in enumerate(plan.meanings) if meaning in {"start", "end"}):
        for parts in range(1, _PARTS_MAX + 1):
            text = plan.delimiter.join(mended[index : index + parts])
            # Every first part has the day: what has none is the rest of a title.
            if any(map(str.isdigit, mended[index])) and _is_moment(text):
                mended[index : index + parts] = [text]
                break
    return mended if len(mended) == len(plan.header) and _has_numbers(plan, mended) else None


def _is_moment(text: str) -> bool:
    """Whether this is a date and a time of day; a date alone may be the first of its parts."""
    try:
        return read_moment(text).has_time
    except BadCell:
        return False


def _has_numbers(plan: Plan, cells: Sequence[str]) -> bool:
    try:
        for meaning in _NUMBERS:
            if (index := plan.index(meaning)) is not None:
                read_number(cells[index])
    except BadCell:
        return False
    return True
