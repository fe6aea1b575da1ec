"""What a mistyped name was meant to be."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(written: str, known: Iterable[str]) -> str | None:
    """Return the one of `known`, which is not empty, that `written` is a slip of; None where it is too far from all.

    One slip is forgiven for every four letters of the known name, and one in any case.
    """
    name = min(known, key=lambda each: _distance(written, each))
    return name if _distance(written, name) <= max(1, len(name) // 4) else None


def _distance(a: str, b: str) -> int:
    """The least number of letters put in, left out, replaced, or swapped with their neighbour (each part once)."""
    before: list[int] = []
    above = list(range(len(b) + 1))
    for i, letter in enumerate(a, start=1):
        row = [i]
        for j, other in enumerate(b, start=1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, above = above, row
    return above[-1]
