"""What a person weighed, and when, by their measurements.

A measurement in a unit that is not known is none.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from operator import itemgetter

from figures.forms import Measurement
from figures.quantities import KILOGRAM, Quantity, quantity
from figures.steps import Steps, sorted_in_steps

# Sorts behind every id.
_LAST = "\x7f"
# When, which one, and kg.
_Weighing = tuple[str, str, Quantity]


class Weighings:
    """The weighings of one person. After `put`, `read_again` brings the answers to where they are."""

    def __init__(self) -> None:
        self._by_id: dict[str, _Weighing] = {}
        self._sorted: list[_Weighing] = []
        # Since when the body weighs something else than the answers say.
        self._changed_from: str | None = None

    def put(self, id: str, measurement: Measurement | None) -> None:
        """Take a measurement, or its delete."""
        old, new = self._by_id.pop(id, None), _weighing(id, measurement)
        if new is not None:
            self._by_id[id] = new
        for one in (old, new):
            if one is not None and old != new and (self._changed_from is None or one[0] < self._changed_from):
                self._changed_from = one[0]

    def read_again(self) -> Steps[str | None]:
        """Sort what was put: O(n log n), so it is done once for many. Returns since when the body weighs something else
        than before, None where it does not.
        """
        since = self._changed_from
        if since is not None:
            self._sorted = yield from sorted_in_steps(self._by_id.values(), itemgetter(0, 1))
            self._changed_from = None
        return since

    def before(self, until: str) -> Quantity | None:
        """The latest weight at or before a time, in kg."""
        place = bisect_right(self._sorted, (until, _LAST, 0))
        return self._sorted[place - 1][2] if place else None

    def all(self) -> Iterator[tuple[str, Quantity]]:
        """(when, kg), oldest first."""
        return ((at, value) for at, _, value in self._sorted)


def _weighing(id: str, one: Measurement | None) -> _Weighing | None:
    unit = KILOGRAM.get(one.unit or "") if one is not None and one.kind == "weight" else None
    if one is None or unit is None or one.at is None or one.value is None:
        return None
    return one.at, id, quantity(one.value, unit)
